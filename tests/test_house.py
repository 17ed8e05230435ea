"""The house rules: linters, types, floors, sizes, and what no file of the repository may hold."""

import ast
import json
import re
import statistics
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PACKAGE = sorted((ROOT / "aebook").glob("*.py"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
UNIX = r"(make|bash \.ci/|gh |sudo apt-get )"
WINDOWS = r"(py -3\.1\d -m venv \.venv$|\.venv\\Scripts\\python |gh )"  # there is no make: the commands of the README
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def tool(*command: str) -> None:
    """Run a tool of the environment; its complaints are the failure's message."""
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def tracked() -> list[Path]:
    """The repository's text files."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    binary = {".png", ".ico", ".woff2", ".onnx", ".bin", ".keras", ".npz"}
    return [path for path in paths if path.is_file() and path.suffix not in binary]


# ---- tools


def test_ruff_finds_nothing() -> None:
    tool("ruff", "check", ".")


def test_files_are_read_and_written_with_an_encoding() -> None:
    """A file opened without one is read as the terminal's language says, and fails under a C locale."""
    tool("ruff", "check", "--preview", "--select", "PLW1514", ".")


def test_code_is_formatted() -> None:
    tool("ruff", "format", "--check", ".")


def test_types_hold() -> None:
    tool("mypy")


def test_the_floors_of_the_package_hold() -> None:
    tool("lint-imports")


def test_yaml_is_well_formed() -> None:
    rules = {"line-length": {"max": 130}, "truthy": {"check-keys": False}, "comments": {"min-spaces-from-content": 1}}
    rules |= dict.fromkeys(["document-start", "braces", "comments-indentation"], "disable")
    files = [str(path.relative_to(ROOT)) for path in tracked() if path.suffix in {".yml", ".yaml", ".cff"}]
    tool("yamllint", "--strict", "-d", json.dumps({"extends": "default", "rules": rules}), *files)


# ---- workflows


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_make_targets_with_few_rights_and_a_time_limit(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"} and workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 360
        called = [step["run"] for step in job["steps"] if "run" in step]
        for line in (line.strip() for command in called for line in command.splitlines()):
            assert re.match(WINDOWS if "windows" in job["runs-on"] else UNIX, line), line
            assert set(re.findall(r"^make ([a-z]+)", line)) <= TARGETS, line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    for line in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8")):
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_the_workflows_of_the_design_exist() -> None:
    assert {path.stem for path in WORKFLOWS} == {"ci", "gpu", "links", "publish", "systems", "versions"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_only_the_github_command_sees_the_token(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    for job in workflow["jobs"].values():
        assert "GH_TOKEN" not in workflow.get("env", {}) | job.get("env", {})
        for step in job["steps"]:
            assert "GH_TOKEN" not in step.get("env", {}) or step["run"].startswith("gh "), step


# ---- what no file may hold


def test_no_absolute_paths() -> None:
    machine = r"(?<![\w.:/>~-])/(?:home|root|Users|work|mnt)/\w+"
    found = [
        f"{path.relative_to(ROOT)}: {hit}"
        for path in tracked()
        for hit in re.findall(machine, path.read_text(encoding="utf-8"))
    ]
    assert not [line for line in found if not line.startswith("tests/test_")]


def test_no_address_of_a_package_registry() -> None:
    hosts = r"pypi\.org|pythonhosted\.org|registry\.npmjs|registry\.yarnpkg|conda\.anaconda|download\.pytorch"
    assert not [
        path
        for path in tracked()
        if path.name != "test_house.py" and re.search(hosts, path.read_text(encoding="utf-8"))
    ]


def test_no_file_is_large() -> None:
    limit = {".ipynb": 3_000_000, ".npz": 1_000_000}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    sizes = {name: (ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).exists()}
    assert not {name: size for name, size in sizes.items() if size > limit.get(Path(name).suffix, 300_000)}


# ---- the package's functions


def code_lines(path: Path) -> set[int]:
    """Line numbers that hold code: no blank lines, comments or docstrings."""
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in skipped]
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    strings = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return lines - {
        line for node in strings if isinstance(node.value, str) for line in range(node.lineno, node.end_lineno + 1)
    }


def functions(path: Path) -> dict[str, int]:
    """Lines of code of each function, its head included."""
    lines = code_lines(path)
    nodes = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    ]
    return {
        f"{path.stem}.{node.name}:{node.lineno}": len(lines & set(range(node.lineno, node.end_lineno + 1)))
        for node in nodes
    }


def test_functions_are_short() -> None:
    sizes = {name: size for path in PACKAGE for name, size in functions(path).items()}
    ranked = sorted(sizes.values())
    median, high, longest = statistics.median(ranked), ranked[int(0.9 * len(ranked))], ranked[-1]
    print(f"functions: median {median}, 90th percentile {high}, longest {longest}")
    assert median <= 8 and high <= 20
    assert longest <= 40, max(sizes, key=sizes.__getitem__)


def public(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    """Functions, classes and methods without a leading underscore."""
    top = [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    top = [node for node in top if not node.name.startswith("_")]
    inner = [
        node
        for owner in top
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef)
    ]
    return [node for node in top + inner if not node.name.startswith("_")]


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.stem)
def test_every_public_name_is_annotated_and_documented(path: Path) -> None:
    for node in public(path):
        assert ast.get_docstring(node), f"{path.stem}.{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef):
            named = [*node.args.args, *node.args.kwonlyargs]
            bare = [a.arg for a in named if a.annotation is None and a.arg not in ("self", "cls")]
            assert node.returns is not None and not bare, f"{path.stem}.{node.name}: {bare or 'result'} without a type"
