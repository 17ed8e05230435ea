"""Read the book's own YAML and JSON, so that a damaged file names itself, the place and the way out."""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


class DamagedError(SystemExit):
    """A file of the book cannot be read; the message says which, where, and what to do."""


def shown(path: Path) -> str:
    """A path as a reader of the repository writes it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def damaged(path: Path, found: str, expected: str) -> DamagedError:
    """The error for a file that holds something else than it should."""
    name = shown(path)
    remedy = f'Undo the last edit: `git diff "{name}"` shows it, `git checkout -- "{name}"` takes it back.'
    if "_build" in Path(name).parts:
        remedy = "It was probably cut short while it was written. Delete it and run the same command again."
    return DamagedError(f"{name} cannot be read\n  found    {found}\n  expected {expected}\n  {remedy}")


def text(path: Path, expected: str = "text in UTF-8") -> str:
    """The text of a file in UTF-8. Raises DamagedError when it is missing, not allowed or in another encoding."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise damaged(path, f"a byte that is not UTF-8 in line {line}", expected) from None
    except OSError as error:
        raise DamagedError(f"{shown(path)} cannot be read: {error.strerror}") from None


def from_yaml(path: Path, expected: str, kind: type = dict) -> Any:
    """What a YAML file holds, of the type `kind`. Raises DamagedError with the line."""
    try:
        value = yaml.safe_load(text(path, expected))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise damaged(path, f"{where}{problem}", expected) from None
    if not isinstance(value, kind):
        raise damaged(path, "nothing" if value is None else f"a {type(value).__name__}", expected)
    return value


def from_json(path: Path, expected: str, kind: type = dict) -> Any:
    """What a JSON file holds, of the type `kind`. Raises DamagedError with the line."""
    content = text(path, expected)
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        found = f"line {error.lineno}, column {error.colno}: {error.msg}" if content.strip() else "an empty file"
        raise damaged(path, found, expected) from None
    if not isinstance(value, kind):
        raise damaged(path, f"a {type(value).__name__}", expected)
    return value


def notebook(path: Path) -> dict[str, Any]:
    """A notebook as JSON. Raises DamagedError when it is none."""
    expected = "a Jupyter notebook, which is JSON with a list of cells"
    value = from_json(path, expected)
    if not isinstance(value.get("cells"), list):
        raise damaged(path, "JSON without a list of cells", expected)
    return value
