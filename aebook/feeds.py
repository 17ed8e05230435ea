"""What `train.fit` is given: arrays and pipelines, looked at before any work is done.

Whatever cannot be trained on is refused here, in words: what came, what is allowed, and the way out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

ALLOWED = """Give a split, as `data.load` returns it, or a pair (training, validation). Each of the two is
    images, which are their own targets,
    or (x, y), or (x, y, sample weights),
    or a pipeline of batches of these: a `tf.data.Dataset` or a `keras.utils.PyDataset`."""

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Arrays:
    """Inputs, targets and, if there are any, sample weights, held in memory.

    x, y: an array (n, ...) each, or a list of arrays where the model has several inputs or outputs.
    """

    x: Any
    y: Any
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(_parts(self.x)[0])


@dataclass(frozen=True)
class Pipeline:
    """Batches (x, y) or (x, y, sample weights) that are made while the model trains.

    batches: a `tf.data.Dataset` or a `PyDataset`. length: batches in an epoch; None if nobody knows, inf without end.
    first: the first batch, as arrays; None where it is neither images nor a tuple.
    """

    batches: Any
    length: float | None
    first: Arrays | None

    def __len__(self) -> int:
        return int(min(self.length, 1)) if self.length is not None else 1


Feed = Arrays | Pipeline


def read(data: Any, model: keras.Model, loss: Any) -> tuple[Feed, Feed]:
    """Return training and validation data, each looked at: kind, shapes, lengths, numbers and their range.

    data: as for `train.fit`. model, loss: what will be trained; what they do not tell is not compared.
    Raises ValueError with what came, what is allowed and the way out.
    """
    shapes = input_shape(model), output_shape(model)
    feeds = []
    for name, given in zip(("training data", "validation data"), _pair(data), strict=True):
        feed = _pipeline(given, name) if is_pipeline(given) else _arrays(given, name, *shapes)
        feeds.append(_look(feed, name, model, loss))
    return feeds[0], feeds[1]


def is_pipeline(given: Any) -> bool:
    """Tell whether this is a `tf.data.Dataset` or a `PyDataset`; TensorFlow need not be installed for that."""
    return hasattr(given, "cardinality") or isinstance(given, keras.utils.PyDataset)


def input_shape(model: Any) -> Any:
    """Return the shape of what a model takes, (None, ...), a list of shapes, or None if it does not tell."""
    return getattr(model, "input_shape", None) or getattr(getattr(model, "encoder", None), "input_shape", None)


def output_shape(model: Any) -> Any:
    """Return the shape of what a model answers, as `input_shape` does."""
    return getattr(model, "output_shape", None) or getattr(getattr(model, "decoder", None), "output_shape", None)


# ---- what came


def _pair(data: Any) -> tuple[Any, Any]:
    if hasattr(data, "x_train") and hasattr(data, "x_valid"):
        return data.x_train, data.x_valid
    if not isinstance(data, tuple | list) or len(data) != 2:
        hint = "\n  Validation data are missing." if _is_alone(data) else ""
        raise ValueError(f"the data are {described(data)}.{hint}\n  {ALLOWED}")
    for name, part in zip(("training", "validation"), data, strict=True):
        if part is None:
            hold_out = "hold some images out, such as (x[500:], x[:500])"
            raise ValueError(f"the {name} data are None: {hold_out}.\n  {ALLOWED}")
    return data[0], data[1]


def _is_alone(data: Any) -> bool:
    return hasattr(data, "shape") or is_pipeline(data)


def described(value: Any) -> str:
    """Say in a few words what somebody passed."""
    if hasattr(value, "shape"):
        return f"an array of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _pipeline(given: Any, name: str) -> Pipeline:
    find = _of_tensorflow if hasattr(given, "cardinality") else _of_keras
    batches, length, batch = find(given, name)
    first = None
    if isinstance(batch, tuple) and all(hasattr(part, "shape") for part in batch):
        first = Arrays(*(np.asarray(part) for part in batch))
    return Pipeline(batches, length, first)


def _of_tensorflow(given: Any, name: str) -> tuple[Any, float | None, Any]:
    known = {-1: math.inf, -2: None}  # what TensorFlow calls INFINITE and UNKNOWN
    count = int(given.cardinality())
    batch = next(iter(given.take(1)), None)
    if batch is None:
        raise ValueError(f"the {name} are a pipeline without a single batch; is its folder or generator empty?")
    if hasattr(batch, "shape"):  # images alone
        given, batch = given.map(_twice), (batch, batch)
    return given, known.get(count, count), batch


def _of_keras(given: keras.utils.PyDataset, name: str) -> tuple[Any, float | None, Any]:
    length = len(given) if hasattr(given, "__len__") else given.num_batches
    if length == 0:
        raise ValueError(f"the {name} are a {type(given).__name__} without a single batch")
    batch = given[0]
    if hasattr(batch, "shape"):
        given, batch = _Twice(given), (batch, batch)
    return given, math.inf if length is None else length, batch


def _twice(images: Any) -> tuple[Any, Any]:
    return images, images


class _Twice(keras.utils.PyDataset):
    """A PyDataset of images whose targets are these images."""

    def __init__(self, images: keras.utils.PyDataset) -> None:
        super().__init__(images.workers, images.use_multiprocessing, images.max_queue_size)
        self.images = images

    @property
    def num_batches(self) -> int | None:
        return len(self.images) if hasattr(self.images, "__len__") else self.images.num_batches

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return _twice(self.images[index])

    def on_epoch_end(self) -> None:
        self.images.on_epoch_end()


def _arrays(given: Any, name: str, takes: Any, answers: Any) -> Arrays:
    if isinstance(given, dict) or not (hasattr(given, "shape") or isinstance(given, tuple | list)):
        hint = "A generator becomes a pipeline by `tf.data.Dataset.from_generator`."
        raise ValueError(f"the {name} are {described(given)}.\n  {ALLOWED}\n  {hint}")
    if not isinstance(given, tuple):
        x = _numbers(given, takes, name)
        return Arrays(x, x)
    if not 2 <= len(given) <= 3:
        raise ValueError(f"the {name} are a tuple of {len(given)}.\n  {ALLOWED}")
    x, y = _numbers(given[0], takes, f"{name}: x"), _numbers(given[1], answers, f"{name}: y")
    weights = None if len(given) == 2 or given[2] is None else _array(given[2], f"{name}: sample weights")
    return Arrays(x, y, weights)


def _numbers(given: Any, shape: Any, name: str) -> Any:
    """An array; a list of arrays for a model of several inputs; a list of images becomes one array."""
    if isinstance(shape, list) and isinstance(given, tuple | list):
        return [_array(part, name) for part in given]
    if isinstance(given, tuple | list):
        shapes = {np.shape(part) for part in given} if _has_shapes(given) else set()
        if len(shapes) > 1:
            some = " and ".join(sorted(map(str, shapes))[:2])
            found = f"a list of {len(given)} images of different shapes, such as {some}"
            raise ValueError(f"{name}: {found}; crop or resize them")
    return _array(given, name)


def _has_shapes(given: Any) -> bool:
    return all(hasattr(part, "shape") for part in given)


def _array(given: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name}: {described(given)} that is no array of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: values of type {array.dtype} instead of numbers")
    return array


# ---- what it holds


def _look(feed: Feed, name: str, model: Any, loss: Any) -> Feed:
    """Compare a feed with the model; return it with sample weights of the shape that the loss needs."""
    piped = isinstance(feed, Pipeline)
    arrays = feed.first if isinstance(feed, Pipeline) else feed
    if arrays is None:
        return feed
    _require_lengths(arrays, name, piped)
    if not len(arrays):
        return feed  # `train.fit` counts the examples
    takes, answers = input_shape(model), output_shape(model)
    if isinstance(takes, tuple) and not isinstance(arrays.x, list):
        _require_shape(arrays.x, takes, f"{name}: x", _input_hint)
    if isinstance(answers, tuple) and compares(loss, arrays.y, answers):
        _require_shape(arrays.y, answers, f"{name}: y", _target_hint)
    for part, side in ((arrays.x, "x"), (arrays.y, "y"), (arrays.weights, "sample weights")):
        _require_finite(part, f"{name}: {side}")
    if _is_bounded(model, loss) and not isinstance(arrays.y, list):
        _require_range(arrays.y, f"{name}: y")
    if arrays.weights is None:
        return feed
    weights = _spread(arrays.weights, arrays.y, name, loss)
    if isinstance(feed, Arrays):
        return Arrays(feed.x, feed.y, weights)
    if weights.shape != arrays.weights.shape:
        found = f"sample weights of shape {arrays.weights.shape} instead of {weights.shape}"
        raise ValueError(f"the {name} bring {found}, one number for each that the loss gives an example.")
    return feed


def compares(loss: Any, y: Any, answers: Shape) -> bool:
    """Tell whether a loss compares each number of a target with the one in its place.

    One of the model's own (None), or one for several outputs, may do as it likes. A loss that is called sparse takes
    the number of a class instead of its vector, and Keras adds the last axis where it has length one.
    """
    if loss is None or isinstance(loss, list | tuple | dict) or isinstance(y, list) or "sparse" in name_of(loss):
        return False
    is_without_axis = answers[-1] == 1 and len(answers) == 2 and y.ndim == 1
    return not is_without_axis


def name_of(loss: Any) -> str:
    """The name of a loss, in small letters with underscores."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return str(name).lower()


