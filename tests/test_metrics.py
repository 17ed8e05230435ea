"""Metrics against scikit-learn, SciPy and arithmetic on paper."""

import numpy as np
import pytest
from scipy import linalg
from scipy.optimize import minimize
from scipy.stats import bernoulli, ortho_group
from sklearn.neighbors import KNeighborsClassifier

from aebook import metrics


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.random((5, 28, 28, 1), "float32"), rng.random((5, 28, 28, 1), "float32")


def test_mse_and_sse_by_hand():
    x, x_hat = np.zeros((2, 2, 2)), np.array([[[1, 0], [0, 0]], [[2, 0], [0, 1]]])
    assert metrics.mse(x, x_hat) == 6 / 8
    assert metrics.sse(x, x_hat) == (1 + 5) / 2


def test_rmse_counts_pixels_not_pages():
    pages, cleaned = [np.zeros((1, 1)), np.zeros((1, 3))], [np.ones((1, 1)), np.array([[0, 0, 2]])]
    assert metrics.rmse(pages, cleaned) == pytest.approx(np.sqrt((1 + 4) / 4))
    with pytest.raises(ValueError):
        metrics.rmse(pages, cleaned[:1])
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.rmse(pages, cleaned[::-1])


@pytest.mark.parametrize("metric", [metrics.mse, metrics.sse])
def test_shapes_that_would_broadcast_are_refused(metric, pair):
    with pytest.raises(ValueError, match="shapes differ"):
        metric(pair[0], pair[1][:1])


def test_cross_entropy_floor_is_the_entropy_of_a_bernoulli_variable():
    grey = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    assert metrics.cross_entropy_floor(grey) == pytest.approx(np.mean([bernoulli(p).entropy() for p in grey]))
    assert metrics.cross_entropy_floor(np.array([0.0, 1.0])) == 0
    with pytest.raises(ValueError, match="defined on"):
        metrics.cross_entropy_floor(np.array([-0.1, 0.5]))


def test_principal_angles_of_known_subspaces():
    basis = ortho_group.rvs(6, random_state=0)
    mixing = np.random.default_rng(0).normal(size=(3, 3))
    assert metrics.principal_angles(basis[:, :3], basis[:, :3] @ mixing) == pytest.approx([0, 0, 0], abs=1e-5)
    turned = np.cos(0.3) * basis[:, [2]] + np.sin(0.3) * basis[:, [3]]
    assert metrics.principal_angles(basis[:, :3], np.hstack([basis[:, :2], turned]))[-1] == pytest.approx(
        np.degrees(0.3)
    )


@pytest.mark.parametrize("duplicates", [False, True])
def test_neighbour_accuracy_equals_scikit_learn_leaving_one_out(duplicates):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 90) * 4
    codes = rng.normal(size=(90, 2)) + labels[:, None] * 0.3
    if duplicates:
        codes[60:] = 7.0  # thirty codes in one place: the nearest need not be oneself
        labels[60:] = 4
    keep = [np.arange(90) != i for i in range(90)]
    model = KNeighborsClassifier(5)
    expected = np.mean([model.fit(codes[k], labels[k]).predict(codes[[i]])[0] == labels[i] for i, k in enumerate(keep)])
    assert metrics.neighbour_accuracy(codes, labels, k=5) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [0, 4])
def test_neighbour_accuracy_refuses_impossible_k(k):
    with pytest.raises(ValueError, match="neighbours among 4"):
        metrics.neighbour_accuracy(np.eye(4), np.arange(4), k=k)


def test_linear_probe_separates_what_a_plane_separates_and_nothing_else():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(400, 2)) + 1e3  # far from the origin, and in units of a million
    labels = (codes[:, 0] > codes[:, 1]).astype(int)
    split = (1e6 * codes[:200], labels[:200], 1e6 * codes[200:], labels[200:])
    assert metrics.linear_probe(*split, c=1e6) < 0.05
    ring = (np.hypot(*(codes - 1e3).T) > 1).astype(int)
    assert metrics.linear_probe(codes[:200], ring[:200], codes[200:], ring[200:]) > 0.25


def test_linear_probe_is_the_minimum_of_the_logistic_loss():
    """On one number and two classes the decision lies where SciPy's minimiser of the same loss puts it."""
    rng = np.random.default_rng(1)
    x, y = np.sort(rng.normal(size=60)), rng.integers(0, 2, 60) + 2
    z = (x - x.mean()) / x.std()
    sign = 2 * (y - 2) - 1
    w, b = minimize(lambda p: 10 * np.logaddexp(0, -sign * (p[0] * z + p[1])).sum() + p[0] ** 2 / 2, [0, 0]).x
    expected = np.mean((w * z + b > 0) != (y == 3))
    assert metrics.linear_probe(x[:, None], y, x[:, None], y) == pytest.approx(expected)


def test_linear_probe_refuses_a_constant_code():
    with pytest.raises(ValueError, match="all the same"):
        metrics.linear_probe(np.ones((4, 2)), np.array([0, 1, 0, 1]), np.ones((4, 2)), np.array([0, 1, 0, 1]))


def test_frechet_is_the_distance_by_the_matrix_root():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)), 3 + rng.normal(size=(400, 6)) * np.arange(1, 7)
    c, d = np.cov(a.T), np.cov(b.T)
    expected = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + np.trace(c + d - 2 * linalg.sqrtm(c @ d).real)
    assert metrics.frechet(a, b) == pytest.approx(expected, rel=1e-6)
    assert metrics.frechet(b, a) == pytest.approx(expected, rel=1e-6)
    assert metrics.frechet(a, a + 2) == pytest.approx(24, rel=1e-6)
    flat = np.c_[a, a[:, :1]]  # a number said twice leaves a singular covariance
    assert metrics.frechet(flat, flat) == pytest.approx(0, abs=1e-4 * np.trace(np.cov(flat.T)))
