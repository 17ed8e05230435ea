"""Training as every chapter does it: seeded, with a progress bar, the best weights kept, the time written down."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from tqdm.keras import TqdmCallback

from aebook import feeds


class TrainingError(RuntimeError):
    """The loss stopped being a number; the message says when, and what to try."""


@dataclass
class History:
    """What happened, one entry an epoch: losses on training and validation data, wall seconds.

    best_epoch: counted from 1, the epoch whose weights the model holds now; 0 if none was finished.
    """

    train: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int = 0


def fit(
    model: keras.Model,
    data: Any,
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: Any = None,
    rate: float = 2e-3,
    loss: Any = "mse",
    seed: int = 0,
    patience: int | None = None,
    steps: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> History:
    """Compile and train a model; leave it with the weights of its best epoch on the validation data.

    data: a split, whose images are both input and target, or a pair (training, validation). Each of the two is an
        array of images, (x, y) or (x, y, sample weights), or a `tf.data.Dataset` or `PyDataset` of batches of these,
        such as `noise.batches` returns. Batches of images alone are their own targets.
    optimizer: default `keras.optimizers.Adam`, its learning rate falling from `rate` (for it alone) to zero along a
        cosine. Name one, such as "sgd", and it takes Keras's own rate.
    loss: any Keras loss; None where the model brings its own.
    seed: of the order of the batches and of the noise inside the model; the weights were drawn when it was built.
    patience: stop after so many epochs, one at least, without a better validation loss; None never stops early.
    steps: batches that make an epoch, for a pipeline without an end or of unknown length.
    callbacks: of your own, beside the bar. Whoever of them stops the training, within an epoch or after it, is obeyed.
    Raises TrainingError when the loss is no longer finite. Raises ValueError, before any work is done, for data that
    do not fit the model, for callbacks that cannot work, and for numbers below one.
    Taught in chapter 02.
    """
    training, valid = feeds.read(data, model, loss)
    _require_counts(training, valid, epochs, batch_size, patience, steps)
    steps_an_epoch = _steps(training, batch_size, steps)
    _require_settable_rate(callbacks, optimizer)
    keras.utils.set_random_seed(seed)
    if optimizer is None:
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, epochs * steps_an_epoch))
    model.compile(optimizer=optimizer, loss=loss, jit_compile=False)  # XLA is slower on processors
    if model.built:
        model.optimizer.build(model.trainable_variables)  # or TensorFlow traces the first step twice
    recorder = _Recorder(patience, training, loss)
    watchers = [recorder, *callbacks]
    if somebody_watches():
        watchers.append(TqdmCallback(leave=False))
    options = _options(training, valid, batch_size, steps)
    try:
        model.fit(epochs=epochs, verbose=0, callbacks=watchers, **options)
    finally:  # also when the reader interrupts: the best epoch so far is not lost
        recorder.restore()
    return recorder.history


def _options(training: feeds.Feed, valid: feeds.Feed, batch_size: int, steps: int | None) -> dict[str, Any]:
    """The arguments by which `keras.Model.fit` takes these data."""
    options: dict[str, Any] = {}
    if isinstance(valid, feeds.Pipeline):
        options["validation_data"] = valid.batches
    else:
        options["validation_data"] = (valid.x, valid.y, valid.weights)
        options["validation_batch_size"] = max(batch_size, 512)
    if isinstance(training, feeds.Arrays):
        arrays = {"x": training.x, "y": training.y, "sample_weight": training.weights}
        return {**options, **arrays, "batch_size": batch_size, "shuffle": True}
    batches = training.batches
    if steps is not None:
        batches = batches.repeat() if hasattr(batches, "repeat") else batches
        options["steps_per_epoch"] = steps
    return {**options, "x": batches, "shuffle": False}


def _steps(training: feeds.Feed, batch_size: int, steps: int | None) -> int:
    """Count the batches of an epoch. Raises ValueError where they have no end, or nobody knows."""
    if steps is not None:
        if isinstance(training, feeds.Arrays):
            raise ValueError(f"steps={steps} is for pipelines; of arrays an epoch takes every example once")
        return steps
    if isinstance(training, feeds.Arrays):
        return math.ceil(len(training) / batch_size)
    if training.length is None or training.length == math.inf:
        why = "is unknown" if training.length is None else "has no end"
        cure = "Say with steps= how many batches make an epoch, such as steps=100"
        raise ValueError(f"the length of the training pipeline {why}.\n  {cure}.")
    return int(training.length)


def _require_counts(
    training: feeds.Feed, valid: feeds.Feed, epochs: int, batch_size: int, patience: int | None, steps: int | None
) -> None:
    counts: dict[str, float | None] = {"training examples": len(training), "validation examples": len(valid)}
    counts |= {"epochs": epochs, "batch_size": batch_size, "patience": patience, "steps": steps}
    for name, count in counts.items():
        if count is not None and (count != int(count) or count < 1):
            none = "; None never stops early" if name == "patience" else ""
            raise ValueError(f"{name}: {count} instead of a whole number from one on{none}")
    if isinstance(valid, feeds.Pipeline) and valid.length == math.inf:
        raise ValueError("the validation pipeline has no end.\n  Take so many batches of it: valid.take(20).")


def _require_settable_rate(callbacks: Sequence[keras.callbacks.Callback], optimizer: Any) -> None:
    """Refuse callbacks that set the learning rate where a schedule does."""
    setters = keras.callbacks.ReduceLROnPlateau | keras.callbacks.LearningRateScheduler
    names = [type(callback).__name__ for callback in callbacks if isinstance(callback, setters)]
    if names and (optimizer is None or follows_schedule(optimizer)):
        whose = "the default optimizer's" if optimizer is None else "this optimizer's"
        cure = "Give one with a constant rate: optimizer=keras.optimizers.Adam(0.002)"
        raise ValueError(f"{names[0]} cannot set {whose} learning rate, which follows a schedule.\n  {cure}.")


def follows_schedule(optimizer: Any) -> bool:
    """Tell whether an optimizer's learning rate falls, or rises, by a schedule of its own."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return False  # a name, such as "sgd", stands for a constant rate
    return isinstance(optimizer.get_config().get("learning_rate"), dict)


