"""Numbers that people pass: one rule for the types of what comes in and of what goes out.

Arrays, lists and nested lists of bytes, whole numbers, truth values or floating point are taken. Nothing is computed in
the type that came, because bytes wrap round at 256 and half precision ends at 65,504. What is computed comes back as
floating point: as float32 where bytes, whole numbers or truth values came, otherwise in the type that came.
"""

import operator
from typing import Any

import numpy as np

BYTES = "divide bytes by 255 first"


def numbers(values: Any, name: str, axes: int | None = None, finite: bool = True) -> np.ndarray:
    """Return what was passed as an array of numbers, in the type that came.

    values: an array, or a list that may be nested. name: what messages call it. axes: how many it must have.
    finite: refuse NaN and infinity.
    Raises ValueError for an empty, masked or ragged array, for anything but real numbers, and for other axes.
    """
    array = _array(values, name)
    if array.dtype.name == "bfloat16":  # of Keras and TensorFlow; NumPy has no name for it
        array = array.astype("float32")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: {_described(values, array)}; expected an array of real numbers")
    if array.size == 0:
        raise ValueError(f"{name} is empty, of shape {array.shape}")
    if axes is not None and array.ndim != axes:
        raise ValueError(f"{name} has the shape {array.shape}; expected {axes} axes")
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = array.size - np.count_nonzero(np.isfinite(array))
        raise ValueError(f"{name}: {bad:,} of {array.size:,} values are NaN or infinite; did a training diverge?")
    return array


def floats(values: Any, name: str, axes: int | None = None, finite: bool = True) -> np.ndarray:
    """Return `numbers` as floating point: float32 for bytes, whole numbers and truth values, else what came."""
    array = numbers(values, name, axes, finite)
    return array if array.dtype.kind == "f" else array.astype("float32")


def doubles(values: Any, name: str, axes: int | None = None) -> np.ndarray:
    """Return finite `numbers` in float64, the type of all sums; what is in float64 already is not copied."""
    return numbers(values, name, axes).astype("float64", copy=False)


def unit(values: Any, name: str) -> np.ndarray:
    """Return `floats` that lie in [0, 1]. Raises ValueError with the range that came."""
    array = floats(values, name)
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"{name}: values from {array.min():.4g} to {array.max():.4g} outside [0, 1]; {BYTES}")
    return array


def same_shape(x: Any, x_hat: Any) -> None:
    """Raise ValueError unless both arrays have the same shape: NumPy would repeat the smaller one silently."""
    if x.shape != x_hat.shape:
        raise ValueError(f"the shapes differ: {x.shape} and {x_hat.shape}")


def labels(values: Any, count: int, name: str = "labels") -> np.ndarray:
    """Return class labels (count,): whole numbers, truth values or words. Floats must be whole.

    Raises ValueError for another shape or number of labels, and for fractions.
    """
    array = _array(values, name)
    if array.shape != (count,):
        raise ValueError(f"{name}: the shape is {array.shape}; expected ({count},), one label for each image")
    if array.dtype.kind == "f" and (array == np.rint(array)).all() and np.isfinite(array).all():
        return array.astype("int64")
    if array.dtype.kind not in "biuU":
        raise ValueError(f"{name}: {_described(values, array)}; expected whole numbers, one for each class")
    return array


def whole(value: Any, name: str) -> int:
    """Return a whole number as int. Raises ValueError for anything else, such as 2.5 or "2"."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name}={value!r} is no whole number") from None


def _array(values: Any, name: str) -> np.ndarray:
    parts = values if isinstance(values, list | tuple) else [values]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise ValueError(f"{name} is a masked array, and masks are not heeded; pass filled(...) or compressed()")
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # what NumPy and the backends raise
        raise ValueError(f"{name} is no array: its parts differ in shape, or it holds no numbers yet") from error


def _described(values: Any, array: np.ndarray) -> str:
    if array.dtype == object:
        return f"a {type(values).__name__} came"
    return f"values of type {array.dtype} came"
