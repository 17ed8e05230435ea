"""The book's answer to each published result: one function a row of rows.yml, from a seed to what it measured.

    python benchmarks/published.py deep 0      one run, to results/published/deep_0.json

`make results` does what is missing, through results.smk. Validation images chose the recipes; the test images are
measured at the end, and a row for which that was done more than once says so in rows.yml.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from speed import machine
from tasks import adam, images, muon, noisy_stream, stream

import aebook
from aebook import baselines, data, losses, metrics, models, noise, train
from aebook.layers import KSparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book/tools"))
import cleaner
import notebooks
import pages
import results_page
import run_chapter

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results") / "published"
SKIPS = partial(models.denoiser, (32, 64), skips=True)
Values = dict[str, float]


def fit(model: keras.Model, batches: Any, examples: int, epochs: float, batch_size: int, **how: Any) -> train.History:
    """Train on a pipeline without end for so many epochs; the last weights count, no image decides between them."""
    steps = round(epochs * examples / batch_size)
    given = batches.take(steps).apply(tf.data.experimental.assert_cardinality(steps))
    few = tuple(np.asarray(part)[:8] for part in next(iter(batches)))
    how["optimizer"] = how.get("optimizer", adam(2e-3))(steps)
    return train.fit(model, (given, few), epochs=1, batch_size=batch_size, **how)


def answers(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """A model's answers, within [0, 1]."""
    return np.clip(model.predict(x, batch_size=500, verbose=0), 0, 1)


def pca(seed: int) -> Values:
    """No training; the same for every seed."""
    x, test = images("mnist")
    return {"test SSE": metrics.sse(test, baselines.PCA(x).reconstruct(test, 30))}


def moved(x: np.ndarray, batch_size: int, pixels: float, share: float) -> Callable[[int], tf.data.Dataset]:
    """Return a pipeline without end whose images are shifted, turned and scaled at random, up to so much."""

    def move(batch: Any, key: Any) -> Any:
        u = tf.random.stateless_uniform((5, tf.shape(batch)[0]), key, -1, 1)
        angle, sx, sy = share * u[0], 1 + share * u[1], 1 + share * u[2]
        a, b, c, d = sx * tf.cos(angle), -tf.sin(angle), tf.sin(angle), sy * tf.cos(angle)
        e, f = 13.5 * (1 - a - b) + pixels * u[3], 13.5 * (1 - c - d) + pixels * u[4]  # about the image's middle
        maps = tf.stack([a, b, e, c, d, f, tf.zeros_like(a), tf.zeros_like(a)], axis=1)
        how = {"output_shape": (28, 28), "fill_value": 0.0, "interpolation": "BILINEAR", "fill_mode": "CONSTANT"}
        return tf.raw_ops.ImageProjectiveTransformV3(images=batch, transforms=maps, **how)

    def pipeline(seed: int) -> tf.data.Dataset:
        both = tf.data.Dataset.zip((stream(x, batch_size)(seed), tf.data.Dataset.random(seed).batch(2)))
        return both.map(lambda pair, key: move(pair[0], key)).map(lambda batch: (batch, batch)).prefetch(4)

    return pipeline


def deep(seed: int) -> Values:
    """The layers of the paper from end to end; Muon in batches of 512, as its steps are dear."""
    x, test = images("mnist")
    model = models.vanilla(30, hidden=(1000, 500, 250))
    how = {"optimizer": muon(0.02), "loss": "binary_crossentropy", "seed": seed}
    fit(model, moved(x, 512, 0.5, 0.05)(seed), len(x), 40, 512, **how)
    found = {"test SSE": test, "training SSE": x[:10_000]}
    return {name: metrics.sse(some, answers(model, some)) for name, some in found.items()}


def clothes(build: Callable[[], keras.Model], epochs: float, seed: int) -> Values:
    """One of three models with a code of 30, on the split of the book that published them."""
    split = data.load("fashion-mnist", None, 5_000, "full")
    model, x = build(), split.x_train
    how = {"optimizer": muon(0.02), "loss": "binary_crossentropy", "seed": seed}
    history = fit(model, stream(x, 128)(seed), len(x), epochs, 128, **how)
    return {
        "validation MSE": metrics.mse(split.x_valid, answers(model, split.x_valid)),
        "seconds of training": sum(history.seconds),
        "PCA-30, validation MSE": metrics.mse(split.x_valid, baselines.PCA(x).reconstruct(split.x_valid, 30)),
        "parameters": model.count_params(),
    }


