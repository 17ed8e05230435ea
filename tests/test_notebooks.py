"""The chapter contract: what every notebook must have, and that its exercises can be solved, failed and left open."""

import ast
import base64
import io
import json
import re
import statistics
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import notebooks  # noqa: E402
import pages  # noqa: E402

CHAPTERS = notebooks.chapters()
ALL = [notebooks.TEMPLATE, *CHAPTERS]
SECTIONS = ["Objectives", "Takeaways", "Exercises", "References"]
BASELINES = r"\bPCA\b|\bmean_image\b|\bdivide_background\b"
WRONG = ["-12345.678", "98765.4"]  # answers that no exercise may accept
PROSE = (4, 7)  # words a line of code; a theory chapter may have more

each = pytest.mark.parametrize("name", ALL)


# ---- reading


@cache
def read(name: str) -> NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def headings(notebook: NotebookNode) -> list[str]:
    text = "\n".join(re.sub(r"```.*?```", "", source, flags=re.DOTALL) for source in markdown(notebook))
    return [title.strip() for title in re.findall(r"^## (.+)$", text, re.MULTILINE)]


def section(notebook: NotebookNode, title: str) -> str:
    text = "\n".join(markdown(notebook))
    found = re.search(rf"^## {title}\s*$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def bullets(text: str) -> list[str]:
    return re.findall(r"^[-*] .+", text, re.MULTILINE)


def figures(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in code(notebook) if notebooks.pictures(cell)]


def lines(cell: NotebookNode) -> int:
    return sum(1 for line in cell.source.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def words(source: str) -> int:
    """Words of prose: no folded parts, no formulas, no code, no addresses."""
    for pattern in (
        r"<details>.*?</details>",
        r"```.*?```",
        r"\$\$.*?\$\$",
        r"\$[^$]*\$",
        r"`[^`]*`",
        r"\]\([^)]*\)",
        r"<[^>]+>",
    ):
        source = re.sub(pattern, " ", source, flags=re.DOTALL)
    return len(re.findall(r"[A-Za-zÀ-ÿ]+(?:['’-][A-Za-zÀ-ÿ]+)*", source))


def solutions(notebook: NotebookNode) -> list[str]:
    """Python of each folded solution."""
    folded = r"<details>\s*<summary>Solution</summary>\s*\n\s*\n(.*?)</details>"
    found = re.findall(folded, "\n".join(markdown(notebook)), re.DOTALL)
    return ["\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)) for text in found]


# ---- the book


def test_the_table_of_contents_lists_the_chapters_that_exist() -> None:
    on_disk = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert on_disk == set(ALL) and len(CHAPTERS) == len(set(CHAPTERS))
    assert sorted(CHAPTERS) == CHAPTERS, "chapters stand in the order of their numbers"


@pytest.mark.parametrize("profile", ["fast", "full"])
def test_every_profile_knows_every_chapter(profile: str) -> None:
    assert list(notebooks.profile(profile)) == CHAPTERS
    assert {name: set(values) for name, values in notebooks.profile(profile).items()} == {
        name: set(values) for name, values in notebooks.profile("fast").items()
    }


def test_figure_names_are_unique_in_the_book() -> None:
    names = [cell.metadata.mystnb.figure.name for name in ALL for cell in figures(read(name))]
    assert len(names) == len(set(names))


def test_the_repository_has_one_address() -> None:
    address = notebooks.address()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"] == address
    assert address in (ROOT / "README.md").read_text()


# ---- cleanliness


def png(colour: tuple[int, int, int, int]) -> str:
    """A noisy grey picture with one pixel of that colour, as a figure is put out."""
    grey = np.random.default_rng(0).integers(0, 256, (40, 40, 1), "uint8").repeat(3, axis=2)
    pixels = np.concatenate([grey, np.full((40, 40, 1), 255, "uint8")], axis=2)
    pixels[5, 7] = colour
    Image.fromarray(pixels, "RGBA").save(file := io.BytesIO(), "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("colour, smaller", [((9, 9, 9, 255), True), ((9, 9, 8, 255), False), ((9, 9, 9, 254), False)])
def test_a_picture_of_greys_alone_is_stored_as_such_and_loses_nothing(colour: tuple, smaller: bool) -> None:
    cell = new_code_cell("1", execution_count=1, outputs=[new_output("display_data", {"image/png": png(colour)})])
    for _ in range(2):  # the second time there is nothing left to do
        (kept,) = notebooks.pictures(notebooks.clean(new_notebook(cells=[cell])).cells[0])
        before, after = (Image.open(io.BytesIO(base64.b64decode(p))).convert("RGBA") for p in (png(colour), kept))
        assert before.tobytes() == after.tobytes() and (len(kept) < len(png(colour)) / 2) == smaller


@each
def test_the_notebook_is_tidy(name: str) -> None:
    stale = notebooks.stale([ROOT / "notebooks" / f"{name}.ipynb"])
    assert not stale, f"run `make tidy` ({', '.join(str(path.relative_to(ROOT)) for path in stale)})"


@each
def test_every_cell_was_run_in_order_and_without_error(name: str) -> None:
    assert notebooks.runs_in_order(code(read(name))), f"run `make chapters ONLY=notebooks/{name}.ipynb`"
    kinds = {output.output_type for cell in code(read(name)) for output in cell.outputs}
    assert "error" not in kinds


@each
def test_no_absolute_path_and_nothing_of_this_machine(name: str) -> None:
    text = (ROOT / "notebooks" / f"{name}.ipynb").read_text()
    assert not re.findall(r"(?<![\w.:/])/(?:home|root|tmp|Users|work|usr|var|mnt|content)/\w+", text)
    assert str(ROOT) not in text


@each
def test_the_notebook_opens_with_setup_and_parameters(name: str) -> None:
    tags = [
        tag
        for cell in read(name).cells
        for tag in cell.metadata.get("tags", [])
        if tag in ("setup", "parameters", "data")
    ]
    assert tags[:3] == ["setup", "parameters", "data"] and tags.count("setup") == tags.count("parameters") == 1
    assert notebooks.tagged(read(name), "setup")[0].source == notebooks.SETUP.format(address=notebooks.address())


@each
def test_the_parameters_cell_holds_the_fast_profile(name: str) -> None:
    cell = notebooks.tagged(read(name), "parameters")[0]
    found = {key: ast.literal_eval(value) for key, value in notebooks.assignments(cell.source).items()}
    assert found.pop("SOURCE") == "auto"
    assert name == notebooks.TEMPLATE or found == notebooks.profile("fast")[name]


# ---- the contract


@each
def test_title_promise_and_picture_come_first(name: str) -> None:
    opening = "\n".join(markdown(read(name))).split("## Objectives")[0]
    assert opening.startswith("# ") and words(opening.split("\n", 1)[1]) >= 10
    assert re.search(rf"!\[[^\]]{{20,}}\]\(\.\./book/images/{name}\.png\)", opening)
    assert len(notebooks.tagged(read(name), "result")) == 1 and (ROOT / "book" / "images" / f"{name}.png").exists()


@each
def test_the_sections_of_the_contract_stand_in_order(name: str) -> None:
    found = [title for title in headings(read(name)) if title in SECTIONS]
    assert found == SECTIONS
    start = "\n".join(markdown(read(name))[:4])
    assert re.search(r"Prerequisites|Before you start", start) and re.search(r"\bminutes?\b", start)
    assert any("claimed" in title for title in headings(read(name))), "what the source claimed, and what we measured"
    assert "doi.org/" in section(read(name), "References")


@each
def test_objectives_and_takeaways_mirror_each_other(name: str) -> None:
    aims, gains = (bullets(section(read(name), title)) for title in ("Objectives", "Takeaways"))
    assert 3 <= len(aims) == len(gains) <= 5


@each
def test_the_reader_predicts_before_a_run(name: str) -> None:
    assert re.search(r"[Bb]efore you run", "\n".join(markdown(read(name))))


@each
def test_claims_are_checked_against_a_closed_form(name: str) -> None:
    source = "\n".join(
        cell.source for cell in code(read(name)) if "exercise-check" not in cell.metadata.get("tags", [])
    )
    assert "check(" in source and re.search(BASELINES, source)


@each
def test_every_figure_has_caption_name_and_alt_text(name: str) -> None:
    for cell in figures(read(name)):
        assert len(notebooks.pictures(cell)) == 1, f"one figure a cell: {cell.id}"
        about = cell.metadata.get("mystnb", {})
        caption, alt = about.get("figure", {}).get("caption", ""), about.get("image", {}).get("alt", "")
        assert len(caption) >= 20 and len(alt) >= 20 and caption != alt, f"caption and alt text: {cell.id}"
        assert re.fullmatch(rf"fig-{name[:2]}-[a-z0-9-]+", about["figure"]["name"]), cell.id


@each
def test_code_cells_are_short(name: str) -> None:
    sizes = [len(cell.source.splitlines()) for cell in code(read(name)) if "setup" not in cell.metadata.get("tags", [])]
    assert max(sizes) <= 25 and statistics.median(sizes) <= 8


@each
def test_the_table_of_claims_names_checks_that_ran(name: str) -> None:
    """In quotation marks, with or without what stands in brackets at the end."""
    checked = [claim.statement for claim in pages.claims_of(name, pages.read(ROOT / f"notebooks/{name}.ipynb"))]
    table = re.search(r"\n## What [\w ]+ claimed.*?(?=\n## )", "\n".join(markdown(read(name))), re.DOTALL)[0]
    cells = [row.split(" | ")[-1] for row in table.splitlines() if row.startswith("|")]
    named = [text for cell in cells for text in re.findall(r'"([^"]+)"', cell)]
    assert named or name == "00_template"
    assert not [text for text in named if not any(one.startswith(text) for one in checked)]


@pytest.mark.parametrize("name", CHAPTERS)
def test_prose_and_code_are_in_proportion(name: str) -> None:
    prose = "\n".join(markdown(read(name))).split("\n## References")[0]
    ratio = words(prose) / sum(map(lines, code(read(name))))
    print(f"{name}: {ratio:.1f} words a line of code")
    assert PROSE[0] <= ratio <= (PROSE[1] if "theory" not in name else 20)


@each
def test_prose_reads_the_same_everywhere(name: str) -> None:
    for source in markdown(read(name)):
        assert not re.search(r"^(:::|```\{)|\{(?:numref|doc|cite|ref|eq)[:\w]*\}`", source, re.MULTILINE), (
            f"MyST: {source[:60]}"
        )
        plain = re.sub(r"```.*?```|`[^`]*`", "", source, flags=re.DOTALL)
        assert not re.search(r"\\[(\[]", re.sub(r"\\\\\[", "", plain)), f"formulas stand in dollars: {source[:60]}"
        assert not re.search(r"</summary>[ \t]*\n(?![ \t]*\n)", source), f"a blank line after </summary>: {source[:60]}"
        assert not re.search(r"\bsimply\b", plain, re.IGNORECASE)


# ---- exercises


@each
def test_three_exercises_each_with_check_and_solution(name: str) -> None:
    exercises, checks = (notebooks.tagged(read(name), tag) for tag in ("exercise", "exercise-check"))
    assert len(exercises) == len(checks) == len(solutions(read(name))) >= 3 and all(solutions(read(name)))
    assert all("..." in cell.source for cell in exercises) and all("check(" in cell.source for cell in checks)


PROGRAM = """
import json, os, sys
os.environ.setdefault("MPLBACKEND", "agg")
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
opening, trials = json.load(sys.stdin)
found = []
with capture_output():
    for source in opening:
        shell.run_cell(source).raise_error()
for sources in trials:
    with capture_output() as captured:
        error = next((result.error_in_exec or result.error_before_exec
                      for result in map(shell.run_cell, sources) if not result.success), None)
    shown = "".join(output.data["text/plain"] for output in captured.outputs)
    found.append([type(error).__name__ if error else "", captured.stdout + shown])
json.dump(found, sys.stdout)
"""


@cache
def outcomes(name: str) -> list[tuple[list[str], list[list[str]], list[str]]]:
    """For each exercise, error and output of its check after the starter, the wrong answers, and the solution."""
    notebook = read(name)
    tagged = {tag: [cell.source for cell in notebooks.tagged(notebook, tag)] for tag in ("exercise", "exercise-check")}
    opening = [
        cell.source for cell in code(notebook) if {"setup", "parameters", "data"} & set(cell.metadata.get("tags", []))
    ]
    trials = [
        [answer, check]
        for starter, check, solution in zip(
            tagged["exercise"], tagged["exercise-check"], solutions(notebook), strict=True
        )
        for answer in (starter, *(starter.replace("...", wrong) for wrong in WRONG), textwrap.dedent(solution))
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps([opening, trials]), capture_output=True, text=True,
        cwd=ROOT / "notebooks",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout[done.stdout.index("[[") :])
    size = 2 + len(WRONG)
    return [(found[i], found[i + 1 : i + size - 1], found[i + size - 1]) for i in range(0, len(found), size)]


@each
def test_an_open_exercise_says_so(name: str) -> None:
    for error, printed in (starter for starter, _, _ in outcomes(name)):
        assert not error and "not answered yet" in printed


@each
def test_a_wrong_answer_is_refused(name: str) -> None:
    for number, (_, trials, _) in enumerate(outcomes(name), 1):
        for wrong, (error, _) in zip(WRONG, trials, strict=True):
            assert error, f"exercise {number} of {name} accepts {wrong}"


@each
def test_the_solution_passes_its_check(name: str) -> None:
    for number, (_, _, (error, printed)) in enumerate(outcomes(name), 1):
        assert not error and ("✓" in printed or "not tested here" in printed), (
            f"exercise {number} of {name}: {error} {printed}"
        )
