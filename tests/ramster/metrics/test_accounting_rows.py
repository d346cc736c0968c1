"""Metrics of a node's accounts."""

from __future__ import annotations

from typing import Any

from ramster.metrics.accounting_rows import ACCOUNTING_ROWS

ROWS = {row.name: row for row in ACCOUNTING_ROWS}


def figures(resident: dict[str, int] | None) -> dict[str, Any]:
    logical = {"total": 15, "here": 1, "same_filled": 2, "in_transit": 3, "at_peers": 4}
    return {
        "accounting": {
            "logical": {**logical, "on_disk_only": 5},
            "compressed": {"total": 9, "own_here": 1, "away": 8, "at_peers": 6, "on_disk": 7},
            "resident": resident,
        }
    }


def test_parts_of_resident_memory_add_up_to_its_total() -> None:
    parts = {"frames": 10, "frames_kept": 2, "index": 3, "process": 40, "other": -1}
    found = dict(ROWS["ramster_resident_bytes"].samples(figures({"total": 54, **parts})))
    assert sum(found.values()) == 54
    assert found[("other",)] == -1


def test_a_system_that_does_not_tell_has_no_sample_of_resident_memory() -> None:
    assert list(ROWS["ramster_resident_bytes"].samples(figures(None))) == []


def test_logical_bytes_are_told_by_place_and_add_up() -> None:
    found = dict(ROWS["ramster_logical_bytes"].samples(figures(None)))
    assert ("total",) not in found
    assert sum(found.values()) == 15


def test_bytes_elsewhere_are_told_for_peers_and_disk() -> None:
    found = dict(ROWS["ramster_compressed_away_bytes"].samples(figures(None)))
    assert found == {("at_peers",): 6.0, ("on_disk",): 7.0}
