"""What the page on published results says, computed from benchmarks/rows.yml and the files in results/published.

    python book/tools/results_page.py deep      mean and deviation over the seeds of a row, to deep.json

A row's file holds what all its runs measured; the page is made of these files and of nothing else.
"""

import json
import math
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

import pages
import speed_page

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results/published"


def rows() -> dict[str, dict[str, Any]]:
    """What was published, by row, in the page's order."""
    return yaml.safe_load((BENCHMARKS / "rows.yml").read_text(encoding="utf-8"))


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a file of results in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    half.replace(path)


def over_seeds(numbers: list[float]) -> dict[str, Any]:
    """Mean and, of several numbers, standard deviation."""
    spread = {"std": float(f"{stdev(numbers):.3g}")} if numbers[1:] else {}
    return {"mean": float(f"{mean(numbers):.6g}"), **spread, "each": numbers}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A row's file: its values over the seeds, what they took, and on what."""
    values = {name: over_seeds([run["values"][name] for run in runs]) for name in runs[0]["values"]}
    times = {name: over_seeds([run[name] for run in runs]) for name in ("seconds", "processor seconds")}
    facts = {f"{name}s": [run[name] for run in runs] for name in ("seed", "load", "commit")}
    return {"row": runs[0]["row"], "values": values, **times, **facts,
            "machine": runs[-1]["machine"], "data": runs[-1]["data"]}  # fmt: skip


def runs_of(row: str) -> list[dict[str, Any]]:
    """A row's runs, by seed."""
    paths = [RESULTS / f"{row}_{seed}.json" for seed in range(rows()[row]["seeds"])]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def measured() -> dict[str, dict[str, Any]]:
    """The files of the rows that were measured."""
    paths = {row: RESULTS / f"{row}.json" for row in rows()}
    return {row: json.loads(path.read_text(encoding="utf-8")) for row, path in paths.items() if path.exists()}


def figure(number: float) -> str:
    """A number with four digits, from ten on with three decimal places, and no zeros at its end."""
    return f"{number:.3f}".rstrip("0").rstrip(".") if abs(number) >= 10 else f"{number:.4g}"


def ours(value: dict[str, Any]) -> str:
    """Mean and, where there are several seeds, the deviation with two digits."""
    if "std" not in value:
        return figure(value["mean"])
    if value["std"] == 0:
        return f"{figure(value['mean'])} ± 0"
    places = max(0, 1 - math.floor(math.log10(value["std"])))
    return f"{value['mean']:.{places}f} ± {value['std']:.{places}f}"


def verdict(about: dict[str, Any], value: dict[str, Any]) -> str:
    """Whether the mean over the seeds is where it should be."""
    bounds = [about[key] for key in ("below", "above") if key in about]
    if not bounds:
        return ""
    low, high = about.get("above", float("-inf")), about.get("below", float("inf"))
    return "met" if low < value["mean"] < high else "**missed**"


def status(about: dict[str, Any]) -> str:
    """Who published a number, and how far that was checked."""
    return f"{about['from']} ({about['status']})"


def target(about: dict[str, Any]) -> str:
    """What ours must be."""
    signs = {"below": "<", "above": ">"}
    return " and ".join(f"{sign} {figure(about[key])}" for key, sign in signs.items() if key in about)


def lines(about: dict[str, Any], found: dict[str, Any] | None) -> list[list[str]]:
    """The lines of one row's table: every value that rows.yml names, measured or only quoted."""
    table = []
    for name, value in about["values"].items():
        value = value or {}
        mine = (found or {"values": {}})["values"].get(name)
        shown = ours(mine) if mine else "quoted only" if "quoted" in value else "not measured yet"
        published = figure(value["published"]) if "published" in value else ""
        judged = verdict(value, mine) if mine else ""
        table.append([pages.escaped(name), shown, published, target(value), judged])
    return table


def publishers(about: dict[str, Any]) -> str:
    """Who published the numbers of a row, and how far that was checked: once, or for each value where it differs."""
    by = {name: status(value) for name, value in about["values"].items() if value and "from" in value}
    one = len(set(by.values())) == 1
    return "; ".join(dict.fromkeys(text if one else f"{pages.escaped(name)}: {text}" for name, text in by.items()))


def section(row: str, about: dict[str, Any], found: dict[str, Any] | None) -> str:
    """One row of the page: how, the table, what was tried, what it took."""
    head = ["value", "ours", "published", "ours should be", "verdict"]
    parts = [f"### {about['title']}", about["how"], pages.table(head, lines(about, found))]
    if by := publishers(about):
        parts.append(f"Published: {by}.")
    if about.get("tried"):
        parts.append(f"Tried: {about['tried']}")
    if found:
        seeds = len(found["seeds"])
        parts.append(f"{seeds} seed{'s' if seeds > 1 else ''}, {took(found)} a seed.")
    return "\n\n".join(parts)


def took(found: dict[str, Any]) -> str:
    """Minutes of a run, on the wall and, where they were counted, of the processor."""
    wall, processor = (found[name]["mean"] / 60 for name in ("seconds", "processor seconds"))
    return f"{wall:.1f} minutes" + (f" ({processor:.1f} of processor time)" if processor else "")


def counts(known: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]]) -> dict[str, int]:
    """How many targets are met, are missed, and wait for a run."""
    every = [(about or {}, found.get(row, {"values": {}})["values"].get(name))
             for row, one in known.items() for name, about in one["values"].items()]  # fmt: skip
    aims = [(about, value) for about, value in every if {"below", "above"} & set(about)]
    verdicts = [verdict(about, value) if value else "waits" for about, value in aims]
    return {"met": verdicts.count("met"), "missed": verdicts.count("**missed**"), "wait": verdicts.count("waits")}


def times(known: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]]) -> str:
    """What each row took, on which commit, beside which load."""

    def seconds(one: dict[str, Any], name: str) -> str:
        return f"{one[name]['mean']:,.0f}" if one[name]["mean"] else "–"

    table = []
    for row, one in found.items():
        loads = [number for pair in one["loads"] for number in pair]
        load = f"{max(loads):.1f}" if loads else "–"
        taken = [seconds(one, "seconds"), seconds(one, "processor seconds"), load]
        table.append([known[row]["title"], str(len(one["seeds"])), *taken, ", ".join(dict.fromkeys(one["commits"]))])
    return pages.table(["row", "seeds", "seconds a seed", "processor time, s", "largest load", "commit"], table)


def values() -> dict[str, str]:
    """Everything that `[[results: ...]]` may name."""
    known, found = rows(), measured()
    sections = "\n\n".join(section(row, about, found.get(row)) for row, about in known.items())
    machines = {json.dumps(one["machine"], sort_keys=True): one["machine"] for one in found.values()}
    named = {**counts(known, found), "rows": sections, "times": times(known, found)}
    named["machines"] = "; ".join(
        f"{pages.escaped(m['processor'])}, {m['cores']} cores, tensorflow {m['tensorflow']}, keras {m['keras']}, "
        f"numpy {m['numpy']}{speed_page.formats(m)}" for m in machines.values()
    )  # fmt: skip
    hashes = {name: digest for one in found.values() for name, digest in one["data"].items()}
    named["data"] = ", ".join(f"{name} `{digest[:12]}…`" for name, digest in hashes.items())
    return {f"results: {name}": str(value) for name, value in named.items()}


if __name__ == "__main__":
    write(RESULTS / f"{sys.argv[1]}.json", summary(runs_of(sys.argv[1])))
