"""The page cleaner: a network whose weights lie in a file, and the files that it cleans.

Weights are stored as an `.npz` of numbers, without code: any Keras of the range opens it, and opening it runs nothing.
"""

import inspect
import json
import os
import sys
import tempfile
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from aebook import documents, models
from aebook.train import somebody_watches

WEIGHTS = Path(__file__).with_name("cleaner.npz")
ARGUMENTS: dict[str, Any] = {"widths": [16, 24, 32, 48], "skips": True, "activation": "relu"}  # of its network
PAGES = (None, None, 1)  # shape of what the network gets: grey, of any size
PATCH = 256  # pixels a side of the squares in which a page is cleaned
MOST = 400_000_000  # bytes of numbers that a file may hold once it is unpacked
HOW = (
    "Only weights are read, since a file that holds a whole model may hold code, which would be run.\n"
    "  If you trust the file, open the model as you saved it and store its weights, with the arguments of "
    "models.denoiser that built it, for example\n"
    "    aebook.clean.save_weights(model, 'mine.npz', widths=(16, 24, 32, 48), skips=True, activation='relu')\n"
    "  A model of another kind cleans pages from Python: documents.clean_page(model.predict, page)."
)


class CleanError(RuntimeError):
    """A file of weights does not fit, or a page could not be cleaned; the message says which, and what to do."""


def save_weights(model: keras.Model, path: str | Path, **arguments: Any) -> None:
    """Store the weights of a denoiser of grey pages as an .npz, for `load_network` and `aebook clean --model`.

    model: what `models.denoiser(**arguments, shape=(None, None, 1))` built, or one with the same weights.
    arguments: those of `models.denoiser`, without shape; none for those of the cleaner that comes with the package.
    Raises ValueError when the weights are not those of such a network, or path does not end in .npz.
    Taught in chapter 07.
    """
    if Path(path).suffix != ".npz":
        raise ValueError(f"{path} does not end in .npz; weights are stored as {Path(path).with_suffix('.npz').name}")
    text = json.dumps(arguments or ARGUMENTS)
    try:
        _fit(_network(json.loads(text)), weights := model.get_weights())
    except CleanError as error:
        raise ValueError(f"{path} is not written: {error}") from error
    np.savez_compressed(path, *weights, arguments=np.array(text))


def load_network(path: str | Path = WEIGHTS) -> keras.Model:
    """Build the cleaner and give it the weights of a file: (n, h, w, 1) in [0, 1], 1 white -> the same shape.

    path: an .npz as `save_weights` writes it. What `np.savez(path, *model.get_weights())` writes is taken for weights
    of a network like the one that comes with the package.
    Raises CleanError for a missing, damaged or unsafe file, and for weights that do not fit.
    Taught in chapter 07.
    """
    arguments, weights = _read(Path(path))
    try:
        network = _network(arguments)
        _fit(network, weights)
    except CleanError as error:
        raise CleanError(f"{path}: {error}") from error
    network.set_weights(weights)
    return network


