"""Jacobians of encoders of any depth, by TensorFlow's automatic differentiation: not for other backends."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def jacobian(encoder: Any, x: np.ndarray) -> np.ndarray:
    """Differentiate every number of the code with respect to every pixel: (n, ...) -> (n, units, pixels).

    encoder: a Keras model or any function of a tensor that treats each image by itself and returns (n, units).
    x: images; the result has their precision. It takes one backward pass a unit, and units x pixels numbers
        an image: pass images by the hundred.
    Raises RuntimeError unless Keras runs on TensorFlow.
    Taught in chapter 09.
    """
    shape, backward = _backward(encoder, x)
    units = np.eye(shape[1])
    return np.stack([backward(np.broadcast_to(unit, shape)) for unit in units], axis=1)


def hutchinson(encoder: Any, x: np.ndarray, probes: int = 1, seed: int = 0) -> np.ndarray:
    """Estimate each image's squared Frobenius norm of the Jacobian without forming it: (n, ...) -> (probes, n).

    Each estimate is |J^T v|^2 with random signs v, one backward pass; its mean is |J|^2, its variance
    2 (|J J^T|^2 - sum of the squared diagonal of J J^T). Average over the probes.
    encoder, x: as for `jacobian`. Raises RuntimeError unless Keras runs on TensorFlow.
    Hutchinson (1990). Taught in chapter 09.
    """
    shape, backward = _backward(encoder, x)
    rng = np.random.default_rng(seed)
    draws = (backward(rng.choice([-1.0, 1.0], shape)) for _ in range(probes))
    return np.stack([np.square(product).sum(axis=1) for product in draws])


def _backward(encoder: Any, x: np.ndarray) -> tuple[tuple[int, int], Callable[[np.ndarray], np.ndarray]]:
    """Run the encoder once; return the code's shape, and a function from v (n, units) to J^T v (n, pixels)."""
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"aebook.autodiff needs TensorFlow; Keras runs on {keras.backend.backend()} here")
    import tensorflow as tf

    images = tf.convert_to_tensor(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        code = encoder(images)

    def backward(vectors: np.ndarray) -> np.ndarray:
        product = tape.gradient(code, images, output_gradients=tf.constant(vectors, code.dtype))
        return product.numpy().reshape(len(x), -1)

    return tuple(code.shape), backward
