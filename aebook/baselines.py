"""What a model must beat: answers in closed form, no training.

Images are arrays or lists of any type of number. All sums run in float64. Images come back as floating point, in the
unit that came: as float32 for bytes, whole numbers and truth values, otherwise in the type of what is answered. Empty,
masked and ragged arrays, NaN, and shapes that do not match are refused with a ValueError.
"""

from collections.abc import Callable

import numpy as np
from scipy import linalg, ndimage

from aebook import arrays

Denoiser = Callable[[np.ndarray], np.ndarray]


def mean_image(x_train: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Answer every image with the mean of the training images: (n, ...) and (m, ...) -> (m, ...).

    What a network that ignores its input can reach at best. The result is one image, shown m times: copy it before
    you write to it.
    Raises ValueError when training images and images differ in shape.
    Taught in chapter 01.
    """
    x_train, x = arrays.numbers(x_train, "x_train"), arrays.floats(x, "x")
    if x_train.shape[1:] != x.shape[1:] or not x.ndim:
        raise ValueError(f"images differ in shape: training images {x_train.shape}, images {x.shape}")
    return np.broadcast_to(x_train.mean(axis=0, dtype="float64").astype(x.dtype), x.shape)


class PCA:
    """Principal component analysis by exact eigendecomposition of the covariance, in float64.

    x_train: (images, ...), flattened inside. Among all linear maps through k numbers its reconstruction has the least
    squared error (Eckart & Young 1936), which makes it the baseline of every code of k numbers.
    mean: (pixels,); components: (pixels, pixels), one a column, largest variance first; variances: (pixels,).
    Taught in chapter 01.
    """

    def __init__(self, x_train: np.ndarray) -> None:
        flat = _flat(x_train, "x_train")
        self.mean = flat.mean(axis=0)
        flat -= self.mean  # in place: 60,000 images in float64 are large enough once
        variances, components = np.linalg.eigh(flat.T @ flat / len(flat))
        self.variances, self.components = variances[::-1], components[:, ::-1]

    def encode(self, x: np.ndarray, k: int) -> np.ndarray:
        """Project (n, ...) onto the first k components: (n, k), float64.

        Raises ValueError unless 1 <= k <= pixels, and for images of another size.
        """
        if not 1 <= arrays.whole(k, "k") <= len(self.mean):
            raise ValueError(f"k={k} components of images with {len(self.mean)} pixels")
        flat = _flat(x, "x", len(self.mean))
        flat -= self.mean
        return flat @ self.components[:, :k]

    def decode(self, code: np.ndarray) -> np.ndarray:
        """Map codes (n, k) back to flat images (n, pixels), float64. Raises ValueError for more than pixels numbers."""
        code = arrays.doubles(code, "code", axes=2)
        if code.shape[1] > len(self.mean):
            raise ValueError(f"codes of {code.shape[1]} numbers for images with {len(self.mean)} pixels")
        return code @ self.components[:, : code.shape[1]].T + self.mean

    def reconstruct(self, x: np.ndarray, k: int) -> np.ndarray:
        """Pass (n, ...) through k numbers and back; same shape as x, float32 for bytes, otherwise the dtype of x."""
        x = arrays.floats(x, "x")
        return self.decode(self.encode(x, k)).reshape(x.shape).astype(x.dtype)


def affine_denoiser(noisy: np.ndarray, clean: np.ndarray, ridge: float = 1e-2) -> Denoiser:
    """Return x -> x @ A + b, clipped to [0, 1], with the least squared error on pairs of noisy and clean images.

    noisy, clean: (n, ...) of the same shape, clean in [0, 1]. ridge: added to the diagonal of the normal equations, so
    that pixels that never change do no harm. The best that any linear network, however deep, can do on these pairs.
    Raises ValueError when the shapes differ, for clean images outside [0, 1], and for a ridge too small for the images.
    Taught in chapter 05.
    """
    noisy, clean = arrays.numbers(noisy, "noisy"), arrays.unit(clean, "clean")
    arrays.same_shape(noisy, clean)
    x, y = _flat(noisy, "noisy"), _flat(clean, "clean")
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x -= mean_x
    y -= mean_y
    try:
        a = linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y, assume_a="pos")
    except (linalg.LinAlgError, ValueError) as error:
        raise ValueError(f"ridge={ridge}: these images do not determine the map; take a larger ridge") from error
    return lambda images: _mapped(images, mean_x, a, mean_y)


def median_filter(x: np.ndarray, size: int = 3) -> np.ndarray:
    """Replace each pixel of (n, h, w[, 1]) by the median of the size x size pixels around it; size: odd.

    Raises ValueError for other shapes, such as one page alone, and for other sizes.
    Taught in chapter 05.
    """
    x, size = _images(x), _odd(size)
    return _median(x, (1, size, size, 1)[: x.ndim])


def gaussian_blur(x: np.ndarray, sigma: float = 0.7) -> np.ndarray:
    """Average the pixels of (n, h, w[, 1]) with Gaussian weights of width sigma pixels.

    Raises ValueError for other shapes, such as one page alone, and unless sigma is finite and not negative.
    Taught in chapter 05.
    """
    x = _images(x)
    if not 0 <= sigma < np.inf:
        raise ValueError(f"sigma={sigma} pixels; expected a finite number, zero or more")
    blurred = ndimage.gaussian_filter(_filterable(x), sigma=(0, sigma, sigma, 0)[: x.ndim])
    return blurred.astype(x.dtype, copy=False)


def divide_background(page: np.ndarray, size: int = 23) -> np.ndarray:
    """Divide a page (h, w[, 1]) by its background, the median of size x size pixels, and clip to [0, 1].

    What is left of a scan when paper, stains and shadows, which are wider than a stroke of ink, are taken for light.
    page: in any unit, black 0; the result is in [0, 1]. size: odd.
    Raises ValueError for other shapes, such as a stack of pages, for other sizes, and for negative grey values.
    Taught in chapter 07.
    """
    page, size = arrays.floats(page, "page"), _odd(size)
    if page.ndim not in (2, 3) or page.shape[2:] not in ((), (1,)):
        raise ValueError(f"page has the shape {page.shape}; expected one page, (height, width) or (height, width, 1)")
    if page.min() < 0:
        raise ValueError(f"page: grey values from {page.min():.4g} on; expected 0, black, or more")
    shade = _filterable(page)
    paper = _median(shade, (size, size, 1)[: page.ndim])
    return np.clip(shade / np.maximum(paper, 1e-6), 0, 1).astype(page.dtype, copy=False)


def _mapped(images: np.ndarray, mean_x: np.ndarray, a: np.ndarray, mean_y: np.ndarray) -> np.ndarray:
    images = arrays.floats(images, "images")
    flat = _flat(images, "images", len(mean_x))
    flat -= mean_x
    return np.clip(flat @ a + mean_y, 0, 1).reshape(images.shape).astype(images.dtype)


def _flat(x: np.ndarray, name: str, pixels: int | None = None) -> np.ndarray:
    """A copy in float64, (n, pixels)."""
    x = arrays.numbers(x, name)
    flat = x.reshape(len(x) if x.ndim else 1, -1).astype("float64")
    if pixels not in (None, flat.shape[1]):
        raise ValueError(f"{name} has the shape {x.shape}, {flat.shape[1]} pixels an image; expected {pixels}")
    return flat


def _images(x: np.ndarray) -> np.ndarray:
    x = arrays.floats(x, "x")
    if x.ndim not in (3, 4) or (x.ndim == 3 and x.shape[2] == 1):
        raise ValueError(
            f"x has the shape {x.shape}; expected (images, height, width[, 1]); of one page pass page[None]"
        )
    return x


def _odd(size: int) -> int:
    if (size := arrays.whole(size, "size")) < 1 or size % 2 == 0:
        raise ValueError(f"size={size} pixels; expected an odd number, with a pixel in the middle")
    return size


def _filterable(x: np.ndarray) -> np.ndarray:
    """Return what SciPy's filters can compute with: they know neither half nor extended precision."""
    return x if x.dtype in ("float32", "float64") else x.astype("float32" if x.dtype == "float16" else "float64")


def _median(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return ndimage.median_filter(_filterable(x), size=size).astype(x.dtype, copy=False)
