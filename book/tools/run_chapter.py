"""Run one chapter: its notebook with a profile's parameters, as far as it goes, within a time limit.

    python book/tools/run_chapter.py notebooks/02_vanilla.ipynb OUT.ipynb --parameters '{"EPOCHS": 5}' --log OUT.log

A chapter that fails, hangs or loses its kernel ends with exit status 1 and a message that names the cell; the log and
the notebook as far as it ran stay beside each other.
"""

import argparse
import json
import logging
import resource
import sys
import time
import traceback
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

import notebooks
import pages

CHAPTER_LIMIT = 3600  # seconds; the full profile's chapters take up to 20 minutes on two cores
START_LIMIT = 120  # seconds for a kernel to start


class ChapterError(RuntimeError):
    """A chapter did not run to its end; the message says which cell, why, and where to look."""


def run(source: Path, target: Path, parameters: dict[str, object], log: Path, limit: float = CHAPTER_LIMIT) -> None:
    """Execute `source` with `parameters` and write the cleaned result to `target`.

    limit: seconds for the whole chapter; no cell may outlast what is left of it.
    Raises ChapterError.
    """
    partial, begun = log.with_suffix(".ipynb").resolve(), []

    def left(cell: NotebookNode) -> int:
        begun.append(time.monotonic())  # the first cell starts the clock, when the kernel is up
        return max(1, int(begun[0] + limit - begun[-1]))

    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    partial.unlink(missing_ok=True)
    try:
        notebook = nbformat.read(source, as_version=4)
        notebooks.set_parameters(notebook, parameters)
        result = papermill.execute_notebook(
            notebook,
            str(partial),
            kernel_name="python3",
            progress_bar=False,
            start_timeout=START_LIMIT,
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # it calls its own interruption at the end an error
            timeout_func=left,
            cwd=str(source.resolve().parent),
        )
    except Exception as error:
        log.write_text(traceback.format_exc())
        raise ChapterError(_report(source, partial, log, error, limit)) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)  # first: it may be the target's own place
    target.write_text(nbformat.writes(notebooks.clean(result)) + "\n")


def _report(source: Path, partial: Path, log: Path, error: Exception, limit: float) -> str:
    if isinstance(error, DeadKernelError):
        reason = "the kernel died (most often: not enough memory)"
    elif isinstance(error, CellTimeoutError):
        reason = f"the chapter's {limit:.0f} s were used up; the cell was stopped"
    else:
        reason = f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
    lines = [f"{source.stem} stopped{_where(partial)}", *(f"  {line}" for line in reason.splitlines()[-6:])]
    lines += [f"  log       {log}"]
    lines += [f"  notebook  {log.with_suffix('.ipynb')} (as far as it ran)"] if partial.exists() else []
    return "\n".join(lines)


def _where(partial: Path) -> str:
    """Name the code cell that was reached last, counted from 1, and its first line."""
    if not partial.exists():
        return " before its first cell"
    code = [cell for cell in nbformat.read(partial, as_version=4).cells if cell.cell_type == "code" and _is_ours(cell)]
    reached = [(n, cell) for n, cell in enumerate(code, 1) if cell.metadata.papermill.status != "pending"]
    if not reached:
        return " before its first cell"
    number, cell = reached[-1]
    return f" in code cell {number}: {cell.source.splitlines()[0] if cell.source else '(empty)'}"


def _is_ours(cell: NotebookNode) -> bool:
    return "papermill" in cell.metadata and "papermill-error-cell-tag" not in cell.metadata.get("tags", [])


def peak_memory() -> float:
    """Peak memory in MB of the largest child that has ended, which is the kernel."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit


def main(arguments: list[str] | None = None) -> int:
    """Run a chapter from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--parameters", type=json.loads, default={}, metavar="JSON")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--limit", type=float, default=CHAPTER_LIMIT, help="seconds for the whole chapter")
    parser.add_argument("--benchmark", type=Path, help="where to write seconds and peak memory (TSV)")
    options = parser.parse_args(arguments)
    logging.getLogger("papermill").setLevel("ERROR")
    start = time.monotonic()
    try:
        run(options.source, options.target, options.parameters, options.log, options.limit)
    except ChapterError as error:
        sys.stderr.write(f"{error}\n")  # in one piece: other chapters write at the same time
        return 1
    seconds, memory = time.monotonic() - start, peak_memory()
    if options.benchmark:
        options.benchmark.parent.mkdir(parents=True, exist_ok=True)
        row = f"s\tmax_rss\tprocessor\n{seconds:.1f}\t{memory:.0f}\t{pages.processor()}\n"
        options.benchmark.write_text(row, encoding="utf-8")
    sys.stdout.write(f"{options.source.stem}: {seconds:.0f} s, {memory / 1000:.1f} GB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
