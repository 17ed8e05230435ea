"""The pages that are computed from a run: every checked claim, the status of the run, and the errata's measurements."""

import csv
import importlib.metadata
import platform
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import reading

MIME = "application/vnd.aebook.claim+json"
PACKAGES = ["tensorflow", "keras", "numpy", "scipy", "matplotlib", "mlxtend", "papermill", "jupyter-book", "Sphinx"]


@dataclass(frozen=True)
class Claim:
    """One call of `check` in an executed notebook. value, low, high: None where they were not given or not tested."""

    chapter: str
    statement: str
    verdict: str
    found: str
    value: float | None = None
    low: float | None = None
    high: float | None = None

    def band(self) -> str:
        """The band in words."""
        if self.low is None:
            return "" if self.high is None else f"at most {number(self.high, 6)}"
        if self.high is None:
            return f"at least {number(self.low, 6)}"
        return f"{number(self.low, 6)} to {number(self.high, 6)}" if self.low != self.high else number(self.low, 6)

    def measured(self) -> str:
        """The value and its band in words, or why there is none."""
        if self.value is None:
            return f"*{self.found}*"
        return f"**{number(self.value)}** (band: {self.band()})"


def number(value: float, digits: int = 4) -> str:
    """A number for a table; a count is written out."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.{digits}g}"


def outputs(notebook: dict) -> list[dict]:
    """All outputs of a notebook's code cells."""
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def claims_of_all(executed: dict[str, dict]) -> list[Claim]:
    """The claims of all chapters. Raises SystemExit where two have the same words: a page could quote only one."""
    claims = [claim for name, notebook in executed.items() for claim in claims_of(name, notebook)]
    first: dict[str, str] = {}
    for claim in claims:
        if claim.statement in first:
            where = f"{first[claim.statement]} and {claim.chapter}"
            said = f"site: two checks have the same words, in {where}: {claim.statement}"
            raise SystemExit(f"{said}\n  Reword one of them.")
        first[claim.statement] = claim.chapter
    return claims


def claims_of(chapter: str, notebook: dict) -> list[Claim]:
    """The claims stored in an executed notebook, in its order. Raises SystemExit when one of them does not hold."""
    stored = [output["data"][MIME] for output in outputs(notebook) if MIME in output.get("data", {})]
    found = [Claim(chapter, **claim) for claim in stored]
    for claim in found:
        if claim.verdict == "fails":
            raise SystemExit(f"site: {chapter}: a claim does not hold: {claim.statement} ({claim.found})")
    return found


def data_lines(notebook: dict) -> list[str]:
    """What the notebook printed about its data: the lines that start with `data: `."""
    text = "\n".join("".join(o.get("text", "") or o.get("data", {}).get("text/plain", "")) for o in outputs(notebook))
    return list(dict.fromkeys(line[6:].strip() for line in text.splitlines() if line.startswith("data: ")))


def prose(notebook: dict) -> str:
    """The text of a notebook's Markdown cells."""
    return "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def title(notebook: dict) -> str:
    """The notebook's first heading."""
    match = re.search(r"^# (.+)$", prose(notebook), re.MULTILINE)
    return match[1].strip() if match else "Untitled"


def promise(notebook: dict) -> str:
    """The chapter's promise: the first sentence below its title."""
    match = re.search(r"^# .+\n\s*\n(?P<first>[^#!<|].*(?:\n\S.*)*)", prose(notebook), re.MULTILINE)
    return re.split(r"(?<=[.!?])\s", " ".join(match["first"].split()))[0] if match else ""


def chapter_values(notebooks: dict[str, dict]) -> dict[str, str]:
    """What the first page says of the chapters: their list with links and promises, and their number."""
    lines = [f"{link(name, notebooks)}. {promise(book)}" for name, book in notebooks.items()]
    numbered = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    return {"chapters": numbered, "chapters today": f"{len(notebooks)} of 13 chapters"}


