"""The eight tasks of the sources, each with three ways to train for it: the source's, its model our way, and ours.

`TASKS[name]()` loads the data and returns a `Task`; `speed.py` measures. No way has a larger code than the source's;
all begin with random weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from scipy.special import expit, logit

from aebook import baselines, data, documents, losses, metrics, models, noise, sources

DRAWS, IMAGES = 8, 1000  # for a bound: draws of an image's latents, test images
PAGE, PADDED = (258, 540), [(0, 0), (0, 14), (0, 4), (0, 0)]  # what a page lacks to be divisible by 16


@dataclass
class Way:
    """One way to train: build a model, feed it, judge it.

    feed: what `train.fit` trains on: an array, a pair of arrays, or a function of the seed that returns a pipeline of
        batches without end. optimizer: steps of the whole training -> optimizer.
    code: numbers that reach the decoder. patience: epochs without a better score after which the training ends.
    """

    build: Callable[[], keras.Model]
    feed: Any
    optimizer: Callable[[int], keras.optimizers.Optimizer]
    code: int
    epochs: float
    batch_size: int = 128
    loss: Any = "binary_crossentropy"
    patience: float = math.inf


@dataclass
class Task:
    """What all ways are judged by: `judge(model)` on the test images, lower is better.

    examples: in an epoch. closed: baseline in closed form -> a function that fits, applies and scores it.
    """

    title: str
    measure: str
    examples: int
    judge: Callable[[keras.Model], float]
    closed: dict[str, Callable[[], float]]
    ways: dict[str, Way] = field(default_factory=dict)


def adam(rate: float) -> Callable[[int], keras.optimizers.Optimizer]:
    """Return what makes Adam with a rate that falls to zero along a cosine over the steps of the training."""
    return lambda steps: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))


def muon(rate: float, momentum: float = 0.95) -> Callable[[int], keras.optimizers.Optimizer]:
    """Return what makes Muon with such a rate: it moves all directions of a kernel alike, however weak their slope."""
    how = {"momentum": momentum, "weight_decay": 0, "adam_weight_decay": 0}
    return lambda steps: keras.optimizers.Muon(keras.optimizers.schedules.CosineDecay(rate, steps), **how)


def stream(x: np.ndarray, batch_size: int) -> Callable[[int], tf.data.Dataset]:
    """Return a pipeline without end: shuffled batches of x, gathered from memory."""

    def pipeline(seed: int) -> tf.data.Dataset:
        images = tf.constant(x)
        order = tf.data.Dataset.range(len(x)).shuffle(len(x), seed).repeat().batch(batch_size)
        return order.map(lambda index: tf.gather(images, index)).map(lambda batch: (batch, batch)).prefetch(4)

    return pipeline


def noisy_stream(x: np.ndarray, kind: str, level: float, batch_size: int) -> Callable[[int], tf.data.Dataset]:
    """Return a pipeline without end whose noise is drawn anew for every batch."""
    return lambda seed: noise.batches(x, kind, level, batch_size, seed).repeat()


@cache
def images(name: str) -> tuple[np.ndarray, np.ndarray]:
    """All 60,000 training images and all 10,000 test images: nothing is chosen here that would ask for validation."""
    split = data.load(name, 55_000, 5_000, source="full")
    return np.concatenate([split.x_train, split.x_valid]), split.x_test


def published(name: str, feed: Any, code: int, **other: Any) -> Way:
    """Return the source's recipe, to the letter but for `other`."""
    recipe = sources.RECIPES[name]
    how = {"loss": recipe.loss, "batch_size": recipe.batch_size, "epochs": recipe.epochs}
    return Way(
        **{"build": recipe.build, "feed": feed, "code": code, "optimizer": lambda _: recipe.optimizer(), **how, **other}
    )


def error(x: np.ndarray, y: np.ndarray, answer: Callable = np.asarray) -> Callable[[keras.Model], float]:
    """Return the judge that compares a model's answers to x with y, by the mean squared error of all pixels."""

    def judge(model: keras.Model) -> float:
        shape = getattr(model, "encoder", model).input_shape[1:]
        x_hat = answer(model.predict(x.reshape(-1, *shape), batch_size=500, verbose=0))
        return metrics.mse(y.reshape(len(y), -1), np.clip(x_hat, 0, 1).reshape(len(y), -1))

    return judge


def pca(x: np.ndarray, test: np.ndarray, k: int) -> dict[str, Callable[[], float]]:
    """Return PCA with k numbers, as a task's closed form."""
    return {f"PCA-{k}": lambda: metrics.mse(test, baselines.PCA(x).reconstruct(test, k))}


def shallow(code: int) -> Callable[[], keras.Model]:
    """Return what builds the book's model for speed: one layer to the code, one layer back to a sigmoid."""
    return partial(models.vanilla, code, hidden=())


