"""The installation: what is declared, what heals, what is said; Node's files, the lab, the setup cell."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import aebook

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import install  # noqa: E402
import lab  # noqa: E402
import node  # noqa: E402
import notebooks  # noqa: E402
import versions  # noqa: E402

ODD = "My Books (2) it's $HOME Bücher"


# What is declared


def imported(source: str) -> set[str]:
    """Top-level names of the modules that a program imports."""
    found = set()
    for statement in ast.walk(ast.parse(source)):
        if isinstance(statement, ast.Import):
            found |= {alias.name.split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            found.add(statement.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def programs(*folders: str) -> dict[str, str]:
    """Path -> source of all programs of these folders; of notebooks the code cells."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).glob("*.py"))]
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if "notebooks" in folders else []:
        cells = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code"]
        found[path.name] = TransformerManager().transform_cell("\n".join(cells))
    return found


def declared(*files: str) -> set[str]:
    return {canonicalize_name(name) for file in files for name in versions.declared(file)}


def undeclared(found: dict[str, str], names: set[str]) -> dict[str, set[str]]:
    """Program -> modules that no declared distribution brings."""
    own = {path.stem for folder in ("book/tools", "benchmarks", "tests") for path in (ROOT / folder).glob("*.py")} | {
        "aebook"
    }
    brings = importlib.metadata.packages_distributions()
    known = {module for module, by in brings.items() if {canonicalize_name(name) for name in by} & names} | own
    return {name: missing for name, source in found.items() if (missing := imported(source) - known)}


def test_every_import_is_declared():
    named = declared("requirements.txt", "requirements-dev.txt")
    assert not undeclared(programs("aebook", "book/tools", "benchmarks", "tests", "notebooks"), named)
    assert not undeclared(programs("aebook", "book/tools", "benchmarks", "notebooks"), declared("requirements.txt"))


def test_an_undeclared_import_is_found():
    assert undeclared({"one": "import IPython.display as d\nimport os"}, {"numpy"}) == {"one": {"IPython"}}


def test_the_package_declares_what_it_imports_and_setup_looks_for_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = {canonicalize_name(Requirement(line).name) for line in project["dependencies"] + extras["tensorflow"]}
    export = {canonicalize_name(Requirement(line).name) for line in extras["export"]}
    assert not undeclared(programs("aebook"), needed | export)
    used = set().union(*map(imported, programs("aebook").values())) - {"aebook", "tensorflow"} - export
    assert used <= set(aebook.LIBRARIES)
    assert {canonicalize_name(name) for name in aebook.LIBRARIES.values()} | {"tensorflow"} == needed


def test_the_lowest_versions_are_the_lower_ends():
    assert versions.lowest(">=2.19,<2.22") == "==2.19" and versions.lowest(">=1.0.4.post1,<2") == "==1.0.4.post1"
    with pytest.raises(ValueError, match="no lower end"):
        versions.lowest("<3")
    assert {line.split("==")[0] for line in versions.requirements("lowest") if "==" in line} >= {"keras", "numpy"}


def test_colabs_versions_lie_within_the_declared_ranges():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["tensorflow"]
    ranges = {Requirement(line).name: Requirement(line).specifier for line in lines}
    for name, pin in versions.COLAB.items():
        version = pin.removeprefix("==").removesuffix(".*")
        assert ranges.get(name, SpecifierSet()).contains(version), name


def test_the_tests_of_the_package_use_no_tool():
    found = versions.package_tests()
    assert "tests/test_package.py" in found and "tests/test_losses.py" in found
    assert not {"tests/test_site.py", "tests/test_house.py", "tests/test_install.py"} & set(found)


# The environment


