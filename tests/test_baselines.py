"""Closed-form baselines against scikit-learn, and against the published figure where the data are at hand."""

import numpy as np
import pytest
from sklearn.decomposition import PCA as Oracle

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
