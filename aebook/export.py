"""Models for other programs: as ONNX files, and for the labs of the site, stored with the executed notebook."""

import base64
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from IPython import get_ipython

from aebook import _silence

MIME = "application/vnd.aebook.lab+json"
LARGE = 1_000  # numbers from which on a kernel is rounded to 8 bits


def onnx(model: keras.Model, path: str | Path) -> None:
    """Write a model as an ONNX file, which ONNX Runtime and its kin run without Python or Keras.

    model: any model or half of a model of the book, or one of Keras's layers; float32, for batches of any size, and
        for images of any size where the model takes them. Of a variational model the file decodes the latents' mean
        (`VAE.without_draws`), as an ONNX file of random draws gives other numbers in every program.
    path: of the file; it is replaced once the new one is complete, so that an interruption leaves the old one.
    Raises ValueError for a model that holds what ONNX does not know, or draws random numbers, or was never called;
    ImportError without `pip install tf2onnx onnx`; RuntimeError unless Keras runs on TensorFlow.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {str(path.parent)!r}; make it first")
    content = onnx_bytes(model)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        part = Path(folder, path.name)
        part.write_bytes(content)
        part.replace(path)


def onnx_bytes(model: keras.Model) -> bytes:
    """The content of the file that `onnx` writes; it raises what that raises."""
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"aebook.export.onnx needs TensorFlow; Keras runs on {keras.backend.backend()} here")
    if hasattr(model, "without_draws"):
        model = model.without_draws()
    with _silence():
        import tensorflow as tf

        try:
            from tf2onnx import convert
        except ImportError as error:
            cure = "pip install tf2onnx onnx"
            raise ImportError(f"aebook.export.onnx needs two more packages ({error}): {cure}") from error
    known = enumerate(_inputs(model))
    inputs = [tf.TensorSpec(shape, dtype, name=f"input_{i}") for i, (shape, dtype) in known]

    @tf.function(input_signature=inputs)
    def answer(*x: Any) -> Any:
        return model(x[0] if len(x) == 1 else list(x), training=False)

    with _silence(), warnings.catch_warnings(action="ignore"):
        file, _ = convert.from_function(answer, inputs, custom_op_handlers={"Erfc": (_erfc, [])})
    _require_known(file, model.name)
    return file.SerializeToString()


def _require_known(file: Any, name: str) -> None:
    """Refuse a file with operations that ONNX does not define: no program could run it."""
    from onnx import defs

    nodes = file.graph.node
    unknown = sorted({node.op_type for node in nodes if not defs.has(node.op_type, node.domain)})
    if any("Random" in operation for operation in unknown):
        raise ValueError(
            f"{name!r} draws random numbers, which an ONNX file does not hold.\n  Export the parts "
            "before and after the draw, such as encoder and decoder, each by itself"
        )
    if unknown:
        raise ValueError(
            f"{name!r} computes what ONNX does not know: {', '.join(unknown)}.\n  Export the parts "
            "without it, or write its layer with simpler operations of keras.ops"
        )


def _inputs(model: Any) -> list[tuple[tuple[int | None, ...], str]]:
    """Shape and type of each input, the first number of a shape, that of images, unknown."""
    if tensors := getattr(model, "inputs", None):
        return [((None, *tensor.shape[1:]), tensor.dtype) for tensor in tensors]
    shape = (model.get_build_config() or {}).get("input_shape")
    if shape is None:
        raise ValueError(f"{model.name!r} was never called, so its input's shape is unknown: call it on a batch first")
    return [((None, *shape[1:]), "float32")]


def _erfc(graph: Any, node: Any, name: str, given: Any) -> None:
    """Tell tf2onnx what TensorFlow makes of GELU: erfc(x) = 1 - erf(x)."""
    from tf2onnx import utils

    kind = {"shapes": node.output_shapes, "dtypes": node.output_dtypes}
    one = graph.make_const(utils.make_name("one"), np.array(1, "float32")).output[0]
    erf = graph.make_node("Erf", node.input, **kind).output[0]
    graph.remove_node(node.name)
    graph.make_node("Sub", [one, erf], outputs=node.output, name=node.name, **kind)


def lab(name: str, models: Mapping[str, tuple[keras.Model, np.ndarray]], **arrays: np.ndarray) -> float:
    """Store what a lab shows with the executed notebook; return the largest change of an answer by rounding.

    name: of the lab. models: name -> a model and a batch of inputs, whose answers the lab must give as well.
    arrays: what else the lab needs, uint8 or float32. Large kernels are stored in 8 bits with one scale each: a quarter
    of the size. The models given stay as they are; the change is in the unit of their answers.
    Used by chapters 05, 06 and 11.
    """
    stored, change = {}, 0.0
    for key, (model, x) in models.items():
        exact, weights = model.predict(x, verbose=0), model.get_weights()
        packed = [_packed(w) for w in weights]
        answer = _answer_with(model, [np.asarray(w, "float32") * scale for w, scale in packed], x)
        change = max(change, float(np.abs(answer - exact).max()))
        kernels = [{**_array(w), "scale": float(scale)} for w, scale in packed]
        stored[key] = {"config": model.to_json(), "weights": kernels, "input": _array(x), "output": _array(answer)}
    bundle = {"name": name, "models": stored, "arrays": {key: _array(array) for key, array in arrays.items()}}
    if shell := get_ipython():
        shell.display_pub.publish({"text/plain": f"lab: {name} ({', '.join(stored)})", MIME: bundle})
    return change


def _answer_with(model: keras.Model, weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """What the model answers with other weights; it gets its own back, also when the reader interrupts."""
    own = model.get_weights()
    try:
        model.set_weights(weights)
        return model.predict(x, verbose=0)
    finally:
        model.set_weights(own)


def _packed(weight: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """The weight as it is and 1, or in 255 steps and the size of a step."""
    if weight.ndim < 2 or weight.size < LARGE:
        return weight, np.float32(1)
    scale = np.float32(max(np.abs(weight).max(), 1e-12) / 127)
    return np.rint(weight / scale).astype("int8"), scale


def _array(values: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(values.tobytes()).decode()
    return {"dtype": str(values.dtype), "shape": list(values.shape), "data": data}
