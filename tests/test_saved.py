"""Every model of the package, saved here and opened in a new process, with the package and without it."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from aebook import baselines, layers, losses, models

ROOT = Path(__file__).resolve().parents[1]
RNG = np.random.default_rng(0)
X = RNG.random((6, 8, 8, 1), "float32")
PCA = baselines.PCA(RNG.random((90, 8, 8, 1), "float32"))
SIZE = {"shape": (8, 8, 1)}
SPARSITY = {
    "KSparse": layers.KSparse(3),
    "L1": layers.L1Sparsity(0.1),
    "KL": layers.KLSparsity(0.1, 0.2),
}
BUILDERS = {
    "linear": lambda: models.linear(4, l2=0.1, **SIZE),
    "vanilla": lambda: models.vanilla(4, (9,), **SIZE),
    "convolutional": lambda: models.convolutional(4, 3, **SIZE),
    "stacked": lambda: models.stacked((9, 4), **SIZE),
    "residual": lambda: models.residual(PCA, 4, 9, **SIZE),
    "tied": lambda: models.tied((9, 4), **SIZE),
    "contractive": lambda: models.contractive(4, 0.2, **SIZE),
    "contractive untied": lambda: models.contractive(4, 0.2, tied=False, **SIZE),
    "vae": lambda: models.vae(models.vanilla(4, (9,), **SIZE), beta=2.0),
    "vae convolutional": lambda: models.vae(models.convolutional(4, 3, **SIZE)),
    "joined halves that are tied": lambda: joined(models.tied((9, 4), **SIZE)),
    "denoiser": lambda: models.denoiser((3,), **SIZE),
    "denoiser with all": lambda: models.denoiser((3, 4), code=2, skips=True, residual=True, **SIZE),
    "denoiser of any size": lambda: models.denoiser((3,), shape=(None, None, 1)),
    **{
        f"sparse {name}": lambda layer=layer: models.sparse(9, layer, "sigmoid", **SIZE)
        for name, layer in SPARSITY.items()
    },
}
FROM_KERAS_ALONE = [
    "vanilla encoder",
    "vanilla decoder",
    "tied encoder",
    "vae decoder",
    "denoiser",
    "denoiser with all",
]


def joined(model):
    return models.Autoencoder(model.encoder, model.decoder)


def mean_answer(model, x):
    """What a model answers, without draws."""
    if hasattr(model, "without_draws"):
        model = model.without_draws()
    return keras.ops.convert_to_numpy(model(x))


def trained(name):
    model, loss = BUILDERS[name](), None if name.startswith("vae") else losses.squared_error
    model.compile("adam", loss, run_eagerly=True)
    for _ in range(2):
        model.train_on_batch(X, X)
    return model


READ = """
import json, sys
{first}
import keras, numpy as np
answers = {{}}
for path in sys.argv[2:]:
    model = keras.saving.load_model(path)
    optimizer = getattr(model, "optimizer", None)
    steps = int(optimizer.iterations) if optimizer else 0
    if hasattr(model, "without_draws"):
        model = model.without_draws()
    x = np.load(path + ".npy")
    answer = model(x)
    np.save(path + ".answer.npy", keras.ops.convert_to_numpy(answer))
    answers[path] = steps
print(json.dumps(answers))
"""
REFUSE = """
class Absent:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "aebook":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


def read(first, paths):
    """Open the files in a new process; return the optimizers' steps, one for each file."""
    command = [sys.executable, "-c", READ.format(first=first), "", *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(done.stdout.splitlines()[-1]).values())


def save(models_and_inputs, folder):
    paths = []
    for i, (model, x) in enumerate(models_and_inputs):
        paths.append(folder / f"{i}.keras")
        model.save(paths[-1])
        np.save(f"{paths[-1]}.npy", x)
    return paths


def test_every_model_comes_back_in_a_new_process_with_its_optimizer(tmp_path):
    all_of_them = {name: trained(name) for name in BUILDERS}
    paths = save([(model, X) for model in all_of_them.values()], tmp_path)
    assert read("import aebook.models", paths) == [2] * len(paths)
    for path, (name, model) in zip(paths, all_of_them.items(), strict=True):
        answer = np.load(f"{path}.answer.npy")
        np.testing.assert_allclose(answer, mean_answer(model, X), atol=1e-5, err_msg=name)


