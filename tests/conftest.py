"""How the notebooks are compared, and how test workers share the processor."""

import os
from typing import Any

import nbval.plugin
import progress
import pytest
from nbval.kernel import RunningKernel

from aebook import data

# Beside the printed text, a cell's output holds these; what they say is printed as well, or is not to be compared.
NOT_COMPARED = (
    "stderr",
    "text/html",
    "image/svg+xml",
    "application/vnd.aebook.claim+json",
    "application/vnd.aebook.lab+json",
)


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker, and the kernels it starts, its share of the cores."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for library in ("TF_NUM_INTRAOP", "OPENBLAS_NUM", "OMP_NUM"):
        os.environ.setdefault(f"{library}_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    config.addinivalue_line("markers", "data: needs the published MNIST and Fashion-MNIST files; skipped without them")
    config.addinivalue_line("markers", "tensorflow: takes its gradients from TensorFlow; left out by `make backends`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs the published files where they are not."""
    absent = [name for name, source in data.available().items() if source != "full"]
    skip = pytest.mark.skip(reason=f"needs the published files of {' and '.join(absent)}: set AEBOOK_DATA_DIR")
    for item in items if absent else ():
        if item.get_closest_marker("data"):
            item.add_marker(skip)


def _do_nothing(*arguments: Any) -> None:
    pass


_plain_init = nbval.plugin.IPyNbFile.__init__


def _init(self: nbval.plugin.IPyNbFile, *arguments: Any, **options: Any) -> None:
    _plain_init(self, *arguments, **options)
    self.skip_compare = (*self.skip_compare, *NOT_COMPARED)


def _execute(self: RunningKernel, source: str, allow_stdin: bool | None = None) -> str:
    # nbval leaves cells out of the history; IPython then overlooks the `;` that ends a plot cell and shows it twice
    return self.kc.execute(source, allow_stdin=allow_stdin, stop_on_error=False)


nbval.plugin.IPyNbFile.__init__ = _init
RunningKernel.execute_cell_input = _execute
# The bar on coverage is for the tests of the package; the chapters shall not help to reach it.
nbval.plugin.setup_coverage = nbval.plugin.teardown_coverage = _do_nothing


def pytest_sessionstart(session: pytest.Session) -> None:
    """Print one line as each file of tests starts and ends."""
    progress.listen(session.config)
