"""Run one chapter: its notebook with a profile's parameters, as far as it goes.

    python book/tools/run_chapter.py notebooks/02_vanilla.ipynb OUT.ipynb --parameters '{"EPOCHS": 5}' --log OUT.log

A chapter that fails, hangs or loses its kernel ends with exit status 1 and a message that names the cell; the log and
the notebook as far as it ran stay beside each other. Time is bounded by what a cell uses of the processor, not by the
clock, so that a busy machine stops nothing that is healthy.
"""

import argparse
import contextlib
import json
import logging
import math
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

import notebooks
import pages
import reading
from watch import Watch

LIMIT = 14_400  # processor seconds for one cell; on two slow cores the full profile's longest take an hour of them
IDLE = 600  # seconds in which a kernel may use no processor at all
START_LIMIT = 600  # seconds for a kernel to answer at its start
STARTS = 3  # a kernel that does not start is tried again, twice
LONGEST_SOCKET = 100  # characters of a socket's path: systems allow 104 and more


class ChapterError(RuntimeError):
    """A chapter did not run to its end; the message says which cell, why, and where to look."""


class KernelStartError(RuntimeError):
    """A kernel did not start, each time that it was tried."""


class Run:
    """One execution of a notebook by papermill; `cell` is the index of the code cell that began last."""

    def __init__(self, notebook: NotebookNode, partial: Path, watch: Watch) -> None:
        self.notebook, self.partial, self.watch = notebook, partial, watch
        self.cell: int | None = None

    def begin(self, cell: NotebookNode, cell_index: int) -> None:
        """A code cell is sent to the kernel."""
        self.cell = cell_index
        self.watch.cell_begins()

    def where(self) -> str:
        """Name the code cell that began last, counted from 1, and its first line."""
        if self.cell is None:
            return " before its first cell"
        number = sum(cell.cell_type == "code" for cell in self.notebook.cells[: self.cell + 1])
        return f" in code cell {number}: {self.notebook.cells[self.cell].source.splitlines()[0]}"

    def execute(self, folder: Path) -> NotebookNode:
        """Run all cells in a new kernel whose working directory is `folder`; return the executed notebook.

        A kernel that does not start is started again. Raises KernelStartError where it never does.
        """
        self.watch.start()
        for attempt in range(1, STARTS + 1):
            try:
                executed = self._papermill(folder)
                break
            except Exception as error:
                if self.cell is not None or self.watch.reason:
                    raise  # the kernel had started: a cell failed, or ran too long
                if attempt == STARTS:
                    raise KernelStartError(f"its kernel did not start, {STARTS} times: {error}") from error
                sys.stderr.write(f"a kernel did not start ({error}); trying again, {attempt + 1} of {STARTS}\n")
        if self.watch.reason:  # the cell caught its interruption and went on
            raise TimeoutError(self.watch.reason)
        return executed

    def _papermill(self, folder: Path) -> NotebookNode:
        with sockets() as config:
            return papermill.execute_notebook(
                self.notebook,
                literal(self.partial),
                kernel_name="python3",
                progress_bar=False,
                cwd=str(folder),
                start_timeout=START_LIMIT,
                iopub_timeout=START_LIMIT,  # four seconds would be too few on a busy machine
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # it calls its end an error
                on_cell_execute=self.begin,
                config=config,
            )