def _require_lengths(arrays: Arrays, name: str, piped: bool) -> None:
    counts = {"inputs": _lengths(arrays.x), "targets": _lengths(arrays.y)}
    if arrays.weights is not None:
        counts["sample weights"] = _lengths(arrays.weights)
    hint = "\n  If this pipeline gives single examples, add `.batch(128)`." if piped else ""
    found = set.union(*counts.values())
    if -1 in found:
        raise ValueError(f"the {name} hold a single number where an array of examples is expected.{hint}")
    if len(found) > 1:
        each = ", ".join(f"{' and '.join(map(str, sorted(n)))} {what}" for what, n in counts.items())
        raise ValueError(f"the {name} do not belong together: {each}; there must be one for each example.{hint}")


def _lengths(value: Any) -> set[int]:
    """How many examples each array holds; -1 for a single number."""
    return {len(part) if part.ndim else -1 for part in _parts(value)}


def _parts(value: Any) -> list[np.ndarray]:
    return value if isinstance(value, list) else [value]


def _require_shape(array: np.ndarray, expected: Shape, name: str, hint: Callable[[Shape, Shape], str]) -> None:
    if not fits(array.shape, expected):
        found = f"{name} has the shape {array.shape}, and the model needs {shown(expected)}"
        raise ValueError(f"{found}.\n  {hint(array.shape, expected)}")