def a_subclassed() -> Task:
    """Source A's dense model; its loss and scaling mended, without which it learns nothing (chapter 02)."""
    x, test = images("mnist")
    mended = {"loss": "mse", "optimizer": lambda _: keras.optimizers.Adam(), "epochs": 20}
    flat = x.reshape(-1, 784)
    return Task("A, dense", "test MSE", len(x), error(test, test), pca(x, test, 200), {
        "source": published("a-subclassed", flat, 200, **mended),
        "layers": Way(sources.RECIPES["a-subclassed"].build, stream(flat, 128), adam(0.003), 200, 3),
        "ours": Way(shallow(200), stream(x, 128), muon(0.02, 0.9), 200, 0.64),
    })  # fmt: skip


def b_gaussian() -> Task:
    """Source B's denoiser; its model answers with logits."""
    x, test = images("mnist")
    noisy, once = noise.gaussian(test, 0.5, seed=1), noise.gaussian(x, 0.5, seed=0)
    closed = {"affine map": lambda: metrics.mse(test, baselines.affine_denoiser(once, x)(noisy))}
    fresh, recipe = noisy_stream(x, "gaussian", 0.5, 128), sources.RECIPES["b-gaussian"]

    def judge(model: keras.Model) -> float:
        return error(noisy, test, np.asarray if model.name == "vanilla" else expit)(model)

    return Task("B, Gaussian noise", "test MSE", len(x), judge, closed, {
        "source": published("b-gaussian", (once, x), 1568),
        "layers": Way(recipe.build, fresh, adam(0.004), 1568, 1, loss=recipe.loss),
        "ours": Way(shallow(256), fresh, muon(0.02), 256, 0.64),
    })  # fmt: skip


def c_convolutional() -> Task:
    """Source C's convolutional model."""
    x, test = images("fashion-mnist")
    return Task("C, convolutional", "test MSE", len(x), error(test, test), pca(x, test, 64), {
        "source": published("c-convolutional", x, 64),
        "layers": Way(sources.RECIPES["c-convolutional"].build, stream(x, 128), adam(0.01), 64, 5),
        "ours": Way(shallow(64), stream(x, 128), muon(0.02), 64, 0.43),
    })  # fmt: skip


def d(name: str) -> Task:
    """One of source D's two models."""
    x, test = images("mnist")
    rows = x.reshape(-1, 28, 28)
    return Task(f"D, {name}", "test MSE", len(x), error(test, test), pca(x, test, 196), {
        "source": published(f"d-{name}", rows, 196),
        "layers": Way(sources.RECIPES[f"d-{name}"].build, stream(rows, 128), adam(0.003), 196, 4, loss="mse"),
        "ours": Way(shallow(196), stream(x, 128), muon(0.02, 0.9), 196, 0.64),
    })  # fmt: skip


def e_salt_pepper() -> Task:
    """Source E's denoiser for salt and pepper."""
    x, test = images("fashion-mnist")
    noisy, once = noise.salt_and_pepper(test, 0.1, seed=1), noise.salt_and_pepper(x, 0.1, seed=0)
    closed = {
        "affine map": lambda: metrics.mse(test, baselines.affine_denoiser(once, x)(noisy)),
        "median 3x3": lambda: metrics.mse(test, baselines.median_filter(noisy, 3)),
    }
    return Task("E, salt and pepper", "test MSE", len(x), error(noisy, test), closed, {
        "source": published("e-salt-pepper", (once, x), 256, patience=10),
        "layers": Way(sources.RECIPES["e-salt-pepper"].build, noisy_stream(x, "salt_and_pepper", 0.1, 64), adam(0.003),
                      256, 1, 64),
        "ours": Way(shallow(256), noisy_stream(x, "salt_and_pepper", 0.1, 256), muon(0.02), 256, 2.1, 256),
    })  # fmt: skip


def halves(model: keras.Model) -> models.VAE:
    """Make source E's model, which is one piece, a VAE whose loss is minus the ELBO, as in chapter 11."""
    z = x_hat = keras.Input((2,))
    for layer in model.layers[-4:]:
        x_hat = layer(x_hat)
    heads = [model.get_layer(name).output for name in ("z_mean", "z_log_sigma")]
    return models.VAE(keras.Model(model.input, heads), keras.Model(z, x_hat))


