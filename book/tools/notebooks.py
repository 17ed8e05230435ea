"""Keep the committed notebooks clean, run them, and spread the repository's address.

python book/tools/notebooks.py tidy [--check] [NOTEBOOK ...]    clean; with --check only say what is off
python book/tools/notebooks.py run [NOTEBOOK ...]               execute with the fast profile, in place, and clean
python book/tools/notebooks.py address                          write the address in _config.yml everywhere
"""

import argparse
import ast
import base64
import errno
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode
from PIL import Image

import reading

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "00_template"
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    },
}
# In a checkout the chapters use its package, installed or not; elsewhere an installed Keras is never replaced.
SETUP = """import sys
from importlib.util import find_spec
from pathlib import Path

folders = [Path.cwd(), *Path.cwd().parents]
sys.path[:0] = [str(folder) for folder in folders if (folder / "aebook/__init__.py").exists()]
if not getattr(find_spec("aebook"), "origin", None):  # a fresh machine, such as Colab
    extra = "" if find_spec("keras") else "[tensorflow]"  # what is installed stays
    %pip install -q "aebook{{extra}} @ git+{address}"

import aebook

aebook.setup(seed=0)"""


# ---- reading


def chapters() -> list[str]:
    """Names of the chapters in the order of the table of contents. Raises SystemExit when that is damaged."""
    path = ROOT / "_toc.yml"
    expected = "the list of pages, as Jupyter Book 1 reads it"
    files = _files(reading.from_yaml(path, expected, dict | list))
    names = [file.removeprefix("notebooks/") for file in files if file.startswith("notebooks/")]
    if len(set(names)) < len(names):
        raise reading.damaged(path, "a chapter that is named twice", "each chapter once")
    return names


def _files(part: Any) -> Iterator[str]:
    """All `file:` entries of a table of contents, in its order."""
    if isinstance(part, dict) and isinstance(part.get("file"), str):
        yield part["file"]
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _files(inner)


def profiles() -> list[str]:
    """Names of the profiles in profiles/."""
    return sorted(path.stem for path in (ROOT / "profiles").glob("*.yml"))


def profile(name: str) -> dict[str, dict[str, object]]:
    """Parameters of every chapter in profiles/<name>.yml. Raises SystemExit when there is none, or it is damaged."""
    if name not in profiles():
        raise SystemExit(f"PROFILE={name}: there is no profiles/{name}.yml; there are: {', '.join(profiles())}")
    path, expected = ROOT / "profiles" / f"{name}.yml", "chapters, and below each its parameters as NAME: value"
    values = reading.from_yaml(path, expected)
    for chapter, parameters in values.items():
        if not isinstance(parameters, dict):
            raise reading.damaged(path, f"{chapter}: {parameters!r}", expected)
    return values


def missing(profile_name: str) -> list[str]:
    """What the table of contents names and a run with this profile lacks, in words."""
    values = profile(profile_name)
    lacking = [
        f"notebooks/{name}.ipynb is named in _toc.yml and does not exist"
        for name in chapters()
        if not (ROOT / "notebooks" / f"{name}.ipynb").exists()
    ]
    lacking += [
        f"profiles/{profile_name}.yml has no section {name}, which _toc.yml names as a chapter"
        for name in chapters()
        if name not in values
    ]
    return lacking


def address() -> str:
    """The repository's address, as _config.yml states it."""
    path, expected = ROOT / "_config.yml", "the site's settings, with `repository: {url: ...}`"
    repository = reading.from_yaml(path, expected).get("repository")
    if not isinstance(repository, dict) or not isinstance(repository.get("url"), str):
        raise reading.damaged(path, "no `repository:` with a `url:`", expected)
    return repository["url"].rstrip("/")


def read(path: Path) -> NotebookNode:
    """A notebook. Raises SystemExit when it is missing or damaged."""
    reading.notebook(path)
    return nbformat.read(path, as_version=4)


def write(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads it finds the old one or the new one whole, even if the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def system_trouble(error: OSError) -> str:
    """What the operating system refused, and the remedy where there is a usual one."""
    remedies = {
        errno.ENOSPC: "The disk is full: free some space, or let TMPDIR name a folder on another disk.",
        errno.EDQUOT: "Your share of the disk is used up: free some space.",
        errno.EROFS: "The disk is read-only: copy the book to a folder of your own.",
        errno.EACCES: "The folder belongs to somebody else: copy the book to a folder of your own.",
        errno.EPERM: "The folder belongs to somebody else: copy the book to a folder of your own.",
    }
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}\n{remedies.get(error.errno, '')}".strip()


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    """Cells that carry a tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def pictures(cell: NotebookNode) -> list[str]:
    """The PNG pictures a cell has put out, in base64."""
    return [output.data["image/png"] for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


# ---- parameters


def literal(value: object) -> str:
    """Python source of a parameter: thousands grouped, strings in double quotes."""
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{value:_}" if type(value) is int else repr(value)


def assignments(source: str) -> dict[str, ast.expr]:
    """Name -> value, for each assignment of a parameters cell."""
    return {node.targets[0].id: node.value for node in ast.parse(source).body if isinstance(node, ast.Assign)}


def set_parameters(notebook: NotebookNode, values: dict[str, object]) -> None:
    """Write values into the parameters cell and leave its comments alone.

    Raises ValueError for a name that the cell does not assign.
    """
    cell = tagged(notebook, "parameters")[0]
    unknown = set(values) - set(assignments(cell.source))
    if unknown:
        raise ValueError(f"no such name in the parameters cell: {', '.join(sorted(unknown))}")
    for name, value in values.items():
        node, lines = assignments(cell.source)[name], cell.source.encode().splitlines(keepends=True)
        last = lines[node.end_lineno - 1][node.end_col_offset :]
        first = lines[node.lineno - 1][: node.col_offset]
        lines[node.lineno - 1 : node.end_lineno] = [first + literal(value).encode() + last]
        cell.source = b"".join(lines).decode()


# ---- cleaning


def clean(notebook: NotebookNode) -> NotebookNode:
    """Drop, in place, whatever a run leaves behind that is no result: timings, paths, widget state, stderr."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell, name in zip(notebook.cells, _ids(notebook), strict=True):
        cell.id = name
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in ("tags", "mystnb") if cell.metadata.get(key)})
        cell.pop("attachments", None)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    in_order = runs_in_order(code)
    for count, cell in enumerate(code, 1):
        cell.outputs = _merged(output for output in cell.outputs if not _is_noise(output))
        if in_order:
            cell.execution_count = count
        for output in cell.outputs:
            output.pop("transient", None)
            if "metadata" in output:
                output.metadata = NotebookNode()
            if "execution_count" in output:
                output.execution_count = cell.execution_count
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _grey(output.data["image/png"])
    return notebook


