"""What the page on speed says, computed from the files in benchmarks/results: none of its numbers is typed."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import pages

ABSENT = "*Not measured yet: `make bench` does it.*"
GIGA = 1e9


@dataclass
class Task:
    """One task's runs. runs: way -> its files' contents, by number."""

    name: str
    runs: dict[str, list[dict[str, Any]]]

    @property
    def source(self) -> list[list[float]]:
        """The source's curve up to its best score: that is where it is met."""
        curve = self.runs["source"][0]["curve"]
        return curve[: 1 + min(range(len(curve)), key=lambda i: curve[i][3])]

    def epoch(self, key: str = "seconds") -> list[float]:
        """Seconds of the source's epochs, by each short run."""
        return [run[key] for run in self.runs["timing"]]

    def needed(self, key: str = "seconds") -> float:
        """Seconds of the source until its best score."""
        return median(self.epoch(key)) * self.source[-1][0]

    def reached(self, way: str, key: str = "seconds") -> list[float]:
        """Seconds until the source's best score, of those runs that reach it."""
        column, target = {"seconds": 1, "processor seconds": 2}[key], self.source[-1][3]
        marks = [[mark for mark in run["curve"] if mark[3] <= target] for run in self.runs.get(way, [])]
        return [found[0][column] for found in marks if found]

    def ratio(self, way: str, key: str = "seconds") -> float:
        """How many times sooner; 0 where a run does not get there."""
        found = self.reached(way, key)
        return self.needed(key) / median(found) if found and len(found) == len(self.runs[way]) else 0.0


def tasks(folder: Path) -> list[Task]:
    """The tasks whose source, short runs and own runs are all there, in the order of their names."""
    found: dict[str, dict[str, list]] = {}
    for path in sorted(folder.glob("*.json")):
        name, way, _ = path.stem.split("_")
        found.setdefault(name, {}).setdefault(way, []).append(json.loads(path.read_text(encoding="utf-8")))
    return [Task(name, runs) for name, runs in found.items() if {"source", "timing", "ours", "closed"} <= set(runs)]


def figure(value: float) -> str:
    """Three digits, and no exponent for what is large."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def span(values: list[float]) -> str:
    """Median, and the range where there is one."""
    if not values:
        return "not reached"
    return " ".join(
        [figure(median(values)), *([f"({figure(min(values))}–{figure(max(values))})"] if values[1:] else [])]
    )


def time_table(found: list[Task]) -> str:
    """Seconds until the source's best score."""
    rows = []
    for task in found:
        target = f"{task.source[-1][3]:.4g} at {task.source[-1][0]:.0f} of {task.runs['source'][0]['epochs']}"
        ratios = [
            f"**{figure(r)}**" if (r := task.ratio("ours", key)) else "–" for key in ("seconds", "processor seconds")
        ]
        times = [figure(task.needed()), span(task.reached("layers")), span(task.reached("ours"))]
        rows.append([task.runs["closed"][0]["title"], target, *times, *ratios])
    head = ["task", "target, at epoch", "source, s", "its model, our training, s", "ours, s", "times sooner"]
    return pages.table([*head, "by processor seconds"], rows)


def score_table(found: list[Task]) -> str:
    """Scores at equal seconds, beside the closed form."""
    rows = []
    for task in found:
        ends = [run["curve"][-1] for run in task.runs["ours"]]
        seconds, scores = median(end[1] for end in ends), [end[3] for end in ends]
        before = [mark[3] for mark in task.source if mark[0] * median(task.epoch()) <= seconds]
        closed = min(task.runs["closed"][0]["baselines"].items(), key=lambda item: item[1]["score"])
        spread = f" ± {stdev(scores):.1g}" if scores[1:] else ""
        rows.append([
            task.runs["closed"][0]["title"], f"{closed[0]}: {closed[1]['score']:.4g} in {closed[1]['seconds']:.1f} s",
            f"{mean(scores):.4g}{spread} in {seconds:.3g} s",
            f"{before[-1]:.4g}" if before else "in its first epoch",
            " / ".join(f"{task.runs[way][0]['parameters']:,}" for way in ("source", "ours")),
        ])  # fmt: skip
    head = ["task", "best closed form", "ours, at its end", "the source by then"]
    return pages.table([*head, "parameters, source / ours"], rows)


def rate(row: dict[str, Any]) -> float:
    """FLOP/s of a training step."""
    return row["FLOPs"] / row["seconds"]


