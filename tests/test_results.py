"""The page of published results: it says what the files say, and the files what the runs measured."""

import json
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import ndimage

from aebook import data, metrics, models

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "book/tools")]

import published  # noqa: E402 (found by the line above)

import results_page  # noqa: E402

ABOUT = {
    "title": "A row",
    "seeds": 3,
    "how": "So.",
    "values": {"error": {"published": 2.0, "below": 1.5}, "fact": None},
}


def a_run(seed: int, error: float) -> dict:
    times = {"seconds": 60.0, "processor seconds": 90.0, "load": [0.1, 1.9]}
    about = {"machine": {"processor": "p", "cores": 2}, "data": {}, "commit": "abc"}
    return {"row": "a-row", "seed": seed, "values": {"error": error, "fact": 7.0}, **times, **about}


def test_each_row_has_a_measure_and_each_measure_a_row():
    assert list(results_page.rows()) == list(published.MEASURES)


@pytest.mark.parametrize("row", results_page.rows())
def test_a_rows_file_says_what_its_runs_measured(row):
    runs, found = results_page.runs_of(row), results_page.measured().get(row)
    if found is None:
        assert not runs or len(runs) < results_page.rows()[row]["seeds"], "its runs are complete: summarise them"
        return
    assert found == results_page.summary(runs)
    named = {name for name, about in results_page.rows()[row]["values"].items() if not (about or {}).get("quoted")}
    assert named <= set(found["values"])


def test_the_page_changes_with_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(results_page, "RESULTS", tmp_path)
    before = results_page.values()
    assert before["results: met"] == before["results: missed"] == "0"
    run = {
        **json.loads((ROOT / "benchmarks/results/published/pca_0.json").read_text()),
        "values": {"test SSE": 13.8661},
    }
    results_page.write(tmp_path / "pca.json", results_page.summary([run]))
    after = results_page.values()
    assert "| 13.866 | 13.87 | < 13.875 and > 13.86 | met |" in after["results: rows"] and after["results: met"] == "1"
    run["values"]["test SSE"] = 13.9
    results_page.write(tmp_path / "pca.json", results_page.summary([run]))
    assert "| 13.9 | 13.87 | < 13.875 and > 13.86 | **missed** |" in results_page.values()["results: rows"]