def denoised(
    build: Callable[[], keras.Model], name: str, kind: str, level: float, epochs: float, seed: int, loss: str = "mse"
) -> tuple[np.ndarray, ...]:
    """Clean and noisy test images, the model's answers, trained on noise that is drawn anew, and the affine map's."""
    x, test = images(name)
    draw = {"gaussian": noise.gaussian, "salt_and_pepper": noise.salt_and_pepper}[kind]
    noisy, model = draw(test, level, seed=1), build()
    how = {"optimizer": adam(4e-3), "loss": loss, "seed": seed}
    fit(model, noisy_stream(x, kind, level, 64)(seed), len(x), epochs, 64, **how)
    return test, noisy, answers(model, noisy), baselines.affine_denoiser(draw(x, level), x)(noisy)


def denoising(build: Callable[[], keras.Model], seed: int) -> Values:
    """Fashion-MNIST under Gaussian noise of 0.2."""
    test, _, ours, affine = denoised(build, "fashion-mnist", "gaussian", 0.2, 6, seed)
    return {"test MSE": metrics.mse(test, ours), "affine map": metrics.mse(test, affine)}


def digits_under_noise(seed: int) -> Values:
    """MNIST under Gaussian noise of 0.4, judged by cross-entropy per pixel."""
    test, _, *both = denoised(SKIPS, "mnist", "gaussian", 0.4, 4, seed, "binary_crossentropy")
    ours, affine = (float(np.mean(losses.cross_entropy(test, x_hat))) / models.PIXELS for x_hat in both)
    return {"test cross-entropy": ours, "affine map": affine, "floor": metrics.cross_entropy_floor(test)}


def salt_and_pepper(p: float, seed: int) -> Values:
    """Fashion-MNIST under imgaug's salt and pepper, against the best of three filters."""
    how = {"loss": "binary_crossentropy"}  # behind a sigmoid the squared error may lose its slope in the first steps
    test, noisy, ours, affine = denoised(SKIPS, "fashion-mnist", "salt_and_pepper", p, 3, seed, **how)
    filters = {"affine map": affine, **{f"median {n}x{n}": baselines.median_filter(noisy, n) for n in (3, 5)}}
    found = {name: metrics.mse(test, x_hat) for name, x_hat in filters.items()}
    error = metrics.mse(test, ours)
    return {"test MSE": error, **found, "over the best filter": error / min(found.values())}


def speaking(k: int, model: keras.Model) -> keras.Model:
    """A k-sparse autoencoder with the weights of another."""
    twin = models.sparse(1000, KSparse(k))
    twin.set_weights(model.get_weights())
    return twin


def sparse(k: int, seed: int) -> Values:
    """A linear classifier on 1,000 units of which k are active, all 60,000 labels."""
    split = data.load("mnist", None, 0, "full")
    x, test = split.x_train, split.x_test
    model = models.sparse(1000, KSparse(8 * k), mean=x.reshape(-1, 784).mean(axis=0))
    for times, epochs in {8: 2, 6: 2, 4: 2, 2: 2, 1: 12}.items():  # many speak at first, so few units stay dead
        model = speaking(times * k, model)
        fit(model, stream(x, 128)(seed), len(x), epochs, 128, optimizer=adam(5e-4), seed=seed)
    wide = speaking(3 * k, model)  # the paper, too, lets more units speak once it has trained
    codes, tested = (wide.encoder.predict(part, batch_size=1000, verbose=0) for part in (x, test))
    return {"test error, %": 100 * metrics.linear_probe(codes, split.y_train, tested, split.y_test)}


def behind(x: np.ndarray, seed: int) -> np.ndarray:
    """Digits before a background of uniform noise, as in Larochelle et al. 2007."""
    return np.maximum(x, np.random.default_rng(seed).random(x.shape, "float32"))


