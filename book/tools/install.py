"""Install what the book needs into the environment whose Python runs this, and repair what is there.

python book/tools/install.py book|tests [-c FILE] [--extra WORD]

A stamp in the environment says what was installed, from which files and where: as long as it fits, nothing is done.
An installation that was interrupted goes on, a folder that was moved is linked again, and files that were half written
are written again. Uses the standard library alone, since nothing else is installed when it begins.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import node

ROOT = Path(__file__).resolve().parents[2]
FILES = {"book": ["requirements.txt"], "tests": ["requirements.txt", "requirements-dev.txt"]}
DISK = "4 GB"
OLDEST_PIP = 24  # earlier ones build some packages in a way that fails in a folder with a dollar sign
FULL = f"The disk is full, or your share of it: the book needs about {DISK}. Make room, and run the same command again."
CAUSES = {  # what pip or npm writes -> what it means
    "No space left on device": FULL,
    "Disk quota exceeded": FULL,
    "ENOSPC": FULL,
    "Permission denied": "A folder cannot be written by you; its name stands above. It may belong to another user.",
    "Read-only file system": "The disk is mounted read-only; copy the book to one that can be written.",
    "(constraint)": "A version in constraints.txt is not to be had for this Python. Take another (remove .venv, then"
    " PYTHON=python3.13),\nor the newest versions of the ranges: the same command with CONSTRAINTS= at its end.",
    "ResolutionImpossible": "The versions asked for exclude each other; EXTRA or CONSTRAINTS names one too many.",
    "No matching distribution found": "A version that the book names is not in the package index that pip asks here.",
}
NETWORK = (
    "Failed to establish",
    "NewConnectionError",
    "Temporary failure",
    "ConnectTimeout",
    "ReadTimeout",
    "ProxyError",
    "SSLError",
    "CERTIFICATE_VERIFY",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ETIMEDOUT",
    "Max retries",
)
# Read by the shell as a command that starts Python, and by Python as a string.
HEAD = ("#!/bin/sh", '\'\'\'exec\' "$(dirname "$0")/python" "$0" "$@"', "' '''")
OFFLINE = (
    "There is no network, or it does not reach the package index. The installation needs it once (about 1 GB);"
    " afterwards nothing does. Run the same command again when there is one."
)


class InstallError(Exception):
    """The installation did not succeed; the message says why and what helps."""


# ---- the stamp


def wanted(part: str, extra: list[str], constraints: str | None) -> dict[str, object]:
    """What a stamp says of this Python, this folder and the files that name versions."""
    names = [*FILES[part], "pyproject.toml", *([constraints] if constraints else [])]
    return {
        "python": platform.python_version(),
        "folder": str(ROOT),
        "extra": extra,
        "files": {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in names},
    }


def recorded(stamp: Path) -> dict[str, object]:
    """What the stamp says; nothing if it is absent or damaged."""
    try:
        found = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(stamp: Path, content: dict[str, object]) -> None:
    """Write a stamp in one step, so that it is whole or not there."""
    scratch = stamp.with_suffix(".new")
    scratch.write_text(json.dumps(content, indent=1), encoding="utf-8")
    scratch.replace(stamp)


# ---- repairs


def site_packages() -> Path:
    """Where this environment keeps its packages."""
    return Path(sysconfig.get_path("purelib"))


def broken() -> list[Path]:
    """Records (dist-info folders) of packages of which a file is missing or has another size than recorded."""
    return [record for record in sorted(site_packages().glob("*.dist-info")) if not whole(record)]


def whole(record: Path) -> bool:
    """Whether all files of an installed package are there as recorded; without a list of files it is not."""
    files = metadata.Distribution.at(record).files
    return bool(files) and all(as_recorded(file) for file in files if file.suffix != ".pyc")


def as_recorded(file: metadata.PackagePath) -> bool:
    """Whether a file is there, and inside of site-packages also of the recorded size (commands are written anew)."""
    path = Path(file.locate())
    return path.exists() and (".." in file.parts or file.size in (None, path.stat().st_size))


def forget_broken() -> None:
    """Remove the records of what is half written, and pip's leftovers, so that pip writes it again."""
    for record in broken():
        print(f"half written, and installed again: {record.name.removesuffix('.dist-info')}", flush=True)
        shutil.rmtree(record)
    for leftover in site_packages().glob("~*"):
        shutil.rmtree(leftover, ignore_errors=True)
    run([sys.executable, "-m", "ensurepip"])  # does nothing where pip is whole


