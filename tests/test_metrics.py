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


# ---- whatever type comes in

TYPES = ["uint8", "bool", "int8", "int64", "float16", "float32", "float64", ">f4"]


@pytest.mark.parametrize("given", [*TYPES, list])
@pytest.mark.parametrize(
    "measure",
    [
        lambda x, y: metrics.mse(x, y),
        lambda x, y: metrics.sse(x, y),
        lambda x, y: metrics.rmse(x, y),
        lambda x, y: metrics.cross_entropy_floor(x),
        lambda x, y: metrics.principal_angles(x, y).tolist(),
        lambda x, y: metrics.neighbour_accuracy(x, np.arange(30) % 2, k=3),
        lambda x, y: metrics.linear_probe(x, np.arange(30) % 2, y, np.arange(30) % 2),
        lambda x, y: metrics.iwae(x, 3),
        lambda x, y: metrics.frechet(x, y),
        lambda x, y: metrics.active_units(x, 0.2),
        lambda x, y: metrics.information(x, y),
    ],
)
def test_zeros_and_ones_measure_the_same_in_every_type(measure, given):
    x, y = np.random.default_rng(0).integers(0, 2, (2, 30, 4)).astype("float64")
    same = (x.tolist(), y.tolist()) if given is list else (x.astype(given), y.astype(given))
    assert measure(*same) == pytest.approx(measure(x, y))


@pytest.mark.parametrize("given", ["uint8", "int16", "float16", "float32", "float64"])
def test_grey_values_up_to_255_do_not_wrap_round(given):
    black, white = np.zeros((1, 2, 2), given), np.full((1, 2, 2), 255, given)
    assert metrics.mse(black, white) == metrics.mse(white, black) == 65_025
    assert metrics.sse(black, white) == 4 * 65_025
    assert metrics.rmse([black], [white]) == 255
    assert metrics.mse(black, white.astype("uint8")) == 65_025


def test_half_precision_does_not_overflow():
    large = np.array([[-60_000.0], [60_000.0]], "float16")
    assert metrics.mse(large, -large) == pytest.approx((2 * 59_999.0) ** 2, rel=1e-3)
    assert metrics.frechet(large, large) == pytest.approx(0, abs=1)
    assert metrics.active_units(large) == 1


def test_labels_may_be_floats_or_words_but_not_fractions_or_columns():
    codes = np.random.default_rng(0).normal(size=(30, 2))
    classes = np.arange(30) % 3
    expected = metrics.neighbour_accuracy(codes, classes, k=4)
    for same in (classes.astype("float32"), classes.tolist(), np.array(["cat", "dog", "eel"])[classes]):
        assert metrics.neighbour_accuracy(codes, same, k=4) == expected
    for other in (classes + 0.5, classes[:, None], np.eye(3)[classes], classes[:29], np.full(30, np.nan)):
        with pytest.raises(ValueError, match="labels"):
            metrics.neighbour_accuracy(codes, other, k=4)
        with pytest.raises(ValueError, match="labels"):
            metrics.linear_probe(codes, other, codes, classes)


REFUSED = {
    "empty": np.zeros((0, 4)),
    "masked": np.ma.masked_equal(np.eye(4), 1),
    "list of masked": [np.ma.masked_equal(np.eye(4)[0], 1)] * 4,
    "ragged": [[1, 2], [3]],
    "words": np.array([["a", "b"]]),
    "complex": np.eye(4) * 1j,
    "nothing": None,
}


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("name", ["mse", "sse", "frechet", "principal_angles", "information"])
def test_what_holds_no_numbers_is_refused_in_words(name, given):
    with pytest.raises(ValueError, match=r"is empty|masked|is no array|came; expected an array of real numbers"):
        getattr(metrics, name)(given, given)