def pretraining(background: bool, seed: int) -> Values:
    """A dense classifier with 1,000 labels that begins from scratch, from an autoencoder, and from a denoising one."""
    split = data.load("mnist", None, 5_000, "full")
    x, test = split.x_train, split.x_test
    if background:
        x, test = behind(x, 1), behind(test, 2)
    random = np.random.default_rng(seed)
    places = np.concatenate([random.permutation(np.flatnonzero(split.y_train == c))[:100] for c in range(10)])
    found = {}
    for name, hidden in {"from scratch": None, "autoencoder": 0.0, "denoising autoencoder": 0.5}.items():
        keras.utils.set_random_seed(seed)
        model = models.vanilla(500, hidden=(1000,), activation="relu")
        if hidden is not None:
            seen = keras.Sequential([layers.Input(models.IMAGE), layers.Dropout(hidden), model])
            fit(seen, stream(x, 128)(seed), len(x), 10, 128, loss="binary_crossentropy", seed=seed)
        net = keras.Sequential([model.encoder, layers.Activation("relu"), layers.Dense(10, "softmax")])
        net.compile(keras.optimizers.Adam(5e-4), "sparse_categorical_crossentropy", jit_compile=False)
        net.fit(x[places], split.y_train[places], epochs=40, batch_size=50, verbose=0)
        wrong = net.predict(test, batch_size=1000, verbose=0).argmax(axis=1) != split.y_test
        found[f"{name}, test error, %"] = 100 * float(np.mean(wrong))
    scratch, plain, masked = found.values()
    return {**found, "autoencoder over scratch": plain / scratch, "denoising over plain": masked / plain}


class IWAE(models.VAE):
    """A VAE trained by the bound of `draws` samples an image (Burda et al. 2016): the sharper, the more there are."""

    draws = 50

    def call(self, x: Any, training: bool | None = None) -> Any:  # (batch, *image) -> (batch, *image)
        """Minus the bound is the loss; the answer is that to the latents' mean."""
        x = ops.cast(keras.random.uniform(ops.shape(x), seed=self.sampling.generator) < x, x.dtype)
        z_mean, z_log_var = self.encoder(x)
        mean, log_var, many = (ops.repeat(part, self.draws, axis=0) for part in (z_mean, z_log_var, x))
        z = self.sampling([mean, log_var])
        epsilon = (z - mean) * ops.exp(-0.5 * log_var)
        prior_over_q = 0.5 * ops.sum(ops.square(epsilon) + log_var - ops.square(z), axis=1)
        weights = prior_over_q - losses.cross_entropy(many, self.decoder(z))
        bound = ops.logsumexp(ops.reshape(weights, (-1, self.draws)), axis=1) - np.log(self.draws)
        self.add_loss(-ops.mean(bound))
        return self.decoder(z_mean)


