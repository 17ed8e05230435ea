"""Models for the labs of the site, stored with the executed notebook; the site's build makes ONNX files of them."""

import base64
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from IPython import get_ipython

MIME = "application/vnd.aebook.lab+json"
LARGE = 1_000  # numbers from which on a kernel is rounded to 8 bits


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
        model.set_weights([np.float32(w) * scale for w, scale in packed])
        answer = model.predict(x, verbose=0)
        model.set_weights(weights)
        change = max(change, float(np.abs(answer - exact).max()))
        kernels = [{**_array(w), "scale": float(scale)} for w, scale in packed]
        stored[key] = {"config": model.to_json(), "weights": kernels, "input": _array(x), "output": _array(answer)}
    bundle = {"name": name, "models": stored, "arrays": {key: _array(array) for key, array in arrays.items()}}
    if shell := get_ipython():
        shell.display_pub.publish({"text/plain": f"lab: {name} ({', '.join(stored)})", MIME: bundle})
    return change


def _packed(weight: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """The weight as it is and 1, or in 255 steps and the size of a step."""
    if weight.ndim < 2 or weight.size < LARGE:
        return weight, np.float32(1)
    scale = np.float32(max(np.abs(weight).max(), 1e-12) / 127)
    return np.rint(weight / scale).astype("int8"), scale


def _array(values: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(values.tobytes()).decode()
    return {"dtype": str(values.dtype), "shape": list(values.shape), "data": data}