def e_vae() -> Task:
    """Source E's VAE with two latents, its loss mended: as published it reaches a far worse bound (chapter 11)."""
    x, test = images("fashion-mnist")
    blank, recipe = np.clip(x.mean(axis=0), 0.005, 0.995), sources.RECIPES["e-vae"]

    def judge(model: keras.Model) -> float:
        def encode(x: Any) -> list[Any]:  # whatever it computes in
            return [keras.ops.cast(half, "float32") for half in model.encoder(x)]

        return -float(np.mean(metrics.log_weights(encode, model.decoder, test[:IMAGES], DRAWS)))

    def mean_image() -> float:
        answer = np.broadcast_to(blank, test[:IMAGES].shape).astype("float32")
        return float(np.mean(losses.cross_entropy(test[:IMAGES], answer)))

    def ours() -> keras.Model:
        model = models.vae(models.vanilla(2, hidden=(128, 64)))
        model.decoder.get_layer("pixels").bias.assign(logit(blank).ravel())  # the answer that needs no code
        return model

    def mended() -> keras.Model:
        return halves(recipe.build())

    # Keras averages the published loss over 784 pixels; RMSprop sees no more of that factor than its epsilon.
    rmsprop = {"loss": None, "optimizer": lambda _: keras.optimizers.RMSprop(epsilon=784e-7)}
    return Task("E, VAE", "minus ELBO, nats", len(x), judge, {"mean image": mean_image}, {
        "source": published("e-vae", x, 2, build=mended, **rmsprop),
        "layers": Way(mended, stream(x, 128), adam(0.003), 2, 2, loss=None),
        "ours": Way(ours, stream(x, 256), muon(0.02), 2, 3.5, 256, loss=None),
    })  # fmt: skip


def half_size() -> keras.Model:
    """Return a cleaner of pages that works at half size: a page is large, and a stain is no sharp thing."""
    conv = {"kernel_size": 4, "strides": 2, "padding": "same"}
    inner = models.denoiser((24, 32, 48), skips=True, residual=True, activation="relu", shape=(None, None, 16))
    page = layers.Input((None, None, 1))
    h = inner(layers.Conv2D(16, activation="relu", kernel_initializer="he_normal", **conv)(page))
    return keras.Model(page, layers.Conv2DTranspose(1, activation="sigmoid", **conv)(h), name="half_size")


def crops(x: np.ndarray, y: np.ndarray, side: int, batch_size: int) -> Callable[[int], tf.data.Dataset]:
    """Return a pipeline without end of squares from random places of random pages, dirty and clean."""

    def pipeline(seed: int) -> tf.data.Dataset:
        both = tf.concat([tf.constant(x), tf.constant(y)], axis=-1)

        def cut(key: Any) -> tuple[Any, Any]:
            page = tf.gather(both, tf.random.stateless_uniform((), key, 0, len(x), tf.int32))
            square = tf.image.stateless_random_crop(page, (side, side, 2), key)
            return square[..., :1], square[..., 1:]

        keys = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
        return keys.map(cut).batch(batch_size).prefetch(4)

    return pipeline


def e_text() -> Task:
    """Source E's cleaner of scanned pages, all of them squeezed to its size; texts are held out, not files."""
    folder = data.cache() / "dirty-documents"
    rest, held = documents.split([page for page in documents.read(folder) if page.clean is not None], 7)

    def squeezed(pages: list[documents.Page]) -> list[np.ndarray]:
        both = [[keras.ops.image.resize(image, PAGE) for image in (page.noisy, page.clean)] for page in pages]
        return [np.stack([keras.ops.convert_to_numpy(image) for image in kind]) for kind in zip(*both, strict=True)]

    (x, y), (test, truth) = squeezed(rest), squeezed(held)

    def judge(model: keras.Model) -> float:
        given = test if model.input_shape[1] else np.pad(test, PADDED, "reflect")
        x_hat = model.predict(given, batch_size=4, verbose=0)[:, : PAGE[0], : PAGE[1]]
        return metrics.mse(truth, np.clip(x_hat, 0, 1))

    def divided() -> float:
        return metrics.mse(truth, np.stack([baselines.divide_background(page) for page in test]))

    def whole(seed: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed).repeat().batch(2)

    return Task("E, text", "held-out MSE", len(x), judge, {"background division": divided}, {
        "source": published("e-text", (x, y), 129 * 270 * 64, patience=5),
        "layers": Way(sources.RECIPES["e-text"].build, whole, adam(0.004), 129 * 270 * 64, 4, 2),
        "ours": Way(half_size, crops(x, y, 96, 8), adam(0.004), int(258 * 540 * 10.2), 100, 8),
    })  # fmt: skip


TASKS = {
    "a-subclassed": a_subclassed, "b-gaussian": b_gaussian, "c-convolutional": c_convolutional,
    "d-stacked": partial(d, "stacked"), "d-tied": partial(d, "tied"), "e-salt-pepper": e_salt_pepper, "e-vae": e_vae,
    "e-text": e_text,
}  # fmt: skip
