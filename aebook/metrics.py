"""Figures of merit on arrays: what the tables print, in the units of the notation page.

Arrays and lists of bytes, whole numbers, truth values or floating point are taken; sums run in float64, and results are
Python numbers. Two arrays that are compared must be in the same unit: bytes are not divided by 255. Empty, masked and
ragged arrays, and NaN where no number could be right, are refused with a ValueError.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from scipy import stats
from scipy.special import entr, logsumexp

from aebook import arrays, losses


def mse(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Mean squared error per pixel.

    x, x_hat: arrays of the same shape. NaN in one of them gives NaN: the error of a training that diverged.
    Raises ValueError when the shapes differ.
    Taught in chapter 01.
    """
    x, x_hat = (arrays.numbers(values, name, finite=False) for name, values in (("x", x), ("x_hat", x_hat)))
    arrays.same_shape(x, x_hat)
    difference = np.asarray(np.subtract(x, x_hat, dtype="float64"))  # of bytes as well, which would wrap round
    return float(np.mean(np.square(difference, out=difference)))


def rmse(pages: list[np.ndarray], cleaned: list[np.ndarray]) -> float:
    """Root of the mean squared error over all pixels of all pages.

    pages, cleaned: lists of arrays, equally long, of the same shapes pairwise; pages may differ in size. The result is
    in the unit of the pages: bytes give grey values from 0 to 255. Not the mean of the pages' own RMSE. That counts a
    small page like a large one, so it may be lower or higher; for pages of one size it is never higher, and lower where
    errors are uneven.
    Raises ValueError when there are no pages, and when the numbers or the shapes differ.
    Taught in chapter 07.
    """
    pages, cleaned = list(pages), list(cleaned)
    if len(pages) != len(cleaned) or not pages:
        raise ValueError(f"{len(pages)} pages and {len(cleaned)} cleaned ones; expected as many, and at least one")
    errors = [_page_error(i, *both) for i, both in enumerate(zip(pages, cleaned, strict=True), 1)]
    return float(np.sqrt(np.average(errors, weights=[np.size(page) for page in pages])))


def _page_error(place: int, page: np.ndarray, cleaned: np.ndarray) -> float:
    try:
        return mse(page, cleaned)
    except ValueError as error:
        raise ValueError(f"page {place}: {error}") from error