def shown(shape: Shape) -> str:
    """A model's shape as a reader writes it: n for the number of examples, any for a size that is free."""
    sizes = ["any" if size is None else str(size) for size in shape[1:]]
    return f"(n, {', '.join(sizes)})" if sizes else "(n,)"


def fits(shape: Shape, expected: Shape) -> bool:
    """Tell whether a shape is the expected one; None stands for any size."""
    if len(shape) != len(expected):
        return False
    return all(wanted in (None, size) for size, wanted in zip(shape[1:], expected[1:], strict=True))


def _input_hint(shape: Shape, expected: Shape) -> str:
    if fits((None, *shape), expected):
        return "This is one example; x[None] makes an array of one, and a pipeline needs `.batch(128)`."
    if fits((*shape, 1), expected):
        return "The axis of the channels is missing: x[..., None] adds it."
    if len(shape) == 1:
        return "These look like labels. The pair is (training, validation), each of them images or (x, y)."
    sizes, wanted = [size or 0 for size in shape[1:]], [size or 0 for size in expected[1:]]
    if math.prod(sizes) == math.prod(wanted) > 0:
        return f"The numbers are as many: x.reshape(-1, {', '.join(map(str, wanted))}) brings them into that shape."
    build = "build the model for them: the book's builders take shape=, such as shape=(64, 64, 3)"
    return f"Resize or crop the images, or {build}."


