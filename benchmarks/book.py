"""The book's own speed: `make book` cold, again, and after an edit; `make test`; `import aebook`.

Run it with `.venv/bin/python benchmarks/book.py` on an idle machine, after `make book` has installed everything; it
works in a fresh clone beside that environment and writes results/book.json, which book/speed.md is made from.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from speed import machine, now
from tqdm.auto import tqdm

ROOT = Path(__file__).resolve().parents[1]
EDITED = "notebooks/10_elbo.ipynb"


def seconds(*command: str, where: Path = ROOT) -> float:
    """Wall seconds of a command. Raises CalledProcessError with its output where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(where)}
    start = now()[0]
    subprocess.run(command, cwd=where, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return now()[0] - start


def make(target: str, where: Path) -> float:
    """Seconds of `make target`, what it installs left as it is."""
    return seconds("make", "-o", ".venv/installed-book", "-o", ".venv/installed-tests", target, where=where)


def importing() -> float:
    """Milliseconds that `import aebook` adds to a bare interpreter."""
    taken = [[seconds(sys.executable, "-c", code) for _ in range(15)] for code in ("import aebook", "pass")]
    return 1000 * (median(taken[0]) - median(taken[1]))


def main() -> None:
    """Time everything once, in the order in which an author meets it."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "book"
        seconds("git", "clone", "--quiet", str(ROOT), str(clone))
        (clone / ".venv").symlink_to(ROOT / ".venv")
        steps = tqdm(total=4)
        found = {"cold": make("book", clone)}
        steps.update()
        found["nothing changed"] = make("book", clone)
        steps.update()
        chapter = clone / EDITED
        chapter.write_text(chapter.read_text(encoding="utf-8").replace("seed=0", "seed=1", 1), encoding="utf-8")
        found["a chapter edited"] = make("book", clone)
        table = (clone / f"_build/fast/benchmarks/{Path(EDITED).stem}.tsv").read_text().splitlines()
        found["that chapter"] = float(table[1].split("\t")[0])
        steps.update()
        seconds("git", "checkout", EDITED, where=clone)
        found["test"] = make("test", clone)
        steps.update()
    result = {"machine": machine(), "seconds": found, "import, ms": importing()}
    Path(__file__).with_name("results").joinpath("book.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
