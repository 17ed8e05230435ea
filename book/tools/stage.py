"""Stage the site as a mirror of the repository below _build/<profile>/site, then build it strictly.

    python book/tools/stage.py --profile fast        chapters from _build/fast/notebooks
    python book/tools/stage.py --profile committed   chapters from notebooks/

The staged copy keeps the repository's paths, so that the table of contents and the launch buttons hold.
"""

import argparse
import base64
import copy
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

import labs
import node
import notebooks
import pages
import results_page
import speed_page

ROOT = Path(__file__).resolve().parents[2]


def read_chapters(profile: str) -> dict[str, dict]:
    """The executed notebooks by name."""
    folder = ROOT / "notebooks" if profile == "committed" else ROOT / "_build" / profile / "notebooks"
    return {name: pages.read(folder / f"{name}.ipynb") for name in notebooks.chapters()}


def address() -> dict[str, str]:
    """What pages may name of the repository, all from _config.yml."""
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    url = notebooks.address()
    return {"repository": url, "repository name": url.rsplit("/", 1)[1], "branch": repository["branch"]}


def mirror(site: Path) -> None:
    """Copy what the site needs, under the repository's own paths."""
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(ROOT / "book", site / "book", ignore=shutil.ignore_patterns("npm", "__pycache__"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, site)
    node.mathjax(site / "book/site/mathjax")
    node.runtime(site / "book/site/ort")


def write_notebook(path: Path, notebook: dict) -> None:
    """Write a chapter with its claims as printed lines, which the site shows as one block, and its labs in place."""
    labs.with_places(notebook)
    for output in pages.outputs(notebook):
        if pages.MIME in output.get("data", {}):
            line = "".join(output["data"]["text/plain"])
            output.clear()
            output.update(output_type="stream", name="stdout", text=f"{line}\n")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")


def write_picture(folder: Path, name: str, notebook: dict) -> None:
    """Write the result picture of this run, which stands at the chapter's head."""
    for cell in notebook["cells"]:
        if "result" in cell["metadata"].get("tags", []):
            pictures = [o["data"]["image/png"] for o in cell["outputs"] if "image/png" in o.get("data", {})]
            (folder / f"{name}.png").write_bytes(base64.b64decode("".join(pictures[0])))


def write_pages(site: Path, profile: str, executed: dict[str, dict]) -> None:
    """Write the computed pages and fill the others' placeholders."""
    claims = pages.claims_of_all(executed)
    values = {**address(), **pages.chapter_values(executed), **labs.gallery(executed)}
    speed, results = speed_page.values(ROOT / "benchmarks/results"), results_page.values()
    for path in (site / "book").glob("*.md"):
        text = speed_page.without_gaps(path.read_text(encoding="utf-8"), speed)
        text = pages.filled(text, values | speed | results, claims, path.name)
        path.write_text(text, encoding="utf-8")
    (site / "book/claims.md").write_text(pages.claims_page(claims, executed), encoding="utf-8")
    status = pages.status_page(profile, executed, site.parent / "benchmarks")
    (site / "book/status.md").write_text(status, encoding="utf-8")


def stage(profile: str, executed: dict[str, dict]) -> Path:
    """Make the staged copy and return its folder."""
    site = ROOT / "_build" / profile / "site"
    mirror(site)
    write_pages(site, profile, executed)
    labs.write_pictures(site / "book/images", executed)
    for name, notebook in executed.items():
        write_picture(site / "book/images", name, notebook)
        write_notebook(site / "notebooks" / f"{name}.ipynb", notebook)
    return site


def build(site: Path) -> Path:
    """Build the staged copy with every warning an error; return the site's folder. Raises SystemExit on a warning."""
    scratch, html = site.parent / "sphinx", site.parent / "html"
    shutil.rmtree(scratch, ignore_errors=True)
    code = "from jupyter_book.cli.main import main; main()"
    options = ["build", "-q", "-n", "-W", "--keep-going", "--path-output", str(scratch), str(site)]
    run = subprocess.run([sys.executable, "-c", code, *options], cwd=site, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(
            f"site: the build stopped; each warning is an error\n{troubles(run.stdout + run.stderr, site)}"
        )
    shutil.rmtree(html, ignore_errors=True)
    shutil.move(scratch / "_build/html", html)
    return html


def troubles(log: str, site: Path) -> str:
    """The warnings and errors of a build's log, with paths as in the repository; the whole log if it names none."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", log).replace(f"{site}/", "").splitlines()
    named = [line for line in lines if "WARNING" in line or "ERROR" in line]
    return "\n".join(dict.fromkeys(named or lines))


def main() -> None:
    """Read the command line, stage, build, and say where the site is."""
    parser = argparse.ArgumentParser(description="stage and build the site")
    parser.add_argument("--profile", choices=["fast", "full", "committed"], default="fast")
    profile = parser.parse_args().profile
    executed = read_chapters(profile)
    with ThreadPoolExecutor(1) as beside:  # models are converted while Sphinx, a process of its own, builds the pages
        converted = beside.submit(labs.files, ROOT / "_build", copy.deepcopy(executed))  # staging changes them
        html = build(stage(profile, executed))
    for name, folder in converted.result().items():
        shutil.copytree(folder, html / "_static/labs" / name)
    print(f"site: {html.relative_to(ROOT)}/index.html")


if __name__ == "__main__":
    main()
