"""Every number of /stats is exported once, or is left out on purpose."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramster.figures import Figures
from ramster.metrics import METRICS
from tests.ramster.metrics.nodes import figures_of_everything, with_every_leaf

LEFT_OUT = {
    r"pid|started": "process_start_time_seconds and the scraper's own labels say which process",
    r"pages\.own": "sum of ramster_pages without foreign, and of ramster_own_pages",
    r"bytes\.logical": "4096 times the own pages",
    r"bytes\.frames": "ramster_pool_used_bytes",
    r"accounting\.(logical|compressed|resident)\.total": "sums of what is exported",
    r"accounting\.compressed\.(own_here|foreign)": "ramster_compressed_bytes, _foreign_bytes",
    r"accounting\.compressed\.away": "ramster_compressed_away_bytes counts every copy",
    r"accounting\.(peer_copies|frames\..*)": "for the account in words; frames are the pool's",
    r"accounting\.resident\.(anonymous|file|shared)": "the system's parts of the same sum",
    r"cache\.puts": "sum of ramster_puts_total",
    r"cache\.gets": "sum of ramster_gets_total",
    r"cache\.tickets_begun": "sum of ramster_spill_tickets_total, and those open",
    r"cache\.pages_(local|foreign)_peak": "max_over_time(ramster_pages)",
    r"nbd\.exports\.0\.read_only": "a setting; never changes while the node runs",
    r"nbd\.connections\.0\..*": "a series for each connection ever made; the sums are exported",
}
"""Paths of numbers that are no metrics, and why."""

Path_ = tuple[str | int, ...]

HISTOGRAM = {"count", "sum", "bounds", "counts"}


def leaves(value: object, path: Path_ = ()) -> Iterator[Path_]:
    """Paths of the numbers; a histogram is one."""
    if isinstance(value, dict) and value.keys() != HISTOGRAM:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    elif isinstance(value, int | float | dict):
        yield path


def change(figures: Figures, path: Path_) -> Figures:
    changed: Any = copy.deepcopy(figures)
    place = changed
    for key in path[:-1]:
        place = place[key]
    value = place[path[-1]]
    if isinstance(value, dict):
        value["counts"][0] += 1
        value["sum"] += 0.5
    else:
        place[path[-1]] = not value if isinstance(value, bool) else value + 7
    return dict(changed)


def exported(figures: Figures) -> dict[str, list[Any]]:
    return {row.name: list(row.samples(figures)) for row in METRICS}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    return with_every_leaf(figures_of_everything(tmp_path_factory.mktemp("node")))


def test_every_number_is_exported_once_or_left_out_on_purpose(figures: Figures) -> None:
    before = exported(figures)
    wrong = {}
    for path in leaves(figures):
        name = ".".join(map(str, path))
        after = exported(change(figures, path))
        by = [row for row in before if before[row] != after[row]]
        left_out = any(re.fullmatch(pattern, name) for pattern in LEFT_OUT)
        if len(by) != (0 if left_out else 1):
            wrong[name] = by
    assert not wrong, "neither exported once nor left out, or both"


def test_nothing_is_left_out_that_is_not_there(figures: Figures) -> None:
    names = [".".join(map(str, path)) for path in leaves(figures)]
    for pattern in LEFT_OUT:
        assert any(re.fullmatch(pattern, name) for name in names), pattern


def test_the_figures_of_the_test_have_all_that_comes_and_goes(figures: Figures) -> None:
    empty = [row.name for row in METRICS if not list(row.samples(figures))]
    assert not empty


def test_parts_that_do_not_run_are_no_error(tmp_path: Path) -> None:
    from ramster.config import NodeConfig
    from ramster.embed import EmbeddedNode

    with EmbeddedNode(NodeConfig(name="n", http=None)) as node:
        assert exported(node.figures())["ramster_pages"]