def relink() -> None:
    """Let the environment's commands find Python again after the folder was moved; no network is needed."""
    run([sys.executable, "-m", "venv", "--without-pip", sys.prefix])  # writes `activate` anew
    for path in Path(sys.prefix, "bin").iterdir():
        if path.is_file() and not path.is_symlink() and path.read_bytes().startswith(b"#!"):
            path.write_text(movable(path.read_text(encoding="utf-8")), encoding="utf-8")


def movable(script: str) -> str:
    """A command's text, with a head that takes the Python beside it, so that spaces and moves do no harm."""
    lines = script.split("\n")
    long_head = lines[0] == "#!/bin/sh" and lines[1].startswith("'''exec' ")  # pip's, for paths with spaces
    if not long_head and "python" not in lines[0]:
        return script
    return "\n".join([*HEAD, *lines[3 if long_head else 1 :]])


# ---- pip


def run(words: list[str]) -> None:
    """Run a command silently. Raises InstallError with what it wrote, and with the cause in words."""
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise InstallError(explained(done.stdout + done.stderr))


def explained(output: str) -> str:
    """The last lines of what a tool wrote, and below them what they mean."""
    lines = [line for line in output.splitlines() if line.strip() and "is ignored: it is neither" not in line]
    reason = OFFLINE if any(word in output for word in NETWORK) else None
    reason = reason or next((text for word, text in CAUSES.items() if word in output), None)
    shown = "\n".join(line[:300] for line in lines[-12:])
    return f"{shown}\n\n{reason or 'The installation stopped, for the reason above.'}"


def install(part: str, extra: list[str], constraints: str | None) -> None:
    """Install the requirements, OpenCV without windows, and the package itself as a link to this folder."""
    pip = [sys.executable, "-m", "pip", "install", *(["--constraint", constraints] if constraints else [])]
    if int(metadata.version("pip").split(".")[0]) < OLDEST_PIP:
        run([sys.executable, "-m", "pip", "install", "--upgrade", f"pip>={OLDEST_PIP}"])
    requirements = [word for name in FILES[part] for word in ("--requirement", name)]
    run([*pip, *requirements, *extra])
    replace_opencv()
    link()


def replace_opencv() -> None:
    """Keep OpenCV's headless build alone: pyimgaug asks for the other one too, which needs libGL.

    Both write the same folder, so the headless one is written again when the other has gone.
    """
    if list(site_packages().glob("opencv_python-*.dist-info")):
        pip, headless = [sys.executable, "-m", "pip"], "opencv-python-headless"
        version = metadata.version(headless)
        run([*pip, "uninstall", "--yes", "opencv-python"])
        run([*pip, "install", "--no-deps", "--force-reinstall", f"{headless}=={version}"])


def link() -> None:
    """Install the package itself, as a link to this folder."""
    run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--editable",
            str(ROOT),
        ]
    )


# ---- commands


def bring(part: str, extra: list[str], constraints: str | None) -> None:
    """Bring the environment to what is wanted: at once if the stamp fits, by repairs where these are enough."""
    require_own_build()
    stamp, begun = Path(sys.prefix, f"installed-{part}"), Path(sys.prefix, "installing")
    found, goal = recorded(stamp), wanted(part, extra, constraints)
    if found == goal:
        node.modules(thorough=False)
        return
    if found == {**goal, "folder": found.get("folder")}:  # only the folder is another one
        print("the folder has moved: linking the environment again", flush=True)
        relink()
        link()
    else:
        print(f"installing into {os.path.relpath(sys.prefix)} (about {DISK}, some minutes, once)", flush=True)
        if begun.exists():
            forget_broken()
        begun.touch()
        install(part, extra, constraints)
    node.modules()
    write(stamp, goal)
    begun.unlink(missing_ok=True)


def require_own_build() -> None:
    """Raise InstallError where what was built belongs to someone else."""
    build = ROOT / "_build"
    if build.exists() and not os.access(build, os.W_OK):
        raise InstallError(
            f"_build cannot be written by you: it belongs to {build.owner()}, who ran make here before.\n"
            "Remove it (as its owner, or with sudo), and run the same command again."
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the command above; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=sorted(FILES))
    parser.add_argument("-c", "--constraints", metavar="FILE", help="exact versions")
    parser.add_argument("--extra", action="append", default=[], help="a further requirement; may be given again")
    options = parser.parse_args(arguments)
    try:
        bring(options.part, options.extra, options.constraints or None)
    except InstallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (OSError, SystemExit) as error:  # a full disk, a folder of someone else; npm's words
        sys.stderr.write(f"{explained(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the same command goes on with the installation\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
