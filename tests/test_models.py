"""Builders: parameter counts on paper, halves that compose, saving and loading."""

import keras
import numpy as np
import pytest
from keras import ops

from aebook import baselines, models

X = np.random.default_rng(0).random((3, 28, 28, 1), "float32")
PCA = baselines.PCA(np.random.default_rng(1).random((900, 28, 28, 1), "float32"))
BUILDERS = [
    (lambda: models.residual(PCA, 8, 20), 784 * 8 + 8 + 8 * 784 + 784 + 8 * 20 + 20 + 20 * 784, 8),
    (lambda: models.linear(8), 784 * 8 + 8 + 8 * 784 + 784, 8),
    (lambda: models.vanilla(16, (100,)), 784 * 100 + 100 + 100 * 16 + 16 + 16 * 100 + 100 + 100 * 784 + 784, 16),
    (models.convolutional, None, 64),
    (lambda: models.stacked((392, 196)), 770_084, 196),
    (lambda: models.stacked((20, 6), (9, 8)), 784 * 20 + 20 + 20 * 6 + 6 + 6 * 9 + 9 + 9 * 8 + 8 + 8 * 784 + 784, 6),
    (lambda: models.tied((392, 196)), 385_924, 196),
    (lambda: models.sparse(900), 784 * 900 + 900 + 900 * 784 + 784, 900),
    (lambda: models.contractive(12), 784 * 12 + 12 + 784, 12),
    (lambda: models.contractive(12, tied=False), 784 * 12 + 12 + 12 * 784 + 784, 12),
]


@pytest.mark.parametrize(("build", "parameters", "code_size"), BUILDERS)
def test_the_model_is_decoder_after_encoder(build, parameters, code_size):
    model = build()
    code = model.encoder(X)
    assert code.shape == (3, code_size) and model(X).shape == X.shape
    np.testing.assert_allclose(ops.convert_to_numpy(model.decoder(code)), ops.convert_to_numpy(model(X)), atol=1e-6)
    assert parameters in (None, model.count_params())


@pytest.mark.parametrize(("build", "parameters", "code_size"), BUILDERS)
def test_models_come_back_from_disk_with_both_halves(build, parameters, code_size, tmp_path):
    model = build()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for part in (lambda m: m(X), lambda m: m.encoder(X), lambda m: m.decoder(model.encoder(X))):
        np.testing.assert_allclose(ops.convert_to_numpy(part(loaded)), ops.convert_to_numpy(part(model)), atol=1e-6)


