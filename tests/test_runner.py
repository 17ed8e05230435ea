"""run_chapter.py and the Snakefile, on a miniature book: what runs, what is skipped, and how a chapter may fail."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]


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
        (tmp_path / name).write_text(text, encoding="utf-8")
    write(tmp_path / "notebooks/one.ipynb", "print(N)")
    write(tmp_path / "notebooks/two.ipynb", "print(N)")
    return tmp_path


def build(book: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run book/tools/build.py as the Makefile does, with more options and environment variables."""
    command = [sys.executable, "book/tools/build.py", "chapters", "--cores", "2", *options]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=book, env=environment, capture_output=True, encoding="utf-8", errors="replace")


def make(book: Path, *options: str) -> tuple[int, str, list[str]]:
    """Build the chapters; return the status, what was printed, and which chapters ran to their end."""
    done = build(book, *options)
    ran = re.findall(r"^\[\d+ of \d+ done\] (\w+):", done.stdout, re.MULTILINE)
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
    done = subprocess.run(command, cwd=book, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def test_the_makefile_builds_through_the_same_tool() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "book/tools/build.py" in makefile and "Snakefile" not in makefile


STUB = """
import pathlib, shutil, sys
source, target = sys.argv[1:3]
shutil.copy(source, target)
pathlib.Path(sys.argv[sys.argv.index("--benchmark") + 1]).touch()
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
    _, printed, _ = make(book, "--cores", "1")
    assert printed.splitlines()[0].startswith(f"[1 of 2] {first} starts")


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
    assert float(values[0]) > 0 and 400 < float(values[1]) < 700


def test_a_cell_that_uses_up_its_processor_time_is_stopped_and_named(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "a = 1", "while True:\n    pass", "b = 2")
    status, printed = chapter(book, "--limit", "3")
    assert status == 1
    assert "one stopped in code cell 3: while True:" in printed and "more than 3 s of processor time" in printed
    assert "KeyboardInterrupt" in (book / "logs/one.ipynb").read_text(encoding="utf-8"), "where it stood is lost"


def test_a_kernel_that_only_waits_is_stopped(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "import time\ntime.sleep(100_000)", "b = 2")
    status, printed = chapter(book, "--idle", "4")
    assert status == 1
    assert "one stopped in code cell 2: import time" in printed and "without using the processor" in printed


def test_the_processor_time_of_one_cell_does_not_count_for_the_next(book: Path) -> None:
    spin = "import time\nwhile time.process_time() < {}:\n    pass"
    write(book / "notebooks/one.ipynb", *(spin.format(4 * n) for n in (1, 2, 3)))
    status, printed = chapter(book, "--limit", "9")
    assert status == 0, printed


def test_a_cell_that_ignores_its_interruption_is_ended(book: Path) -> None:
    cell = "while True:\n    try:\n        while True:\n            pass\n    except KeyboardInterrupt:\n        pass"
    write(book / "notebooks/one.ipynb", cell)
    status, printed = chapter(book, "--limit", "2")
    assert status == 1 and "in code cell 2: while True:" in printed and "processor time" in printed


def test_a_kernel_that_does_not_start_is_tried_again(book: Path) -> None:
    """Jupyter starts kernels by the command of a kernelspec; this one fails as often as a file says."""
    spec = book / "jupyter/kernels/python3"
    spec.mkdir(parents=True)
    (book / "fail").write_text("xx", encoding="utf-8")
    script = f"""import os, runpy, sys
left = open({str(book / "fail")!r}).read()
open({str(book / "fail")!r}, "w").write(left[1:])
if left: sys.exit("zmq.error.ZMQError: Address already in use")
sys.argv[0] = "ipykernel_launcher"
runpy.run_module("ipykernel_launcher", run_name="__main__")"""
    argv = [sys.executable, "-c", script, "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    tool = [
        sys.executable,
        "book/tools/run_chapter.py",
        "notebooks/one.ipynb",
        "out/one.ipynb",
        "--log",
        "logs/one.log",
    ]
    environment = {**os.environ, "JUPYTER_PATH": str(book / "jupyter"), "JUPYTER_PREFER_ENV_PATH": "0"}
    done = subprocess.run(tool, cwd=book, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("a kernel did not start") == 2 and (book / "fail").read_text() == ""
    (book / "fail").write_text("xxx", encoding="utf-8")
    done = subprocess.run(tool, cwd=book, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 1 and "before its first cell" in done.stderr and "did not start, 3 times" in done.stderr


def test_a_dead_kernel_is_noticed(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    status, printed = chapter(book)
    assert status == 1 and "one stopped in code cell 2: import os, signal" in printed and "kernel died" in printed


def test_no_kernel_outlives_its_chapter(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "import os\nopen('pid', 'w').write(str(os.getpid()))\nwhile True:\n    pass")
    chapter(book, "--limit", "2")
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


def test_what_a_kernel_says_at_its_end_is_kept_apart(book: Path) -> None:
    write(book / "notebooks/one.ipynb", "import os\nos.write(2, b'a library speaks\\n');")
    status, printed = chapter(book)
    assert status == 0 and "a library speaks" not in printed
    assert "a library speaks" in (book / "logs/one.stderr").read_text(encoding="utf-8")


def test_a_log_beside_the_result_leaves_the_result(book: Path) -> None:
    """What had run so far is kept beside the log, under the name that the result has."""
    assert chapter(book, "--log", str(book / "out/one.log"))[0] == 0
    assert (book / "out/one.ipynb").exists()


def test_a_missing_notebook_is_an_error_without_a_traceback(book: Path) -> None:
    (book / "notebooks/one.ipynb").unlink()
    status, printed = chapter(book)
    assert status == 1 and "Traceback" not in printed and "No such file" in printed


# ---- what a build says


def test_each_chapter_says_when_it_starts_and_ends(book: Path) -> None:
    """Which of the two begins, and which ends first, is chance."""
    lines = [re.sub(r"\d+(\.\d)? (s|GB)\b", r"? \2", line) for line in build(book).stdout.splitlines()]
    chances = (("one", "two"), ("two", "one"))
    assert lines in [
        [
            f"[1 of 2] {begins} starts; ? s so far",
            f"[2 of 2] {follows} starts; ? s so far",
            f"[1 of 2 done] {first}: ? s, ? GB; ? s so far",
            f"[2 of 2 done] {second}: ? s, ? GB; ? s so far",
        ]
        for begins, follows in chances
        for first, second in chances
    ]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("profiles/fast.yml", "one: {N: 2\ntwo: {N: 3}\n", "profiles/fast.yml cannot be read.* line 2, column 4"),
        ("profiles/fast.yml", "one: 3\ntwo: {N: 3}\n", "profiles/fast.yml cannot be read.* one: 3"),
        ("profiles/fast.yml", "one: {N: 2}\n", "profiles/fast.yml has no section two"),
        ("_toc.yml", "- file: [notebooks/one\n", "_toc.yml cannot be read.* line 2"),
        ("_toc.yml", "", "_toc.yml cannot be read.* nothing"),
        ("_toc.yml", "- file: notebooks/three\n", "notebooks/three.ipynb is named in _toc.yml and does not exist"),
        ("_toc.yml", "- file: notebooks/one\n- file: notebooks/one\n", "named twice"),
        ("notebooks/two.ipynb", "no JSON", "notebooks/two.ipynb cannot be read.* line 1"),
        ("notebooks/two.ipynb", "[]", "notebooks/two.ipynb cannot be read.* a list"),
        ("benchmarks/results/chapters.json", "{", "chapters.json cannot be read.* line 1"),
        ("benchmarks/results/memory.json", '{"fast": {"one": "much"}}', "memory.json cannot be read.*much"),
        ("Snakefile", "x = 1 / 0\n", "division by zero"),
    ],
)
def test_a_damaged_file_names_itself(book: Path, file: str, content: str, words: str) -> None:
    (book / file).parent.mkdir(parents=True, exist_ok=True)
    (book / file).write_text(content, encoding="utf-8")
    done = build(book)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search(words, done.stderr, re.DOTALL), done.stderr


def test_a_profile_that_does_not_exist_lists_those_that_do(book: Path) -> None:
    done = build(book, "--profile", "fsat")
    assert done.returncode == 1
    assert done.stderr == "PROFILE=fsat: there is no profiles/fsat.yml; there are: fast\n"


def test_a_temporary_folder_that_does_not_exist_is_named(book: Path) -> None:
    done = build(book, TMPDIR=str(book / "none"))
    assert done.returncode == 1 and "none: there is no such folder" in done.stderr


def test_a_folder_that_cannot_be_written_is_named(book: Path) -> None:
    (book / "_build").write_text("a file where a folder should be", encoding="utf-8")
    done = build(book)
    assert done.returncode == 1 and "_build: File exists" in done.stderr and "Traceback" not in done.stderr


def test_a_home_that_cannot_be_written_is_no_trouble(book: Path) -> None:
    (book / "home").write_text("no folder", encoding="utf-8")
    done = build(book, HOME=str(book / "home"), XDG_CACHE_HOME="")
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("folder", ["My Books (2)", "it's $HOME", "b\u00fccher {x}", "-dash"])
def test_a_book_in_any_folder_under_any_locale(book: Path, folder: str) -> None:
    moved = book.rename(book.with_name(folder))
    write(moved / "notebooks/one.ipynb", "print('\u00e4 \u2192')")
    write(moved / "notebooks/two.ipynb", "import os", "raise ValueError('\u2192 ' + os.getcwd())")
    _, printed, ran = make(moved)
    assert ran == ["one"] and "two stopped in code cell 3" in printed and "Traceback" not in printed
    done = build(moved, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert "two stopped in code cell 3" in done.stderr and "Traceback" not in done.stderr


def running(book: Path, waiting: str) -> subprocess.Popen[str]:
    """Start a build whose first chapter never ends, and wait until its kernel has written the file `waiting`."""
    cell = f"import os\nopen({waiting!r}, 'w').write(str(os.getpid()))\nwhile True:\n    pass"
    write(book / "notebooks/one.ipynb", cell)
    command = [sys.executable, "book/tools/build.py", "chapters", "--cores", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    begun = subprocess.Popen(command, cwd=book, text=True, start_new_session=True, **pipes)
    while not (book / "notebooks" / waiting).exists() or not (book / "notebooks" / waiting).read_text():
        assert begun.poll() is None, begun.communicate()
        time.sleep(0.1)
    return begun


def ended(pid: int) -> bool:
    """Whether a process ends; waits for it."""
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.1)
    return True


def test_ctrl_c_says_in_one_line_how_to_go_on_and_leaves_no_kernel(book: Path) -> None:
    begun = running(book, "pid")
    os.killpg(begun.pid, signal.SIGINT)
    assert begun.communicate()[1].strip() == "stopped; `make run` goes on from here: what is finished is kept"
    assert begun.returncode == 130 and ended(int((book / "notebooks/pid").read_text()))


def test_a_runner_that_is_killed_is_spoken_for(book: Path) -> None:
    begun = running(book, "pid")
    kernel = int((book / "notebooks/pid").read_text())
    psutil.Process(kernel).parent().kill()
    out, err = begun.communicate()
    assert begun.returncode == 1 and "one was ended from outside" in err and "Traceback" not in err
    assert "[1 of 2 done] two" in out and ended(kernel)


def test_chapters_share_the_memory_and_a_large_one_runs_alone(book: Path) -> None:
    (book / "benchmarks/results").mkdir(parents=True)
    sizes = {"fast": {"one": 600, "two": 5000}}
    (book / "benchmarks/results/memory.json").write_text(json.dumps(sizes), encoding="utf-8")
    lines = build(book, "--memory", "1000").stdout.splitlines()
    assert lines[0].startswith("warning: two may need more memory than the 1,000 MB")
    assert ["start" in line for line in lines[1:]] == [True, False, True, False], lines


def test_a_containers_memory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "book/tools"))
    import budget

    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "own").write_text("0::/a/b\n", encoding="utf-8")
    (tmp_path / "a/b/memory.max").write_text("max\n", encoding="utf-8")
    assert budget.limits(tmp_path, tmp_path / "own") == []
    (tmp_path / "a/memory.max").write_text("4000000000\n", encoding="utf-8")
    assert budget.limits(tmp_path, tmp_path / "own") == [4_000_000_000]
    (tmp_path / "memory/c").mkdir(parents=True)
    (tmp_path / "memory/c/memory.limit_in_bytes").write_text("3000000000\n", encoding="utf-8")
    (tmp_path / "own").write_text("7:memory:/c\n3:cpu:/c\n", encoding="utf-8")
    assert 3_000_000_000 in budget.limits(tmp_path, tmp_path / "own")