def literal(path: Path) -> str:
    """A path as papermill takes it: it would fill in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


@contextlib.contextmanager
def sockets() -> Iterator[Config]:
    """Settings that connect a kernel through files of a folder of its own: ports may be taken by another kernel.

    Where the system has no such sockets, or the folder's path is too long for them, ports are used all the same.
    """
    folder = tempfile.mkdtemp(prefix="k")
    manager = {"connection_file": os.path.join(folder, "k.json")}
    if os.name == "posix" and len(os.fsencode(folder)) + len("/k-ipc-99") <= LONGEST_SOCKET:
        manager["transport"] = "ipc"
    try:
        yield Config({"KernelManager": manager})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(
    source: Path,
    target: Path,
    parameters: dict[str, object],
    log: Path,
    limit: float = LIMIT,
    idle: float = IDLE,
) -> None:
    """Execute `source` with `parameters` and write the cleaned result to `target`.

    limit: processor seconds for one cell. idle: seconds in which the kernel may use no processor.
    Raises ChapterError.
    """
    partial, watch, begun = log.with_suffix(".ipynb").resolve(), Watch(limit, idle), None
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")
        partial.unlink(missing_ok=True)
        notebook = notebooks.read(source)
        notebooks.set_parameters(notebook, parameters)
        begun = Run(notebook, partial, watch)
        executed = begun.execute(source.resolve().parent)
        watch.end()
        partial.unlink(missing_ok=True)  # first: it may be the target's own place
        notebooks.write(target, nbformat.writes(notebooks.clean(executed)) + "\n")
    except (Exception, reading.DamagedError) as error:
        watch.end()
        raise ChapterError(_report(source, log, begun, error)) from error


def _report(source: Path, log: Path, begun: Run | None, error: BaseException) -> str:
    """Write the log and the notebook as far as it ran; return the message."""
    reason = _reason(error, begun.watch.reason if begun else "")
    lines = [f"{source.stem} stopped{begun.where() if begun else ' before its first cell'}"]
    lines += [f"  {line}" for line in reason.splitlines()[-6:]]
    kept = [f"  log       {log}"]
    with contextlib.suppress(OSError):  # a full disk is often the reason itself
        if begun and begun.partial.exists():
            kept += [f"  notebook  {log.with_suffix('.ipynb')} (as far as it ran)"]
    try:
        text = "\n".join([*lines, "", traceback.format_exc()])
        log.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:
        kept = []
    return "\n".join(lines + kept)


def _reason(error: BaseException, watched: str) -> str:
    if watched:
        return watched
    if isinstance(error, DeadKernelError):
        return "the kernel died (most often: not enough memory)"
    if isinstance(error, PapermillExecutionError):
        return f"{error.ename}: {error.evalue}"
    if isinstance(error, reading.DamagedError | KernelStartError):
        return str(error)
    if isinstance(error, OSError):
        return notebooks.system_trouble(error)
    return f"{type(error).__name__}: {error}"


def peak_memory() -> float:
    """Peak memory in MB of the largest child that has ended, which is the kernel; nan on Windows."""
    try:
        import resource
    except ModuleNotFoundError:
        return math.nan
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit


def keep_apart(file: Path) -> None:
    """Let the kernel's own messages go into a file: some are about its end, when there is nothing left to do."""
    own = os.dup(2)
    sys.stderr = os.fdopen(own, "w", encoding=sys.stderr.encoding, errors="backslashreplace", buffering=1)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    except OSError:  # the run itself will say why nothing can be written there
        kept = os.open(os.devnull, os.O_WRONLY)
    os.dup2(kept, 2)
    os.close(kept)


def _leave(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Run a chapter from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--parameters", type=json.loads, default={}, metavar="JSON")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--limit", type=float, default=LIMIT, help="processor seconds for one cell")
    parser.add_argument("--idle", type=float, default=IDLE, help="seconds in which the kernel may use no processor")
    parser.add_argument("--benchmark", type=Path, help="where to write seconds and peak memory (TSV)")
    options = parser.parse_args(arguments)
    keep_apart(options.log.with_suffix(".stderr"))
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # this file says what is to be said
    signal.signal(signal.SIGTERM, _leave)
    start = time.monotonic()
    try:
        run(options.source, options.target, options.parameters, options.log, options.limit, options.idle)
    except ChapterError as error:
        sys.stderr.write(f"{error}\n")  # in one piece: other chapters write at the same time
        return 1
    except KeyboardInterrupt:  # who interrupts a build knows it; the kernel has ended with its client
        return 130
    if options.benchmark:
        seconds, memory = time.monotonic() - start, peak_memory()
        notebooks.write(options.benchmark, f"s\tmax_rss\tprocessor\n{seconds:.1f}\t{memory:.0f}\t{pages.processor()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