class _Recorder(keras.callbacks.Callback):
    """Times the epochs, stops on NaN, keeps the best weights."""

    def __init__(self, patience: int | None, training: feeds.Feed, loss: Any) -> None:
        super().__init__()
        self.history = History()
        self.patience = math.inf if patience is None else patience
        self.training, self.loss = training, loss
        self.best = math.inf
        self.best_weights: list[np.ndarray] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        history = self.history
        history.seconds.append(time.perf_counter() - self.start)
        history.train.append(float(logs["loss"]))
        history.valid.append(float(logs["val_loss"]))
        if not math.isfinite(history.train[-1] + history.valid[-1]):
            raise TrainingError(self.advice(epoch))
        if history.valid[-1] <= self.best:
            self.best, history.best_epoch = history.valid[-1], epoch + 1
            self.best_weights = self.model.get_weights()
        if epoch + 1 - history.best_epoch >= self.patience:
            self.model.stop_training = True

    def advice(self, epoch: int) -> str:
        """Say what happened, and what may help for what was run."""
        train, valid = self.history.train[-1], self.history.valid[-1]
        lines = [f"the loss is {train} in training and {valid} in validation after epoch {epoch + 1}"]
        optimizer = self.model.optimizer
        kind = f"optimizer=keras.optimizers.{type(optimizer).__name__}"
        lines.append(f"A learning rate ten times smaller is the first thing to try: {kind}({_smaller(optimizer)}).")
        if optimizer.clipnorm is None and optimizer.global_clipnorm is None and optimizer.clipvalue is None:
            lines.append(f"Gradients that are clipped cannot throw the weights far: {kind}(..., clipnorm=1.0).")
        if "binary_crossentropy" in feeds.name_of(self.loss) and not feeds.is_probability(self.model, None):
            lines.append("Cross-entropy takes logarithms: end the model in a sigmoid, or use from_logits=True.")
        if isinstance(self.training, feeds.Pipeline):
            lines.append("Only the first batch was looked at: check that all of the pipeline's numbers are finite.")
        best = self.history.best_epoch
        held = f"The model holds the weights of epoch {best}."
        lines.append(held if best else "Build the model anew before you go on.")
        return "\n  ".join(lines)

    def restore(self) -> None:
        """Give the model the weights of the best epoch, if there was one."""
        if self.best_weights:
            self.model.set_weights(self.best_weights)


def _smaller(optimizer: keras.optimizers.Optimizer) -> str:
    """A tenth of the rate that an optimizer began with, in digits that a reader would type."""
    rate = optimizer.get_config()["learning_rate"]
    if isinstance(rate, dict):  # a schedule, by its configuration
        rate = rate["config"].get("initial_learning_rate", optimizer.learning_rate)
    return f"{float(rate) / 10:.2g}"


def somebody_watches() -> bool:
    """Tell whether a person sees the progress: a terminal, or a front end that can be asked for input.

    papermill and nbval run cells without that ability, so their outputs hold no bar.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return sys.stderr.isatty()
    request = kernel.get_parent("shell")
    return bool(request.get("content", {}).get("allow_stdin", False))
