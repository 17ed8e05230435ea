"""The page on speed: its figures follow from the files, the clock counts training alone, the rules are kept."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from aebook import data, models

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "book/tools")]

import limit  # noqa: E402 (found by the line above)
import speed  # noqa: E402
import tasks  # noqa: E402

import speed_page  # noqa: E402

MACHINE = {"processor": "a processor", "cores": 2, "tensorflow": "2", "keras": "3", "numpy": "2"}


def write(folder: Path, way: str, number: int, **found) -> None:
    about = {"title": "A task", "measure": "test MSE", "parameters": 10, "epochs": 4, "machine": MACHINE}
    (folder / f"a-task_{way}_{number}.json").write_text(json.dumps({**about, **found}))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A source that is best, 0.2, after three epochs of 10 s; ours gets there after 2, 3 and 4 s."""
    write(tmp_path, "source", 0, curve=[[1, 99, 99, 0.4], [2, 99, 99, 0.3], [3, 99, 99, 0.2], [4, 99, 99, 0.25]])
    write(
        tmp_path,
        "closed",
        0,
        baselines={"PCA": {"score": 0.15, "seconds": 1.0}, "mean": {"score": 0.9, "seconds": 0.1}},
    )
    for number, seconds in enumerate((9.0, 11.0)):
        write(tmp_path, "timing", number, **{"seconds": seconds, "processor seconds": 2 * seconds})
    for number, seconds in enumerate((2, 3, 4)):
        curve = [[0.1, 1, 1, 0.21], [0.2, seconds, seconds + 1, 0.2], [0.3, 9, 9, 0.1]]
        write(tmp_path, "ours", number, curve=curve)
    return tmp_path


def test_the_source_is_met_at_its_best_score(results):
    (task,) = speed_page.tasks(results)
    assert task.needed() == 30 and task.needed("processor seconds") == 60
    assert task.reached("ours") == [2, 3, 4]
    assert task.ratio("ours") == 10 and task.ratio("ours", "processor seconds") == 15


def test_a_way_that_misses_the_target_once_has_no_ratio(results):
    write(results, "ours", 1, curve=[[0.1, 1, 1, 0.21]])
    (task,) = speed_page.tasks(results)
    assert task.ratio("ours") == 0 and "–" in speed_page.time_table([task])
    assert "A task (a-task)" in speed_page.of_tasks(results)["missed"]


def test_scores_are_compared_at_equal_seconds(results):
    found = speed_page.of_tasks(results)
    assert "PCA: 0.15 in 1.0 s" in found["scores"] and "0.1 ± 0 in 9 s" in found["scores"]
    assert "in its first epoch" in found["scores"] and found["missed"].startswith("All runs")
    assert found["median"] == found["least"] == "10"


def test_an_unfinished_task_is_left_out(results):
    (results / "a-task_closed_0.json").unlink()
    assert speed_page.tasks(results) == [] and speed_page.of_tasks(results) == {}


def test_what_was_not_measured_is_said_once(tmp_path):
    text = "# Speed\n\n[[speed: times]] s.\n\nOver [[speed: tasks]].\n\nAn end of [[repository]]."
    shown = speed_page.without_gaps(text, speed_page.values(tmp_path))
    assert shown == f"# Speed\n\n{speed_page.ABSENT}\n\nAn end of [[repository]]."
    assert speed_page.without_gaps(text, {"speed: times": "1", "speed: tasks": "2"}) == text


def test_shares_of_the_peak_are_of_the_medians():
    row = {"model": "m", "batch size": 1, "FLOPs": 3e9, "forward": 0.1, "backward": 0.1, "update": 0, "rest": 0}
    rows = [{**row, "precision": p, "seconds": s} for p, s in (("float32", 0.1), ("mixed_bfloat16", 0.05))]
    found = speed_page.of_limit({"peaks": {"float32": [5e10, 6e10, 9e10], "mixed_bfloat16": [1e11]}, "rows": rows})
    assert "| 30 (50%) |" in found["limit"] and found["peak"] == "60"
    assert "| 60 (100%) |" not in found["limit"], "a row in the other format"


def test_what_was_measured_in_16_bits_is_marked():
    files = sorted((ROOT / "benchmarks/results").rglob("*.json"))
    machines = [json.loads(path.read_text(encoding="utf-8")).get("machine", {}) for path in files]
    marked = [machine for machine in machines if machine.get("precision") == "mixed_bfloat16"]
    assert marked and all("no longer uses" in speed_page.formats(machine) for machine in marked)
    assert speed_page.formats({"precision": "float32"}) == speed_page.formats({}) == ""


def test_chapter_5_says_what_16_bits_gave():
    """Its folded box: little for most models, more for two, and far less than nothing without the instructions."""
    limit = json.loads((ROOT / "benchmarks/results/limit.json").read_text(encoding="utf-8"))
    seconds = {(row["model"], row["batch size"], row["precision"]): row["seconds"] for row in limit["rows"]}
    pairs = {key[:2] for key in seconds}
    gains = {key: seconds[*key, "float32"] / seconds[*key, "mixed_bfloat16"] for key in pairs}
    large = {"06 source E's model": 2.3, "07 cleaner": 1.7}
    for (model, _), gain in gains.items():
        if model in large:
            assert round(gain, 1) == large[model]
        else:
            assert 0.88 <= round(gain, 2) <= 1.25
    formats = json.loads((ROOT / "benchmarks/results/formats.json").read_text(encoding="utf-8"))
    convolutions = [gain for name, gain in formats["gains"].items() if name != "02 vanilla"]
    assert all(1 / 7 < gain < 1 / 5 for gain in convolutions)


def test_the_clock_counts_training_alone(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(speed, "now", lambda: np.full(2, next(ticks), float))
    clock = speed.Clock(lambda model: sum(next(ticks) for _ in range(20)), every=2, steps_an_epoch=4, patience=9)
    clock.on_train_begin()
    for batch in range(4):
        clock.on_train_batch_end(batch)
    clock.on_test_begin()
    assert [mark[:3] for mark in clock.curve] == [[0.5, 1, 1], [1.0, 2, 2]]
    assert clock.spent.tolist() == [3, 3]


@pytest.mark.tensorflow
def test_operations_are_those_on_paper():
    import tensorflow as tf

    model, batch = models.stacked(), 8
    x = tf.zeros((batch, 28, 28, 1))

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(x - model(x)))
        return tape.gradient(loss, model.trainable_variables)

    products = 784 * 392 + 392 * 196 + 196 * 392 + 392 * 784
    on_paper = 2 * batch * (3 * products - 784 * 392)  # the first layer need not hand on a gradient
    assert limit.flops(gradient) == pytest.approx(on_paper, rel=0.02)


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in tasks.TASKS if name != "e-text"])
def test_no_code_is_larger_than_the_sources(name):
    task = tasks.TASKS[name]()
    assert all(way.code <= task.ways["source"].code for way in task.ways.values())
    encoder = task.ways["ours"].build().encoder
    for head in keras.tree.flatten(encoder.output_shape if name != "e-vae" else encoder.output_shape[0]):
        assert head in (None, task.ways["ours"].code)
    assert (
        task.examples == 60_000 and data.available()[{"c": "fashion-mnist", "e": "fashion-mnist"}.get(name[0], "mnist")]
    )