def runs_in_order(code: list[NotebookNode]) -> bool:
    """Whether the cells were all run, from the first to the last."""
    counts = [cell.execution_count for cell in code]
    return None not in counts and counts == sorted(set(counts))


def _ids(notebook: NotebookNode) -> Iterator[str]:
    """A cell's id is its first words: it stays when cells are put in before it."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        name = "-".join(re.findall(r"[a-z0-9]+", cell.source.lower().split("\n")[0])[:6])[:48] or "cell"
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def _grey(picture: str) -> str:
    """A PNG in base64, with one number a pixel instead of four where it shows nothing but greys."""
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    grey = image.convert("L")
    if image.mode != "RGBA" or grey.convert("RGBA").tobytes() != image.tobytes():
        return picture
    grey.save(file := io.BytesIO(), "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _is_noise(output: NotebookNode) -> bool:
    return output.get("name") == "stderr" or WIDGET in output.get("data", {})


def _merged(outputs: Iterator[NotebookNode]) -> list[NotebookNode]:
    """Join what a cell printed in several goes, so that timing does not show."""
    merged: list[NotebookNode] = []
    for output in outputs:
        if merged and output.output_type == "stream" and merged[-1].get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def tidied(path: Path) -> str:
    """The text that a committed notebook should have."""
    notebook = clean(read(path))
    for cell in tagged(notebook, "setup"):
        cell.source = SETUP.format(address=address())
    return nbformat.writes(notebook) + "\n"


def wanted(path: Path) -> dict[Path, bytes]:
    """The files that belong to a notebook, with the content they should have: itself and its result picture."""
    text = tidied(path)
    files = {path: text.encode()}
    for cell in tagged(nbformat.reads(text, as_version=4), "result"):
        for picture in pictures(cell)[:1]:
            files[ROOT / "book" / "images" / f"{path.stem}.png"] = base64.b64decode(picture)
    return files


def stale(paths: list[Path]) -> dict[Path, bytes]:
    """Those wanted files that differ from what is on the disk."""
    files = {file: content for path in paths for file, content in wanted(path).items()}
    return {file: content for file, content in files.items() if not file.exists() or file.read_bytes() != content}


# ---- the repository's address


def readdressed(text: str, old: str, new: str) -> str:
    """Replace one repository's address by another's: on GitHub, on Colab, on Binder and on Pages."""
    (old_owner, old_name), (owner, name) = old.split("/")[-2:], new.split("/")[-2:]
    slug = rf"((?:github\.com|github|gh)/){old_owner}/{old_name}(?![\w-])"
    text = re.sub(slug, rf"\g<1>{owner}/{name}", text)
    return re.sub(rf"\b{old_owner}\.github\.io/{old_name}(?![\w-])", f"{owner}.github.io/{name}", text)


def readdress() -> None:
    """Carry the address from _config.yml to every other tracked file; CITATION.cff knows the one before."""
    old = yaml.safe_load(reading.text(ROOT / "CITATION.cff"))["repository-code"].rstrip("/")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for path in (ROOT / name for name in listed.split("\0") if name):
        if path.suffix not in {".md", ".cff", ".yml", ".toml", ".ipynb", ".py", ".json", ".html"} or not path.is_file():
            continue
        text = reading.text(path)
        changed = readdressed(text, old, address())
        if changed != text:
            path.write_text(changed, encoding="utf-8")
            print(f"address: {path.relative_to(ROOT)}")


# ---- commands


def run(path: Path) -> None:
    """Execute a committed notebook with the fast profile, in place."""
    import run_chapter

    log = ROOT / "_build" / "chapters" / f"{path.stem}.log"
    try:
        run_chapter.run(path, path, profile("fast").get(path.stem, {}), log)
    except run_chapter.ChapterError as error:
        sys.exit(str(error))


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands above; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["tidy", "run", "address"])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all in notebooks/")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.notebooks] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    if options.command == "address":
        readdress()
        return 0
    if options.command == "run":
        for path in paths:
            run(path)
    files = stale(paths)
    for file, content in files.items():
        print(f"{file.relative_to(ROOT)}: {'not tidy; run `make tidy`' if options.check else 'tidied'}")
        if not options.check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return int(bool(files) and options.check)


if __name__ == "__main__":
    sys.exit(main())
