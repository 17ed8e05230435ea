"""Figures of merit on arrays: what the tables print, in the units of the notation page."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from scipy.special import entr, logsumexp

from aebook import losses


def mse(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Mean squared error per pixel.

    x, x_hat: arrays of the same shape. Raises ValueError when the shapes differ.
    Taught in chapter 01.
    """
    if np.shape(x) != np.shape(x_hat):
        raise ValueError(f"the shapes differ: {np.shape(x)} and {np.shape(x_hat)}")
    return float(np.mean(np.square(x - x_hat, dtype="float64")))


def rmse(pages: list[np.ndarray], cleaned: list[np.ndarray]) -> float:
    """Root of the mean squared error over all pixels of all pages.

    pages, cleaned: lists of arrays, equally long, of the same shapes pairwise; pages may differ in size. Not the mean
    of the pages' own RMSE: that counts a small page like a large one, and is lower where errors are uneven.
    Raises ValueError when the numbers or the shapes differ.
    Taught in chapter 07.
    """
    errors = [mse(x, x_hat) for x, x_hat in zip(pages, cleaned, strict=True)]
    return float(np.sqrt(np.average(errors, weights=[page.size for page in pages])))


def sse(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Squared error summed over the pixels of an image and averaged over images (Hinton & Salakhutdinov 2006).

    x, x_hat: (images, ...) of the same shape. Raises ValueError when the shapes differ.
    Taught in chapter 01.
    """
    return mse(x, x_hat) * float(np.prod(np.shape(x)[1:]))


def cross_entropy_floor(x: np.ndarray) -> float:
    """Least cross-entropy that any reconstruction of x can reach, in nats per pixel: the entropy of the grey values.

    x: values in [0, 1] of any shape; only black and white pixels give 0. Raises ValueError for values outside [0, 1].
    Taught in chapter 01.
    """
    if np.min(x) < 0 or np.max(x) > 1:
        raise ValueError(f"values from {np.min(x):.3g} to {np.max(x):.3g}; the floor is defined on [0, 1]")
    x = np.asarray(x, "float64")
    return float(np.mean(entr(x) + entr(1 - x)))


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles in degrees between the subspaces that the columns of a and b span, smallest first.

    a: (dimensions, m), b: (dimensions, n) -> (min(m, n),). All zero: the same subspace (Björck & Golub 1973).
    Taught in chapter 01.
    """
    from scipy.linalg import subspace_angles

    return np.degrees(np.sort(subspace_angles(np.asarray(a, "float64"), np.asarray(b, "float64"))))


def neighbour_accuracy(codes: np.ndarray, labels: np.ndarray, k: int = 10) -> float:
    """Share of codes whose k nearest other codes vote for their own class.

    codes: (images, latent), labels: (images,) integers -> [0, 1]; one minus it measures how classes overlap.
    Raises ValueError unless 0 < k < images.
    Taught in chapter 01.
    """
    from sklearn.neighbors import KNeighborsClassifier

    if not 0 < k < len(codes):
        raise ValueError(f"k={k} neighbours among {len(codes)} codes")
    return float(KNeighborsClassifier(k).fit(codes, labels).score(None, labels))  # None: no code is its own neighbour


def linear_probe(
    codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray, c: float = 10.0
) -> float:
    """Share of test codes that a linear classifier, fitted to the training codes, puts into a wrong class.

    codes: (images, latent), labels: (images,). Logistic regression on centred codes whose mean squared length is one,
    so that the weight c of the data against the L2 penalty means the same for every code.
    Raises ValueError when the codes are all the same.
    Taught in chapter 08.
    """
    from sklearn.linear_model import LogisticRegression

    mean = codes.mean(axis=0)
    scale = np.sqrt(np.square(codes - mean).sum(axis=1).mean())
    if not scale > 0:
        raise ValueError("the codes are all the same: no classifier can tell them apart")
    classifier = LogisticRegression(C=c, max_iter=1000).fit((codes - mean) / scale, labels)
    return 1 - float(classifier.score((test_codes - mean) / scale, test_labels))


def log_weights(encoder: Callable, decoder: Callable, x: np.ndarray, samples: int, seed: int = 0) -> np.ndarray:
    """Draw latents z from q(z | x) and return log p(x, z) - log q(z | x) in nats: (images, ...) -> (samples, images).

    encoder: from images to z_mean and z_log_var; decoder: from latents to probabilities of black pixels; the prior is
    N(0, 1). x: black and white, or the result is no density. All images are decoded at a time, one draw each: memory
    does not grow with the samples, but pass images by the thousand. `iwae` makes bounds of the result.
    Taught in chapter 11.
    """
    z_mean, z_log_var = encoder(x)
    noise = keras.random.SeedGenerator(seed)

    def weigh() -> np.ndarray:
        epsilon = keras.random.normal(z_mean.shape, seed=noise)
        z = z_mean + ops.exp(0.5 * z_log_var) * epsilon
        prior_over_q = 0.5 * ops.sum(ops.square(epsilon) + z_log_var - ops.square(z), axis=1)
        return ops.convert_to_numpy(prior_over_q - losses.cross_entropy(x, decoder(z)))

    return np.stack([weigh() for _ in range(samples)])


def iwae(weights: np.ndarray, k: int) -> float:
    """Lower bound of log p(x) by k draws an image (Burda et al. 2016), in nats, averaged over images.

    weights: (samples, images) from `log_weights`; as many groups of k as they hold are averaged. k = 1: the ELBO. For
    thousands it is an estimate of log p(x); minus it is the NLL to report, together with k.
    Raises ValueError unless 1 <= k <= samples.
    Taught in chapter 11.
    """
    samples, images = weights.shape
    if not 1 <= k <= samples:
        raise ValueError(f"k={k} of {samples} samples")
    groups = weights[: samples - samples % k].reshape(-1, k, images).astype("float64")
    return float(np.mean(logsumexp(groups, axis=1)) - np.log(k))


def frechet(features: np.ndarray, others: np.ndarray) -> float:
    """Squared Fréchet distance of the normal distributions with the means and covariances of two sets: (n, d), (m, d).

    |m - n|^2 + tr(C + D - 2 (C D)^(1/2)), in the squared unit of the features (Heusel et al. 2017): those of a
    classifier's hidden layer make it a distance between pictures. Compare distances by one classifier and one n only.
    Taught in chapter 11.
    """
    (m, c), (n, d) = ((f.mean(axis=0), np.cov(f, rowvar=False)) for f in (features, others))
    cross = np.sqrt(np.maximum(np.linalg.eigvals(c @ d).real, 0)).sum()  # the trace of the root, without forming it
    return float(np.square(m - n).sum() + np.trace(c + d) - 2 * cross)


def active_units(z_mean: np.ndarray, least: float = 0.01) -> int:
    """Count the latents whose mean varies over images (n, latent) by more than that variance (Burda et al. 2016).

    Taught in chapter 11.
    """
    return int(np.sum(np.var(z_mean, axis=0) > least))


def information(z_mean: np.ndarray, z_log_var: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Split the mean KL term in two, in nats: what a code tells about its image, and KL(all codes together || N(0, 1)).

    z_mean, z_log_var: (n, latent); one draw an image, and n x n densities in memory: pass a thousand or two. The first
    number, the mutual information, is at most log n (Hoffman & Johnson 2016).
    Taught in chapter 11.
    """
    mean, log_var = np.asarray(z_mean, "float64"), np.asarray(z_log_var, "float64")
    z = mean + np.exp(log_var / 2) * np.random.default_rng(seed).normal(size=mean.shape)
    sharp = np.exp(-log_var)
    squares = z**2 @ sharp.T - 2 * z @ (mean * sharp).T + np.sum(mean**2 * sharp + log_var, axis=1)
    together = logsumexp(-squares / 2, axis=1) - np.log(len(z))  # of each z under all codes; 2 pi cancels
    return float(np.mean(-np.diag(squares) / 2 - together)), float(np.mean(together + np.sum(z**2, axis=1) / 2))
