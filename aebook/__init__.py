"""What the chapters of *Autoencoders: from the bottleneck to the ELBO* share.

Importing the package loads neither Keras nor TensorFlow; each module loads what it needs.
"""

import os
import platform
from importlib import metadata

# TensorFlow's start-up log goes to stderr, where it would stand in every notebook.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"


def setup(seed: int = 0) -> None:
    """Open a chapter: seed Python, NumPy and Keras's backend, and print the versions in use.

    seed: any integer in [0, 2**32).
    Raises ValueError for a seed outside that range.
    Used by every chapter's first cell.
    """
    import keras

    keras.utils.set_random_seed(seed)
    versions = {name: metadata.version(name) for name in ("keras", "tensorflow", "numpy")}
    versions = {"aebook": __version__, "python": platform.python_version(), **versions}
    print(" · ".join(f"{name} {version}" for name, version in versions.items()))
