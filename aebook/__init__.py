"""What the chapters of *Autoencoders: from the bottleneck to the ELBO* share.

Importing the package loads neither Keras nor TensorFlow; each module loads what it needs.
"""

import contextlib
import logging
import os
import platform
from collections.abc import Iterator
from importlib import metadata

# TensorFlow's start-up log goes to stderr, where it would stand in every notebook.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what compiled libraries log while they load out of the notebook; errors still raise."""
    saved = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def setup(seed: int = 0) -> None:
    """Open a chapter: seed Python, NumPy and Keras's backend, and print the versions in use.

    seed: any integer in [0, 2**32).
    Raises ValueError for a seed outside that range.
    Used by every chapter's first cell.
    """
    with _silence():
        import keras
    logging.getLogger("tensorflow").setLevel("ERROR")  # it warns of tracing where a chapter makes many models
    keras.utils.set_random_seed(seed)
    versions = {name: metadata.version(name) for name in ("keras", "tensorflow", "numpy")}
    versions = {"aebook": __version__, "python": platform.python_version(), **versions}
    print(" · ".join(f"{name} {version}" for name, version in versions.items()))
