"""Noise to be removed: from imgaug for validation and test, drawn anew for every batch in training.

Images are in [0, 1], before and after: floating point keeps its type, truth values and whole numbers 0 and 1 become
float32, and bytes up to 255 are refused. Both ways draw from the same distributions.
"""

import sys
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from aebook import arrays

BLOCK = 5_000  # images at a time: imgaug draws in float64


def gaussian(x: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """Add sigma * N(0, 1) to every pixel and clip to [0, 1].

    x: images (n, ...) in [0, 1]; sigma: standard deviation in the same unit. Same shape as x.
    Raises ValueError for a negative sigma or x outside [0, 1].
    Taught in chapter 05.
    """
    from imgaug import augmenters

    x = _images(x, "gaussian", sigma)
    return np.clip(_augment(x, augmenters.AdditiveGaussianNoise(scale=sigma, seed=seed)), 0, 1)


def salt_and_pepper(x: np.ndarray, p: float, seed: int = 0, pure: bool = False) -> np.ndarray:
    """Replace each pixel, with probability p, by a draw from Beta(1/2, 1/2), as imgaug's `SaltAndPepper` does.

    x: images (n, ...) in [0, 1]. pure: replace by exactly 0 or 1 instead, as the name says; of imgaug's draws only
    about 6 % round to one of these in 8 bits. Same shape as x.
    Raises ValueError for p or x outside [0, 1].
    Taught in chapter 06.
    """
    from imgaug import augmenters, parameters

    x = _images(x, "salt_and_pepper", p)
    value = parameters.Binomial(0.5) if pure else parameters.Beta(0.5, 0.5)
    return _augment(x, augmenters.ReplaceElementwise(mask=p, replacement=value, seed=seed))


def masking(x: np.ndarray, p: float, seed: int = 0) -> np.ndarray:
    """Set each pixel to zero with probability p (Vincent et al. 2008).

    x: images (n, ...) in [0, 1]. Same shape as x.
    Raises ValueError for p or x outside [0, 1].
    Taught in chapter 06.
    """
    x = _images(x, "masking", p)
    return np.where(np.random.default_rng(seed).random(x.shape, "float32") < p, 0, x).astype(x.dtype)


def batches(x: np.ndarray, kind: str, level: float, batch_size: int = 128, seed: int = 0) -> Any:
    """Return a `tf.data` pipeline of (noisy, clean) batches, float32; the order and the noise are new in every epoch.

    x: clean images (n, ...) in [0, 1]. kind: "gaussian" (level: sigma), or "salt_and_pepper", "pure_salt_and_pepper"
    or "masking" (level: p). Give it to `train.fit`; for noise that is fixed once, give it a pair of arrays instead.
    Needs TensorFlow to draw the noise, whichever backend trains.
    Raises ValueError for an unknown kind, for a level or x outside its range, and for a batch size below 1.
    Taught in chapter 05.
    """
    import tensorflow as tf

    if kind not in _DRAWS:
        raise ValueError(f"unknown noise {kind!r}; choose one of {', '.join(_DRAWS)}")
    if arrays.whole(batch_size, "batch_size") < 1:
        raise ValueError(f"batch_size={batch_size} images; expected at least one")
    x = _images(x, kind, level)
    images = tf.convert_to_tensor(x.astype("float32", copy=False))  # the noise is drawn in float32
    order = tf.data.Dataset.range(len(x)).shuffle(len(x), seed).batch(batch_size)
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)

    def draw(index: Any, key: Any) -> tuple[Any, Any]:
        clean = tf.gather(images, index)
        return _DRAWS[kind](tf, clean, level, key), clean

    return tf.data.Dataset.zip((order, seeds)).map(draw).prefetch(tf.data.AUTOTUNE)


def _replaced(value: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Return a draw that replaces pixels by value(u), where one uniform number u chooses and fills the pixel."""

    def draw(tf: Any, x: Any, p: float, key: Any) -> Any:
        u = tf.random.stateless_uniform(tf.shape(x), key) / p  # below 1 with probability p, and uniform there
        return tf.where(u < 1, value(tf, u), x)

    return draw


_DRAWS: dict[str, Callable[..., Any]] = {
    "gaussian": lambda tf, x, s, key: tf.clip_by_value(x + s * tf.random.stateless_normal(tf.shape(x), key), 0, 1),
    "salt_and_pepper": _replaced(lambda tf, u: tf.sin(u * np.pi / 2) ** 2),  # the quantiles of Beta(1/2, 1/2)
    "pure_salt_and_pepper": _replaced(lambda tf, u: tf.round(u)),
    "masking": _replaced(lambda tf, u: tf.zeros_like(u)),
}


def _augment(x: np.ndarray, augmenter: Any) -> np.ndarray:
    exact = x.astype("float32", copy=False)  # imgaug refuses float64
    flat = exact.reshape(len(x), -1, 1)  # as one large image: imgaug is slow by the image, not by the pixel
    blocks = [augmenter(image=flat[start : start + BLOCK]) for start in range(0, len(x), BLOCK)]
    return np.concatenate(blocks).reshape(x.shape).astype(x.dtype, copy=False)


def _images(x: np.ndarray, kind: str, level: float) -> np.ndarray:
    """Return images as floating point in [0, 1]; refuse them, and the level, in words."""
    if not isinstance(level, Real) or not 0 <= level <= (sys.float_info.max if kind == "gaussian" else 1):
        raise ValueError(f"{kind} noise of {level}: sigma must be finite and not negative, p must lie in [0, 1]")
    try:
        x = arrays.unit(x, "x")
    except ValueError as error:
        raise ValueError(f"{error}\n  Noise needs images in [0, 1]; {arrays.BYTES}.") from error
    if not x.ndim:
        raise ValueError("x is one number; expected images, (images, ...)")
    return x