def test_every_line_of_every_table_has_its_columns():
    """Also where a value's name holds the bar that divides columns, as that of a norm does."""
    tables = [line for line in results_page.values()["results: rows"].splitlines() if line.startswith("|")]
    assert tables and {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {6}


def test_who_published_is_said_once_or_for_each_value():
    a, b = ({"from": name, "status": "read there"} for name in "AB")
    assert results_page.publishers({"values": {"x": a, "y": a, "z": None}}) == "A (read there)"
    assert results_page.publishers({"values": {"x": a, "|y|": b}}) == r"x: A (read there); \|y\|: B (read there)"
    assert results_page.publishers({"values": {"x": None}}) == ""


def test_mean_deviation_and_verdict_are_those_of_the_runs():
    found = results_page.summary([a_run(seed, error) for seed, error in enumerate((1.0, 1.2, 1.7))])
    assert found["values"]["error"]["mean"] == pytest.approx(1.3)
    assert found["values"]["error"]["std"] == pytest.approx(np.std([1.0, 1.2, 1.7], ddof=1), rel=2e-3)
    (error, fact) = results_page.lines(ABOUT, found)
    assert error == ["error", "1.30 ± 0.36", "2", "< 1.5", "met"] and fact == ["fact", "7 ± 0", "", "", ""]
    assert "3 seeds, 1.0 minutes (1.5 of processor time) a seed" in results_page.section("a-row", ABOUT, found)
    assert results_page.counts({"a-row": ABOUT}, {}) == {"met": 0, "missed": 0, "wait": 1}
    assert "not measured yet" in results_page.section("a-row", ABOUT, None)


@pytest.mark.parametrize(("number", "text"), [(13.8663, "13.866"), (3.0, "3"), (0.00581234, "0.005812"), (80, "80")])
def test_a_figure_keeps_the_digits_that_matter(number, text):
    assert results_page.figure(number) == text


@pytest.fixture
def few(monkeypatch):
    """Little data, little training, few samples: what is left to test is that every measure runs."""
    fit, likelihood, random = published.fit, published.likelihood, np.random.default_rng(0)
    x, y = random.random((1300, 28, 28, 1), "float32"), np.arange(1300) % 10
    split = data.Split(x[:1100], y[:1100], x[1100:], y[1100:], x[:1000], y[:1000], "noise")
    monkeypatch.setattr(published, "images", lambda name: (x, x[:1000]))
    monkeypatch.setattr(published.data, "load", lambda *given: split)
    monkeypatch.setattr(published, "likelihood", lambda model, bits, samples=2: likelihood(model, bits, 2))

    def two_steps(model, batches, examples, epochs, batch_size, **how):
        return fit(model, batches, 2 * batch_size, 1, batch_size, **how)

    monkeypatch.setattr(published, "fit", two_steps)


@pytest.mark.tensorflow
@pytest.mark.parametrize("row", [row for row in published.MEASURES if row[:4] not in ("cont", "docu")])
def test_every_measure_finds_what_its_row_shows(row, few):
    found = published.MEASURES[row](0)
    named = {name for name, about in results_page.rows()[row]["values"].items() if not (about or {}).get("quoted")}
    assert named <= set(found) and np.isfinite(list(found.values())).all()


def test_the_checks_of_chapter_9_that_a_row_shows_are_there():
    claims = published.pages.claims_of("09_contractive", published.pages.read(ROOT / "notebooks/09_contractive.ipynb"))
    assert set(published.ORDER.values()) <= {claim.statement for claim in claims}
    assert set(results_page.rows()["contractive"]["values"]) == set(published.ORDER)


@pytest.mark.tensorflow
def test_images_are_moved_as_asked():
    x = np.zeros((64, 28, 28, 1), "float32")
    x[:, 10:18, 12:16] = 1
    (still, target), *_ = published.moved(x, 64, 0.0, 0.0)(0).take(1)
    assert np.array_equal(still, x) and np.array_equal(target, still)
    (shifted, _), *_ = published.moved(x, 64, 2.0, 0.0)(0).take(1)
    places = np.array([ndimage.center_of_mass(image) for image in np.asarray(shifted)[..., 0]])
    assert np.abs(places - [13.5, 13.5]).max() <= 2.01 and places.std(axis=0).min() > 0.7
    (turned, _), *_ = published.moved(x, 64, 0.0, 0.2)(0).take(1)
    assert np.asarray(turned).sum(axis=(1, 2, 3)).std() > 1  # scaled, too


@pytest.mark.tensorflow
def test_the_importance_weighted_loss_is_the_bound():
    keras.utils.set_random_seed(0)
    plain = models.vae(models.vanilla(3, hidden=(16,)))
    model = published.IWAE(plain.encoder, plain.decoder)
    bits = published.binarised(np.random.default_rng(0).random((50, 28, 28, 1)), 0)
    model.compile(loss=None)
    loss = np.mean([model.evaluate(bits, verbose=0, return_dict=True)["loss"] for _ in range(20)])
    weights = metrics.log_weights(plain.encoder, plain.decoder, bits, 1000)
    assert loss == pytest.approx(-metrics.iwae(weights, 50), abs=0.15)
    assert -metrics.iwae(weights, 1) - loss > 0.5  # one draw is a looser bound
    found = published.likelihood(model, np.resize(bits, (1000, 28, 28, 1)), 50)
    assert found["NLL"] == pytest.approx(loss, abs=0.15) and found["minus ELBO"] > found["NLL"]


def test_digits_stand_before_noise():
    x = np.zeros((500, 28, 28, 1), "float32")
    x[:, 5:9] = 1
    noisy = published.behind(x, 0)
    assert (noisy[:, 5:9] == 1).all() and noisy[:, 10:].mean() == pytest.approx(0.5, abs=0.01)
