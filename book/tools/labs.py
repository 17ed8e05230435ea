"""The labs of the site: what executed notebooks store for them becomes ONNX files, arrays and a place on the page."""

import base64
import hashlib
import html
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import aebook
import pages
from aebook import _silence

MIME = "application/vnd.aebook.lab+json"
PLACE = """<section class="lab" data-lab="{name}" aria-label="Lab: {title}">
<p class="lab-start"><button type="button" hidden>Open the lab: {title}</button>
<noscript>With JavaScript, a lab stands here; the picture above shows what it does.</noscript></p>
<p class="lab-status" role="status"></p>
</section>
<script type="module" src="../_static/labs/start.js"></script>"""
TITLES = {
    "latent-explorer": "walk through two latent planes",
    "denoise-gaussian": "clean a digit of your own",
    "denoise-salt-pepper": "repair a picture of your own",
    "code-size": "choose how many numbers a code keeps",
    "features": "take an image apart",
}


def stored(cell: dict) -> dict[str, Any] | None:
    """The lab that a cell has put out, if any."""
    found = [output["data"][MIME] for output in cell.get("outputs", []) if MIME in output.get("data", {})]
    return found[0] if found else None


def of(executed: dict[str, dict]) -> dict[str, tuple[str, dict, dict]]:
    """Name of a lab -> chapter, the lab itself, the cell of the picture before it. Raises SystemExit without one."""
    found = {}
    for chapter, notebook in executed.items():
        picture: dict = {}
        for cell in notebook["cells"]:
            lab = stored(cell)
            if lab and not picture:
                raise SystemExit(f"site: {chapter}: the lab {lab['name']} has no picture before it")
            if lab:
                found[lab["name"]] = (chapter, lab, picture)
            picture = cell if picture_of(cell) else picture
    return found


def picture_of(cell: dict) -> bytes:
    """The PNG picture that a cell has put out; empty without one."""
    shown = [output["data"]["image/png"] for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
    return base64.b64decode("".join(shown[0])) if shown else b""


def place(name: str) -> str:
    """The lab's place on a page, as HTML that stands below a picture."""
    return PLACE.format(name=name, title=html.escape(TITLES[name]))


def gallery(executed: dict[str, dict]) -> dict[str, str]:
    """For the gallery page: `lab: name` -> picture, caption with a link to the chapter, and the lab's place."""
    values = {}
    for name, (chapter, _, picture) in of(executed).items():
        about = picture["metadata"]["mystnb"]
        shown = f"![{about['image']['alt']}](images/lab-{name}.png)"
        caption = f"{about['figure']['caption']} From the chapter {pages.link(chapter, executed)}."
        values[f"lab: {name}"] = f"{shown}\n\n{caption}\n\n{place(name)}"
    return values


def with_places(notebook: dict) -> None:
    """Put each lab's place behind the cell that stores it, and leave of what it stored only the line of text."""
    cells = []
    for cell in notebook["cells"]:
        cells.append(cell)
        if lab := stored(cell):
            cells.append(
                {"cell_type": "markdown", "id": f"lab-{lab['name']}", "metadata": {}, "source": place(lab["name"])}
            )
            cell["outputs"] = [output for output in cell["outputs"] if MIME not in output.get("data", {})]
    notebook["cells"] = cells


# ---- files


def write_pictures(folder: Path, executed: dict[str, dict]) -> None:
    """Write the picture before each lab, for the gallery."""
    for name, (_, _, picture) in of(executed).items():
        (folder / f"lab-{name}.png").write_bytes(picture_of(picture))


def files(build: Path, executed: dict[str, dict]) -> dict[str, Path]:
    """Name of a lab -> folder with its ONNX files and arrays, below `build`; what was converted before is kept."""
    folders = {}
    here, package = Path(__file__), Path(aebook.__file__).parent
    converters = b"".join(path.read_bytes() for path in (here, package / "export.py", package / "layers.py"))
    for name, (_, lab, _) in of(executed).items():
        key = hashlib.sha256(json.dumps(lab, sort_keys=True).encode() + converters).hexdigest()[:12]
        folders[name] = build / "labs" / key
        if not folders[name].exists():
            scratch = folders[name].with_name(f"{key}.part")
            shutil.rmtree(scratch, ignore_errors=True)
            convert(lab, scratch)
            scratch.rename(folders[name])
    return folders


def convert(lab: dict[str, Any], folder: Path) -> None:
    """Write `<model>.onnx` for each model, all arrays in a row in `lab.bin`, and where they begin in `lab.json`.

    The arrays of a model's test vector are called `<model>.input` and `<model>.output`.
    """
    folder.mkdir(parents=True)
    arrays = dict(lab["arrays"])
    for key, model in lab["models"].items():
        (folder / f"{key}.onnx").write_bytes(packed(onnx(model)))
        arrays |= {f"{key}.{end}": model[end] for end in ("input", "output")}
    content, index = b"", {}
    for key, array in arrays.items():
        if array["dtype"] not in ("uint8", "float32"):
            raise SystemExit(f"site: the lab {lab['name']} stores {key} as {array['dtype']}, not uint8 or float32")
        index[key] = {"dtype": array["dtype"], "shape": array["shape"], "offset": len(content)}
        content += base64.b64decode(array["data"])
        content += bytes(-len(content) % 4)
    (folder / "lab.bin").write_bytes(content)
    (folder / "lab.json").write_text(json.dumps({"models": list(lab["models"]), "arrays": index}), encoding="utf-8")


def values(array: dict[str, Any]) -> np.ndarray:
    """An array as it was stored; what is stored in 8 bits times its scale."""
    whole = np.frombuffer(base64.b64decode(array["data"]), array["dtype"]).reshape(array["shape"])
    return np.float32(whole) * np.float32(array["scale"]) if "scale" in array else whole


def rebuilt(model: dict[str, Any]) -> Any:
    """The Keras model that a notebook stored."""
    with _silence():
        import keras

        import aebook.layers  # noqa: F401 (Keras finds the book's layers by name)

    config = {key: part for key, part in json.loads(model["config"]).items() if key != "compile_config"}
    whole = keras.saving.deserialize_keras_object(config)  # how it was trained does not matter here
    whole.set_weights([values(weight) for weight in model["weights"]])
    return whole


def onnx(model: dict[str, Any]) -> bytes:
    """A stored model as an ONNX file in float32, for batches of any size."""
    from aebook.export import onnx_bytes

    return onnx_bytes(rebuilt(model))


def packed(file: bytes) -> bytes:
    """Store the kernels that 255 steps hold in 8 bits, with a scale each; the file multiplies them when loaded."""
    from onnx import TensorProto, helper, load_model_from_string, numpy_helper

    from aebook.export import LARGE

    model, nodes = load_model_from_string(file), []
    for tensor in list(model.graph.initializer):
        kernel, name = numpy_helper.to_array(tensor), tensor.name
        if kernel.dtype != np.float32 or kernel.size < LARGE:
            continue
        scale = np.float32(np.abs(kernel).max() / 127)
        steps = np.rint(kernel / scale)
        if np.abs(steps * scale - kernel).max() > 1e-4 * scale:
            continue
        tensor.CopyFrom(numpy_helper.from_array(steps.astype("int8"), f"{name}.steps"))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(helper.make_node("Cast", [f"{name}.steps"], [f"{name}.wide"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]))
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()
