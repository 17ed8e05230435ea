"""Losses in the units of the book: summed over the pixels, one number an image; Keras averages those."""

from typing import Any

from keras import ops

TINY = 1e-7  # keeps logarithms finite


def squared_error(x: Any, x_hat: Any) -> Any:
    """Squared error summed over the pixels: (batch, ...) twice -> (batch,).

    The metric of Hinton & Salakhutdinov (2006); divided by the number of pixels it is the mean squared error.
    Taught in chapter 01.
    """
    return _sum_pixels(ops.square(x - x_hat))


def cross_entropy(x: Any, x_hat: Any) -> Any:
    """Cross-entropy of Bernoulli pixels in nats, summed over the pixels: (batch, ...) twice -> (batch,).

    x, x_hat: values in [0, 1]; for grey x the least possible value is `metrics.cross_entropy_floor`, not zero.
    Taught in chapter 01.
    """
    x_hat = ops.clip(x_hat, TINY, 1 - TINY)
    return -_sum_pixels(x * ops.log(x_hat) + (1 - x) * ops.log(1 - x_hat))


def kl(z_mean: Any, z_log_var: Any) -> Any:
    """KL divergence of N(z_mean, exp(z_log_var)) from N(0, 1) in nats, elementwise: sum it over the latents.

    The log *variance*: for a log standard deviation s pass 2 * s. Taught in chapter 10.
    """
    return 0.5 * (ops.square(z_mean) + ops.expm1(z_log_var) - z_log_var)


def contraction(code: Any, kernel: Any) -> Any:
    """Squared Frobenius norm of the Jacobian of code = sigmoid(x @ kernel + bias) with respect to x, in closed form.

    code: (batch, units) in (0, 1); kernel: (inputs, units) -> (batch,): summed over units and inputs, for each image.
    Only for one sigmoid layer; any other encoder needs `autodiff.jacobian` or `autodiff.hutchinson`.
    The penalty of the contractive autoencoder (Rifai et al. 2011). Taught in chapter 09.
    """
    lengths = ops.sum(ops.square(kernel), axis=0)  # squared length of each unit's weights: (units,)
    return ops.sum(ops.square(ops.cast(code * (1 - code), lengths.dtype)) * lengths, axis=1)


def _sum_pixels(values: Any) -> Any:
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=1)
