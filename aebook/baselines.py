"""What a model must beat: answers in closed form, no training."""

import numpy as np


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


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype("float64")
