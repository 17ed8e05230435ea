"""How do time and memory grow? With the number of images, streamed from files; with their size; with the model's width.

Run it with `.venv/bin/python benchmarks/growth.py` on an idle machine; it writes results/growth.json, which
book/speed.md is made from. Each number of images runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from limit import seconds
from speed import machine, now
from tasks import images
from tqdm.auto import tqdm

import aebook
from aebook import models, train

SHARD, BLOCK, BATCH = 10_000, 2_000, 128  # images in a file, read at a time, in a batch
LEAST = 100_000  # images shown, however few there are
COUNTS = (10_000, 30_000, 100_000, 300_000, 600_000)
SIDES, SIDE_BATCH = (32, 64, 128, 256), 8
WIDTHS = (8, 16, 32, 64)


def write(folder: Path, shards: int) -> None:
    """Write MNIST again and again, moved by a few pixels each time, as files of bytes."""
    x = np.round(images("mnist")[0] * 255).astype("uint8")
    for i in range(shards):
        part, turn = i % (len(x) // SHARD), i // (len(x) // SHARD)
        moved = np.roll(x[part * SHARD : (part + 1) * SHARD], (turn % 3 - 1, turn // 3 % 3 - 1), axis=(1, 2))
        np.save(folder / f"{i:03}.npy", moved)


def blocks(files: list[Path], seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of images in random order, each shuffled; a file is mapped only while a block is copied from it."""
    random = np.random.default_rng(seed)
    places = [(file, start) for file in files for start in range(0, SHARD, BLOCK)]
    for i in random.permutation(len(places)):
        file, start = places[i]
        yield random.permutation(np.load(file, mmap_mode="r")[start : start + BLOCK])


def stream(files: list[Path], seed: int = 0) -> tf.data.Dataset:
    """Return an epoch of batches of (image, image), float32 in [0, 1]."""
    spec = tf.TensorSpec((BLOCK, 28, 28, 1), tf.uint8)
    read = tf.data.Dataset.from_generator(partial(blocks, files, seed), output_signature=spec)
    batches = read.rebatch(BATCH, drop_remainder=True).map(lambda x: tf.cast(x, tf.float32) / 255)
    count = len(files) * SHARD // BATCH
    return batches.map(lambda x: (x, x)).apply(tf.data.experimental.assert_cardinality(count)).prefetch(4)


def epoch(folder: Path, count: int) -> dict[str, Any]:
    """Train the model of chapter 02: images a second after the first steps, peak memory in MB."""
    repeats, marks = max(1, LEAST // count), []
    data = stream(sorted(folder.glob("*.npy"))[: count // SHARD]).repeat(repeats)
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: marks.append(now()[0]))
    valid = np.zeros((8, 28, 28, 1), "float32")
    train.fit(models.vanilla(), (data, valid), epochs=1, callbacks=[watch])
    rate = BATCH * (len(marks) - 11) / (marks[-1] - marks[10])
    # The kernel's own mark: getrusage hands on what the parent process had.
    peak = int(Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1].split()[0])
    return {"images": count, "images a second": rate, "MB": peak / 1024}


def step(model: keras.Model, shape: tuple[int, ...]) -> float:
    """Seconds that a training step takes for an image."""
    x = tf.constant(np.random.default_rng(0).random(shape), tf.float32)
    model.compile(keras.optimizers.Adam(), "mse", jit_compile=False)
    return seconds(lambda: model.train_on_batch(x, x)) / len(x)


def slope(x: tuple[int, ...], y: list[float]) -> float:
    """The exponent: the slope of log y over log x, over the larger half of x."""
    half = len(x) // 2
    return float(np.polyfit(np.log(x[-half - 1 :]), np.log(y[-half - 1 :]), 1)[0])


def main() -> None:
    """Run everything; with --count, one epoch, as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.count:
        print(json.dumps(epoch(given.folder, given.count)))
        return
    aebook.setup()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), COUNTS[-1] // SHARD)
        rows = []
        for count in tqdm(COUNTS, desc="images"):
            command = [sys.executable, __file__, "--count", str(count), "--folder", folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    by_side = [
        step(models.denoiser((16, 32), shape=(n, n, 1)), (SIDE_BATCH, n, n, 1)) for n in tqdm(SIDES, desc="side")
    ]
    by_width = [step(models.denoiser((n, 2 * n)), (BATCH, 28, 28, 1)) for n in tqdm(WIDTHS, desc="width")]
    result = {"machine": machine(), "images": rows,
              "side": {"of": SIDES, "seconds": by_side, "exponent": slope(SIDES, by_side)},
              "width": {"of": WIDTHS, "seconds": by_width, "exponent": slope(WIDTHS, by_width)}}  # fmt: skip
    Path(__file__).with_name("results").joinpath("growth.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