def _target_hint(shape: Shape, expected: Shape) -> str:
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        targets = "An autoencoder's targets are images: give x alone"
        return f"These look like labels. {targets}. A classifier needs a sparse loss."
    if fits((*shape, 1), expected):
        return "The axis of the channels is missing: y[..., None] adds it."
    other = "for a loss that wants others, compile the model and call model.fit"
    return f"Targets need the shape of the model's answers; {other}."


def _require_finite(value: Any, name: str) -> None:
    for array in [] if value is None else _parts(value):
        bad = array.size - np.count_nonzero(np.isfinite(array)) if array.dtype.kind == "f" else 0
        if bad:
            hint = "Find them by np.isnan(x) and np.isinf(x); a division by zero is the usual cause"
            raise ValueError(f"{name} holds {bad:,} numbers that are NaN or infinite, of {array.size:,}.\n  {hint}.")


def _is_bounded(model: Any, loss: Any) -> bool:
    if loss is None or isinstance(loss, list | tuple | dict) or "sparse" in name_of(loss):
        return False
    return is_probability(model, loss)


def _require_range(y: np.ndarray, name: str) -> None:
    low, high = float(y.min()), float(y.max())
    if low < -1e-6 or high > 1 + 1e-6:
        cure = "divide bytes by 255" if low >= 0 and high <= 255 else "bring them into [0, 1]"
        why = "its last activation is a sigmoid, or its loss a cross-entropy"
        found = f"{name} runs from {low:.4g} to {high:.4g}, and the model answers within [0, 1] ({why})"
        raise ValueError(f"{found}.\n  Of pictures, {cure}; or change what ends the model.")


def is_probability(model: Any, loss: Any) -> bool:
    """Tell whether targets outside [0, 1] are out of reach: behind a sigmoid, or under binary cross-entropy."""
    return "binary_crossentropy" in name_of(loss) or last_activation(model) is keras.activations.sigmoid


def last_activation(model: Any) -> Any:
    """Return the activation of a model's last layer, looking through those that only move numbers; None if unknown."""
    moves = keras.layers.Reshape | keras.layers.Flatten | keras.layers.Cropping2D | keras.layers.Permute
    end = getattr(model, "decoder", model)
    layers = [layer for layer in getattr(end, "layers", []) if not isinstance(layer, moves)]
    if not layers:
        return None
    last = layers[-1]
    return last_activation(last) if hasattr(last, "layers") else getattr(last, "activation", None)


def _spread(weights: np.ndarray, y: Any, name: str, loss: Any) -> np.ndarray:
    """Give weights (n,) the axes of what the loss returns for each example, such as (n, 1, 1) for pictures.

    Raises ValueError where Keras would ignore them.
    """
    if loss is None:
        raise ValueError(f"the {name} bring sample weights, which a model with a loss of its own does not use.")
    if isinstance(y, list) or isinstance(loss, list | tuple | dict) or "sparse" in name_of(loss):
        return weights
    axes = _loss_rank(loss, y[:1]) - weights.ndim
    return weights.reshape(*weights.shape, *[1] * max(axes, 0))


def _loss_rank(loss: Any, y: np.ndarray) -> int:
    """How many axes a loss returns, before Keras takes the mean: those of y but the last, or the first alone."""
    function = keras.losses.get(loss)
    function = function.call if isinstance(function, keras.losses.Loss) else function
    example = keras.ops.convert_to_tensor(y, dtype="float32")
    return len(function(example, example).shape)