def limit_table(limit: dict[str, Any]) -> str:
    """FLOP/s by model, as a share of the peak, and where a step's time goes."""
    top = median(limit["peaks"]["float32"])
    rows = []
    for row in in_float32(limit):
        parts = [f"{1000 * row[part]:.2g}" for part in ("forward", "backward", "update", "rest")]
        speed = f"{rate(row) / GIGA:.0f} ({rate(row) / top:.0%})"
        rows.append([row["model"], str(row["batch size"]), f"{row['FLOPs'] / GIGA:.3g}", speed, *parts])
    head = ["chapter, model", "batch", "GFLOP", "GFLOP/s (of peak)", "forward", "backward", "update", "rest"]
    return pages.table(head, rows)


def in_float32(limit: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows measured in float32, in which the book computes."""
    return [row for row in limit["rows"] if row["precision"] == "float32"]


def profile_table(limit: dict[str, Any]) -> str:
    """Milliseconds of a step's operations by kind, of the convolutional models."""
    found = [row for row in in_float32(limit) if "convolutions, forward" in row.get("profile", {})]
    kinds = sorted({kind for row in found for kind in row["profile"]})
    rows = []
    for row in found:
        times = [f"{1000 * row['profile'].get(kind, 0):.3g}" for kind in kinds]
        rows.append([row["model"], str(row["batch size"]), *times])
    return pages.table(["chapter, model", "batch", *kinds], rows)


def growth_table(growth: dict[str, Any]) -> str:
    """Images a second and peak memory by the number of images."""
    rows = [[f"{row['images']:,}", f"{row['images a second']:,.0f}", f"{row['MB']:,.0f}"] for row in growth["images"]]
    return pages.table(["images", "images a second", "peak memory, MB"], rows)


def about(machine: dict[str, Any]) -> str:
    """The machine in a line."""
    versions = ", ".join(f"{name} {machine[name]}" for name in ("tensorflow", "keras", "numpy"))
    return f"{pages.escaped(machine['processor'])}, {machine['cores']} cores, {versions}{formats(machine)}"


def formats(machine: dict[str, Any]) -> str:
    """A mark for what earlier editions measured with numbers of 16 bits; nothing for the others."""
    if machine.get("precision", "float32") == "float32":
        return ""
    return "; wide convolutions measured with bfloat16, which this edition no longer uses"


def of_tasks(folder: Path) -> dict[str, str]:
    """The values on time to quality."""
    found = tasks(folder)
    if not found:
        return {}
    ratios = [task.ratio("ours") for task in found]
    behind = [
        f"{t.runs['closed'][0]['title']} ({t.name})" for t in found
        if max(run["curve"][-1][3] for run in t.runs["ours"])
        > min(one["score"] for one in t.runs["closed"][0]["baselines"].values())
    ]  # fmt: skip
    return {
        "times": time_table(found), "scores": score_table(found), "median": f"{median(ratios):.0f}",
        "least": f"{min(ratios):.0f}", "tasks": str(len(found)),
        "machine": about(found[0].runs["source"][0]["machine"]),
        "missed": f"Some run of these does not beat the best closed form: {', '.join(behind)}." if behind
        else "All runs of all tasks beat the best closed form.",
    }  # fmt: skip


def of_limit(limit: dict[str, Any]) -> dict[str, str]:
    """The values on FLOP/s."""
    return {
        "limit": limit_table(limit),
        "profile": profile_table(limit),
        "peak": f"{median(limit['peaks']['float32']) / GIGA:,.0f}",
    }


def of_growth(growth: dict[str, Any]) -> dict[str, str]:
    """The values on growth."""
    rates, memory = ([row[key] for row in growth["images"]] for key in ("images a second", "MB"))
    return {
        "growth": growth_table(growth), "throughput": f"{min(rates) / max(rates):.2f}",
        "memory": f"{max(memory) - min(memory):.0f}", "memory, least": f"{min(memory):,.0f}",
        "side": f"{growth['side']['exponent']:.2f}",
        "width": f"{growth['width']['exponent']:.2f}",
    }  # fmt: skip


def of_book(book: dict[str, Any]) -> dict[str, str]:
    """The values on the book's own speed, in seconds but for the import."""
    return {f"book, {name.removesuffix(', ms')}": f"{value:.0f}" for name, value in book.items() if name != "machine"}


def values(results: Path) -> dict[str, str]:
    """Everything that `[[speed: ...]]` may name and that was measured."""
    found = of_tasks(results / "speed")
    for name, of in {"limit": of_limit, "growth": of_growth, "book": of_book}.items():
        path = results / f"{name}.json"
        found |= of(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    return {f"speed: {name}": value for name, value in found.items()}


def without_gaps(text: str, known: dict[str, str]) -> str:
    """Say so in place of each paragraph that names what was not measured."""
    blocks = [
        block if set(re.findall(r"\[\[(speed: .+?)\]\]", block)) <= set(known) else ABSENT
        for block in text.split("\n\n")
    ]
    return "\n\n".join(block for i, block in enumerate(blocks) if block != ABSENT or block not in blocks[i - 1 : i])
