"""Each benchmark runs to its end, on little data, and keeps figures that can be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import percentile
from benchmarks.run import BENCHMARKS

ROOT = Path(__file__).parents[2]

LITTLE = {
    "zcache": ("--pages", "256", "--rounds", "1"),
    "memory": ("--pages", "4096", "--zram-pages", "512"),
    "page-data": ("--pages", "128"),
    "rpc": ("--seconds", "0.02"),
}


def numbers(figures: Any) -> list[float]:
    """Every number in a JSON value."""
    if isinstance(figures, dict):
        return [number for value in figures.values() for number in numbers(value)]
    if isinstance(figures, list):
        return [number for value in figures for number in numbers(value)]
    return [figures] if isinstance(figures, int | float) else []


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_prints_a_table_and_keeps_its_figures(name: str, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{BENCHMARKS[name]}", *LITTLE[name], "--json", kept],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(kept.read_text())
    assert len(done.stdout.splitlines()) > 3
    assert any(number > 0 for number in numbers(figures))


def test_a_percentile_is_one_of_the_samples() -> None:
    assert [percentile([3, 1, 2], share) for share in (0, 0.5, 0.99)] == [1, 2, 3]
