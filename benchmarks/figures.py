"""Percentiles and tables, for benchmarks.

Covers: what every benchmark does with its samples. Does not cover: measuring.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["machine", "percentile", "show_table"]


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample below which ``share`` of all samples lie (nearest rank)."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show_table(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")


def machine() -> str:
    """What this ran on, in one line."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    cores = cpuinfo.read_text().count("processor\t") if cpuinfo.exists() else 0
    return f"{model}, {cores} cores, Linux {platform.release()}, Python {platform.python_version()}"
