"""What nbval compares: machine, data, profile and load may change every line that names them, and nothing else may."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
CLAIM = "application/vnd.aebook.claim+json"

SETUP = "import aebook\n\naebook.setup(seed=0)"
DATA = 'from aebook import data\n\ndigits = data.load("mnist", 100, 50, source="embedded")'
CHECKS = """from aebook.claims import check

check("the error is that of PCA", 0.0123, 0, 1)
check("a claim about the published digits", 7, 0, 1, data=digits)
check("exercise 1: the answer", ...)"""
FIGURE = """import matplotlib.pyplot as plt

plt.figure(figsize=(3, 2))
plt.plot([1, 2])
plt.show()"""
TABLE = """from aebook import plots

rows = [{"model": "PCA-30", "test MSE": 0.0188, "seconds": 1_234.5}]
rows += [{"model": "ours", "test MSE": 9e-7, "seconds": -3}]
plots.table(rows)"""


def printed(text: str) -> NotebookNode:
    return new_output("stream", name="stdout", text=text)


def shown(text: str, kind: str = "display_data", **data: object) -> NotebookNode:
    return new_output(kind, data={"text/plain": text, **data})


# What each cell left on another machine, with other data, in another profile.
ELSEWHERE = {
    SETUP: [printed("aebook 9.9.0.dev1+g123 · python 3.99.1 · keras 4.0 · tensorflow not installed · numpy 9.1\n")],
    DATA: [printed("data: MNIST · 54,000 train, 5,000 valid, 10,000 test\n")],
    CHECKS: [
        shown("✓ the error is that of PCA | 0.9876 in [0.5, …]", **{CLAIM: {"value": 0.9876}}),
        shown("✓ a claim about the published digits | 1,234 in [1,000, 2,000]", **{CLAIM: {}}),
        shown("○ exercise 1: the answer | not answered yet", **{CLAIM: {}}),
    ],
    FIGURE: [shown("<Figure size 1072.5x374 with 1 Axes>", **{"image/png": PNG})],
    TABLE: [shown("model   test MSE  seconds\nPCA-30     1e-05  7\nours          12  1,004,000", "execute_result")],
}


def replaced(cell: str, old: str, new: str) -> list[NotebookNode]:
    """What stands elsewhere behind a cell, but for a few letters of its first output."""
    first, *others = (nbformat.from_dict(output) for output in ELSEWHERE[cell])
    holder, key = (first, "text") if first.output_type == "stream" else (first.data, "text/plain")
    assert old in holder[key]
    holder[key] = holder[key].replace(old, new)
    return [first, *others]


def compared(folder: Path, stored: dict[str, list[NotebookNode]]) -> subprocess.CompletedProcess:
    """Run nbval, with the book's own settings, on a notebook whose outputs are those given."""
    cells = []
    for count, (source, outputs) in enumerate(stored.items(), 1):
        cell = new_code_cell(source, outputs=outputs, execution_count=count)
        for output in outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
        cells.append(cell)
    path = folder / "chapter.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    rules = ["--nbval", "--nbval-current-env", f"--nbval-sanitize-with={ROOT / 'tests/nbval.cfg'}"]
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "conftest", "--rootdir", str(folder)]
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", *rules, *quiet, str(path)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")


def test_everything_may_differ_at_once_that_depends_on_the_machine_the_data_or_the_profile(tmp_path: Path) -> None:
    done = compared(tmp_path, ELSEWHERE)
    assert done.returncode == 0 and "5 passed" in done.stdout, done.stdout + done.stderr


def test_another_word_is_noticed_in_each_of_them(tmp_path: Path) -> None:
    wrong = {
        SETUP: replaced(SETUP, "aebook", "a book"),
        DATA: replaced(DATA, "data: ", "loaded: "),
        CHECKS: replaced(CHECKS, "that of PCA", "that of the mean image"),
        TABLE: replaced(TABLE, "ours", "theirs"),
    }
    done = compared(tmp_path, {**ELSEWHERE, **wrong})
    assert done.returncode == 1 and "4 failed, 1 passed" in done.stdout, done.stdout + done.stderr
