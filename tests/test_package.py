"""The package as a whole: what importing it costs, what it promises in its metadata, how a chapter opens."""

import logging
import subprocess
import sys
import tomllib
from pathlib import Path

import keras
import pytest

import aebook

ROOT = Path(__file__).parent.parent


def test_importing_the_package_loads_no_framework():
    heavy = "{'keras', 'tensorflow', 'matplotlib', 'numpy'}"
    program = f"import sys, aebook; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_setup_seeds_and_names_versions(capfd):
    aebook.setup(seed=3)
    first = keras.random.uniform((4,))
    aebook.setup(seed=3)
    assert (keras.ops.convert_to_numpy(first) == keras.ops.convert_to_numpy(keras.random.uniform((4,)))).all()
    out, err = capfd.readouterr()
    assert out.count("keras " + keras.__version__) == 2 and err == ""


def test_after_setup_tracing_leaves_no_warning_in_a_chapter():
    aebook.setup(seed=0)
    assert not logging.getLogger("tensorflow").isEnabledFor(logging.WARNING)


def test_setup_refuses_an_impossible_seed():
    with pytest.raises(ValueError):
        aebook.setup(seed=-1)


def test_requirements_and_metadata_name_the_same_ranges():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert set(project["dependencies"]) <= set(lines)
    assert project["version"] == aebook.__version__


def test_files_that_are_no_code_are_installed_as_well():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["aebook"]
    assert {path.name for path in (ROOT / "aebook").iterdir() if path.is_file() and path.suffix != ".py"} == set(data)
