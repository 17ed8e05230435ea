"""Losses against SciPy and NumPy: sums over pixels, one number an image."""

import numpy as np
from keras import ops
from scipy.special import xlogy

from aebook import losses

RNG = np.random.default_rng(0)
X, X_HAT = RNG.random((3, 4, 5, 1), "float32"), RNG.random((3, 4, 5, 1), "float32")


def test_squared_error_is_summed_over_pixels():
    expected = [np.linalg.norm((x - x_hat).ravel()) ** 2 for x, x_hat in zip(X, X_HAT, strict=True)]
    np.testing.assert_allclose(ops.convert_to_numpy(losses.squared_error(X, X_HAT)), expected, rtol=1e-5)


def test_cross_entropy_is_in_nats_and_summed_over_pixels():
    expected = -(xlogy(X, X_HAT) + xlogy(1 - X, 1 - X_HAT)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(losses.cross_entropy(X, X_HAT)), expected, rtol=1e-4)


def test_cross_entropy_stays_finite_for_certain_mistakes():
    worst = ops.convert_to_numpy(losses.cross_entropy(np.ones((1, 2), "float32"), np.zeros((1, 2), "float32")))
    assert 2 * 15 < worst[0] < 2 * 17  # -log(1e-7) = 16.1 a pixel


def test_contraction_is_the_jacobians_squared_norm_by_finite_differences():
    kernel, bias, x = RNG.normal(size=(6, 4)), RNG.normal(size=4), RNG.random((3, 6))

    def encode(points):
        return 1 / (1 + np.exp(-(points @ kernel + bias)))

    step = 1e-5 * np.eye(6)
    slopes = [(encode(x + one) - encode(x - one)) / 2e-5 for one in step]  # for each input: (images, units)
    expected = np.square(slopes).sum(axis=(0, 2))
    found = ops.convert_to_numpy(losses.contraction(ops.convert_to_tensor(encode(x)), ops.convert_to_tensor(kernel)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
