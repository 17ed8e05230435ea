"""What a chapter stores for a lab, and the ONNX files that the site's build makes of it."""

import base64
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from aebook import baselines, export, layers, models

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book/tools"))
import labs

RNG = np.random.default_rng(0)


def build(name: str) -> tuple[keras.Model, np.ndarray]:
    """A model with random weights and inputs for it."""
    keras.utils.set_random_seed(0)
    if name == "decoder":
        return models.vanilla(2, (64, 32)).decoder, RNG.normal(size=(3, 2)).astype("float32")
    model = models.denoiser((8, 16), skips=True, residual=name == "residual")
    model.compile("adam", "mse")  # as `train.fit` leaves it
    model.set_weights([w + 0.05 * RNG.normal(size=w.shape) for w in model.get_weights()])
    return model, RNG.random((2, 28, 28, 1), "float32")


@pytest.fixture
def store(monkeypatch):
    """A function that runs `lab` as in a notebook and returns its result and the stored bundle, as JSON keeps it."""
    published = []
    shell = SimpleNamespace(display_pub=SimpleNamespace(publish=published.append))
    monkeypatch.setattr(export, "get_ipython", lambda: shell)

    def run(*given, **arrays):
        change = export.lab(*given, **arrays)
        return change, json.loads(json.dumps(published[-1][export.MIME], allow_nan=False)), published[-1]["text/plain"]

    return run


@pytest.mark.parametrize("name", ["decoder", "denoiser", "residual"])
def test_the_onnx_file_answers_as_keras_does(store, name):
    model, x = build(name)
    _, bundle, _ = store("one", {"it": (model, x)})
    stored = bundle["models"]["it"]
    file = labs.packed(plain := labs.onnx(stored))
    expected = labs.values(stored["output"])
    np.testing.assert_allclose(labs.rebuilt(stored).predict(x, verbose=0), expected, atol=1e-6)
    assert len(file) < 0.6 * len(plain), "the large kernels are stored in 8 bits"
    for content in (plain, file):
        onnx.checker.check_model(content)
        answer = ReferenceEvaluator(onnx.load_model_from_string(content))
        np.testing.assert_allclose(answer.run(None, {answer.input_names[0]: x})[0], expected, atol=1e-5)


SIZE = {"shape": (8, 8, 1)}
PCA = baselines.PCA(RNG.random((90, 8, 8, 1), "float32"))
BUILDERS = {
    "linear": lambda: models.linear(4, **SIZE),
    "vanilla": lambda: models.vanilla(4, (9,), **SIZE),
    "convolutional": lambda: models.convolutional(4, 3, shape=(9, 11, 1)),
    "stacked": lambda: models.stacked((9, 4), **SIZE),
    "residual": lambda: models.residual(PCA, 4, 9, **SIZE),
    "tied": lambda: models.tied((9, 4), **SIZE),
    "contractive": lambda: models.contractive(4, **SIZE),
    "sparse": lambda: models.sparse(9, layers.KSparse(3), **SIZE),
    "sparse L1": lambda: models.sparse(9, layers.L1Sparsity(0.1), "relu", **SIZE),
    "sparse KL": lambda: models.sparse(9, layers.KLSparsity(0.1, 0.1), "sigmoid", **SIZE),
    "vae": lambda: models.vae(models.vanilla(8, (9,), **SIZE)),
    "vae convolutional": lambda: models.vae(models.convolutional(4, 3, **SIZE)),
}


