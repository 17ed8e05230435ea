"""Training as every chapter does it: seeded, with a progress bar, the best weights kept, the time written down."""

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm.keras import TqdmCallback

_ADVICE = """the loss is {} in training and {} in validation after epoch {}
  Try a learning rate ten times smaller, precision='float32', or optimizer=keras.optimizers.Adam(clipnorm=1.0); check
  that the data are finite and within [0, 1]."""


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


@keras.saving.register_keras_serializable("aebook")
class FusedAdam(keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015) that passes over each weight once a step, not ten times: the same numbers, sooner.

    Keras writes the rule as many operations, each of which reads and writes memory; small dense models wait for that
    longer than for their own products. TensorFlow has the rule as one operation; other backends take Keras's.
    Taught in chapter 03.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one weight and its two moments."""
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        index, step = self._get_variable_index(variable), ops.cast(self.iterations + 1, variable.dtype)
        m, v = (state[index].value.handle for state in (self._momentums, self._velocities))
        rates = {"lr": learning_rate, "beta1_power": self.beta_1**step, "beta2_power": self.beta_2**step}
        betas = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
        tf.raw_ops.ResourceApplyAdam(var=variable.handle, m=m, v=v, grad=gradient, **rates, **betas)


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
    precision: str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> History:
    """Compile and train a model; leave it with the weights of its best epoch on the validation data.

    data: a split, whose images are both input and target, or a pair (training, validation), each an array or (x, y);
        the training data may be a `tf.data` pipeline of batches instead, such as `noise.batches` returns.
    optimizer: default `FusedAdam`, its learning rate falling from `rate` (for it alone) to zero along a cosine.
    loss: any Keras loss; None where the model brings its own.
    seed: of the order of the batches and of the noise inside the model; the weights were drawn when it was built.
    patience: stop after so many epochs without a better validation loss; None never stops early.
    precision: "float32", "mixed_bfloat16", or "auto", which takes bfloat16 for convolutions where the processor
        multiplies it in hardware. Last activation, loss and weights stay float32, as does the trained model.
    callbacks: of your own, beside the bar.
    Raises TrainingError when the loss is no longer finite, ValueError for empty data or epochs < 1.
    Taught in chapter 02.
    """
    (x, y), valid = _pairs(data)
    steps = len(x) if y is None else math.ceil(len(x) / batch_size)  # a pipeline has made its batches
    if min(len(x), len(valid[0]), epochs) < 1:
        raise ValueError(f"{len(x)} training, {len(valid[0])} validation examples, {epochs} epochs: need at least one")
    keras.utils.set_random_seed(seed)
    if optimizer is None:
        optimizer = FusedAdam(keras.optimizers.schedules.CosineDecay(rate, epochs * steps))
    recorder = _Recorder(patience, _choose(precision, model))
    options = {"epochs": epochs, "verbose": 0, "validation_data": valid}
    options |= {"batch_size": batch_size, "shuffle": True} if y is not None else {"shuffle": False}
    callbacks = [recorder, *callbacks, *([TqdmCallback(leave=False)] if somebody_watches() else [])]
    with _computing(model, recorder.history.precision):
        model.compile(optimizer=optimizer, loss=loss, jit_compile=False)  # XLA is slower on processors
        if model.built:
            model.optimizer.build(model.trainable_variables)  # or TensorFlow traces the first step twice
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
        # a pipeline's batches bring their targets
        return given if isinstance(given, tuple) else (given, None if hasattr(given, "cardinality") else given)

    return [pair(given) for given in (data if isinstance(data, tuple) else (data.x_train, data.x_valid))]


def _leaves(model: Any) -> list[keras.layers.Layer]:
    """Return the layers in the order of the computation, those of inner models included."""
    return [leaf for layer in model.layers for leaf in (_leaves(layer) if hasattr(layer, "layers") else [layer])]


@contextlib.contextmanager
def _computing(model: keras.Model, policy: str) -> Iterator[None]:
    """Let the layers compute in another precision for a while, up to the last that holds weights.

    Its activation and what follows stay as they are: bfloat16 has too few digits for a sigmoid's answer near one.
    """
    leaves = [] if policy == "float32" else _leaves(model)
    able = [i for i, layer in enumerate(leaves) if layer.trainable_weights and hasattr(layer, "activation")]
    before = [(layer, layer.dtype_policy) for layer in leaves[: max(able, default=-1) + 1]]
    for layer, _ in before:
        layer.dtype_policy = policy
    if before:
        end, activation = before[-1][0], before[-1][0].activation
        end.activation = lambda h: activation(ops.cast(h, "float32"))
    try:
        yield
    finally:
        for layer, own in before:
            layer.dtype_policy = own
        if before:
            end.activation = activation


class _Recorder(keras.callbacks.Callback):
    """Times the epochs, stops on NaN, keeps the best weights."""

    def __init__(self, patience: int | None, precision: str) -> None:
        super().__init__()
        self.history, self.patience = History(precision=precision), patience or math.inf
        self.best_weights: list[np.ndarray] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        history = self.history
        history.seconds.append(time.perf_counter() - self.start)
        history.train.append(float(logs["loss"]))
        history.valid.append(float(logs["val_loss"]))
        if not math.isfinite(history.train[-1] + history.valid[-1]):
            raise TrainingError(_ADVICE.format(history.train[-1], history.valid[-1], epoch + 1))
        if history.valid[-1] <= min(history.valid):
            history.best_epoch, self.best_weights = epoch + 1, self.model.get_weights()
        self.model.stop_training = epoch + 1 - history.best_epoch >= self.patience

    def restore(self) -> None:
        if self.best_weights:
            self.model.set_weights(self.best_weights)


def somebody_watches() -> bool:
    """Tell whether a person sees the progress: a terminal, or a front end that can be asked for input.

    papermill and nbval run cells without that ability, so their outputs hold no bar.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    return bool(kernel._allow_stdin) if kernel is not None else sys.stderr.isatty()