def test_nan_is_the_error_of_a_diverged_model_and_refused_elsewhere():
    x, bad = np.eye(4), np.full((4, 4), np.nan)
    assert np.isnan(metrics.mse(x, bad)) and np.isnan(metrics.rmse([x], [bad]))
    for call in (
        lambda: metrics.frechet(x, bad),
        lambda: metrics.active_units(bad),
        lambda: metrics.information(x, bad),
        lambda: metrics.cross_entropy_floor(bad),
        lambda: metrics.principal_angles(x, bad),
        lambda: metrics.neighbour_accuracy(bad, np.arange(4), k=1),
        lambda: metrics.linear_probe(bad, np.arange(4), x, np.arange(4)),
        lambda: metrics.iwae(bad, 1),
    ):
        with pytest.raises(ValueError, match="NaN"):
            call()


def test_no_probability_at_all_is_a_bound_of_minus_infinity():
    assert metrics.iwae(np.array([[-np.inf, -1.0]]), 1) == -np.inf
    assert metrics.iwae(np.array([[-np.inf], [0.0]]), 2) == pytest.approx(-np.log(2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.rmse([], []), "at least one"),
        (lambda: metrics.rmse([np.eye(2)], []), "1 pages and 0 cleaned"),
        (lambda: metrics.rmse([np.eye(2)] * 2, [np.eye(2), np.eye(3)]), r"page 2: the shapes differ: \(2, 2\)"),
        (lambda: metrics.sse(1.0, 2.0), "expected images"),
        (lambda: metrics.iwae(np.zeros(5), 1), "expected 2 axes"),
        (lambda: metrics.iwae(np.zeros((5, 2)), 2.5), "no whole number"),
        (lambda: metrics.frechet(np.eye(3), np.eye(4)), "as many features"),
        (lambda: metrics.frechet(np.ones((1, 3)), np.eye(3)), "two pictures or more"),
        (lambda: metrics.active_units(np.ones((1, 3))), "two or more"),
        (lambda: metrics.information(np.eye(3), np.ones((3, 1))), "shapes differ"),
        (lambda: metrics.principal_angles(np.eye(3), np.eye(4)), "3 and 4 dimensions"),
        (lambda: metrics.principal_angles(np.eye(3), np.zeros((3, 1))), "no subspace"),
        (lambda: metrics.linear_probe(np.eye(3), [1, 1, 1], np.eye(3), [1, 1, 1]), "two classes"),
        (lambda: metrics.linear_probe(np.eye(3), [1, 2, 1], np.eye(2), [1, 2]), "test codes of 2"),
        (lambda: metrics.cross_entropy_floor(np.full(3, 255, "uint8")), "divide bytes by 255"),
        (lambda: metrics.log_weights(None, None, np.full((2, 3), 255, "uint8"), 1), "divide bytes by 255"),
        (lambda: metrics.log_weights(None, None, np.ones((2, 3)), 0), "samples=0"),
    ],
)
def test_what_does_not_match_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_frechet_takes_a_single_feature():
    x = np.array([[0.0], [2.0]])
    assert metrics.frechet(x, x + 3) == pytest.approx(9)


def test_the_mean_of_page_errors_is_never_higher_for_pages_of_one_size_and_may_be_for_others():
    def page(size, error):
        return np.zeros((1, size)), np.full((1, size), error)

    def both(*pages):
        clean, cleaned = zip(*pages, strict=True)
        return metrics.rmse(clean, cleaned), np.mean([metrics.rmse([x], [y]) for x, y in pages])

    whole, mean = both(page(4, 1.0), page(4, 3.0))
    assert mean < whole
    whole, mean = both(page(1000, 1.0), page(4, 3.0))
    assert mean > whole


@pytest.mark.parametrize("given", ["uint8", "bool", "float16", "float64", list])
def test_log_weights_of_black_and_white_images_in_every_type(given):
    x = np.random.default_rng(0).integers(0, 2, (5, 6)).astype("float32")
    same = x.tolist() if given is list else x.astype(given)

    def encode(images):
        return np.zeros((len(images), 2), "float32"), np.zeros((len(images), 2), "float32")

    def decode(z):
        return np.full((5, 6), 0.25, "float32")

    expected = np.where(x == 1, np.log(0.25), np.log(0.75)).sum(axis=1)
    np.testing.assert_allclose(metrics.log_weights(encode, decode, same, 2), [expected] * 2, rtol=1e-5)