def sse(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Squared error summed over the pixels of an image and averaged over images (Hinton & Salakhutdinov 2006).

    x, x_hat: (images, ...) of the same shape. Raises ValueError when the shapes differ.
    Taught in chapter 01.
    """
    error = mse(x, x_hat)
    if np.ndim(x) == 0:
        raise ValueError("x is one number; expected images, (images, ...)")
    return error * float(np.prod(np.shape(x)[1:]))


def cross_entropy_floor(x: np.ndarray) -> float:
    """Least cross-entropy that any reconstruction of x can reach, in nats per pixel: the entropy of the grey values.

    x: values in [0, 1] of any shape; only black and white pixels give 0. Raises ValueError for values outside [0, 1].
    Taught in chapter 01.
    """
    x = arrays.doubles(x, "x")
    if x.min() < 0 or x.max() > 1:
        found = f"values from {x.min():.3g} to {x.max():.3g}"
        raise ValueError(f"{found}; the floor is defined on [0, 1]; {arrays.BYTES}")
    return float(np.mean(entr(x) + entr(1 - x)))


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles in degrees between the subspaces that the columns of a and b span, smallest first.

    a: (dimensions, m), b: (dimensions, n) -> (min(m, n),), float64; fewer where the columns of one depend on each
    other. All zero: the same subspace (Björck & Golub 1973).
    Raises ValueError unless both have two axes, as many dimensions, and a column that is not zero.
    Taught in chapter 01.
    """
    from scipy.linalg import subspace_angles

    a, b = arrays.doubles(a, "a", axes=2), arrays.doubles(b, "b", axes=2)
    if len(a) != len(b):
        raise ValueError(f"the columns of a and b lie in spaces of {len(a)} and {len(b)} dimensions")
    if not (a.any() and b.any()):
        raise ValueError("columns that are all zero span no subspace, so there is no angle")
    return np.degrees(np.sort(subspace_angles(a, b)))


def neighbour_accuracy(codes: np.ndarray, labels: np.ndarray, k: int = 10) -> float:
    """Share of codes whose k nearest other codes vote for their own class.

    codes: (images, latent), labels: (images,) whole numbers or words -> [0, 1]; one minus it measures how classes
    overlap. Where classes have as many votes, the smallest label wins.
    Raises ValueError unless 0 < k < images, and when there are not as many labels as codes.
    Taught in chapter 01.
    """
    from sklearn.neighbors import NearestNeighbors

    codes, k = arrays.doubles(codes, "codes", axes=2), arrays.whole(k, "k")
    if not 0 < k < len(codes):
        raise ValueError(f"k={k} neighbours among {len(codes)} codes")
    _, classes = np.unique(arrays.labels(labels, len(codes)), return_inverse=True)
    nearest = (
        NearestNeighbors(n_neighbors=k).fit(codes).kneighbors(return_distance=False)
    )  # of each code, itself left out
    return float(np.mean(stats.mode(classes[nearest], axis=1).mode == classes))


def linear_probe(
    codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray, c: float = 10.0
) -> float:
    """Share of test codes that a linear classifier, fitted to the training codes, puts into a wrong class.

    codes: (images, latent), labels: (images,) whole numbers or words. Logistic regression on centred codes whose mean
    squared length is one, so that the weight c of the data against the L2 penalty means the same for every code.
    Raises ValueError when the codes are all the same, or the labels; and when numbers or lengths do not match.
    Taught in chapter 08.
    """
    from sklearn.linear_model import LogisticRegression

    codes, test_codes = arrays.doubles(codes, "codes", axes=2), arrays.doubles(test_codes, "test_codes", axes=2)
    labels, test_labels = arrays.labels(labels, len(codes)), arrays.labels(test_labels, len(test_codes), "test_labels")
    if codes.shape[1] != test_codes.shape[1]:
        raise ValueError(f"codes of {codes.shape[1]} numbers, and test codes of {test_codes.shape[1]}")
    if len(np.unique(labels)) < 2:
        raise ValueError("the labels are all the same: a classifier needs two classes")
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
    Raises ValueError for images outside [0, 1] and for no samples.
    Taught in chapter 11.
    """
    x = arrays.unit(x, "x").astype("float32", copy=False)
    if (samples := arrays.whole(samples, "samples")) < 1:
        raise ValueError(f"samples={samples}; expected at least one")
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
    Raises ValueError unless 1 <= k <= samples, and for a weight that is NaN or plus infinity.
    Taught in chapter 11.
    """
    weights, k = arrays.numbers(weights, "weights", axes=2, finite=False), arrays.whole(k, "k")
    if not (weights < np.inf).all():  # minus infinity is the logarithm of no probability at all
        raise ValueError("weights: some are NaN or plus infinity; did a training diverge?")
    samples, images = weights.shape
    if not 1 <= k <= samples:
        raise ValueError(f"k={k} of {samples} samples")
    groups = weights[: samples - samples % k].reshape(-1, k, images).astype("float64")
    return float(np.mean(logsumexp(groups, axis=1)) - np.log(k))


def frechet(features: np.ndarray, others: np.ndarray) -> float:
    """Squared Fréchet distance of the normal distributions with the means and covariances of two sets: (n, d), (m, d).

    |m - n|^2 + tr(C + D - 2 (C D)^(1/2)), in the squared unit of the features (Heusel et al. 2017): those of a
    classifier's hidden layer make it a distance between pictures. Compare distances by one classifier and one n only.
    Raises ValueError unless both sets have the same features, two pictures or more each.
    Taught in chapter 11.
    """
    sets = [arrays.doubles(given, name, axes=2) for name, given in (("features", features), ("others", others))]
    if sets[0].shape[1] != sets[1].shape[1] or min(map(len, sets)) < 2:
        shapes = f"{sets[0].shape} and {sets[1].shape}"
        raise ValueError(f"sets of {shapes}; expected as many features, and two pictures or more in each")
    (m, c), (n, d) = ((f.mean(axis=0), np.atleast_2d(np.cov(f, rowvar=False))) for f in sets)
    cross = np.sqrt(np.maximum(np.linalg.eigvals(c @ d).real, 0)).sum()  # the trace of the root, without forming it
    return float(np.square(m - n).sum() + np.trace(c + d) - 2 * cross)


def active_units(z_mean: np.ndarray, least: float = 0.01) -> int:
    """Count the latents whose mean varies over images (n, latent) by more than that variance (Burda et al. 2016).

    Raises ValueError for fewer than two images: one does not vary.
    Taught in chapter 11.
    """
    z_mean = arrays.doubles(z_mean, "z_mean", axes=2)
    if len(z_mean) < 2:
        raise ValueError("z_mean holds one image; a variance over images needs two or more")
    return int(np.sum(np.var(z_mean, axis=0) > least))


def information(z_mean: np.ndarray, z_log_var: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Split the mean KL term in two, in nats: what a code tells about its image, and KL(all codes together || N(0, 1)).

    z_mean, z_log_var: (n, latent); one draw an image, and n x n densities in memory: pass a thousand or two. The first
    number, the mutual information, is at most log n (Hoffman & Johnson 2016).
    Raises ValueError when the shapes differ.
    Taught in chapter 11.
    """
    mean, log_var = arrays.doubles(z_mean, "z_mean", axes=2), arrays.doubles(z_log_var, "z_log_var", axes=2)
    arrays.same_shape(mean, log_var)
    z = mean + np.exp(log_var / 2) * np.random.default_rng(seed).normal(size=mean.shape)
    sharp = np.exp(-log_var)
    squares = z**2 @ sharp.T - 2 * z @ (mean * sharp).T + np.sum(mean**2 * sharp + log_var, axis=1)
    together = logsumexp(-squares / 2, axis=1) - np.log(len(z))  # of each z under all codes; 2 pi cancels
    return float(np.mean(-np.diag(squares) / 2 - together)), float(np.mean(together + np.sum(z**2, axis=1) / 2))
