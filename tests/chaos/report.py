"""The outcome of a run in words, and as JSON.

Covers: the tables. Does not cover: what the figures mean for the verdict (``verdict.py``).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.figures import Stall
from tests.chaos.fleet import MIB, TIMES
from tests.chaos.run import Outcome
from tests.chaos.timeline import CALM

__all__ = ["as_dict", "as_text", "write_json"]


def as_text(outcome: Outcome) -> str:
    """Tables, the findings, the verdict."""
    parts = [
        _requests(outcome),
        _errors(outcome),
        _faults(outcome),
        _memory(outcome),
        *(
            ["\n".join(f"{key}: {value:g}" for key, value in outcome.notes.items())]
            * bool(outcome.notes)
        ),
        _verdict(outcome),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [list(map(str, row)) for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def _stall(stall: Stall | None) -> str:
    return "-" if stall is None else f"{stall.seconds:.2f} s"


def _requests(outcome: Outcome) -> str:
    rows = []
    figures = outcome.figures
    for operation in figures.operations():
        longest = figures.longest_of(operation)
        rows.append(
            (
                operation,
                figures.count(operation),
                f"{figures.bytes[operation] / MIB:.0f}",
                f"{figures.quantile(operation, 0.5) * 1000:.1f}",
                f"{figures.quantile(operation, 0.99) * 1000:.1f}",
                _stall(longest),
                "-" if longest is None else longest.fault,
            )
        )
    heads = ("operation", "requests", "MiB", "p50 ms", "p99 ms", "longest", "under fault")
    stalls = [stall for stall in map(figures.longest_of, figures.operations()) if stall]
    longest = max(stalls, key=lambda stall: stall.seconds, default=None)
    if longest is None:
        return "no requests"
    return _table(heads, rows) + (
        f"\nlongest stall of any request: {longest.seconds:.2f} s, under fault: {longest.fault} "
        f"(a silent peer counts as dead after {TIMES['dead_after']} s)"
    )


def _errors(outcome: Outcome) -> str:
    if not outcome.figures.errors:
        return "I/O errors: none"
    rows = [(*names, count) for names, count in sorted(outcome.figures.errors.items())]
    figures = outcome.figures
    return (
        _table(("failed", "error", "under fault", "requests"), rows)
        + f"\npages whose reads failed: {len(figures.pages_failed)}; {figures.pages_explained} "
        f"such reads are explained by a fault, {figures.pages_unexplained} are not"
    )


def _faults(outcome: Outcome) -> str:
    kinds = defaultdict(list)
    for record in outcome.timeline.faults:
        kinds[record.kind].append(record)
    longest = outcome.figures.longest
    rows = []
    for kind in [*sorted(kinds), CALM]:
        whole = [r.whole - r.healed for r in kinds[kind] if r.whole and r.healed]
        rows.append(
            (
                kind,
                len(kinds[kind]) or "-",
                sum(record.details.get("pages_there", 0) for record in kinds[kind]) or "-",
                sum(len(record.pages_failed) for record in kinds[kind]) or "-",
                f"{max(whole):.1f} s" if whole else "-",
                *(_stall(longest.get((op, kind))) for op in ("read", "write", "trim")),
            )
        )
    heads = ("fault", "times", "pages there", "pages failed", "whole after", "longest read")
    return _table((*heads, "write", "trim"), rows)


def _memory(outcome: Outcome) -> str:
    rows = [
        (
            name,
            f"{memory.pool / MIB:.0f}",
            f"{memory.bound / MIB:.0f}",
            f"{memory.resident / MIB:.0f}" if memory.resident else "?",
            f"{memory.container / MIB:.0f}" if memory.container else "?",
            memory.oom_kills,
        )
        for name, memory in outcome.memory.items()
    ]
    heads = ("memory, MiB", "pool", "bound", "resident peak", "container peak", "OOM kills")
    return _table(heads, rows)


def _verdict(outcome: Outcome) -> str:
    head = f"seed {outcome.seed}, replicas {outcome.replicas}, {outcome.seconds:.0f} s, "
    head += f"{len(outcome.timeline.faults)} faults: "
    findings = outcome.findings
    if not findings:
        return head + "nothing found against the rules"
    counts = ", ".join(f"{count} x {rule}" for rule, count in findings.counts.most_common())
    return "\n".join([*findings.texts, "", f"{head}BROKEN: {counts}"])


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """JSON values only."""
    at = outcome.timeline.at
    return {
        "seed": outcome.seed,
        "replicas": outcome.replicas,
        "seconds": round(outcome.seconds, 1),
        "broken": bool(outcome.findings),
        "wrong_bytes": outcome.findings.counts["wrong bytes"],
        "findings": dict(outcome.findings.counts),
        "first_findings": outcome.findings.texts,
        **outcome.figures.as_dict(),
        "longest_by_fault": {
            f"{operation} / {fault}": stall.as_dict()
            for (operation, fault), stall in sorted(outcome.figures.longest.items())
        },
        "faults": [
            {
                "number": record.number,
                "kind": record.kind,
                "target": record.target,
                "began_s": round(at(record.began), 2),
                "healed_s": None if record.healed is None else round(at(record.healed), 2),
                "whole_s": None if record.whole is None else round(at(record.whole), 2),
                "lost_lease": record.lost_lease,
                "pages_failed": len(record.pages_failed),
                **record.details,
            }
            for record in outcome.timeline.faults
        ],
        "memory": {
            name: {
                "pool_bytes": memory.pool,
                "bound_bytes": memory.bound,
                "resident_peak_bytes": memory.resident,
                "container_peak_bytes": memory.container,
                "oom_kills": memory.oom_kills,
            }
            for name, memory in outcome.memory.items()
        },
        **({"scenario": outcome.notes} if outcome.notes else {}),
    }


def write_json(outcome: Outcome, path: Path) -> None:
    path.write_text(json.dumps(as_dict(outcome), indent=1) + "\n")
