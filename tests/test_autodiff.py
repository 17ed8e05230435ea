"""Jacobians against finite differences and linear maps, Hutchinson's estimate against its mean and variance."""

import keras
import numpy as np
import pytest
from keras import ops

from aebook import autodiff

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(6, 4))


def linear(x):
    return ops.matmul(ops.reshape(x, (-1, 6)), KERNEL)


def curved(x):
    return ops.sigmoid(linear(ops.sin(x)))


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    found = autodiff.jacobian(linear, RNG.random((5, 2, 3, 1)))
    assert found.shape == (5, 4, 6) and found.dtype == np.float64
    np.testing.assert_allclose(found, np.broadcast_to(KERNEL.T, (5, 4, 6)), rtol=1e-12)


def test_the_jacobian_of_a_curved_map_agrees_with_finite_differences():
    x, step = RNG.random((5, 6)), 1e-5 * np.eye(6)
    encode = lambda points: 1 / (1 + np.exp(-np.sin(points) @ KERNEL))  # noqa: E731
    expected = np.stack([(encode(x + one) - encode(x - one)) / 2e-5 for one in step], axis=-1)
    np.testing.assert_allclose(autodiff.jacobian(curved, x), expected, rtol=1e-6, atol=1e-9)


def test_the_jacobian_takes_a_model():
    model = keras.Sequential([keras.layers.Input((2, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
    found = autodiff.jacobian(model, RNG.random((2, 2, 3, 1), "float32"))
    np.testing.assert_allclose(found[1], model.layers[-1].get_weights()[0].T, rtol=1e-6)


def test_hutchinsons_estimate_has_the_mean_and_the_variance_that_it_states():
    square = KERNEL.T @ KERNEL
    estimates = autodiff.hutchinson(linear, RNG.random((4, 6)), probes=4000)
    assert estimates.shape == (4000, 4)
    variance = 2 * (np.square(square).sum() - np.square(np.diag(square)).sum())
    assert estimates.mean() == pytest.approx(np.trace(square), rel=0.02)
    assert estimates.var() == pytest.approx(variance, rel=0.1)


def test_hutchinsons_estimate_is_exact_for_a_diagonal_jacobian():
    x = RNG.random((3, 6))
    expected = np.square(2 * x).sum(axis=1)
    np.testing.assert_allclose(autodiff.hutchinson(ops.square, x, probes=2), [expected, expected], rtol=1e-12)


def test_hutchinsons_probes_follow_the_seed():
    x = RNG.random((3, 6))
    first, again, other = (autodiff.hutchinson(linear, x, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="jax"):
        autodiff.jacobian(linear, np.zeros((1, 6)))