def make_venv(folder: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run venv.sh in a folder, with this Python as the only candidate."""
    words = ["sh", str(ROOT / "book/tools/venv.sh")]
    environment = {**os.environ, "PYTHON": python, "LC_ALL": "C"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, encoding="utf-8")


def starts(folder: Path) -> bool:
    return not subprocess.run([folder / ".venv/bin/python", "-m", "pip", "--version"], capture_output=True).returncode


def test_an_environment_whose_python_is_gone_or_that_lacks_pip_heals(tmp_path):
    folder = tmp_path / ODD
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(tmp_path / "removed/python3")
    done = make_venv(folder)
    assert done.returncode == 0 and "is made anew" in done.stdout and starts(folder), done.stderr
    packages = next((folder / ".venv/lib").glob("python3*/site-packages"))
    for path in packages.glob("pip*"):
        shutil.rmtree(path)
    assert not starts(folder)
    done = make_venv(folder)
    assert done.returncode == 0 and done.stdout == "" and starts(folder), done.stderr


def test_a_python_outside_of_the_range_is_named(tmp_path):
    old = tmp_path / "old python"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    done = make_venv(tmp_path, str(old))
    assert done.returncode == 1 and f"PYTHON={old}" in done.stderr and "3.11, 3.12 or 3.13" in done.stderr


def test_a_file_in_the_environments_place_is_named(tmp_path):
    (tmp_path / ".venv").write_text("", encoding="utf-8")
    done = make_venv(tmp_path)
    assert done.returncode == 1 and ".venv is a file" in done.stderr


def test_a_folder_that_cannot_be_named_in_a_path_is_said(tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    done = make_venv(folder)
    assert done.returncode == 1 and "colon" in done.stderr


def test_a_fresh_clone_can_be_asked_what_make_would_do(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for target in ("book", "test", "lab", "serve", "clean"):
        done = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr


# The stamp, and repairs


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An empty environment, and the words of all commands that an installation runs in it."""
    ran = []
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    (tmp_path / ".venv/bin").mkdir(parents=True)
    packages = tmp_path / ".venv/lib/site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(install, "site_packages", lambda: packages)
    monkeypatch.setattr(install, "run", ran.append)
    monkeypatch.setattr(node, "modules", lambda thorough=True: ran.append(["npm"]))
    return tmp_path / ".venv", ran


def test_what_is_installed_is_left_alone(environment):
    folder, ran = environment
    install.bring("book", [], None)
    assert any("requirements.txt" in words for words in ran) and ["npm"] in ran
    ran.clear()
    install.bring("book", [], None)
    assert ran == [["npm"]] and not (folder / "installing").exists()
    install.bring("book", ["tensorflow-cpu"], None)
    assert any("tensorflow-cpu" in words for words in ran)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"folder": 3}'])
def test_a_damaged_stamp_is_no_stamp(environment, damage):
    folder, ran = environment
    (folder / "installed-book").write_text(damage, encoding="utf-8")
    install.bring("book", [], None)
    assert any("requirements.txt" in words for words in ran)


def test_a_moved_folder_is_linked_again_without_the_network(environment, capsys):
    folder, ran = environment
    install.bring("book", [], None)
    stamp = json.loads((folder / "installed-book").read_text(encoding="utf-8"))
    install.write(folder / "installed-book", {**stamp, "folder": "/elsewhere"})
    script = folder / "bin/tool"
    script.write_text("#!/elsewhere/.venv/bin/python\nprint(1)\n", encoding="utf-8")
    ran.clear()
    install.bring("book", [], None)
    assert "has moved" in capsys.readouterr().out
    assert not any("requirements.txt" in words for words in ran) and any("--editable" in words for words in ran)
    assert "elsewhere" not in script.read_text(encoding="utf-8")


def test_commands_run_in_any_folder(tmp_path):
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    for head in ("#!/old/python", "#!/bin/sh\n'''exec' \"/old place/python\" \"$0\" \"$@\"\n' '''"):
        script = folder / "tool"
        script.write_text(install.movable(f"{head}\nimport sys\nprint(sys.argv[1:])\n"), encoding="utf-8")
        script.chmod(0o755)
        done = subprocess.run([script, "a b"], capture_output=True, encoding="utf-8")
        assert done.stdout == "['a b']\n", done.stderr
    assert install.movable("#!/bin/sh\necho\n") == "#!/bin/sh\necho\n"