def test_a_tied_model_comes_back_still_tied(tmp_path):
    models.tied((20, 6)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.count_params() == 784 * 20 + 20 + 20 * 6 + 6 + 20 + 784
    dense = loaded.encoder.layers[1:]
    assert [mirror.layer for mirror in loaded.decoder.layers[:2]] == dense[::-1]
    before = ops.convert_to_numpy(loaded.decoder(np.ones((1, 6), "float32")))
    dense[1].kernel.assign(2 * dense[1].kernel)
    assert np.abs(ops.convert_to_numpy(loaded.decoder(np.ones((1, 6), "float32"))) - before).max() > 1e-3


def test_a_stacked_decoder_need_not_mirror_the_encoder():
    units = [
        layer.units
        for half in (models.stacked((20, 6), (9,)).encoder, models.stacked((20, 6), (9,)).decoder)
        for layer in half.layers
        if hasattr(layer, "units")
    ]
    assert units == [20, 6, 9, 784]


def test_the_linear_model_is_linear_and_its_penalty_is_the_weights_norm():
    model = models.linear(4, l2=0.1)
    zero, one, two = (ops.convert_to_numpy(model(X * factor)) for factor in (0, 1, 2))
    np.testing.assert_allclose(two - zero, 2 * (one - zero), atol=1e-5)
    kernels = [weight for weight in model.get_weights() if weight.ndim == 2]
    assert float(sum(model.losses)) == pytest.approx(0.1 * sum((kernel**2).sum() for kernel in kernels), rel=1e-5)


def test_the_residual_model_begins_as_pca_clipped():
    model = models.residual(PCA, 64, 16)
    x = np.concatenate([X, 3 * X - 1])  # the second half drives PCA out of [0, 1]
    expected = PCA.reconstruct(x, 64)
    assert expected.min() < -0.1 and expected.max() > 1.1
    np.testing.assert_allclose(ops.convert_to_numpy(model(x)), expected.clip(0, 1), atol=1e-4)
    code = PCA.encode(x, 64) / np.sqrt(PCA.variances[:64])
    np.testing.assert_allclose(ops.convert_to_numpy(model.encoder(x)), code, atol=1e-3)


def test_the_contraction_penalty_is_a_mean_over_images_whatever_the_batch():
    model = models.contractive(5, weight=0.3)
    kernel, bias = model.encoder.get_weights()
    code = 1 / (1 + np.exp(-(X.reshape(3, 784) @ kernel + bias)))
    norms = [np.square(kernel * slope).sum() for slope in code * (1 - code)]  # |J|^2 of each image, row by row
    for n in (1, 3):
        model(X[:n])
        assert float(sum(model.losses)) == pytest.approx(0.3 * np.mean(norms[:n]), rel=1e-5)


def test_the_contraction_penalty_is_part_of_the_evaluated_loss():
    model = models.contractive(5, weight=2.0)
    model.compile(loss="mse")
    difference = model.evaluate(X, X, verbose=0) - float(np.square(X - ops.convert_to_numpy(model(X))).mean())
    assert difference == pytest.approx(float(sum(model.losses)), rel=1e-4) and difference > 0.01


def test_a_contractive_model_comes_back_with_its_weight_and_still_tied(tmp_path):
    models.contractive(5, 0.25).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    code = np.eye(5, dtype="float32")[:1]
    before = ops.convert_to_numpy(loaded.decoder(code))
    kernel = loaded.encoder.layers[-1].kernel
    kernel.assign(-kernel)  # moves the decoder, too
    after = ops.convert_to_numpy(loaded.decoder(code))
    np.testing.assert_allclose(after, 1 - before, atol=1e-5)
    assert (loaded.code_size, loaded.weight, loaded.tied) == (5, 0.25, True) and abs(after - before).max() > 0.01


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="reward"):
        models.contractive(weight=-0.1)


def test_a_denoiser_passes_everything_through_its_code():
    for skips in (False, True):
        model = models.denoiser((6,), stride=4, code=8, skips=skips)
        assert model.get_layer("code").output.shape == (None, 7, 7, 8)
        model.get_layer("code").set_weights([np.zeros((1, 1, 6, 8)), np.zeros(8)])
        x_hat = ops.convert_to_numpy(model(X))
        assert (abs(x_hat[0] - x_hat[1]).max() > 1e-3) == skips  # only a skip knows one image from another


def test_a_residual_denoiser_learns_the_difference():
    for skips in (False, True):
        model = models.denoiser((6, 8), skips=skips, residual=True)
        np.testing.assert_array_equal(ops.convert_to_numpy(model(X)), X)  # it starts from no difference at all
        *_, bias = model.get_layer("pixels").weights
        bias.assign([0.25])
        np.testing.assert_allclose(ops.convert_to_numpy(model(X)), X + 0.25, atol=1e-6)  # not pressed into [0, 1]


def test_a_denoiser_has_the_activation_that_was_asked_for():
    for options, expected in (({}, "silu"), ({"activation": "relu"}, "relu")):
        model = models.denoiser((4, 6), skips=True, **options)
        chosen = {layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")}
        assert chosen == {expected, "sigmoid"}


def test_a_denoiser_of_pages_takes_any_size():
    model = models.denoiser((4, 6, 8), skips=True, shape=(None, None, 1))
    assert model(np.zeros((1, 24, 40, 1), "float32")).shape == (1, 24, 40, 1)


def test_a_new_denoiser_keeps_the_signal_at_its_strength():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(8, 28, 28, 1)).astype("float32")
    for stride, widths in ((2, (32, 64)), (4, (64,))):
        model = models.denoiser(widths, stride, blocks=0)
        strided = [layer for layer in model.layers if getattr(layer, "strides", (1, 1)) == (stride, stride)]
        maps = keras.Model(model.input, [layer.output for layer in strided])(x)
        assert all(0.4 < float(ops.sqrt(ops.mean(ops.square(m)))) < 2.5 for m in maps)


