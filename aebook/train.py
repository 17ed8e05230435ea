"""Training as every chapter does it: seeded, one progress bar, the best weights kept, the time written down."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from tqdm.auto import tqdm


class TrainingError(RuntimeError):
    """The loss stopped being a number; the message says when, and what to try."""


@dataclass
class History:
    """What happened, one entry an epoch: losses on training and validation data, wall seconds.

    best_epoch: counted from 1, the epoch whose weights the model holds now.
    precision: "float32" or "mixed_bfloat16".
    """

    train: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int = 0
    precision: str = "float32"


class _Images(Protocol):
    x_train: np.ndarray
    x_valid: np.ndarray


def fit(
    model: keras.Model,
    data: "_Images | tuple[Any, Any]",
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: Any = None,
    loss: Any = "mse",
    seed: int = 0,
    patience: int | None = None,
    precision: str = "auto",
) -> History:
    """Compile and train a model; leave it with the weights of its best epoch on the validation data.

    data: a split, whose images are both input and target, or a pair (training, validation), each an array or (x, y);
        the training data may be a `tf.data` pipeline of batches instead, such as `noise.batches` returns.
    optimizer: default Adam, its learning rate falling from 0.002 to zero along a cosine.
    loss: any Keras loss; None where the model brings its own.
    seed: of the order of the batches and of the noise inside the model; the weights were drawn when it was built.
    patience: stop after so many epochs without a better validation loss; None never stops early.
    precision: "float32", "mixed_bfloat16", or "auto", which takes bfloat16 for convolutions where the processor
        multiplies it in hardware. The loss, the last layer and all weights stay float32, as does the trained model.
    Raises TrainingError when the loss is no longer finite, ValueError for empty data or epochs < 1.
    Taught in chapter 02.
    """
    (x, y), valid = _pairs(data)
    steps = len(x) if y is None else math.ceil(len(x) / batch_size)  # a pipeline has made its batches
    if min(len(x), len(valid[0]), epochs) < 1:
        raise ValueError(f"{len(x)} training, {len(valid[0])} validation examples, {epochs} epochs: need at least one")
    keras.utils.set_random_seed(seed)
    if optimizer is None:
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, epochs * steps))
    recorder = _Recorder(patience)
    recorder.history.precision = _choose(precision, model)
    options = {"epochs": epochs, "verbose": 0, "validation_data": valid}
    options |= {"batch_size": batch_size, "shuffle": True} if y is not None else {"shuffle": False}
    callbacks = [recorder, _Bar(epochs * steps)] if somebody_watches() else [recorder]
    with _Precision(model, recorder.history.precision):
        model.compile(optimizer=optimizer, loss=loss, jit_compile=False)  # XLA is slower on processors
        try:
            model.fit(x, y, validation_batch_size=max(batch_size, 512), callbacks=callbacks, **options)
        finally:  # also when the reader interrupts: the best epoch so far is not lost
            recorder.restore()
    model.compile(optimizer=optimizer, loss=loss, jit_compile=False)  # forget what was traced in the other precision
    return recorder.history


def best_precision() -> str:
    """Return "mixed_bfloat16" where the hardware multiplies bfloat16 (AMX, or a GPU since Ampere), else "float32"."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
            return "mixed_bfloat16" if capability >= (8, 0) else "float32"
    processor = Path("/proc/cpuinfo")
    return "mixed_bfloat16" if processor.exists() and "amx_bf16" in processor.read_text() else "float32"


def _choose(precision: str, model: keras.Model) -> str:
    if precision not in ("auto", "float32", "mixed_bfloat16"):
        raise ValueError(f"unknown precision {precision!r}; choose auto, float32 or mixed_bfloat16")
    if precision != "auto":
        return precision
    worth_it = any(getattr(layer, "filters", 0) >= 16 for layer in _leaves(model))  # only convolutions have filters
    return best_precision() if worth_it else "float32"


def _pairs(data: Any) -> Sequence[tuple[Any, Any]]:
    def pair(given: Any) -> tuple[Any, Any]:
        pipeline = hasattr(given, "cardinality")  # its batches bring their targets
        return given if isinstance(given, tuple) else (given, None if pipeline else given)

    return [pair(given) for given in (data if isinstance(data, tuple) else (data.x_train, data.x_valid))]


def _leaves(model: Any) -> list[keras.layers.Layer]:
    """Return the layers in the order of the computation, those of inner models included."""
    return [leaf for layer in model.layers for leaf in (_leaves(layer) if hasattr(layer, "layers") else [layer])]


class _Precision:
    """Let the layers compute in another precision for a while, all but the last that holds weights and what follows."""

    def __init__(self, model: keras.Model, policy: str) -> None:
        leaves = _leaves(model)
        last = max((i for i, layer in enumerate(leaves) if layer.trainable_weights), default=0)
        self.policy, self.before = policy, [(layer, layer.dtype_policy) for layer in leaves[:last]]

    def __enter__(self) -> None:
        for layer, _ in self.before if self.policy != "float32" else ():
            layer.dtype_policy = self.policy

    def __exit__(self, *_: object) -> None:
        for layer, policy in self.before:
            layer.dtype_policy = policy


class _Recorder(keras.callbacks.Callback):
    """Times the epochs, stops on NaN, keeps the best weights."""

    def __init__(self, patience: int | None) -> None:
        super().__init__()
        self.history, self.patience = History(), patience or math.inf
        self.best_weights: list[np.ndarray] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        history = self.history
        history.seconds.append(time.perf_counter() - self.start)
        history.train.append(float(logs["loss"]))
        history.valid.append(float(logs["val_loss"]))
        self._require_finite(epoch + 1)
        if history.valid[-1] <= min(history.valid):
            history.best_epoch, self.best_weights = epoch + 1, self.model.get_weights()
        self.model.stop_training = epoch + 1 - history.best_epoch >= self.patience

    def restore(self) -> None:
        if self.best_weights:
            self.model.set_weights(self.best_weights)

    def _require_finite(self, epoch: int) -> None:
        train, valid = self.history.train[-1], self.history.valid[-1]
        if not math.isfinite(train + valid):
            raise TrainingError(
                f"the loss is {train} in training and {valid} in validation after epoch {epoch}\n"
                "  Try a learning rate ten times smaller, precision='float32', or"
                " optimizer=keras.optimizers.Adam(clipnorm=1.0); check that the data are finite and within [0, 1]."
            )


class _Bar(keras.callbacks.Callback):
    """One progress bar over all batches of all epochs."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.bar = tqdm(total=batches, unit="batch", leave=False)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.set_description(f"epoch {epoch + 1}: train {logs['loss']:.4g}, valid {logs['val_loss']:.4g}")

    def on_train_end(self, logs: Any = None) -> None:
        self.bar.close()


def somebody_watches() -> bool:
    """Tell whether a person sees the progress: a terminal, or a front end that can be asked for input.

    papermill and nbval run cells without that ability, so their outputs hold no bar.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    return bool(kernel._allow_stdin) if kernel is not None else sys.stderr.isatty()