def test_an_installation_that_fails_leaves_no_stamp_and_is_repaired(environment, monkeypatch, capsys):
    folder, _ = environment
    with monkeypatch.context() as patch:
        patch.setattr(install, "run", lambda words: (_ for _ in ()).throw(install.InstallError("the disk is full")))
        assert install.main(["book"]) == 1
    assert capsys.readouterr().err == "the disk is full\n"
    assert not (folder / "installed-book").exists() and (folder / "installing").exists()
    half = package(install.site_packages(), "half", {"half.py": "x = 1\n"})
    (install.site_packages() / "half.py").write_text("", encoding="utf-8")  # as a full disk leaves it
    kept = package(install.site_packages(), "whole", {"whole.py": "x = 1\n"})
    unlisted = package(install.site_packages(), "unlisted", {"unlisted.py": "x = 1\n"})
    (unlisted / "RECORD").unlink()  # pip writes it last
    assert install.main(["book"]) == 0
    assert kept.exists() and not half.exists() and not unlisted.exists()
    assert "half written, and installed again: half-1" in capsys.readouterr().out
    assert (folder / "installed-book").exists() and not (folder / "installing").exists()


def package(folder: Path, name: str, files: dict[str, str]) -> Path:
    """Install a package of these files by hand; return its record."""
    record = folder / f"{name}-1.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", encoding="utf-8")
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    lines = [f"{file},sha256=x,{len(text)}\n" for file, text in files.items()]
    (record / "RECORD").write_text("".join(lines), encoding="utf-8")
    return record


@pytest.mark.parametrize(
    ("output", "meaning"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "disk is full"),
        (
            "NewConnectionError('...: [Errno -3] Temporary failure in name resolution')\nERROR: No matching",
            "no network",
        ),
        ("npm error code ENOTFOUND", "no network"),
        ("PermissionError: [Errno 13] Permission denied: 'x'", "another user"),
        ("ERROR: ResolutionImpossible", "exclude each other"),
        ("The user requested (constraint) a==1\nERROR: ResolutionImpossible", "CONSTRAINTS="),
        ("something new", "reason above"),
    ],
)
def test_causes_are_said_in_words(output, meaning):
    assert meaning in install.explained(output) and output.splitlines()[-1] in install.explained(output)


def test_what_another_user_built_is_named(tmp_path, monkeypatch):
    (tmp_path / "_build").mkdir()
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(install.InstallError, match=r"_build cannot be written.*belongs to \w+"):
        install.require_own_build()


# Node's files


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """Node's packages as npm would write them, and how often it was asked."""
    asked = []
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(node, "system_npm", lambda: ["npm"])

    def npm(words, cwd, **options):
        asked.append(words)
        (Path(cwd) / "node_modules/mathjax").mkdir(parents=True)
        (Path(cwd) / "node_modules/mathjax/script.js").write_text("one", encoding="utf-8")
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", npm)
    return asked


@pytest.mark.parametrize("content", ["", "two", None])
def test_files_of_node_that_are_not_whole_are_fetched_again(fetched, content):
    script = node.modules() / "mathjax/script.js"
    assert node.modules() and len(fetched) == 1
    script.unlink() if content is None else script.write_text(content, encoding="utf-8")
    assert (node.modules() / "mathjax/script.js").read_text(encoding="utf-8") == "one" and len(fetched) == 2


def test_files_of_node_without_their_list_are_fetched_again(fetched):
    (node.modules() / node.LIST).write_text("", encoding="utf-8")
    assert node.modules(thorough=False) and len(fetched) == 2


def test_npm_needs_no_home(fetched):
    node.modules()
    assert any(word.startswith("--cache=") for word in fetched[0])