def escaped(text: str) -> str:
    """Text that is safe inside a Markdown table's cell; dollar maths stays."""
    return re.sub(r"([|<*\[\]])", r"\\\1", text)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def link(chapter: str, notebooks: dict[str, dict]) -> str:
    """A Markdown link from a page in book/ to a chapter."""
    return f"[{title(notebooks[chapter])}](../notebooks/{chapter}.ipynb)"


def claims_page(claims: list[Claim], notebooks: dict[str, dict]) -> str:
    """Every checked claim of every chapter, with its value, band and verdict."""
    count = Counter(claim.verdict for claim in claims)
    parts = [
        "# Every checked claim\n",
        "A number in this book goes through `check`, which stops the chapter when the value leaves its band. "
        "This page is read from the notebooks that this site shows.\n",
        table(["verdict", "claims"], [["holds", str(count["holds"])], ["not tested here", str(count["not tested"])]]),
        "A claim about one data set is tested only on that data set. "
        f"{count['unanswered']} more checks belong to exercises and wait for your answer; they are not counted.\n",
    ]
    for chapter in notebooks:
        rows = [claim_row(c) for c in claims if c.chapter == chapter and c.verdict != "unanswered"]
        body = table(["claim", "measured", "band", "verdict"], rows) if rows else "No claims yet.\n"
        parts += [f"## {title(notebooks[chapter])}\n", f"Open the chapter: {link(chapter, notebooks)}\n", body]
    return "\n".join(parts)


def claim_row(claim: Claim) -> list[str]:
    """One row of the claims page."""
    if claim.value is None:
        return [escaped(claim.statement), "–", "–", escaped(claim.found)]
    return [escaped(claim.statement), number(claim.value), claim.band(), claim.verdict]


def processor() -> str:
    """The processor's name as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    match = re.search(r"model name\s*:\s*(.+)", text)
    return match[1] if match else platform.processor() or platform.machine()


def version(package: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def benchmark(path: Path) -> list[str]:
    """Seconds, peak memory and processor of one chapter's run, from the table that run_chapter.py writes."""
    if not path.exists():
        return ["not recorded"] * 3
    row = next(csv.DictReader(path.open(encoding="utf-8"), delimiter="\t"))
    return [f"{float(row['s']):.0f}", f"{float(row['max_rss']):,.0f}", escaped(row["processor"])]


def status_page(profile: str, notebooks: dict[str, dict], benchmarks: Path) -> str:
    """What ran where: versions, processor, and each chapter's seconds, memory and data."""
    machine = [
        ["Python", platform.python_version()],
        ["processor", escaped(processor())],
        ["system", platform.system()],
    ]
    runs = [
        [link(name, notebooks), *benchmark(benchmarks / f"{name}.tsv"), escaped("; ".join(data_lines(book))) or "none"]
        for name, book in notebooks.items()
    ]
    return "\n".join(
        [
            "# Status of this site\n",
            f"Built from the `{profile}` notebooks with the versions below.\n",
            "## Chapters\n",
            table(["chapter", "seconds", "peak memory, MB", "processor", "data"], runs),
            "## Machine and versions\n",
            "These describe the machine that built the site; where the chapters ran stands in the table above.\n",
            table(["what", "version"], machine + [[name, version(name)] for name in PACKAGES]),
        ]
    )


def filled(text: str, values: dict[str, str], claims: list[Claim], page: str) -> str:
    """Replace `[[name]]` by a value and `[[check: statement]]` by what that check measured."""
    by_statement = {claim.statement: claim for claim in claims}

    def replacement(match: re.Match) -> str:
        kind, _, statement = match[1].partition("check: ")
        if kind == "" and statement in by_statement:
            return f"{escaped(statement)}: {by_statement[statement].measured()}"
        if match[1] in values:
            return values[match[1]]
        raise SystemExit(f"site: {page}: nothing in the executed notebooks is called {match[1]!r}")

    return re.sub(r"\[\[(.+?)\]\]", replacement, text)


def read(path: Path) -> dict:
    """A notebook as JSON. Raises SystemExit with the remedy when it is missing or damaged."""
    if not path.exists():
        raise SystemExit(f"site: {path.name} is in _toc.yml but was not found in {path.parent}: run the chapters first")
    return reading.notebook(path)
