"""A sign of life of `make test`: one line as each file of tests starts, one as it ends, in place of dots."""

import time
from collections import Counter

import pytest


def group(nodeid: str) -> str:
    """The file that a test stands in."""
    return nodeid.split("::")[0]


class Progress:
    """Listens where pytest-xdist collects what its workers report."""

    def __init__(self, config: pytest.Config) -> None:
        self.terminal = config.pluginmanager.get_plugin("terminalreporter")
        self.begun = time.monotonic()
        self.left: Counter[str] = Counter()  # tests that are still to come, by file
        self.started: dict[str, float] = {}
        self.failed: Counter[str] = Counter()
        self.total = self.done = 0

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """Count once what every worker has collected alike."""
        if not self.left:
            self.left = Counter(map(group, ids))
            self.total = len(self.left)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say so when the first test of a file starts."""
        name = group(nodeid)
        if name not in self.started:
            self.started[name] = time.monotonic()
            self._say(f"[{len(self.started)} of {self.total}] {name} starts")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count failures."""
        self.failed[group(report.nodeid)] += report.failed

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Say so when the last test of a file has ended."""
        name = group(nodeid)
        self.left[name] -= 1
        if self.left[name] == 0:
            self.done += 1
            took = time.monotonic() - self.started[name]
            words = f"{self.failed[name]} FAILED" if self.failed[name] else "ok"
            self._say(f"[{self.done} of {self.total} done] {name}: {words}, {took:.0f} s")

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
        """No letters: the lines above stand in their place, and failures are shown in full at the end."""
        if hasattr(report, "wasxfail"):
            return ("xfailed", "", "XFAIL") if report.skipped else ("xpassed", "", "XPASS")
        if report.failed:
            return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")
        if report.skipped:
            return "skipped", "", "SKIPPED"
        return ("passed", "", "") if report.when == "call" else ("", "", "")

    def _say(self, line: str) -> None:
        self.terminal.write_line(f"{line}; {time.monotonic() - self.begun:.0f} s so far")


def listen(config: pytest.Config) -> None:
    """Print progress where this process hands tests out to workers."""
    if config.pluginmanager.hasplugin("dsession"):
        config.pluginmanager.register(Progress(config), "progress")