def test_a_copy_that_is_not_whole_stops_the_site(tmp_path, monkeypatch):
    (tmp_path / "one").write_text("1", encoding="utf-8")
    monkeypatch.setattr(shutil, "copy", lambda source, target: Path(target).touch())
    with pytest.raises(SystemExit, match="two was not written whole"):
        node.copied(tmp_path / "one", tmp_path / "two")


# The lab


def test_the_lab_shows_the_chapters_pictures_and_opens_their_folder(tmp_path):
    options = ["--no-browser", "--ServerApp.port=0", "--IdentityProvider.token=secret", "--ServerApp.ip=127.0.0.1"]
    environment = {**lab.environment(), "JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(lab.command(options), cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        while not (
            found := [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("jpserver-*.json")]
        ):
            assert server.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
        address = found[0]["url"]
        first = notebooks.read(ROOT / "notebooks/01_theory.ipynb").cells[0].source
        picture = re.search(r"\]\(\.\./(\S+\.png)\)", first)[1]
        for name in (picture, "notebooks/01_theory.ipynb", "book/speed.md"):
            url = f"{address}api/contents/{name}?content=0&token=secret"
            assert json.load(urllib.request.urlopen(url))["path"] == name
        assert "/lab/tree/notebooks" in urllib.request.urlopen(f"{address}?token=secret").url
    finally:
        server.terminate()
        server.wait()


def test_the_lab_runs_without_a_home_and_as_root(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "_build" in lab.environment()["JUPYTER_RUNTIME_DIR"]
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert "--allow-root" in lab.command([])


# The setup cell


def open_chapter(folder: Path, *paths: Path) -> list[str]:
    """Run the setup cell in a Python without packages, apart from those in `paths`; the lines that it prints."""
    cell = TransformerManager().transform_cell(notebooks.SETUP.format(address="https://git.example/a/b"))
    program = f"""
import sys
class Shell:
    def run_line_magic(self, name, line):
        print(name, line.format(**globals()))
        sys.exit()
def get_ipython():
    return Shell()
{cell}"""
    environment = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONUTF8": "1"}
    words = [sys.executable, "-S", "-c", program]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def fake(folder: Path, name: str, says: str) -> Path:
    """A package whose `setup` prints a word."""
    (folder / name).mkdir(parents=True)
    program = f"def setup(seed):\n    print({says!r})\n"
    (folder / name / "__init__.py").write_text(program, encoding="utf-8")
    return folder


def test_a_chapter_uses_the_checkout_it_lies_in(tmp_path):
    checkout = fake(tmp_path / ODD, "aebook", "checkout")
    (checkout / "notebooks").mkdir()
    (checkout / "_toc.yml").touch()
    other = fake(tmp_path / "site-packages", "aebook", "published")
    assert open_chapter(checkout / "notebooks", other) == ["checkout"]
    assert open_chapter(checkout, other) == ["checkout"] == open_chapter(checkout)


def test_elsewhere_an_installed_package_is_used(tmp_path):
    other = fake(tmp_path / "site-packages", "aebook", "published")
    assert open_chapter(tmp_path, other) == ["published"]


def test_elsewhere_the_package_is_installed_and_an_installed_keras_stays(tmp_path):
    keras = fake(tmp_path / "site-packages", "keras", "")
    assert open_chapter(tmp_path, keras) == ['pip install -q "aebook @ git+https://git.example/a/b"']
    assert open_chapter(tmp_path) == ['pip install -q "aebook[tensorflow] @ git+https://git.example/a/b"']
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not {"tensorflow", "keras"} & {Requirement(line).name for line in project["dependencies"]}


def test_a_folder_that_only_has_the_packages_name_is_not_the_package(tmp_path):
    (tmp_path / "aebook/aebook").mkdir(parents=True)  # a clone beside the notebook
    assert open_chapter(tmp_path)[0].startswith("pip install")