# ---- sizes and numbers


SIZED = {
    "linear": lambda shape: models.linear(2, shape=shape),
    "vanilla": lambda shape: models.vanilla(4, (9,), shape=shape),
    "convolutional": lambda shape: models.convolutional(4, 3, shape=shape),
    "stacked": lambda shape: models.stacked((9, 4), shape=shape),
    "tied": lambda shape: models.tied((9, 4), shape=shape),
    "contractive": lambda shape: models.contractive(4, shape=shape),
    "sparse": lambda shape: models.sparse(9, shape=shape),
    "denoiser": lambda shape: models.denoiser((3, 4), skips=True, shape=shape),
    "vae": lambda shape: models.vae(models.convolutional(4, 3, shape=shape)),
}


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("shape", [(9, 11, 3), (13, 6, 1), (16, 16, 2)])
def test_the_answer_has_the_size_of_the_image_also_where_strides_do_not_divide_it(name, shape):
    assert SIZED[name](shape)(np.zeros((2, *shape), "float32")).shape == (2, *shape)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((32, 32), "no channels"),
        ((60, 64, 64, 3), "counts images as well"),
        ((0, 28, 1), "height, 0"),
        ((28, -28, 1), "width, -28"),
        ((28.0, 28, 1), "height, 28.0"),
        ((28, 28, None), "channels, None"),
        (28, "of one image"),
    ],
)
def test_a_shape_that_is_none_of_an_image_is_refused_in_words(shape, words):
    for build in SIZED.values():
        with pytest.raises(ValueError, match=words):
            build(shape)


def test_a_denoiser_of_any_size_answers_as_one_of_that_size():
    free = models.denoiser((3, 4), skips=True, shape=(None, None, 1))
    for shape in ((25, 27, 1), (28, 24, 1), (1, 2, 1)):
        fixed = models.denoiser((3, 4), skips=True, shape=shape)
        fixed.set_weights(free.get_weights())
        x = np.random.default_rng(0).random((2, *shape), "float32")
        found = ops.convert_to_numpy(free(x))
        assert found.shape == x.shape
        np.testing.assert_allclose(found, ops.convert_to_numpy(fixed(x)), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: models.vanilla(0), "code_size=0"),
        (lambda: models.vanilla(2.5), "code_size=2.5"),
        (lambda: models.convolutional(4, width=-1), "width=-1"),
        (lambda: models.vanilla(hidden=256), "one width for each layer"),
        (lambda: models.stacked(16), "one width for each layer"),
        (lambda: models.tied(()), "at least one width"),
        (lambda: models.denoiser(()), "at least one width"),
        (lambda: models.denoiser(stride=0), "stride=0"),
        (lambda: models.denoiser(code=0), "code=0"),
        (lambda: models.linear(785), "784 components"),
        (lambda: models.residual(PCA, 800), "components only"),
        (lambda: models.residual(PCA, 4, shape=(9, 9, 1)), "784 pixels"),
        (lambda: models.sparse(9, "top-k"), "no layer"),
        (lambda: models.sparse(9, mean=np.zeros((28, 28))), "mean of shape"),
        (lambda: models.vae(models.linear(4)), "no probabilities"),
        (lambda: models.vae(models.residual(PCA, 4)), "no probabilities"),
        (lambda: models.vae(models.denoiser()), "no plain autoencoder"),
        (lambda: models.vae(models.vanilla(4), beta=-1), "beta=-1"),
        (lambda: models.VAE(models.vanilla(4).encoder, models.vanilla(4).decoder), "z_mean, z_log_var"),
    ],
)
def test_numbers_and_models_that_make_no_sense_are_refused_in_words(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_a_new_weight_of_the_penalty_reaches_what_was_compiled():
    model = models.contractive(5, weight=0.0)
    model.compile(loss="mse")
    before = model.evaluate(X, X, verbose=0)
    model.weight = 2.0
    model(X)
    penalty = float(sum(model.losses))
    assert model.evaluate(X, X, verbose=0) - before == pytest.approx(penalty, rel=1e-3) and penalty > 0.01
    with pytest.raises(ValueError, match="weight=-1"):
        model.weight = -1
    with pytest.raises(AttributeError, match="stays so"):
        model.code_size = 6