def test_models_of_keras_layers_open_where_the_package_is_absent(tmp_path):
    def part(name):
        model, codes = BUILDERS[name.removesuffix(" encoder").removesuffix(" decoder")](), RNG.normal(size=(6, 4))
        if name.endswith("encoder"):
            return model.encoder, X
        return (model.decoder, np.float32(codes)) if name.endswith("decoder") else (model, X)

    parts = [part(name) for name in FROM_KERAS_ALONE]
    paths = save(parts, tmp_path)
    read(REFUSE, paths)
    for path, (model, x) in zip(paths, parts, strict=True):
        np.testing.assert_allclose(np.load(f"{path}.answer.npy"), mean_answer(model, x), atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_weights_alone_fit_the_same_builder(name, tmp_path):
    model, other = BUILDERS[name](), BUILDERS[name]()
    model.save_weights(tmp_path / "x.weights.h5")
    other.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_array_equal(mean_answer(other, X), mean_answer(model, X))


@pytest.mark.parametrize("name", [name for name in BUILDERS if "denoiser" not in name])
def test_halves_open_alone(name, tmp_path):
    model = BUILDERS[name]()
    for half, x in (("encoder", X), ("decoder", np.ones((2, *model.decoder.input_shape[1:]), "float32"))):
        getattr(model, half).save(tmp_path / "half.keras")
        found, expected = keras.saving.load_model(tmp_path / "half.keras")(x), getattr(model, half)(x)
        for a, b in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
            np.testing.assert_allclose(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), atol=1e-6)


# ---- a reader's own classes


def test_a_class_of_the_same_name_does_not_take_the_books_place(tmp_path):
    model = models.sparse(9, layers.KSparse(3), **SIZE)
    model.save(tmp_path / "x.keras")

    class KSparse(layers.KSparse):
        def call(self, code):
            return 0 * super().call(code)

    own = models.sparse(9, KSparse(2), **SIZE)
    own.save(tmp_path / "own.keras")
    loaded, mine = (keras.saving.load_model(tmp_path / f"{name}.keras") for name in ("x", "own"))
    assert type(loaded.encoder.layers[-1]) is layers.KSparse and type(mine.encoder.layers[-1]) is KSparse
    assert mine.encoder.layers[-1].k == 2


class Louder(models.VAE):
    """A subclass with an argument of its own that hands the others on."""

    def __init__(self, encoder, decoder, volume=1.0, **options):
        super().__init__(encoder, decoder, **options)
        self.volume = volume


class Passing(layers.KLSparsity):
    """A subclass that hands everything on."""

    def __init__(self, *given, extra=1, **options):
        super().__init__(*given, **options)
        self.extra = extra


def test_numbers_of_the_classes_above_come_back_too(tmp_path):
    plain = BUILDERS["vanilla"]()
    model = Louder(models.vae(plain).encoder, plain.decoder, 3.0, beta=2.0)
    model.free_bits, model.binary = 0.5, True
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert (loaded.volume, loaded.beta, loaded.free_bits, loaded.binary) == (3.0, 2.0, 0.5, True)
    copy = Passing.from_config(Passing(0.2, 0.3, momentum=0.4, extra=5).get_config())
    assert (copy.rate, copy.weight, copy.momentum, copy.extra) == (0.2, 0.3, 0.4, 5)


def test_an_argument_that_no_attribute_holds_is_named():
    class Forgetful(layers.Configured):
        def __init__(self, strength, **options):
            super().__init__(**options)

    with pytest.raises(ValueError, match="strength = strength to its __init__"):
        Forgetful(3).get_config()


# ---- ties


def test_halves_that_are_tied_come_back_tied_and_clones_too(tmp_path):
    model = BUILDERS["joined halves that are tied"]()
    model.save(tmp_path / "x.keras")
    for copy in (keras.saving.load_model(tmp_path / "x.keras"), keras.models.clone_model(model)):
        assert copy.count_params() == model.count_params()
        assert copy.decoder.layers[-2].layer is copy.encoder.layers[1]


def test_a_clone_that_would_untie_is_refused():
    x = keras.Input((5,))
    dense = keras.layers.Dense(3)
    model = keras.Model(x, layers.DenseTranspose(dense)(dense(x)))
    with pytest.raises(ValueError, match="no longer tied"):
        keras.models.clone_model(model)
