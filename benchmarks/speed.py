"""Seconds of training until a source's final test quality: by its recipe, by its model trained our way, by ours.

    python benchmarks/speed.py                      every run that is missing; `make bench` calls it so
    python benchmarks/speed.py d-stacked ours 0     one run

One file a run, results/speed/TASK_WAY_NUMBER.json, which book/speed.md is made from; delete a file to run it again. The
source runs once, to its end. Its speed is taken from two short runs of it, before and after ours, so that both meet the
same machine; ours and the source's model run three times in turn. Nothing else should run meanwhile.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tasks import TASKS, Task, Way
from tqdm.auto import tqdm

import aebook
from aebook import train

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book/tools"))
import pages

RESULTS = Path(__file__).with_name("results") / "speed"
PLAN = [("source", 0), ("closed", 0), ("timing", 0)]
PLAN += [(way, number) for number in range(3) for way in ("ours", "layers")] + [("timing", 1)]
MARKS = {"ours": 20, "layers": 8, "timing": 20}  # times that a run is judged, or its time is noted
TIMED = 15  # seconds of a short run, about


class Clock(keras.callbacks.Callback):
    """Marks [epochs, wall seconds, processor seconds, score]; stands still while the model is judged or validated."""

    def __init__(self, judge: Any, every: int, steps_an_epoch: int, patience: float) -> None:
        super().__init__()
        self.judge, self.every, self.steps_an_epoch, self.patience = judge, every, steps_an_epoch, patience
        self.spent, self.step, self.curve = np.zeros(2), 0, []

    def on_train_begin(self, logs: Any = None) -> None:
        self.since = now()

    def on_test_begin(self, logs: Any = None) -> None:
        self.spent += now() - self.since

    def on_test_end(self, logs: Any = None) -> None:
        self.since = now()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += 1
        if self.step % self.every == 0:
            self.on_test_begin()
            mark = [self.step / self.steps_an_epoch, *self.spent, self.judge(self.model)]
            self.curve.append([float(f"{number:.5g}") for number in mark])
            self.on_test_end()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.curve:
            waited = len(self.curve) - 1 - int(np.argmin([mark[-1] for mark in self.curve]))
            self.model.stop_training = waited >= self.patience


def now() -> np.ndarray:
    """Seconds on the wall and of the processor, on all cores."""
    return np.array([time.perf_counter(), time.process_time()])


def run(task: Task, way: Way, seed: int, marks: int = 0, steps: int = 0) -> dict[str, Any]:
    """Train one model and judge it so many times, or at every epoch. With steps: only so many, and no judge."""
    keras.utils.set_random_seed(seed)
    model, an_epoch = way.build(), math.ceil(task.examples / way.batch_size)
    total, epochs = steps or round(way.epochs * an_epoch), 1
    if callable(way.feed):
        pipeline = way.feed(seed)
        first = tuple(np.asarray(part)[:8] for part in next(iter(pipeline)))
        given = pipeline.take(total).apply(tf.data.experimental.assert_cardinality(total))
    else:
        pair = way.feed if isinstance(way.feed, tuple) else (way.feed, way.feed)
        images, epochs = (steps * way.batch_size, 1) if steps else (task.examples, int(way.epochs))
        given = tuple(np.resize(part, (images, *part.shape[1:])) for part in pair)  # again from the start where too few
        first = tuple(part[:8] for part in pair)
    judge = (lambda model: math.nan) if steps else task.judge
    every = max(total // marks, 1) if marks else an_epoch
    clock = Clock(judge, every, an_epoch, way.patience)
    train.fit(model, (given, first), epochs=epochs, batch_size=way.batch_size, optimizer=way.optimizer(total),
              loss=way.loss, seed=seed, callbacks=[clock])  # fmt: skip
    what = {"parameters": model.count_params(), "code": way.code, "batch size": way.batch_size, "epochs": way.epochs}
    return {**what, "curve": clock.curve}


def short(task: Task, way: Way) -> dict[str, Any]:
    """Seconds that an epoch of the source takes, without the first steps, in which the graph is made."""
    marks, step = MARKS["timing"], 0.0
    for steps in (marks, 0):  # a first run tells how many steps fit
        steps = steps or marks * max(1, int(TIMED / step / marks))
        found = run(task, way, 0, marks, steps)
        (begin, *before, _), (end, *after, _) = found["curve"][marks // 4], found["curve"][-1]
        wall, processor = np.subtract(after, before) / (end - begin)
        step = wall * way.batch_size / task.examples
    return {"seconds": round(wall, 3), "processor seconds": round(processor, 3), "steps": steps}


def closed(task: Task) -> dict[str, Any]:
    """Scores and seconds of the baselines in closed form."""
    found = {}
    for name, score in task.closed.items():
        start = now()
        value = score()
        wall, processor = now() - start
        found[name] = {"score": value, "seconds": round(wall, 2), "processor seconds": round(processor, 2)}
    return {"baselines": found}


def measure(name: str, way: str, number: int) -> None:
    """Do one run and write its file."""
    task, load = TASKS[name](), os.getloadavg()[0]
    if way == "closed":
        found = closed(task)
    elif way == "timing":
        found = short(task, task.ways["source"])
    else:
        found = run(task, task.ways[way], number, MARKS.get(way, 0))
    about = {"task": name, "title": task.title, "measure": task.measure, "way": way, "number": number}
    RESULTS.mkdir(parents=True, exist_ok=True)
    loads = [round(load, 2), round(os.getloadavg()[0], 2)]  # before and after, its own two threads included
    result = {**about, "load": loads, **found, "machine": machine()}
    path(name, way, number).write_text(json.dumps(result) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    versions = {name: pages.version(name) for name in ("tensorflow", "keras", "numpy")}
    return {"processor": pages.processor(), "cores": os.cpu_count(), **versions}


def path(name: str, way: str, number: int) -> Path:
    """Where a run's file lies."""
    return RESULTS / f"{name}_{way}_{number}.json"


def main() -> None:
    """Do the runs that are missing, or the one that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", choices=TASKS)
    parser.add_argument("way", nargs="?", choices=["source", "closed", "timing", "ours", "layers"])
    parser.add_argument("number", nargs="?", type=int, default=0)
    given = parser.parse_args()
    aebook.setup()
    plan = [(name, *step) for name in TASKS if given.task in (None, name) for step in PLAN]
    plan = [(given.task, given.way, given.number)] if given.way else [run for run in plan if not path(*run).exists()]
    for name, way, number in (bar := tqdm(plan, unit="run")):
        bar.set_description(f"{name}, {way} {number}")
        measure(name, way, number)


if __name__ == "__main__":
    main()
