"""Metrics of a node's accounts: what its pages and its memory are, adding up.

Covers: rows over the section ``accounting`` of the figures. Does not cover: the accounts
(``accounting.py``).
"""

from __future__ import annotations

from ramster.figures import Figures
from ramster.metrics.row import MetricRow, Samples

__all__ = ["ACCOUNTING_ROWS", "RESIDENT_PARTS"]

RESIDENT_PARTS = ("frames", "frames_kept", "index", "process", "other")


def _resident_parts(figures: Figures) -> Samples:
    resident = figures["accounting"]["resident"]
    if resident is None:
        return ()
    return (((part,), float(resident[part])) for part in RESIDENT_PARTS)


def _logical_parts(figures: Figures) -> Samples:
    logical = figures["accounting"]["logical"]
    return (((where,), float(size)) for where, size in logical.items() if where != "total")


def _away_parts(figures: Figures) -> Samples:
    compressed = figures["accounting"]["compressed"]
    return (((where,), float(compressed[where])) for where in ("at_peers", "on_disk"))


ACCOUNTING_ROWS: tuple[MetricRow, ...] = (
    MetricRow(
        "ramster_resident_bytes",
        "Resident memory of the process by what it is for; the sum is all of it.",
        ("part",),
        _resident_parts,
    ),
    MetricRow(
        "ramster_logical_bytes",
        "Own pages before compression, by where they are.",
        ("where",),
        _logical_parts,
    ),
    MetricRow(
        "ramster_compressed_away_bytes",
        "Compressed own pages elsewhere: copies at peers, slots of the write-back file.",
        ("where",),
        _away_parts,
    ),
)
