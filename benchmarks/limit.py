"""How near to the machine's limit does each chapter's model train? FLOP/s of its steps over those of a large product.

Run it with `.venv/bin/python benchmarks/limit.py` on an idle machine; it writes results/limit.json, which book/speed.md
is made from. A step's FLOPs are counted in its graph: forward, backward, update. The peak is measured in the same run.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from speed import machine, now
from tasks import adam, muon, shallow
from tensorflow.tsl.profiler.protobuf import xplane_pb2
from tqdm.auto import tqdm

import aebook
from aebook import losses, models, sources, train

PAGE = (128, 128, 1)
CLEANER = partial(models.denoiser, (16, 24, 32, 48), skips=True, activation="relu", shape=PAGE)
MODELS: dict[str, tuple[Callable[[], keras.Model], Any, tuple[int, ...], Any]] = {
    # chapter and model: builder, loss, batch sizes, optimizer
    "01 linear": (models.linear, "mse", (128, 1024), adam),
    "02 vanilla": (models.vanilla, "mse", (128, 1024), adam),
    "02 convolutional": (models.convolutional, "mse", (128,), adam),
    "03 stacked": (models.stacked, "mse", (32, 128, 1024), adam),
    "03 shallow, with Muon": (shallow(196), "binary_crossentropy", (128, 1024), muon),
    "04 tied": (models.tied, "mse", (128, 1024), adam),
    "05, 06 denoiser with skips": (lambda: models.denoiser((16, 32), skips=True), "mse", (32, 128), adam),
    "06 source E's model": (sources.RECIPES["e-salt-pepper"].build, "mse", (128,), adam),
    "07 cleaner": (CLEANER, "mse", (8,), adam),
    "08 sparse": (models.sparse, "mse", (128, 1024), adam),
    "09 contractive": (models.contractive, losses.squared_error, (128, 1024), adam),
    "11 variational": (lambda: models.vae(models.vanilla(50, (200, 200))), None, (256,), adam),
}  # fmt: skip


def seconds(function: Callable[[], Any], least: float = 0.4) -> float:
    """Median wall seconds of a call, over at least five calls and so many seconds."""
    function(), function()  # the graph is made, memory is taken
    taken: list[float] = []
    while len(taken) < 5 or sum(taken) < least:
        start = now()[0]
        function()
        taken.append(now()[0] - start)
    return median(taken)


def peak() -> float:
    """FLOP/s of the fastest of some square products, in float32."""

    def rate(n: int) -> float:
        a = tf.random.normal((n, n))
        return 2 * n**3 / seconds(tf.function(lambda: tf.matmul(a, a)))

    return max(rate(n) for n in (1024, 2048, 4096))


def flops(function: Any) -> int:
    """Floating-point operations of a compiled function, counted in its graph by TensorFlow."""
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return tf.compat.v1.profiler.profile(function.get_concrete_function().graph, options=options).total_float_ops


KINDS = {  # what an operation is, by the first of these words that its type's name holds
    "Conv2DBackprop": "convolutions, backward", "Conv2D": "convolutions, forward", "MatMul": "dense layers",
    "Pool": "pooling", "Adam": "update",
}  # fmt: skip


def profile(step: Callable[[], Any], steps: int = 10) -> dict[str, float]:
    """Seconds of a step's operations by their kind, as TensorFlow's profiler saw them; some run at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(steps):
                step()
        (path,) = Path(folder).rglob("*.xplane.pb")
        planes = xplane_pb2.XSpace.FromString(path.read_bytes()).planes
    found: Counter[str] = Counter()
    for plane in planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for event in (event for line in plane.lines for event in line.events):
            layer, _, operation = names[event.metadata_id].rpartition(":")  # an operation is called layer:Type
            if layer and ":" not in layer and operation[0] != " ":
                kind = next((kind for word, kind in KINDS.items() if word in operation), "pixel by pixel")
                found[kind] += event.duration_ps / 1e12 / steps
    return dict(found)


def measure(name: str, batch: int) -> dict[str, Any]:
    """Time a training step as a whole and in parts; what is left of `train.fit`'s step is Keras and the pipeline."""
    build, loss, _, optimizer = MODELS[name]
    model, steps = build(), 40
    x = np.random.default_rng(0).random((batch, *(PAGE if "cleaner" in name else (28, 28, 1))), "float32")
    model.compile(optimizer(1e-3)(10_000), loss, jit_compile=False)
    images, weights = tf.constant(x), model.trainable_variables

    def charge() -> Any:
        return model.compute_loss(images, images, model(images, training=True))

    def gradient() -> Any:
        with tf.GradientTape() as tape:
            total = charge()
        return tape.gradient(total, weights)

    whole = tf.function(lambda: model.optimizer.apply(gradient(), weights))
    count, step = flops(whole), seconds(whole)
    forward, both, kinds = seconds(tf.function(charge)), seconds(tf.function(gradient)), profile(whole)
    fitted = []
    given = tf.data.Dataset.from_tensors((x, x)).repeat(steps)
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: fitted.append(now()[0]))
    how = {"optimizer": optimizer(1e-3)(steps), "loss": loss, "callbacks": [watch]}
    train.fit(model, (given, (x[:8], x[:8])), epochs=1, **how)
    parts = {"forward": forward, "backward": both - forward, "update": step - both}
    taken = median(np.diff(fitted[steps // 4 :]))
    return {"model": name, "precision": "float32", "batch size": batch, "FLOPs": count, "seconds": taken,
            **parts, "rest": taken - step, "profile": kinds}  # fmt: skip


def main() -> None:
    """Measure what the file lacks; peaks in between, so that a change of the machine's speed is seen."""
    aebook.setup()
    path = Path(__file__).with_name("results") / "limit.json"
    fresh = {"machine": machine(), "peaks": {"float32": []}, "rows": []}
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else fresh
    done = {(row["model"], row["batch size"]) for row in result["rows"] if row["precision"] == "float32"}
    plan = [(name, batch) for name, (_, _, batches, _) in MODELS.items() for batch in batches]
    for i, key in enumerate(tqdm([key for key in plan if key not in done])):
        if i % 5 == 0:
            result["peaks"]["float32"].append(peak())
        result["rows"].append(measure(*key))
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
