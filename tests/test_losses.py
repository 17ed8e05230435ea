"""Losses against SciPy and NumPy: sums over pixels, one number an image."""

import numpy as np
import pytest
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


@pytest.mark.parametrize("given", ["uint8", "bool", "int64", "float16", "float64", list])
def test_zeros_and_ones_lose_the_same_in_every_type(given):
    x, x_hat = RNG.integers(0, 2, (2, 3, 8)).astype("float32")
    same = (x.tolist(), x_hat.tolist()) if given is list else (x.astype(given), x_hat.astype(given))
    for loss in (losses.squared_error, losses.cross_entropy, losses.kl):
        np.testing.assert_allclose(ops.convert_to_numpy(loss(*same)), ops.convert_to_numpy(loss(x, x_hat)), rtol=1e-2)
    found = losses.contraction(np.full((2, 8), 0.5, "float32"), same[1])  # the derivative of each unit is 1/4
    np.testing.assert_allclose(ops.convert_to_numpy(found), [x_hat.sum() / 16] * 2)


def test_bytes_do_not_wrap_round_and_half_precision_does_not_overflow():
    for given in ("uint8", "float16"):
        black, white = np.zeros((1, 784), given), np.full((1, 784), 255, given)
        assert ops.convert_to_numpy(losses.squared_error(black, white))[0] == pytest.approx(784 * 65_025)


@pytest.mark.parametrize("loss", [losses.squared_error, losses.cross_entropy, losses.kl])
def test_shapes_that_would_be_stretched_are_refused(loss):
    for other in (X[..., 0], X[:1], X[:, :2]):
        with pytest.raises(ValueError, match="the shapes differ"):
            loss(X, other)


def test_a_kernel_of_other_units_is_refused():
    with pytest.raises(ValueError, match="codes of 8 units, and a kernel of 3"):
        losses.contraction(np.ones((2, 8)), np.ones((8, 3)))


def test_cross_entropy_of_bytes_is_refused():
    with pytest.raises(ValueError, match="divide bytes by 255"):
        losses.cross_entropy(np.full((1, 3), 255, "uint8"), np.full((1, 3), 0.5, "float32"))
