"""Open the chapters in JupyterLab.

The book's folder is the server's root, so that a chapter's pictures (../book/images) and links to pages resolve.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(arguments: list[str]) -> list[str]:
    """The words that start JupyterLab; further `arguments` go to it."""
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}"]
    words += ["--LabApp.default_url=/lab/tree/notebooks"]
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0  # in containers, mostly; Jupyter wants to be told
    return [*words, *(["--allow-root"] if as_root else []), *arguments]


def environment() -> dict[str, str]:
    """UTF-8 everywhere, and Jupyter's own files within _build where the home folder takes none."""
    values = {**os.environ, "PYTHONUTF8": "1"}
    home = Path(os.environ.get("HOME") or Path.home())
    if not os.access(home, os.W_OK):
        folder = ROOT / "_build" / "home"
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
            values.setdefault(name, str(folder / name.lower()))
    return values


def main(arguments: list[str]) -> int:
    """Run JupyterLab until Ctrl-C; return its exit status."""
    process = subprocess.Popen(command(arguments), cwd=ROOT, env=environment())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # it has Ctrl-C as well, and asks whether to stop
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
