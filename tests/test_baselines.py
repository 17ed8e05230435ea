"""Closed-form baselines against scikit-learn, and against the published figure where the data are at hand."""

import numpy as np
import pytest
from sklearn.decomposition import PCA as Oracle
from sklearn.linear_model import Ridge

from aebook import baselines, data, metrics


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 64))
    return (rng.normal(size=(200, 6)) @ mixing + 3 + 0.1 * rng.normal(size=(200, 64))).reshape(200, 8, 8, 1)


@pytest.mark.parametrize("k", [1, 4, 64])
def test_pca_equals_scikit_learn(images, k):
    oracle = Oracle(k, svd_solver="full").fit(images.reshape(200, -1))
    pca = baselines.PCA(images)
    expected = oracle.inverse_transform(oracle.transform(images.reshape(200, -1))).reshape(images.shape)
    np.testing.assert_allclose(pca.reconstruct(images, k), expected, atol=1e-8)
    np.testing.assert_allclose(pca.variances[:k], oracle.explained_variance_ * 199 / 200, rtol=1e-6)
    assert np.abs((pca.components[:, :k] * oracle.components_.T).sum(axis=0)) == pytest.approx(np.ones(k), abs=1e-4)


def test_pca_codes_are_uncorrelated_and_decode_to_the_reconstruction(images):
    pca = baselines.PCA(images)
    codes = pca.encode(images, 5)
    covariance = codes.T @ codes / len(codes)
    np.testing.assert_allclose(covariance, np.diag(pca.variances[:5]), atol=1e-8)
    np.testing.assert_allclose(pca.decode(codes).reshape(images.shape), pca.reconstruct(images, 5))


@pytest.mark.parametrize("k", [0, 65])
def test_pca_refuses_impossible_sizes(images, k):
    with pytest.raises(ValueError, match=f"k={k} components of images with 64 pixels"):
        baselines.PCA(images).encode(images, k)


def test_mean_image_ignores_its_input_and_is_the_best_that_does(images):
    answer = baselines.mean_image(images, images)
    assert answer.shape == images.shape and (answer == answer[0]).all()
    assert metrics.mse(images, answer) < metrics.mse(images, answer + 0.01)
    assert metrics.sse(images, answer) == pytest.approx(images.reshape(200, -1).var(axis=0).sum())


@pytest.mark.data
def test_pca_30_on_mnist_gives_the_published_error():
    digits = data.load("mnist", n_valid=0, source="full")
    pca = baselines.PCA(digits.x_train)
    assert metrics.sse(digits.x_test, pca.reconstruct(digits.x_test, 30)) == pytest.approx(13.866, abs=0.005)


@pytest.mark.data
def test_pca_64_and_the_mean_image_on_the_published_files():
    clothes = data.load("fashion-mnist", n_valid=0, source="full")
    assert metrics.mse(clothes.x_test, baselines.PCA(clothes.x_train).reconstruct(clothes.x_test, 64)) == pytest.approx(
        0.01037, abs=0.00001
    )
    digits = data.load("mnist", n_valid=0, source="full")
    error = metrics.mse(digits.x_test, baselines.mean_image(digits.x_train, digits.x_test))
    assert error == pytest.approx(0.0675, abs=0.0001)


@pytest.fixture(scope="module")
def pairs(images):
    clean = (images - images.min()) / (images.max() - images.min())
    return clean + 0.2 * np.random.default_rng(1).normal(size=clean.shape), clean


def test_the_affine_denoiser_equals_scikit_learns_regression(pairs):
    noisy, clean = (pair.reshape(200, -1) for pair in pairs)
    expected = np.clip(Ridge(0.5).fit(noisy, clean).predict(noisy), 0, 1).reshape(pairs[0].shape)
    np.testing.assert_allclose(baselines.affine_denoiser(*pairs, ridge=0.5)(pairs[0]), expected, atol=1e-6)


def test_the_affine_denoiser_survives_pixels_that_never_change(pairs):
    noisy, clean = (np.concatenate([pair, np.zeros_like(pair)], axis=1) for pair in pairs)
    found = baselines.affine_denoiser(noisy, clean)(noisy)
    np.testing.assert_allclose(found[:, :8], baselines.affine_denoiser(*pairs)(pairs[0]), atol=1e-6)
    assert not found[:, 8:].any()


def test_the_affine_denoiser_refuses_pairs_that_do_not_match(pairs):
    with pytest.raises(ValueError, match="the shapes differ"):
        baselines.affine_denoiser(pairs[0][:, :4], pairs[1])


@pytest.mark.parametrize("channel", [(), (1,)])
def test_the_median_removes_a_speck_and_keeps_images_apart(channel):
    x = np.zeros((3, 7, 7, *channel), "float32")
    x[1] = 1
    x[0, 3, 3] = 1
    expected = np.zeros_like(x)
    expected[1] = 1
    np.testing.assert_array_equal(baselines.median_filter(x, 3), expected)


