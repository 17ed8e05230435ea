"""How much of a training step goes to noise that is drawn anew? Shares of processor time, measured in one run.

Run it with `.venv/bin/python benchmarks/noise.py`; it writes results/noise.json. Processor seconds hardly depend on
what else the machine does, unlike seconds on the wall.
"""

import json
import os
import platform
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import aebook
from aebook import models, noise, sources, train

BATCH, IMAGES, REPEATS = 64, 1600, 3
NOISES = {"gaussian": 0.2, "salt_and_pepper": 0.1}
MODELS = {
    "source B's": sources.RECIPES["b-gaussian"].build,
    "source E's": sources.RECIPES["e-salt-pepper"].build,
    "ours, narrow": lambda: models.denoiser((16, 32), skips=True, residual=True),
    "ours, wide": lambda: models.denoiser((32, 64), skips=True, residual=True),
}


def drawing(x: np.ndarray, kind: str) -> float:
    """Processor seconds, on all cores, of an epoch's noise."""
    pipeline = noise.batches(x, kind, NOISES[kind], BATCH)
    start = time.process_time()
    for _ in pipeline:
        pass
    return time.process_time() - start


def training(x: np.ndarray, model: Any) -> float:
    """Processor seconds of an epoch on noise that was drawn once; the difference of two runs leaves tracing out."""
    spent = []
    for epochs in (1, 3):
        start = time.process_time()
        train.fit(model, ((x, x), (x[:BATCH], x[:BATCH])), epochs=epochs, batch_size=BATCH)
        spent.append(time.process_time() - start)
    return (spent[1] - spent[0]) / 2


def main() -> None:
    """Alternate pipelines and models, so that a change of the machine's speed meets all of them."""
    aebook.setup(seed=0)
    x = np.random.default_rng(0).random((IMAGES, 28, 28, 1), "float32")
    rounds = [
        ({kind: drawing(x, kind) for kind in NOISES}, {name: training(x, build()) for name, build in MODELS.items()})
        for _ in range(REPEATS)
    ]
    shares = {
        kind: {
            name: round(median(d[kind] for d, _ in rounds) / median(t[name] for _, t in rounds), 3) for name in MODELS
        }
        for kind in NOISES
    }
    machine = {"processor": platform.machine(), "cores": os.cpu_count()}
    result = {"what": "processor seconds of drawing noise over those of training", "machine": machine, "shares": shares}
    print(json.dumps(result, indent=1))
    Path(__file__).with_name("results").joinpath("noise.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