def same_in_runtime(file: bytes, model, x: np.ndarray) -> None:
    """Fail unless ONNX Runtime gives each answer of the model."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x})
    for one, expected in zip(found, keras.tree.flatten(model(x)), strict=True):
        np.testing.assert_allclose(one, keras.ops.convert_to_numpy(expected), atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_model_and_both_halves_answer_alike_in_onnx_runtime(name, tmp_path):
    model = BUILDERS[name]()
    x = RNG.random((3, *model.encoder.input_shape[1:]), "float32")
    codes = RNG.normal(size=(3, *model.decoder.input_shape[1:])).astype("float32")
    whole = model.without_draws() if name.startswith("vae") else model
    for given, expected, batch in (
        (model, whole, x),
        (model.encoder, model.encoder, x),
        (model.decoder, model.decoder, codes),
    ):
        export.onnx(given, tmp_path / "model.onnx")
        same_in_runtime((tmp_path / "model.onnx").read_bytes(), expected, batch)


@pytest.mark.parametrize("shape", [(9, 10, 3), (None, None, 1)])
def test_a_denoiser_answers_alike_in_onnx_runtime_at_any_size(shape):
    model = models.denoiser((3, 4), skips=True, shape=shape)
    file = export.onnx_bytes(model)
    for size in [(9, 10), (12, 8), (7, 5)] if shape[0] is None else [shape[:2]]:
        same_in_runtime(file, model, RNG.random((2, *size, shape[2]), "float32"))


def test_what_onnx_cannot_hold_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    vae = BUILDERS["vae"]()
    outer = keras.Sequential([keras.Input((8, 8, 1)), vae])
    with pytest.raises(ValueError, match="draws random numbers"):
        export.onnx(outer, path)
    with pytest.raises(ValueError, match="there is no folder"):
        export.onnx(vae, tmp_path / "absent" / "model.onnx")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match="pip install tf2onnx onnx"):
        export.onnx_bytes(BUILDERS["linear"]())


def test_an_interrupted_lab_leaves_the_model_as_it_was():
    class Interrupted(models.Autoencoder):
        calls = 0

        def predict(self, *given, **options):
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().predict(*given, **options)

    halves = models.vanilla(4, (40,))
    model = Interrupted(halves.encoder, halves.decoder)
    weights = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        export.lab("one", {"it": (model, RNG.random((2, 28, 28, 1), "float32"))})
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_the_model_stays_as_it_is_and_the_change_is_measured(store):
    model, x = build("decoder")
    before, weights = model.predict(x, verbose=0), model.get_weights()
    change, bundle, line = store("one", {"it": (model, x)})
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert change == pytest.approx(np.abs(labs.values(bundle["models"]["it"]["output"]) - before).max())
    assert 0 < change < 0.05
    assert line == "lab: one (it)"


def test_small_weights_stay_exact_and_large_ones_take_a_byte(store):
    model, x = build("decoder")
    _, bundle, _ = store("one", {"it": (model, x)})
    for weight, kept in zip(model.get_weights(), bundle["models"]["it"]["weights"], strict=True):
        large = weight.ndim > 1 and weight.size >= 1_000
        assert kept["dtype"] == ("int8" if large else "float32")
        assert len(base64.b64decode(kept["data"])) == weight.size * (1 if large else 4)
        step = np.abs(weight).max() / 127 if large else 0
        assert np.abs(labs.values(kept) - weight).max() <= 0.51 * step


def test_nothing_is_shown_outside_of_a_notebook(capsys):
    model, x = build("decoder")
    assert export.lab("one", {"it": (model, x)}) > 0
    assert capsys.readouterr().out == ""


def test_arrays_lie_where_the_index_says(store, tmp_path):
    model, x = build("decoder")
    some, other = RNG.integers(0, 256, (3, 5), "uint8"), RNG.normal(size=(2, 3)).astype("float32")
    _, bundle, _ = store("one", {"it": (model, x)}, some=some, other=other)
    labs.convert(bundle, tmp_path / "one")
    index = json.loads((tmp_path / "one/lab.json").read_text())
    content = (tmp_path / "one/lab.bin").read_bytes()
    for name, expected in {"some": some, "other": other, "it.input": x}.items():
        at = index["arrays"][name]
        found = np.frombuffer(content, at["dtype"], expected.size, at["offset"]).reshape(at["shape"])
        np.testing.assert_array_equal(found, expected)
    assert index["models"] == ["it"] and (tmp_path / "one/it.onnx").exists()


def test_arrays_of_another_kind_are_refused_by_name(tmp_path):
    array = {"dtype": "int64", "shape": [1], "data": ""}
    with pytest.raises(SystemExit, match="the lab one stores labels as int64"):
        labs.convert({"name": "one", "models": {}, "arrays": {"labels": array}}, tmp_path / "one")


def cell(**data) -> dict:
    return {
        "cell_type": "code",
        "metadata": {},
        "source": "",
        "outputs": [{"output_type": "display_data", "data": data}],
    }


LAB = {labs.MIME: {"name": "latent-explorer", "models": {}, "arrays": {}}, "text/plain": "lab: latent-explorer ()"}


def test_a_lab_needs_a_picture_before_it():
    with pytest.raises(SystemExit, match="08_sparse: the lab latent-explorer has no picture before it"):
        labs.of({"08_sparse": {"cells": [cell(**LAB)]}})


def test_the_page_holds_a_place_and_not_the_models():
    picture = cell(**{"image/png": base64.b64encode(b"png").decode()})
    notebook = {"cells": [picture, cell(**LAB)]}
    assert labs.of({"08_sparse": notebook})["latent-explorer"] == ("08_sparse", LAB[labs.MIME], picture)
    labs.with_places(notebook)
    assert labs.MIME not in json.dumps(notebook)
    assert 'data-lab="latent-explorer"' in notebook["cells"][2]["source"]
