"""What the chapters of *Autoencoders: from the bottleneck to the ELBO* share.

Importing the package loads neither Keras nor TensorFlow; each module loads what it needs.
"""

import contextlib
import importlib
import logging
import os
import platform
import sys
from collections.abc import Iterator
from importlib.util import find_spec

# TensorFlow's start-up log goes to stderr, where it would stand in every notebook.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"


# What the package imports: the module's name, and the distribution that brings it.
LIBRARIES = {
    "IPython": "ipython",
    "PIL": "pillow",
    "imgaug": "pyimgaug",
    "keras": "keras",
    "matplotlib": "matplotlib",
    "mlxtend": "mlxtend",
    "numpy": "numpy",
    "pooch": "pooch",
    "requests": "requests",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl",
    "tqdm": "tqdm",
}
OLDEST_KERAS = (3, 10)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what compiled libraries log while they load out of the notebook; errors still raise."""
    saved = os.dup(2)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def setup(seed: int = 0) -> None:
    """Open a chapter: seed Python, NumPy and Keras's backend, and print the versions in use.

    seed: any integer in [0, 2**32).
    Raises ValueError for a seed outside that range, ModuleNotFoundError where a library is missing, and ImportError for
    a Keras that is too old; the messages say which command helps.
    Used by every chapter's first cell.
    """
    _require_libraries()
    _require_keras()
    import keras

    logging.getLogger("tensorflow").setLevel("ERROR")  # it warns of tracing where a chapter makes many models
    _seed(seed)
    versions = {"aebook": __version__, "python": platform.python_version(), "keras": keras.__version__}
    versions |= {name: _version(name) for name in ("tensorflow", "numpy")}
    print(" · ".join(f"{name} {version}" for name, version in versions.items()))


def _require_libraries() -> None:
    """Raise ModuleNotFoundError that names all libraries that this Python lacks."""
    missing = [name for module, name in LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise ModuleNotFoundError(
            f"this Python lacks what the chapters need: {', '.join(missing)}\n"
            f"  found    {sys.executable} (Python {platform.python_version()})\n"
            "  The notebook probably runs in another Python than the one that the book was installed into. In the\n"
            "  book's folder, `make lab` opens the chapters in the right one, and installs it where there is none.\n"
            "  Without make: pip install -c constraints.txt -r requirements.txt"
        )


def _require_keras() -> None:
    """Load Keras with its backend. Raises ModuleNotFoundError without the backend, ImportError for an old Keras."""
    try:
        with _silence():
            import keras
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Keras cannot start, because its backend is not installed: {error}\n"
            "  Install one (pip install tensorflow, or tensorflow-cpu), or name one that is there before the kernel\n"
            "  starts, for example KERAS_BACKEND=jax; a few chapters need TensorFlow itself."
        ) from None
    if _parts(keras.__version__) < OLDEST_KERAS:
        raise ImportError(
            f"Keras {keras.__version__} is installed, and the book needs {'.'.join(map(str, OLDEST_KERAS))} or later\n"
            "  Upgrade it with TensorFlow, since the two belong together: pip install -U tensorflow keras"
        )


def _seed(seed: int) -> None:
    """Seed everything. Keras before 3.13 keeps `keras.random`'s own generator, unless its session is cleared first."""
    import keras

    if _parts(keras.__version__) < (3, 13):
        policy = keras.config.dtype_policy()
        keras.utils.clear_session()
        keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)


def _parts(version: str) -> tuple[int, ...]:
    """Major and minor number of a version: "3.13.1" -> (3, 13)."""
    return tuple(int(part) for part in version.split(".")[:2])


def _version(name: str) -> str:
    """What a library calls its version: tensorflow-cpu and nightly builds have another name, but the same module."""
    if find_spec(name) is None:
        return "not installed"
    with _silence():
        return importlib.import_module(name).__version__
