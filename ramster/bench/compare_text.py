"""A comparison as text for a terminal, and as JSON.

Covers: the layout. Does not cover: what is compared (``compare.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ramster.bench.compare import Cell, Comparison, Row, Verdict
from ramster.bench.notation import show_factor, show_number, show_p, show_percent
from ramster.bench.significance import ALPHA
from ramster.bench.typed_json import dump

__all__ = ["as_json", "render"]

_MARKS = {Verdict.BETTER: "* better", Verdict.WORSE: "* worse", Verdict.UNTESTED: "too few rounds"}
_HEAD = ("figure", "", "mean", "min", "max", "cv", "gain", "p", "")
_LEFT = {0, 1, 8}
"""Columns of words."""


def render(comparison: Comparison) -> str:
    """Lines of at most some 110 columns, by configuration and case, and the sum at the end."""
    lines = _head(comparison)
    table = [_HEAD, *(cells for row in comparison.rows for cells in _cells(row, comparison))]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(_HEAD))]
    for configuration, rows in groupby(comparison.rows, lambda row: row.key.configuration):
        lines += ["", configuration, f"    {_line(_HEAD, widths)}"]
        for case, same_case in groupby(rows, lambda row: row.key):
            label = f"{case.workload} {case.label}".removesuffix(" -")
            lines.append(f"  {label} ({case.subject})")
            for row in same_case:
                lines += [f"    {_line(cells, widths)}" for cells in _cells(row, comparison)]
    if not comparison.rows:
        lines += ["", "there is nothing to compare"]
    if comparison.notes:
        lines += ["", *(f"note: {note}" for note in comparison.notes)]
    return "\n".join([*lines, "", *_sum(comparison)])


def _head(comparison: Comparison) -> list[str]:
    base, *others = comparison.names
    found = []
    for name, in_pairs in zip(others, comparison.pairs[1:], strict=True):
        how = "round by round" if in_pairs else "of another session"
        found.append(f"{name} against {base}: {how}")
    return [
        *found,
        "gain: percent better (+) or worse (-) than the first; p: corrected for the number of",
        f"figures; *: p below {ALPHA:g} and more than {comparison.threshold_percent:g} % apart",
    ]


def _cells(row: Row, comparison: Comparison) -> list[tuple[str, ...]]:
    unit = f" [{row.figure.unit}]" if row.figure.unit else ""
    first = f"{row.figure.name}{unit}"
    found = []
    for name, cell in zip(comparison.names, row.cells, strict=True):
        found.append((first, name, *_numbers(cell), _MARKS.get(cell.verdict, "")))
        first = ""
    return found


def _numbers(cell: Cell) -> tuple[str, ...]:
    if cell.spread is None:
        return ("-",) * 6
    spread = cell.spread
    variation = None if spread.variation is None else 100 * spread.variation
    is_base = cell.verdict is Verdict.BASE
    return (
        show_number(spread.mean),
        show_number(spread.least),
        show_number(spread.most),
        show_percent(variation, signed=False),
        "" if is_base else show_percent(cell.gain_percent),
        "" if is_base else show_p(cell.p),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = [
        f"{cell:<{width}}" if column in _LEFT else f"{cell:>{width}}"
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(parts).rstrip()


def _sum(comparison: Comparison) -> list[str]:
    base, *others = comparison.names
    configurations = list(dict.fromkeys(row.key.configuration for row in comparison.rows))
    lines = []
    width = max(map(len, configurations), default=0)
    for configuration in configurations:
        said = []
        for number, name in enumerate(others, 1):
            overall = comparison.overall(configuration, number)
            said.append(f"{name} {'-' if overall is None else show_factor(overall)}")
        lines.append(f"  {configuration:{width}}  {', '.join(said)}")
    if lines:
        lines.insert(0, f"geometric mean of all figures, times as good as {base}:")
    compared = sum(cell.spread is not None for row in comparison.rows for cell in row.cells[1:])
    lines.append(
        f"{compared} figures compared: {comparison.better} better, {comparison.worse} worse "
        f"by more than {comparison.threshold_percent:g} %"
    )
    return lines


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The same for programs; what is infinite is null there."""
    configurations = dict.fromkeys(row.key.configuration for row in comparison.rows)
    found = dump(comparison)
    found["rows"] = [
        {"case": row.key._asdict(), "figure": dump(row.figure), "cells": dump(row.cells)}
        for row in comparison.rows
    ]
    found["geometric_means"] = {
        configuration: {
            name: comparison.overall(configuration, number)
            for number, name in enumerate(comparison.names)
        }
        for configuration in configurations
    }
    found |= {"better": comparison.better, "worse": comparison.worse}
    finite: dict[str, Any] = _finite(found)
    return finite


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
