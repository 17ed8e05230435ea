"""What a model must beat: answers in closed form, no training."""

from collections.abc import Callable

import numpy as np
from scipy import linalg, ndimage

Denoiser = Callable[[np.ndarray], np.ndarray]


def mean_image(x_train: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Answer every image with the mean of the training images: (n, ...) and (m, ...) -> (m, ...).

    What a network that ignores its input can reach at best. Taught in chapter 01.
    """
    return np.broadcast_to(x_train.mean(axis=0, dtype="float64").astype(x.dtype), x.shape)


class PCA:
    """Principal component analysis by exact eigendecomposition of the covariance, in float64.

    x_train: (images, ...), flattened inside. Among all linear maps through k numbers its reconstruction has the least
    squared error (Eckart & Young 1936), which makes it the baseline of every code of k numbers.
    mean: (pixels,); components: (pixels, pixels), one a column, largest variance first; variances: (pixels,).
    Taught in chapter 01.
    """

    def __init__(self, x_train: np.ndarray) -> None:
        flat = _flat(x_train)
        self.mean = flat.mean(axis=0)
        flat -= self.mean  # in place: 60,000 images in float64 are large enough once
        variances, components = np.linalg.eigh(flat.T @ flat / len(flat))
        self.variances, self.components = variances[::-1], components[:, ::-1]

    def encode(self, x: np.ndarray, k: int) -> np.ndarray:
        """Project (n, ...) onto the first k components: (n, k). Raises ValueError unless 1 <= k <= pixels."""
        if not 1 <= k <= len(self.mean):
            raise ValueError(f"k={k} components of images with {len(self.mean)} pixels")
        return (_flat(x) - self.mean) @ self.components[:, :k]

    def decode(self, code: np.ndarray) -> np.ndarray:
        """Map codes (n, k) back to flat images (n, pixels)."""
        return code @ self.components[:, : code.shape[1]].T + self.mean

    def reconstruct(self, x: np.ndarray, k: int) -> np.ndarray:
        """Pass (n, ...) through k numbers and back; same shape and dtype as x."""
        return self.decode(self.encode(x, k)).reshape(x.shape).astype(x.dtype)


def affine_denoiser(noisy: np.ndarray, clean: np.ndarray, ridge: float = 1e-2) -> Denoiser:
    """Return x -> x @ A + b, clipped to [0, 1], with the least squared error on pairs of noisy and clean images.

    noisy, clean: (n, ...) of the same shape. ridge: added to the diagonal of the normal equations, so that pixels that
    never change do no harm. The best that any linear network, however deep, can do on these pairs.
    Raises ValueError when the shapes differ.
    Taught in chapter 05.
    """
    if noisy.shape != clean.shape:
        raise ValueError(f"the shapes differ: {noisy.shape} and {clean.shape}")
    x, y = _flat(noisy), _flat(clean)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x -= mean_x
    y -= mean_y
    a = linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y, assume_a="pos")
    return lambda images: _clipped((_flat(images) - mean_x) @ a + mean_y, images)


def median_filter(x: np.ndarray, size: int = 3) -> np.ndarray:
    """Replace each pixel of (n, h, w[, 1]) by the median of the size x size pixels around it. Taught in chapter 05."""
    return ndimage.median_filter(x, size=(1, size, size, 1)[: x.ndim])


def gaussian_blur(x: np.ndarray, sigma: float = 0.7) -> np.ndarray:
    """Average the pixels of (n, h, w[, 1]) with Gaussian weights of width sigma pixels. Taught in chapter 05."""
    return ndimage.gaussian_filter(x, sigma=(0, sigma, sigma, 0)[: x.ndim])


def divide_background(page: np.ndarray, size: int = 23) -> np.ndarray:
    """Divide a page (h, w[, 1]) by its background, the median of size x size pixels, and clip to [0, 1].

    What is left of a scan when paper, stains and shadows, which are wider than a stroke of ink, are taken for light.
    Taught in chapter 07.
    """
    paper = ndimage.median_filter(page, size=(size, size, 1)[: page.ndim])
    return np.clip(page / np.maximum(paper, 1e-6), 0, 1)


def _clipped(flat: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.clip(flat, 0, 1).reshape(like.shape).astype(like.dtype)


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype("float64")
