"""Watch a kernel, and interrupt a cell that uses too much processor time, or a kernel that uses none for long.

Neither bound is falsified by load: a healthy cell on a slow or busy machine takes longer by the clock, and a machine
that sleeps takes no samples.
"""

import os
import signal
import threading

import psutil

INTERVAL = 1.0  # seconds between two samples
BUSY = 0.01  # processor seconds within an interval below which the kernel counts as idle
GRACE = 10  # samples between the interruption of a cell and the end of its kernel


class Watch(threading.Thread):
    """Samples the processes that this one has started, the kernel and what the kernel started.

    limit: processor seconds that one cell may use, all threads and processes of the kernel together.
    idle: samples, a second apart, in which the kernel may use no processor at all.
    `reason` says why the kernel was interrupted; it is empty as long as all is well.
    """

    def __init__(self, limit: float, idle: float) -> None:
        super().__init__(daemon=True)
        self.limit, self.idle = limit, idle
        self.reason = ""
        self._used, self._silent = 0.0, 0
        self._before: dict[int, float] = {}
        self._ended = threading.Event()

    def cell_begins(self) -> None:
        """Count from zero: a new cell is progress."""
        self._used, self._silent = 0.0, 0

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()

    def run(self) -> None:
        """Sample until `end` is called or a bound is passed; then interrupt the kernel, and end it if it goes on."""
        self._before = processor_seconds()
        while not self.reason:
            if self._ended.wait(INTERVAL):
                return
            self._sample()
        for child in psutil.Process().children():
            _interrupt(child)
        if not self._ended.wait(GRACE * INTERVAL):
            for child in psutil.Process().children(recursive=True):
                _end(child)

    def _sample(self) -> None:
        now = processor_seconds()
        spent = sum(max(0.0, seconds - self._before.get(pid, 0.0)) for pid, seconds in now.items())
        self._before = now
        self._used += spent
        self._silent = 0 if spent >= BUSY * INTERVAL else self._silent + 1
        if self._used > self.limit:
            self.reason = f"the cell used more than {self.limit:,.0f} s of processor time; it was stopped"
        elif self._silent >= self.idle:
            self.reason = f"the kernel waited without using the processor for {self.idle:,.0f} s; it was stopped"


def processor_seconds() -> dict[int, float]:
    """Processor seconds of every process that this one has started, directly or not, by its number."""
    seconds = {}
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:  # it has ended meanwhile
            continue
        seconds[child.pid] = times.user + times.system
    return seconds


def _interrupt(process: psutil.Process) -> None:
    """Send Ctrl-C, so that the notebook keeps the line at which it stood; Windows knows no such signal."""
    try:
        process.send_signal(signal.SIGINT) if os.name == "posix" else process.kill()
    except psutil.Error:
        return


def _end(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:
        return
