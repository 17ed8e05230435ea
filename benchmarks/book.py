"""The book's own speed: `make book` cold, again, and after an edit; `make test`; `import aebook`.

Run it with `.venv/bin/python benchmarks/book.py` on an idle machine, after `make book` has installed everything; it
works in a fresh clone beside that environment and writes results/book.json, which book/speed.md is made from, and
chapters.json, by which the Snakefile begins with the chapters that take longest, and memory.json, by which it starts no
more of them than the memory holds. With `book`, `test` or `import` it
repeats that one measurement.
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


def importing(clone: Path) -> dict[str, float]:
    """Milliseconds that `import aebook` adds to a bare interpreter."""
    taken = [[seconds(sys.executable, "-c", code) for _ in range(15)] for code in ("import aebook", "pass")]
    return {"import, ms": 1000 * (median(taken[0]) - median(taken[1]))}


def book(clone: Path) -> dict[str, float]:
    """Seconds of `make book`: cold, with nothing changed, and after an edit of one chapter."""
    found = {"cold": make("book", clone), "nothing changed": make("book", clone)}
    chapter = clone / EDITED
    chapter.write_text(chapter.read_text(encoding="utf-8").replace("seed=0", "seed=1", 1), encoding="utf-8")
    found["a chapter edited"] = make("book", clone)
    tables = sorted((clone / "_build/fast/benchmarks").glob("*.tsv"))
    rows = {path.stem: path.read_text(encoding="utf-8").splitlines()[1].split("\t") for path in tables}
    took = {name: float(row[0]) for name, row in rows.items()}
    found["that chapter"] = took[Path(EDITED).stem]
    (Path(__file__).with_name("results") / "chapters.json").write_text(
        json.dumps(took, indent=1) + "\n", encoding="utf-8"
    )
    path = Path(__file__).with_name("results") / "memory.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known["fast"] = {name: float(row[1]) for name, row in rows.items()}
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return found


def testing(clone: Path) -> dict[str, float]:
    """Seconds of `make test`."""
    return {"test": make("test", clone)}


PARTS = {"book": book, "test": testing, "import": importing}


def main() -> None:
    """Measure what is asked for, each part in a clone of its own, and keep the file's other figures."""
    path = Path(__file__).with_name("results") / "book.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in tqdm(sys.argv[1:] or PARTS):
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "book"
            seconds("git", "clone", "--quiet", str(ROOT), str(clone))
            (clone / ".venv").symlink_to(ROOT / ".venv")
            found = {name: round(value, 1) for name, value in PARTS[part](clone).items()}
        result = {**result, **found, "machine": machine()}
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