def likelihood(model: models.VAE, bits: np.ndarray, samples: int = 5_000) -> Values:
    """NLL of black and white test images, a thousand at a time, and the latents in use."""
    parts = np.split(bits, len(bits) // 1000)
    weights = [metrics.log_weights(model.encoder, model.decoder, part, samples) for part in parts]
    z_mean = np.concatenate([ops.convert_to_numpy(model.encoder(part)[0]) for part in parts])
    nll, elbo = (-mean([metrics.iwae(part, k) for part in weights]) for k in (samples, 1))
    return {"NLL": nll, "minus ELBO": elbo, "active units": metrics.active_units(z_mean)}


def binarised(x: np.ndarray, seed: int) -> np.ndarray:
    """Draw each pixel once, 1 with probability x."""
    return (np.random.default_rng(seed).random(x.shape) < x).astype("float32")


def variational(seed: int) -> Values:
    """784-200-200-50, pixels drawn anew whenever an image is seen."""
    x, test = images("mnist")
    model = models.vae(models.vanilla(50, hidden=(200, 200)), beta=0.1, binary=True)
    pipeline, how = stream(x, 256)(seed), {"optimizer": muon(0.008), "loss": None, "seed": seed}
    fit(model, pipeline, len(x), 3, 256, **how)  # while codes are cheap, more latents come into use
    model.beta = 1
    fit(model, pipeline, len(x), 60, 256, **how)
    return likelihood(model, binarised(test, 0))


def importance_weighted(seed: int) -> Values:
    """The same layers, trained by the bound of 50 draws, of 8 at first, as an epoch's time grows with the draws."""
    x, test = images("mnist")
    plain = models.vae(models.vanilla(50, hidden=(200, 200)))
    model = IWAE(plain.encoder, plain.decoder)
    for model.draws, epochs in {8: 12, 50: 36}.items():
        how = {"optimizer": muon(0.008), "loss": None, "seed": seed}
        fit(model, stream(x, 256)(seed), len(x), epochs, 256, **how)
    return likelihood(model, binarised(test, 0))


def fixed_binarisation(seed: int) -> Values:
    """784-400-40, pixels drawn once for all epochs; 200 draws as published."""
    x, test = images("mnist")
    model, fixed = models.vae(models.vanilla(40, hidden=(400,))), binarised(x, 1)
    fit(model, stream(fixed, 256)(seed), len(x), 100, 256, optimizer=muon(0.008), loss=None, seed=seed)
    return likelihood(model, binarised(test, 0), 200)


def chapter(name: str, statements: dict[str, str], seed: int) -> Values:
    """What the checks of a chapter measured at full size; statements: our name of a value -> the check's."""
    parameters = {**notebooks.profile("full")[name], "SEED": seed}
    target = ROOT / f"_build/results/{name}_{seed}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    run_chapter.run(ROOT / f"notebooks/{name}.ipynb", target, parameters, target.with_suffix(".log"))
    claims = {claim.statement: claim.value for claim in pages.claims_of(name, pages.read(target))}
    return {name: claims[statement] for name, statement in statements.items()}


def documents(how: str, minutes: int, seed: int) -> Values:
    """Scanned pages, the held-out ones chosen by text or, leaky, by file; a training that was stopped goes on."""
    cleaner.main(["--scans", how, "--minutes", str(minutes)])
    report = json.loads((RESULTS.parent / f"cleaner_{how}.json").read_text(encoding="utf-8"))
    found = report[f"scans held out, {how}"]
    return {"RMSE": found.pop("model"), **found, "minutes of training": report["minutes"]}


ORDER = {
    "contractive over denoising, |J|²": "contractive is below denoising (ratio of norms)",
    "contractive over weight decay, |J|²": "contractive is not far below weight decay (ratio of norms)",
    "contractive over plain, |J|²": "contractive is below plain (ratio of norms)",
    "denoising over plain, |J|²": "denoising is not clearly below a plain model stopped at its error (ratio of norms)",
    "plain, trained on, over denoising, |J|²": "a plain model trained on is far above denoising (ratio of norms)",
    "largest over smallest test MSE": "the four models are matched (largest over smallest test MSE)",
}
MEASURES: dict[str, Callable[[int], Values]] = {
    "pca": pca,
    "deep": deep,
    "clothes-stacked": partial(clothes, partial(models.vanilla, 30, hidden=(100,)), 5),
    "clothes-tied": partial(clothes, partial(models.tied, (100, 30), "gelu", "glorot_uniform"), 5),
    "clothes-convolutional": partial(clothes, partial(models.convolutional, 30), 6),
    "denoising-code": partial(denoising, partial(models.denoiser, (96,), stride=4, code=8, blocks=2)),
    "denoising-skips": partial(denoising, partial(SKIPS, residual=True)),
    "denoising-digits": digits_under_noise,
    **{f"salt-and-pepper-{p}": partial(salt_and_pepper, p / 100) for p in (10, 30, 50)},
    **{f"sparse-{k}": partial(sparse, k) for k in (10, 25, 40, 70)},
    "contractive": partial(chapter, "09_contractive", ORDER),
    "pretraining": partial(pretraining, False),
    "pretraining-background": partial(pretraining, True),
    "variational": variational,
    "importance-weighted": importance_weighted,
    "fixed-binarisation": fixed_binarisation,
    "documents": partial(documents, "pages", 20),
    "documents-leaky": partial(documents, "leaky", 55),
}


def spent() -> np.ndarray:
    """Seconds on the wall and of the processor, on all cores, those of finished child processes included."""
    return np.array([time.perf_counter(), sum(os.times()[:4])])


def commit() -> str:
    """The commit that is checked out, with a mark where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip() or "no repository"


def data_hashes() -> dict[str, str]:
    """SHA-256 of the training images' files, which `data.load` has verified."""
    return {name: files["train-images-idx3-ubyte.gz"][0] for name, files in data.FILES.items()}


def measure(row: str, seed: int) -> None:
    """Do one run and write its file."""
    keras.utils.set_random_seed(seed)
    load, begun = os.getloadavg()[0], spent()
    values = {name: float(f"{value:.6g}") for name, value in MEASURES[row](seed).items()}
    wall, processor = (round(float(t), 1) for t in spent() - begun)
    loads = [round(load, 2), round(os.getloadavg()[0], 2)]  # before and after, its own threads included
    times = {"seconds": wall, "processor seconds": processor, "load": loads}
    about = {"machine": machine(), "data": data_hashes(), "commit": commit()}
    results_page.write(RESULTS / f"{row}_{seed}.json", {"row": row, "seed": seed, "values": values, **times, **about})


def main() -> None:
    """Do one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=MEASURES)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    given = parser.parse_args()
    aebook.setup(seed=given.seed)
    measure(given.row, given.seed)


if __name__ == "__main__":
    main()
