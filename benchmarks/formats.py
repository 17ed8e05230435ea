"""How much faster does a training step become in 16 bits? Processor seconds in float32 over those in bfloat16.

Run it with `.venv/bin/python benchmarks/formats.py`; it writes results/formats.json, which chapter 05 quotes. Both
formats take turns, so that a change of the machine's speed meets both.
"""

import json
import time
from functools import partial
from pathlib import Path
from statistics import median

import keras
import numpy as np
from speed import machine

import aebook
from aebook import models

POLICIES = ("float32", "mixed_bfloat16")
STEPS = 15
PAGE = (128, 128, 1)
CLEANER = partial(models.denoiser, (16, 24, 32, 48), skips=True, activation="relu", shape=PAGE)
MODELS = {  # builder, shape of an image, batch size
    "02 vanilla": (models.vanilla, (28, 28, 1), 128),
    "02 convolutional": (models.convolutional, (28, 28, 1), 128),
    "05, 06 denoiser with skips": (partial(models.denoiser, (16, 32), skips=True), (28, 28, 1), 128),
    "07 cleaner": (CLEANER, PAGE, 8),
}


def step_seconds(model: keras.Model, x: np.ndarray) -> float:
    """Processor seconds, on all cores, of one training step."""
    start = time.process_time()
    model.train_on_batch(x, x)
    return time.process_time() - start


def gain(name: str) -> float:
    """Return the time of a step in float32 over that in bfloat16: above one, 16 bits are faster."""
    build, shape, batch = MODELS[name]
    x = np.random.default_rng(0).random((batch, *shape), "float32")
    built = {}
    for policy in POLICIES:
        keras.config.set_dtype_policy(policy)
        model = build()
        model.compile("adam", "mse", jit_compile=False)
        step_seconds(model, x)  # the graph is made
        built[policy] = model
    keras.config.set_dtype_policy("float32")
    rounds = [[step_seconds(built[policy], x) for policy in POLICIES] for _ in range(STEPS)]
    exact, short = (median(times) for times in zip(*rounds, strict=True))
    return round(exact / short, 2)


def main() -> None:
    """Measure every model and write the file."""
    aebook.setup()
    result = {"what": "processor seconds of a training step in float32 over those in bfloat16", "machine": machine()}
    result["gains"] = {name: gain(name) for name in MODELS}
    path = Path(__file__).with_name("results") / "formats.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
