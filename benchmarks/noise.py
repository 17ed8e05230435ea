"""How much of a training step goes to noise that is drawn anew? Shares of processor time, measured in one run.

Run it with `.venv/bin/python benchmarks/noise.py`; it writes results/noise.json. Processor seconds hardly depend on
what else the machine does, unlike seconds on the wall.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import aebook

aebook.setup(seed=0)

import numpy as np  # noqa: E402

from aebook import models, noise, sources, train  # noqa: E402

BATCH, IMAGES, REPEATS = 64, 1600, 3
MODELS = {
    "source B's": sources.RECIPES["b-gaussian"].build,
    "source E's": sources.RECIPES["e-salt-pepper"].build,
    "ours, narrow": lambda: models.denoiser((16, 32), skips=True, residual=True),
    "ours, wide": lambda: models.denoiser((32, 64), skips=True, residual=True),
}


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds, on all cores, of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Compare a pass through the pipeline alone with an epoch on noise drawn once, the tracing left out."""
    x = np.random.default_rng(0).random((IMAGES, 28, 28, 1), "float32")
    epoch: dict[str, list[float]] = {name: [] for name in MODELS}
    drawing: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for kind, level in (("gaussian", 0.2), ("salt_and_pepper", 0.1)):
            pipeline = noise.batches(x, kind, level, BATCH)
            drawing.setdefault(kind, []).append(seconds(lambda: [None for _ in pipeline]))  # noqa: B023
        for name, build in MODELS.items():
            model = build()
            once, more = (
                seconds(lambda: train.fit(model, ((x, x), (x[:64], x[:64])), epochs=n, batch_size=BATCH))  # noqa: B023
                for n in (1, 3)
            )
            epoch[name].append((more - once) / 2)
    shares = {
        kind: {name: round(median(drawn) / median(epoch[name]), 3) for name in MODELS}
        for kind, drawn in drawing.items()
    }
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "precision": train.best_precision()}
    result = {"what": "processor seconds of drawing noise over those of training", "machine": machine, "shares": shares}
    print(json.dumps(result, indent=1))
    Path(__file__).with_name("results").joinpath("noise.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
