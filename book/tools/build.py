"""Run the chapters and build the site, through Snakemake; say in a sentence what is in the way.

    python book/tools/build.py [site | chapters] --profile fast --cores 3

What can be seen beforehand is looked at beforehand: the profile, the table of contents, the notebooks, and whether the
folders can be written to.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

import platformdirs

import budget
import child
import notebooks
import reading

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ROOM = 2**20  # bytes that must fit where something is to be written
# Snakemake compares contents, so a fresh checkout's dates do not count; what runs is the notebook, not its date.
OPTIONS = ["--keep-going", "--quiet", "all", "--nolock", "--rerun-incomplete", "--logger", "book"]
TRIGGERS = ["--rerun-triggers", "mtime", "params", "input"]


def troubles(profile: str) -> list[str]:
    """What stands in the way of a build, each in words. Raises SystemExit for a file that cannot be read at all."""
    found = notebooks.missing(profile)
    for name in notebooks.chapters():
        path = ROOT / "notebooks" / f"{name}.ipynb"
        if path.exists():
            reading.notebook(path)
    found += unwritable(ROOT / "_build", "results")
    found += unwritable(ROOT / ".snakemake", "notes on what was built")
    found += unwritable(temporary(), "temporary files")
    return found


def temporary() -> Path:
    """The folder for temporary files. Raises SystemExit where there is none."""
    wanted = os.environ.get("TMPDIR")
    if wanted and not Path(wanted).is_dir():
        raise SystemExit(f"TMPDIR={wanted}: there is no such folder; make it, or `unset TMPDIR`")
    try:
        return Path(wanted or tempfile.gettempdir())
    except FileNotFoundError:
        raise SystemExit("no temporary folder can be written to: is the disk full? Let TMPDIR name another.") from None


def unwritable(folder: Path, purpose: str) -> list[str]:
    """Why a megabyte cannot be written to a folder, in words; nothing if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        reason = notebooks.system_trouble(OSError(error.errno, error.strerror, str(folder))).replace("\n", ". ")
        return [f"{purpose} cannot be written: {reason}"]
    return []


def environment() -> dict[str, str]:
    """The environment of a build: UTF-8 everywhere, and a cache within _build where HOME takes none."""
    values = {**os.environ, "PYTHONUTF8": "1"}
    cache = platformdirs.user_cache_path()
    if unwritable(cache / "snakemake", "caches"):
        ours = ROOT / "_build" / "cache"
        values["XDG_CACHE_HOME"] = str(ours)
        values.setdefault("MPLCONFIGDIR", str(ours / "matplotlib"))
        values.setdefault("IPYTHONDIR", str(ours / "ipython"))
        if (cache / "aebook").is_dir():  # data that was fetched before is still read from there
            values.setdefault("AEBOOK_DATA_DIR", str(cache / "aebook"))
    return values


def snakemake(options: argparse.Namespace, megabytes: int) -> list[str]:
    """The command that builds a target."""
    settings = ["--config", f"profile={options.profile}", f"memory={megabytes}"]
    limits = ["--cores", str(options.cores), "--resources", f"mem_mb={megabytes}"]
    return [sys.executable, str(HERE / "snake.py"), *limits, *OPTIONS, *TRIGGERS, *settings, "--", options.target]


def main(arguments: list[str] | None = None) -> int:
    """Look, fetch the data, and build; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", choices=["site", "chapters"], default="site")
    parser.add_argument("--profile", default="fast")
    parser.add_argument("--cores", type=int, default=(os.cpu_count() or 1) + 1, help="chapters at a time, at most")
    parser.add_argument("--data", action="store_true", help="fetch the published data first")
    parser.add_argument("--memory", type=int, default=0, help="MB that all chapters may take together")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    again = f"make {'book' if options.target == 'site' else 'run'}{profile_words(options.profile)}"
    found = troubles(options.profile)
    if found:
        raise SystemExit("\n".join([*found, f"Mend this, then `{again}` again."]))
    values, megabytes = environment(), options.memory or budget.usable()
    if options.data and child.run([sys.executable, "-m", "aebook", "data"], again, values):
        return 1
    for line in budget.warnings(options.profile, notebooks.chapters(), megabytes):
        print(line, flush=True)
    status = child.run(snakemake(options, megabytes), again, values)
    if status:
        sys.stderr.write(f"{ending(status)}; what is finished is kept, and `{again}` goes on from here\n")
    return min(abs(status), 1)


def profile_words(profile: str) -> str:
    """How a profile is named on make's command line."""
    return "" if profile == "fast" else f" PROFILE={profile}"


def ending(status: int) -> str:
    """What an exit status of Snakemake says."""
    if status < 0:
        cause = " (most often: not enough memory)" if -status == signal.SIGKILL else ""
        return f"the build was ended from outside, by {signal.Signals(-status).name}{cause}"
    return "the build stopped; the messages above say why"


if __name__ == "__main__":
    sys.exit(main())
