"""What Snakemake says during a build, in the book's words: one line as a chapter starts, one as it ends.

Snakemake finds this package by its name when it lies on the path (`--logger book`; see ../build.py).
"""

import csv
import logging
import sys
import time
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

# What failed has said why by itself; these only repeat that it failed.
REPEATED = ("At least one job did not complete successfully", "CalledProcessError in file")


class LogHandler(LogHandlerBase):
    """Prints progress to stdout and what went wrong to stderr."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.begun = time.monotonic()
        self.total = self.started = self.done = 0
        self.running: dict[int, tuple[str, float, list[str]]] = {}  # by job: its name, when it started, its files

    def emit(self, record: logging.LogRecord) -> None:
        """Print what a reader wants to know of one of Snakemake's events."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.total = sum(count for rule, count in record.stats.items() if name_of(rule))
        elif event == LogEvent.JOB_INFO and name_of(record.rule_name):
            self._start(record)
        elif event == LogEvent.JOB_FINISHED and record.job_id in self.running:
            self._finish(*self.running.pop(record.job_id))
        elif event == LogEvent.JOB_ERROR and record.jobid in self.running:
            self._fail(record)
        elif event == LogEvent.ERROR and not any(words in str(record.msg) for words in REPEATED):
            say(sys.stderr, sentence(str(record.msg)))

    def _start(self, record: logging.LogRecord) -> None:
        name = name_of(record.rule_name)
        self.started += 1
        self.running[record.jobid] = name, time.monotonic(), list(record.output)
        say(sys.stdout, f"[{self.started} of {self.total}] {name} starts; {self._so_far()}")

    def _finish(self, name: str, start: float, files: list[str]) -> None:
        self.done += 1
        took = f"{time.monotonic() - start:.0f} s{memory(files)}"
        say(sys.stdout, f"[{self.done} of {self.total} done] {name}: {took}; {self._so_far()}")

    def _fail(self, record: logging.LogRecord) -> None:
        name, start, _ = self.running.pop(record.jobid)
        say(sys.stdout, f"[failed] {name}: {time.monotonic() - start:.0f} s; {self._so_far()}")
        logs = [Path(file) for file in record.log]
        if logs and not any(log.exists() and log.read_text(encoding="utf-8").strip() for log in logs):
            say(sys.stderr, f"{name} was ended from outside before it could say why (most often: not enough memory)")

    def _so_far(self) -> str:
        return f"{time.monotonic() - self.begun:.0f} s so far"


def name_of(rule: str) -> str:
    """What readers call a rule's work; empty for rules that only collect files."""
    return rule.removeprefix("chapter_") if rule.startswith("chapter_") else "the site" if rule == "site" else ""


def memory(files: list[str]) -> str:
    """The peak memory among a chapter's files, in words; empty where it was not measured."""
    tables = [Path(file) for file in files if file.endswith(".tsv") and Path(file).stat().st_size]
    rows = [next(csv.DictReader(table.open(encoding="utf-8"), delimiter="\t")) for table in tables]
    return "".join(f", {float(row['max_rss']) / 1000:.1f} GB" for row in rows)


def sentence(message: str) -> str:
    """Snakemake's message without the lines that only its authors can use."""
    if "Traceback (most recent call last)" in message:
        return message.strip().splitlines()[-1]
    lines = [line for line in message.splitlines() if line.strip() not in ("", "None")]
    return "\n".join(line for line in lines if not line.startswith("  File "))


def say(stream: object, line: str) -> None:
    """Print one line at once, whatever letters the terminal knows."""
    known = stream.encoding or "utf-8"
    stream.write(f"{line}\n".encode(known, "backslashreplace").decode(known))
    stream.flush()
