"""Run a long command; Ctrl-C ends it with all that it has started, and prints one line that says how to go on.

    python book/tools/child.py 'make test' -- COMMAND ...

The command runs in a session of its own, so that Ctrl-C reaches this process alone: what runs below would answer each
with a traceback, and Jupyter's kernels would not hear it at all.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

import psutil

PATIENCE = 10  # seconds for the processes to leave by themselves
INTERRUPTED = 130  # the exit status that shells give for Ctrl-C


def run(command: Sequence[str], again: str, environment: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit status, negative where a signal ended it.

    again: the command that goes on after an interruption, for the reader. Raises SystemExit after Ctrl-C.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if sys.platform != "win32" else (signal.SIGINT,):
        signal.signal(number, _raise)
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        status = process.wait()
        if status < 0:  # it was ended from outside, and could not end what it had started
            end_group(process.pid)
        return status
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        stop(process.pid)
        sys.stderr.write(f"\nstopped; `{again}` goes on from here: what is finished is kept\n")
        raise SystemExit(INTERRUPTED) from None


def _raise(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def stop(pid: int) -> None:
    """End a process at once, and then all that it has started, in whatever session."""
    try:
        top = psutil.Process(pid)
        below = top.children(recursive=True)
        top.kill()  # first, or it would report the others' end as failures
    except psutil.NoSuchProcess:
        return
    for process in below:
        _signalled(process, signal.SIGTERM)
    _, left = psutil.wait_procs([top, *below], timeout=PATIENCE)
    for process in left:
        _signalled(process, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def end_group(pid: int) -> None:
    """End what a process has left in its session; kernels have sessions of their own and end with their users."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)


def _signalled(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    name, dashes, *words = sys.argv[1:]
    if dashes != "--":
        raise SystemExit(__doc__)
    status = run(words, name)
    raise SystemExit(status if status >= 0 else 128 - status)
