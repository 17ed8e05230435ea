"""The five sources' recipes, as published."""

import keras
import numpy as np
import pytest

from aebook.layers import PublishedKL, Sampling
from aebook.sources import RECIPES

PUBLISHED = {  # parameters, batch size, epochs
    "a-subclassed": (543_904, 64, 5),
    "a-decoder": (65_089, 128, 0),
    "b-gaussian": (37_601, 64, 25),
    "c-convolutional": (3_805, 128, 25),
    "d-stacked": (770_084, 32, 20),
    "d-tied": (385_924, 32, 20),
    "e-salt-pepper": (49_761, 2048, 20),
    "e-text": (38_145, 16, 200),
    "e-vae": (550_629, 16, 20),
}
SHAPES = {"a-subclassed": (784,), "a-decoder": (2,), "d-stacked": (28, 28), "d-tied": (28, 28), "e-text": (258, 540, 1)}


def test_every_source_is_here():
    assert set(RECIPES) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_training_are_the_published_ones(name):
    recipe = RECIPES[name]
    assert (recipe.parameters, recipe.batch_size, recipe.epochs) == PUBLISHED[name]
    assert recipe.build().count_params() == recipe.parameters


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_model_maps_its_input_to_an_image(name):
    shape = SHAPES.get(name, (28, 28, 1))
    answer = keras.ops.convert_to_numpy(RECIPES[name].build()(np.full((2, *shape), 0.5, "float32")))
    assert answer.shape == (2, *((28, 28, 1) if name == "a-decoder" else shape))
    if name != "b-gaussian":  # it answers logits
        assert 0 <= answer.min() <= answer.max() <= 1


@pytest.mark.parametrize("name", [name for name, (_, _, epochs) in PUBLISHED.items() if epochs and name != "e-text"])
def test_each_recipe_takes_a_step_that_changes_the_weights(name):
    recipe = RECIPES[name]
    model = recipe.build()
    x = np.random.default_rng(0).random((8, *SHAPES.get(name, (28, 28, 1))), "float32")
    before = [weight.copy() for weight in model.get_weights()]
    model.compile(optimizer=recipe.optimizer(), loss=recipe.loss)
    loss = model.train_on_batch(x, x)
    assert np.isfinite(loss)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_the_code_of_source_c_holds_64_numbers():
    shapes = [layer.output.shape[1:] for layer in RECIPES["c-convolutional"].build().layers]
    assert (4, 4, 4) in shapes and min(int(np.prod(shape)) for shape in shapes) == 64


def test_the_tied_model_trains_one_kernel_for_both_directions():
    model = RECIPES["d-tied"].build()
    assert sorted(tuple(weight.shape) for weight in model.trainable_weights if len(weight.shape) == 2) == [
        (392, 196),
        (784, 392),
    ]


def test_the_kl_term_of_source_e_is_the_published_one():
    model = RECIPES["e-vae"].build()
    x = np.random.default_rng(0).random((4, 28, 28, 1), "float32")
    mean, s = keras.Model(model.input, [model.get_layer("z_mean").output, model.get_layer("z_log_sigma").output])(x)
    mean, s = keras.ops.convert_to_numpy(mean), keras.ops.convert_to_numpy(s)
    model(x)
    assert float(model.losses[0]) == pytest.approx(-5e-4 * np.mean(1 + s - mean**2 - np.exp(s)), rel=1e-4, abs=1e-9)


def test_the_kl_term_of_source_e_is_added_in_float32_whatever_the_precision():
    halves = [keras.ops.ones((2, 3), "bfloat16"), keras.ops.zeros((2, 3), "bfloat16")]
    term = PublishedKL(dtype="mixed_bfloat16")
    term(halves)
    assert keras.backend.standardize_dtype(term.losses[0].dtype) == "float32"
    assert float(term.losses[0]) == pytest.approx(5e-4)  # -5e-4 (1 + 0 - 1 - 1)


def test_the_sampler_of_source_e_takes_a_log_deviation():
    (sampler,) = [layer for layer in RECIPES["e-vae"].build().layers if isinstance(layer, Sampling)]
    z = keras.ops.convert_to_numpy(sampler([np.zeros((20_000, 2), "float32"), np.full((20_000, 2), -1.0, "float32")]))
    assert z.std() == pytest.approx(np.exp(-1.0), rel=0.02)
