"""Train the model that `python -m aebook clean` uses, on rendered pages alone: the licence of the scans is unclear.

`make cleaner` goes on where it was stopped, until MINUTES are spent; it writes the weights to aebook/cleaner.npz and
how well it does to benchmarks/results/cleaner.json. `--scans pages` or `--scans leaky` trains on the public scans
instead, a quarter of them held out by text or by file, and only reports, to cleaner_pages.json or cleaner_leaky.json;
`--start aebook/cleaner.npz` lets it begin with what the shipped model knows.
"""

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from aebook import baselines, clean, data, documents, metrics, models, train

ROOT = Path(__file__).resolve().parents[2]
SIZE, BATCH, STEPS = 128, 8, 400  # side of a patch, patches a step, steps a round
RATE = 2e-3  # the highest learning rate
TEXTS, POOL, HELD_OUT = 16, 400, 12  # clean pages drawn for a round, scans kept of them, clean pages held out


def build() -> keras.Model:
    """The model: four sizes, each half the one before, so that it sees stains whole and letters sharp."""
    return models.denoiser(**clean.ARGUMENTS, shape=clean.PAGES)


def cut(pages: list[documents.Page], seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of patches (dirty, clean) from random places, half of them turned upside down, half mirrored."""
    random = np.random.default_rng(seed)
    while True:
        chosen = np.empty((2, BATCH, SIZE, SIZE, 1), "float32")
        for i in range(BATCH):
            page = pages[random.integers(len(pages))]
            top, left = random.integers([side - SIZE + 1 for side in page.noisy.shape[:2]])
            up, right = random.choice([1, -1], 2)
            for both, whole in zip(chosen, (page.noisy, page.clean), strict=True):
                both[i] = whole[top : top + SIZE, left : left + SIZE][::up, ::right]
        yield tuple(chosen)


def pipeline(pages: list[documents.Page], seed: int) -> tf.data.Dataset:
    """The batches of a round, cut while the model learns from those before."""
    kind = (tf.TensorSpec((BATCH, SIZE, SIZE, 1)),) * 2
    batches = tf.data.Dataset.from_generator(lambda: cut(pages, seed), output_signature=kind).take(STEPS)
    return batches.apply(tf.data.experimental.assert_cardinality(STEPS)).prefetch(8)


def grid(pages: list[documents.Page]) -> tuple[np.ndarray, np.ndarray]:
    """All patches of the pages, side by side: (dirty, clean)."""

    def tiles(whole: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([documents.patches(page, SIZE, 0).reshape(-1, SIZE, SIZE, 1) for page in whole])

    return tiles([page.noisy for page in pages]), tiles([page.clean for page in pages])


def split(scans: list[documents.Page], how: str) -> tuple[list[documents.Page], list[documents.Page]]:
    """A quarter held out: seven of the 28 texts with all their scans, or, leaky, 28 of the files."""
    if how == "pages":
        return documents.split(scans, 7)
    order = np.random.default_rng(0).permutation(len(scans))
    return [scans[i] for i in order[28:]], [scans[i] for i in order[:28]]


def score(model: keras.Model, pages: list[documents.Page]) -> dict[str, float]:
    """RMSE of the pages as they are, divided by their background, and cleaned by the model as the command does it."""

    def cleaned(page: np.ndarray) -> np.ndarray:
        return documents.to_bytes(documents.clean_page(partial(model.predict, batch_size=4, verbose=0), page)) / 255

    ways = {"as they are": np.asarray, "background division": baselines.divide_background, "model": cleaned}
    truth = [page.clean for page in pages]
    return {name: round(metrics.rmse(truth, [way(page.noisy) for page in pages]), 4) for name, way in ways.items()}


def go_on(
    folder: Path, draw: Callable[[int], list[documents.Page]], valid: Any, limit: float, first: keras.Model
) -> list[dict[str, Any]]:
    """Train round after round until `limit` seconds are spent, earlier runs included; return what each round did.

    draw: number of the round -> pages to learn from. first: the model to begin with, if there was no earlier run. The
    model and the rounds are kept in folder, after every round.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, kept, half = folder / "rounds.json", folder / "model.keras", folder / "half.keras"
    rounds = json.loads(log.read_text()) if log.exists() else []
    model = keras.saving.load_model(kept) if rounds else first
    optimizer = model.optimizer if rounds else keras.optimizers.Adam()
    while (spent := sum(done["seconds"] for done in rounds)) < limit:
        start, number = time.perf_counter(), len(rounds) + 1
        optimizer.learning_rate = RATE * (1 + math.cos(math.pi * spent / limit)) / 2
        batches = pipeline(draw(number), number)
        options = {"optimizer": optimizer, "loss": "binary_crossentropy", "seed": number}
        history = train.fit(model, (batches, valid), epochs=1, **options)
        model.save(half)
        half.replace(kept)  # whoever stops the program leaves either the old model or the new one
        losses = {"train": round(history.train[0], 5), "valid": round(history.valid[0], 5)}
        rounds.append({**losses, "seconds": round(time.perf_counter() - start)})
        log.write_text(json.dumps(rounds))
        print(f"round {number}, {spent / 60:.0f} of {limit / 60:.0f} minutes before it: {losses}", flush=True)
    return rounds


def main(arguments: list[str] | None = None) -> None:
    """Train, score, write the report; ship the model that saw rendered pages alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120, help="time for training, earlier runs included")
    parser.add_argument("--scans", choices=["pages", "leaky"], help="train on the public scans; ship no model")
    parser.add_argument("--start", type=Path, help="weights of this kind, .npz, to begin with, rather than random ones")
    given = parser.parse_args(arguments)
    folder = ROOT / "_build" / "cleaner" / (given.scans or "rendered")
    scans = data.cache() / "dirty-documents"
    scans = [page for page in documents.read(scans) if page.clean is not None] if scans.is_dir() else []
    keras.utils.set_random_seed(0)
    first = clean.load_network(given.start) if given.start else build()
    if given.scans:
        rest, held = split(scans, given.scans)
        tests = {f"scans held out, {given.scans}": held}
        rounds = go_on(folder, lambda number: rest, grid(held), 60 * given.minutes, first)
    else:
        pool: list[documents.Page] = []

        def fresh(number: int) -> list[documents.Page]:
            pool[:] = [*pool, *documents.draw(TEXTS, number)][-POOL:]
            return pool

        held = documents.draw(HELD_OUT, seed=0)
        tests = {"rendered pages held out": held, **({"scans": scans} if scans else {})}
        rounds = go_on(folder, fresh, grid(held), 60 * given.minutes, first)
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    report = {
        "what": "RMSE over all pixels of all pages",
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "minutes": round(sum(done["seconds"] for done in rounds) / 60),
        "rounds": len(rounds),
        "weights": model.count_params(),
        "began": str(given.start or "with random weights"),
        **{name: score(model, pages) for name, pages in tests.items()},
    }
    print(json.dumps(report, indent=1))
    name = f"cleaner_{given.scans}.json" if given.scans else "cleaner.json"
    (ROOT / "benchmarks" / "results" / name).write_text(json.dumps(report, indent=1) + "\n")
    if not given.scans:
        half = folder / "half.npz"
        clean.save_weights(model, half)
        half.replace(ROOT / "aebook" / "cleaner.npz")  # never half a file in the package


if __name__ == "__main__":
    main()