def test_the_blur_weighs_by_a_gaussian_and_keeps_images_apart():
    x = np.zeros((2, 9, 9, 1), "float32")
    x[0, 4, 4] = 1
    blurred = baselines.gaussian_blur(x, 1.0)
    assert blurred[0, 4, 5, 0] / blurred[0, 4, 4, 0] == pytest.approx(np.exp(-0.5), rel=1e-4)
    assert blurred[0].sum() == pytest.approx(1, abs=0.01) and not blurred[1].any()


@pytest.mark.parametrize("channel", [(), (1,)])
def test_dividing_by_the_background_leaves_white_paper_and_the_ink(channel):
    page = np.full((60, 60, *channel), 0.5, "float32")
    page[:, 30:] = 0.8  # a shadow's edge
    page[20:22, 10:12] = 0.1  # ink
    found = baselines.divide_background(page)
    assert found[20, 10] == pytest.approx(0.2) and found[40, 10] == found[40, 50] == 1


def test_dividing_by_a_black_background_stays_finite():
    np.testing.assert_array_equal(baselines.divide_background(np.zeros((30, 30), "float32")), np.zeros((30, 30)))


# ---- whatever type comes in

GREYS = np.random.default_rng(2).integers(0, 256, (40, 5, 5)).astype("float64")
ANSWERS = {
    "mean image": lambda x: baselines.mean_image(x, x),
    "PCA": lambda x: baselines.PCA(x).reconstruct(x, 3),
    "median": baselines.median_filter,
    "blur": baselines.gaussian_blur,
    "background": lambda x: baselines.divide_background(x[0], 3),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("given", ["uint8", "int16", "float16", "float32", "float64", list])
def test_grey_values_of_every_type_get_the_same_answer_as_floating_point(name, given):
    same = GREYS.tolist() if given is list else GREYS.astype(given)
    found, expected = ANSWERS[name](same), ANSWERS[name](GREYS)
    came = np.asarray(same).dtype
    assert found.dtype == (came if came.kind == "f" else "float32")
    np.testing.assert_allclose(found, expected, rtol=2e-3 if given == "float16" else 1e-4, atol=1e-2)


@pytest.mark.parametrize("given", ["bool", "uint8", "float16", "float64", list])
def test_the_affine_denoiser_of_black_and_white_pairs_in_every_type(given):
    noisy, clean = np.random.default_rng(3).integers(0, 2, (2, 60, 3, 3)).astype("float64")
    same = [pair.tolist() if given is list else pair.astype(given) for pair in (noisy, clean)]
    found = baselines.affine_denoiser(*same)(same[0])
    np.testing.assert_allclose(found, baselines.affine_denoiser(noisy, clean)(noisy), atol=1e-3)
    assert found.dtype.kind == "f" and found.std() > 0.1


def test_a_mean_of_bytes_is_not_cut():
    answer = baselines.mean_image(np.array([[0], [1]], "uint8"), np.array([[7]], "uint8"))
    assert answer.dtype == "float32" and answer[0, 0] == 0.5


NAN = np.full((3, 4, 4), np.nan)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: baselines.mean_image(GREYS, GREYS[:, :3]), "differ in shape"),
        (lambda: baselines.mean_image(GREYS[:0], GREYS), "empty"),
        (lambda: baselines.PCA(NAN), "NaN"),
        (lambda: baselines.PCA(np.ma.masked_equal(GREYS, 0)), "masked"),
        (lambda: baselines.PCA(GREYS).encode(GREYS[:, :3], 2), "15 pixels an image; expected 25"),
        (lambda: baselines.PCA(GREYS).encode(GREYS, 2.5), "no whole number"),
        (lambda: baselines.PCA(GREYS).decode(np.ones((1, 26))), "codes of 26 numbers"),
        (lambda: baselines.affine_denoiser(GREYS / 255, GREYS), "divide bytes by 255"),
        (lambda: baselines.affine_denoiser(GREYS * 0, GREYS * 0, ridge=0), "larger ridge"),
        (lambda: baselines.affine_denoiser(GREYS, GREYS / 255)(GREYS[:, :3]), "expected 25"),
        (lambda: baselines.median_filter(GREYS[0]), "pass page"),
        (lambda: baselines.median_filter(GREYS[0][..., None]), "pass page"),
        (lambda: baselines.median_filter(GREYS, 2), "odd"),
        (lambda: baselines.median_filter(NAN), "NaN"),
        (lambda: baselines.gaussian_blur(GREYS[0]), "pass page"),
        (lambda: baselines.gaussian_blur(GREYS, np.nan), "sigma=nan"),
        (lambda: baselines.gaussian_blur(GREYS, -1), "sigma=-1"),
        (lambda: baselines.divide_background(GREYS), "expected one page"),
        (lambda: baselines.divide_background(GREYS[0] - 300), "grey values from"),
        (lambda: baselines.divide_background(GREYS[0], 4), "odd"),
    ],
)
def test_what_does_not_match_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
