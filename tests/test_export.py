"""What a chapter stores for a lab, and the ONNX files that the site's build makes of it."""

import base64
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from aebook import export, models

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
