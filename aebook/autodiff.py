"""Jacobians of encoders of any depth, by TensorFlow's automatic differentiation: not for other backends."""

from typing import Any

import keras
import numpy as np


def jacobian(encoder: Any, x: np.ndarray) -> np.ndarray:
    """Differentiate every number of the code with respect to every pixel: (n, ...) -> (n, units, pixels).

    encoder: a Keras model or any function of a tensor that treats each image by itself and returns (n, units).
    x: images; the result has their precision. It holds units x pixels numbers an image, so pass images by the hundred.
    Raises RuntimeError unless Keras runs on TensorFlow.
    Taught in chapter 09.
    """
    tf = _tensorflow()
    images = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(images)
        code = encoder(images)
    return tape.batch_jacobian(code, images).numpy().reshape(len(x), code.shape[1], -1)


def hutchinson(encoder: Any, x: np.ndarray, probes: int = 1, seed: int = 0) -> np.ndarray:
    """Estimate each image's squared Frobenius norm of the Jacobian without forming it: (n, ...) -> (probes, n).

    Each estimate is |J^T v|^2 with random signs v, one backward pass; its mean is |J|^2, its variance
    2 (|J J^T|^2 - sum of the squared diagonal of J J^T). Average over the probes.
    encoder, x: as for `jacobian`. Raises RuntimeError unless Keras runs on TensorFlow.
    Hutchinson (1990). Taught in chapter 09.
    """
    tf = _tensorflow()
    images, rng, estimates = tf.convert_to_tensor(x), np.random.default_rng(seed), []
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        code = encoder(images)
    for _ in range(probes):
        signs = tf.constant(rng.choice([-1.0, 1.0], code.shape), code.dtype)
        product = tape.gradient(code, images, output_gradients=signs)  # J^T v, image by image
        estimates.append(np.square(product.numpy().reshape(len(x), -1)).sum(axis=1))
    return np.stack(estimates)


def _tensorflow() -> Any:
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"aebook.autodiff needs TensorFlow; Keras runs on {keras.backend.backend()} here")
    import tensorflow

    return tensorflow