def _read(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The builder's arguments and the weights, in order. Raises CleanError for a file that does not hold them."""
    if not os.path.exists(path):
        raise CleanError(f"{path} is missing\n  Look at the spelling, and at the folder that Python runs in.")
    if path.suffix.lower() != ".npz" or path.is_dir():
        raise CleanError(f"{path} is no .npz file of weights\n  {HOW}")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > MOST:
            raise ValueError(f"it unpacks to {size:,} bytes, expected at most {MOST:,}")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # unpacking damaged files raises many kinds
        reason = f"{path} cannot be read as weights: {error}"
        raise CleanError(f"{reason}\n  Copy or save it again.\n  {HOW}") from error
    try:
        text = arrays.pop("arguments", None)
        arguments = ARGUMENTS if text is None else json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise CleanError(f"{path}: its entry 'arguments' is no JSON: {error}\n  {HOW}") from error
    names = [f"arr_{i}" for i in range(len(arrays))]
    if set(names) != set(arrays):
        found = ", ".join(sorted(arrays)[:5])
        raise CleanError(f"{path}: its arrays are called {found}, expected arr_0, arr_1 and so on\n  {HOW}")
    return arguments, [arrays[name] for name in names]


def _network(arguments: Any) -> keras.Model:
    """The denoiser of grey pages that these arguments build. Raises CleanError for others than the builder's."""
    known = [name for name in inspect.signature(models.denoiser).parameters if name != "shape"]
    if not isinstance(arguments, dict) or set(arguments) - set(known):
        raise CleanError(f"the builder's arguments are {arguments}, expected some of {', '.join(known)}")
    for name, value in arguments.items():
        _require_small(name, value)
    try:
        return models.denoiser(**arguments, shape=PAGES)
    except Exception as error:  # Keras raises many kinds where a number or a name makes no layer
        raise CleanError(f"models.denoiser({arguments}) builds no network: {error}") from error


def _require_small(name: str, value: Any) -> None:
    """Raises CleanError for an argument of the builder that would make a network of another order of size."""
    most = {"widths": 1024, "code": 1024}.get(name, 8)
    for number in value if isinstance(value, list) and len(value) <= 8 else [value]:
        if not (number is None or isinstance(number, str) or (isinstance(number, int) and 0 <= number <= most)):
            limits = f"expected whole numbers from 0 to {most:,}, at most 8 of them"
            raise CleanError(f"the builder's argument {name} is {str(value)[:80]}, {limits}")


def _fit(network: keras.Model, weights: list[np.ndarray]) -> None:
    """Raises CleanError unless these are finite numbers in the shapes of the network's weights."""
    if len(weights) != len(network.weights):
        raise CleanError(f"{len(weights)} arrays of weights, but the network has {len(network.weights)}\n  {HOW}")
    for i, (array, expected) in enumerate(zip(weights, network.weights, strict=True)):
        which = f"array {i} of the weights, a {expected.name},"
        if array.shape != tuple(expected.shape):
            raise CleanError(f"{which} has shape {array.shape}, but the network's is {tuple(expected.shape)}\n  {HOW}")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise CleanError(f"{which} holds {array.dtype}, expected finite floating-point numbers\n  {HOW}")


def clean(inputs: list[Path], out: Path, model: Path = WEIGHTS) -> None:
    """Clean pages, files or whole folders of them, into the folder out, each as a grey PNG; no file is overwritten.

    A result is called like its page, `<name>.png`. Where two pages differ only in suffix, as page.png and page.jpg do,
    the suffix is kept: page.jpg.png. In a folder, files that are no pictures by their names are skipped, and named.
    model: weights for `load_network`.
    Raises CleanError when there are no pages, the weights do not fit, or out cannot be made or written, before any page
    is cleaned; and, after all good pages are done, with a list of the bad ones.
    Taught in chapter 07.
    """
    paths, skipped = _pages(inputs)
    if skipped:
        _say(f"clean: skipped, no pictures by their names: {', '.join(skipped)}")
    if not paths:
        raise CleanError(f"{', '.join(map(str, inputs))} holds no pages\n  Name pictures, or a folder of pictures.")
    names, network = _names(paths), load_network(model)
    bad, done = [], 0
    try:
        with _desk(out) as desk:
            for i, (path, name) in enumerate(names.items(), 1):
                title = f"{i}/{len(names)} {path.name}" * somebody_watches()
                problem = _clean_one(network, path, out / name, Path(desk), title)
                bad += [problem] * bool(problem)
                done += not problem
    except KeyboardInterrupt:
        rest = "Run the same command again for the others; what is there stays."
        raise KeyboardInterrupt(f"{done} of {len(names)} pages are cleaned. {rest}") from None
    _say(f"clean: {done} of {len(names)} pages cleaned into {out}")
    if bad:
        raise CleanError("\n".join(bad))


def _pages(inputs: list[Path]) -> tuple[list[Path], list[str]]:
    """The files to clean, each once, and the names of what in the folders is skipped."""
    found, skipped = dict[str, Path](), []
    for given in inputs:
        for path in _inside(given) if given.is_dir() else [given]:
            if path == given or documents.is_picture(path):
                found.setdefault(os.path.abspath(path), path)
            else:
                skipped.append(path.name + "/" * path.is_dir())
    return list(found.values()), skipped


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise CleanError(f"the folder {folder} cannot be read: {error.strerror}\n  Change its permissions.") from error


def _names(paths: list[Path]) -> dict[Path, str]:
    """The name of each page's result; no two are alike, even on a disk where case does not count."""
    pages, names, taken = Counter(_folded(path.stem) for path in paths), dict[Path, str](), set[str]()
    for path in paths:
        alone = pages[_folded(path.stem)] == 1 or path.suffix == ".png"
        first = path.stem if alone else path.name
        name, n = f"{first}.png", 1
        while _folded(name) in taken:
            n += 1
            name = f"{first}-{n}.png"
        names[path] = name
        taken.add(_folded(name))
        if name != f"{path.stem}.png":
            _say(f"clean: {path} becomes {name}, since another page is called {path.stem}")
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _desk(out: Path) -> tempfile.TemporaryDirectory[str]:
    """A new folder in out, for the page that is being written: nobody can have planted a link there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".unfinished-", dir=out, ignore_cleanup_errors=True)
    except OSError as error:
        reason = f"the folder {out} cannot be made, or nothing can be written there: {error.strerror}"
        raise CleanError(f"{reason}\n  No page was cleaned. Name another folder with -o.") from error


def _clean_one(network: keras.Model, path: Path, target: Path, desk: Path, title: str) -> str:
    """Clean a page into a file; return what was wrong with it, "" if nothing was."""

    def predict(patches: np.ndarray) -> np.ndarray:
        return network.predict(patches, batch_size=4, verbose=0)

    exists = (
        f"{path}: {target} exists already and stays as it is\n  Delete or rename it, or name another folder with -o."
    )
    if os.path.lexists(target):
        return exists
    try:
        page = documents.read_page(path) / documents.WHITE
        cleaned = documents.to_bytes(documents.clean_page(predict, page, PATCH, title=title))
    except documents.DocumentError as error:
        return str(error)
    except Exception as error:  # whatever is wrong with one page, the others are cleaned
        return f"{path} could not be cleaned: {error or type(error).__name__}"
    return "" if _write(cleaned, target, desk) else exists


def _write(page: np.ndarray, target: Path, desk: Path) -> bool:
    """Write a page of bytes under its name once it is whole; tell whether the name was free.

    Raises CleanError where it cannot be written: neither could the pages after it.
    """
    try:
        Image.fromarray(page[..., 0]).save(desk / "page.png", "PNG")
        if os.path.lexists(target):
            return False
        (desk / "page.png").rename(target)
    except OSError as error:
        reason = f"{target} cannot be written: {error.strerror or error}"
        raise CleanError(
            f"{reason}\n  Make room, or name another folder with -o; pages before it are whole."
        ) from error
    return True


def _say(line: str) -> None:
    """Print a line, whatever letters the terminal knows."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding))
