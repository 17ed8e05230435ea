"""run_chapter.py and the Snakefile, on a miniature book: what runs, what is skipped, and how a chapter may fail."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
FLAGS = "--keep-going --quiet all --nolock --rerun-incomplete"


def write(path: Path, *cells: str) -> None:
    """Write a notebook whose first cell is its parameters cell."""
    code = [new_code_cell(source) for source in ("N = 1  # a number\nSOURCE = 'auto'", *cells)]
    code[0].metadata.tags = ["parameters"]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=code), path)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book of two chapters that need no package."""
    for name in ("Snakefile", "_config.yml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "book" / "tools", tmp_path / "book" / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in {
        "_toc.yml": "- file: notebooks/one\n- file: notebooks/two\n",
        "constraints.txt": "numpy==1\n",
        "profiles/fast.yml": "one: {N: 2}\ntwo: {N: 3}\n",
        "aebook/part.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    write(tmp_path / "notebooks/one.ipynb", "print(N)")
    write(tmp_path / "notebooks/two.ipynb", "print(N)")
    return tmp_path


def make(book: Path, cores: int = 2) -> tuple[int, str, list[str]]:
    """Run Snakemake as the Makefile does; return its status, what it printed, and which chapters ran to their end."""
    options = ["--cores", str(cores), *FLAGS.split(), "--rerun-triggers", "mtime", "params", "input"]
    command = [sys.executable, "-m", "snakemake", *options, "--config", "profile=fast", "--", "chapters"]
    done = subprocess.run(command, cwd=book, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    ran = [line.split(":")[0] for line in done.stdout.splitlines() if " GB" in line]
    return done.returncode, done.stdout + done.stderr, sorted(ran)


def rerun(book: Path) -> list[str]:
    """Run Snakemake, which must succeed; return the chapters that ran."""
    status, printed, ran = make(book)
    assert status == 0, printed
    return ran


def chapter(book: Path, *options: str) -> tuple[int, str]:
    """Run notebooks/one.ipynb alone; return the status and what was printed."""
    tool = book / "book/tools/run_chapter.py"
    command = [sys.executable, tool, "notebooks/one.ipynb", "out/one.ipynb", "--log", "logs/one.log", *options]
    done = subprocess.run(command, cwd=book, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def test_makefile_and_this_file_call_snakemake_alike() -> None:
    assert FLAGS in (ROOT / "Makefile").read_text()
    assert "--rerun-triggers mtime params input" in (ROOT / "Makefile").read_text()


STUB = """
import pathlib, shutil, sys
source, target = sys.argv[1:3]
shutil.copy(source, target)
pathlib.Path(sys.argv[sys.argv.index("--benchmark") + 1]).touch()
sys.stdout.write(pathlib.Path(source).stem + ": 0 s, 0 GB\\n")
"""


def test_chapters_run_again_only_when_something_they_use_has_changed(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (book / "book/tools/run_chapter.py").write_text(STUB)  # what counts is which chapters run, not what they do
    monkeypatch.setenv("AEBOOK_SOURCE", "embedded")
    assert rerun(book) == ["one", "two"]
    for file in book.rglob("*"):  # a fresh checkout: new dates, same contents
        if "_build" not in file.parts and ".snakemake" not in file.parts:
            os.utime(file)
    assert rerun(book) == []
    (book / "profiles/fast.yml").write_text("one: {N: 4}\ntwo: {N: 3}\n")
    assert rerun(book) == ["one"]
    write(book / "notebooks/two.ipynb", "print(N + 1)")
    assert rerun(book) == ["two"]
    (book / "aebook/part.py").write_text("x = 1\n")
    assert rerun(book) == ["one", "two"]
    (book / "constraints.txt").write_text("numpy==2\n")
    assert rerun(book) == ["one", "two"]
    monkeypatch.setenv("AEBOOK_SOURCE", "full")
    assert rerun(book) == ["one", "two"]


@pytest.mark.parametrize("first", ["one", "two"])
def test_the_chapter_that_takes_longest_begins_first(book: Path, first: str) -> None:
    results = book / "benchmarks/results/chapters.json"
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps({"one": 1.0, "two": 2.0, first: 9.0}), encoding="utf-8")
    _, printed, _ = make(book, cores=1)
    assert next(line for line in printed.splitlines() if " GB" in line).startswith(f"{first}:")


def test_a_failing_chapter_is_named_and_does_not_lose_the_others(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "a = 1", "b = 2\nraise ValueError('no\\nsuch thing')")
    status, printed, ran = make(book)
    assert status != 0 and ran == ["two"]
    assert "one stopped in code cell 3: b = 2" in printed and "such thing" in printed
    assert "ValueError: no" in (book / "_build/fast/logs/one.log").read_text()
    assert (book / "_build/fast/logs/one.ipynb").exists() and not (book / "_build/fast/notebooks/one.ipynb").exists()
    assert nbformat.read(book / "_build/fast/notebooks/two.ipynb", 4).cells[1].outputs[0].text == "3\n"
    assert "TCP" not in printed, "a warning of the kernel's, of no use to a reader"


def test_seconds_and_the_kernels_peak_memory_are_recorded(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "block = bytearray(400_000_000)", "del block")
    assert chapter(book, "--benchmark", "out/one.tsv")[0] == 0
    names, values = [line.split("\t") for line in (book / "out/one.tsv").read_text().splitlines()]
    assert names == ["s", "max_rss", "processor"] and values[2]
    assert 0 < float(values[0]) < 60 and 400 < float(values[1]) < 700


def test_a_chapter_is_stopped_at_its_limit(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "import time; time.sleep(0.1)", "while True:\n    pass")
    status, printed = chapter(book, "--limit", "5")
    assert status == 1
    assert "one stopped in code cell 3: while True:" in printed and "5 s were used up" in printed


def test_a_dead_kernel_is_noticed(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    status, printed = chapter(book)
    assert status == 1 and "one stopped in code cell 2: import os, signal" in printed and "kernel died" in printed


def test_no_kernel_outlives_its_chapter(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "import os\nopen('pid', 'w').write(str(os.getpid()))\nwhile True:\n    pass")
    chapter(book, "--limit", "4")
    with pytest.raises(ProcessLookupError):
        os.kill(int((book / "notebooks/pid").read_text()), 0)


def test_a_parameter_that_the_chapter_does_not_know_is_refused(book: Path) -> None:
    status, printed = chapter(book, "--parameters", '{"EPOCHS": 1}')
    assert status == 1 and "before its first cell" in printed and "EPOCHS" in printed


def test_the_result_is_clean_and_holds_the_parameters_in_their_own_cell(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "import sys\nprint(1)\nprint('oops', file=sys.stderr)\nprint(2)")
    assert chapter(book, "--parameters", '{"N": 20000, "SOURCE": "full"}')[0] == 0
    notebook = nbformat.read(book / "out/one.ipynb", 4)
    assert notebook.cells[0].source == 'N = 20_000  # a number\nSOURCE = "full"'
    assert [output.text for output in notebook.cells[1].outputs] == ["1\n2\n"]
    assert [dict(cell.metadata) for cell in notebook.cells] == [{"tags": ["parameters"]}, {}]
    assert "papermill" not in notebook.metadata and str(book) not in (book / "out/one.ipynb").read_text()


def test_a_log_beside_the_result_leaves_the_result(book: Path) -> None:
    """What had run so far is kept beside the log, under the name that the result has."""
    assert chapter(book, "--log", str(book / "out/one.log"))[0] == 0
    assert (book / "out/one.ipynb").exists()


def test_a_missing_notebook_is_an_error_without_a_traceback(book: Path) -> None:
    (book / "notebooks/one.ipynb").unlink()
    status, printed = chapter(book)
    assert status == 1 and "Traceback" not in printed and "No such file" in printed
