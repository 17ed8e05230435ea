"""How much memory the machine has for chapters, and how much each was measured to need."""

import math
from pathlib import Path

import psutil

import reading

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "benchmarks/results/memory.json"
UNKNOWN = {"fast": 2500, "full": 6000}  # MB for a chapter that was never measured
RESERVE = 1500  # MB for the system, for Snakemake and for whatever else is open
GROUPS = Path("/sys/fs/cgroup")


def needs(profile: str) -> dict[str, int]:
    """MB that chapters were measured to need at their peak, by name. Raises SystemExit when the file is damaged."""
    if not MEASURED.exists():
        return {}
    expected = "profiles, and below each its chapters' peak memory in MB"
    values = reading.from_json(MEASURED, expected).get(profile, {})
    if not isinstance(values, dict) or not all(isinstance(value, int | float) for value in values.values()):
        raise reading.damaged(MEASURED, f"{profile}: {values!r}", expected)
    return {name: math.ceil(value) for name, value in values.items()}


def need(profile: str, chapter: str) -> int:
    """MB that a chapter needs, as measured, or a guess on the safe side."""
    return needs(profile).get(chapter, UNKNOWN.get(profile, max(UNKNOWN.values())))


def usable() -> int:
    """MB that chapters may take together: what the machine or its container has, less a reserve."""
    total = min([psutil.virtual_memory().total, *limits()]) // 2**20
    return max(total - RESERVE, total // 2)


def limits(groups: Path = GROUPS, own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Bytes to which control groups hold this process, those above it included; none outside of containers."""
    lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        top = groups if not controllers else groups / "memory"
        inner = top / path.lstrip("/")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        folders = [folder for folder in (inner, *inner.parents) if folder.is_relative_to(top)]
        found += [(folder / name).read_text(encoding="utf-8").strip() for folder in folders if (folder / name).exists()]
    return [int(value) for value in found if value.isdigit()]


def warnings(profile: str, chapters: list[str], megabytes: int) -> list[str]:
    """A line about chapters that need more than there is."""
    large = [name for name in chapters if need(profile, name) > megabytes]
    if not large:
        return []
    many = f"{', '.join(large)} may need more memory than the {megabytes:,} MB that this machine has for chapters"
    return [f"warning: {many}; each runs alone, and may be slow or fail"]
