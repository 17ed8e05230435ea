"""Losses in the units of the book: summed over the pixels, one number an image; Keras averages those.

Tensors, arrays and lists are taken. They are computed in float32, or in float64 where float64 comes: bytes would wrap
round, and a sum over pixels is too large for float16.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from aebook import arrays

TINY = 1e-7  # keeps logarithms finite


@keras.saving.register_keras_serializable("aebook")
def squared_error(x: Any, x_hat: Any) -> Any:
    """Squared error summed over the pixels: (batch, ...) twice -> (batch,).

    The metric of Hinton & Salakhutdinov (2006); divided by the number of pixels it is the mean squared error.
    Raises ValueError when the shapes differ.
    Taught in chapter 01.
    """
    x, x_hat = _pair(x, x_hat)
    return _sum_pixels(ops.square(x - x_hat))


@keras.saving.register_keras_serializable("aebook")
def cross_entropy(x: Any, x_hat: Any) -> Any:
    """Cross-entropy of Bernoulli pixels in nats, summed over the pixels: (batch, ...) twice -> (batch,).

    x, x_hat: values in [0, 1]; for grey x the least possible value is `metrics.cross_entropy_floor`, not zero.
    Raises ValueError when the shapes differ, and for arrays outside [0, 1]; tensors are not looked at.
    Taught in chapter 01.
    """
    for name, values in (("x", x), ("x_hat", x_hat)):
        if isinstance(values, np.ndarray | list | tuple):
            arrays.unit(values, name)
    x, x_hat = _pair(x, x_hat)
    x_hat = ops.clip(x_hat, TINY, 1 - TINY)
    return -_sum_pixels(x * ops.log(x_hat) + (1 - x) * ops.log(1 - x_hat))


def kl(z_mean: Any, z_log_var: Any) -> Any:
    """KL divergence of N(z_mean, exp(z_log_var)) from N(0, 1) in nats, elementwise: sum it over the latents.

    The log *variance*: for a log standard deviation s pass 2 * s.
    Raises ValueError when the shapes differ.
    Taught in chapter 10.
    """
    z_mean, z_log_var = _pair(z_mean, z_log_var)
    return 0.5 * (ops.square(z_mean) + ops.expm1(z_log_var) - z_log_var)


def contraction(code: Any, kernel: Any) -> Any:
    """Squared Frobenius norm of the Jacobian of code = sigmoid(x @ kernel + bias) with respect to x, in closed form.

    code: (batch, units) in (0, 1); kernel: (inputs, units) -> (batch,): summed over units and inputs, for each image.
    Only for one sigmoid layer; any other encoder needs `autodiff.jacobian` or `autodiff.hutchinson`.
    The penalty of the contractive autoencoder (Rifai et al. 2011).
    Raises ValueError when code and kernel differ in units.
    Taught in chapter 09.
    """
    code, kernel = _floats(code, kernel)
    if code.shape[-1] not in (None, kernel.shape[-1]):
        raise ValueError(f"codes of {code.shape[-1]} units, and a kernel of {kernel.shape[-1]}")
    lengths = ops.sum(ops.square(kernel), axis=0)  # squared length of each unit's weights: (units,)
    return ops.sum(ops.square(code * (1 - code)) * lengths, axis=1)


def _floats(*values: Any) -> list[Any]:
    """Cast all to float32, or to float64 where one of them has it."""
    dtype = keras.backend.result_type(*(value.dtype for value in values if hasattr(value, "dtype")), "float32")
    return [ops.cast(value, dtype) for value in values]


def _pair(x: Any, x_hat: Any) -> list[Any]:
    """Cast both, and refuse shapes that would be stretched silently. A length that is not known yet may be any."""
    x, x_hat = _floats(x, x_hat)
    known = [(a, b) for a, b in zip(x.shape, x_hat.shape, strict=False) if None not in (a, b)]
    if len(x.shape) != len(x_hat.shape) or any(a != b for a, b in known):
        raise ValueError(f"the shapes differ: {tuple(x.shape)} and {tuple(x_hat.shape)}")
    return [x, x_hat]


def _sum_pixels(values: Any) -> Any:
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=1)
