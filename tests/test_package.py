"""The package as a whole: what importing it costs, what it promises in its metadata, how a chapter opens."""

import logging
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import keras
import pytest

import aebook

ROOT = Path(__file__).parent.parent


def test_importing_the_package_loads_no_framework():
    heavy = "{'keras', 'tensorflow', 'matplotlib', 'numpy'}"
    program = f"import sys, aebook; print(sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True).stdout
        == "[]\n"
    )


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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = {line.split("#")[0].strip() for line in text.splitlines()}
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    assert {*project["dependencies"], *extras} <= lines
    assert project["version"] == aebook.__version__


def test_setup_reads_versions_from_modules_so_that_other_builds_work(monkeypatch, capfd):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)  # as with tensorflow-cpu or a nightly build
    aebook.setup()
    assert f"keras {keras.__version__} · tensorflow " in capfd.readouterr().out


def without(monkeypatch, name):
    """Let a module seem not to be installed."""
    found = aebook.find_spec
    monkeypatch.setattr(aebook, "find_spec", lambda module: None if module == name else found(module))


def test_setup_says_that_tensorflow_is_not_installed(monkeypatch, capfd):
    without(monkeypatch, "tensorflow")
    aebook.setup()
    assert "tensorflow not installed · numpy" in capfd.readouterr().out


def test_setup_names_a_library_that_is_missing_and_the_command_that_helps(monkeypatch):
    without(monkeypatch, "skimage")
    with pytest.raises(ModuleNotFoundError, match=r"lacks what the chapters need: scikit-image(.|\n)*make lab"):
        aebook.setup()


def test_setup_says_that_keras_lacks_its_backend():
    program = "import aebook; aebook.setup()"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0 or "its backend is not installed" in done.stderr, done.stderr  # 0 where JAX is there


@pytest.mark.parametrize("version", ["2.15.0", "3.9.2"])
def test_setup_refuses_a_keras_below_the_range(monkeypatch, version):
    monkeypatch.setattr(keras, "__version__", version)
    with pytest.raises(ImportError, match=rf"Keras {re.escape(version)} is installed, and the book needs 3\.10"):
        aebook.setup()


def test_setup_keeps_the_number_format_that_was_set(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.12.0")  # where the session is cleared
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        aebook.setup()
        assert keras.config.dtype_policy().name == "float64"
    finally:
        keras.config.set_dtype_policy(before)


def test_files_that_are_no_code_are_installed_as_well():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"][
        "aebook"
    ]
    assert {path.name for path in (ROOT / "aebook").iterdir() if path.is_file() and path.suffix != ".py"} == set(data)
