"""Random histories under faults: the rules that always hold, held."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from tests.support.history import History
from tests.support.virtual_time import run


@pytest.mark.parametrize("seed", range(24))
def test_a_history_with_faults_breaks_no_rule(seed: int) -> None:
    """R6: the last page, a miss or an error with a cause; after healing all books agree."""
    run(History(seed).run())


MIB = 1 << 20

REPLICAS: dict[str, Any] = {"replicas": 2, "repatriate_after_s": 0.5}
SAFETY: dict[str, Any] = {
    "replicas": 2,
    "writeback_bytes": 4 * MIB,
    "writeback_safety": True,
}
OVERFLOW: dict[str, Any] = {"writeback_bytes": MIB, "repatriate_after_s": 0.2}


@pytest.mark.parametrize("seed", range(200, 203))
@pytest.mark.parametrize("knobs", [REPLICAS, SAFETY, OVERFLOW], ids=["two", "safety", "overflow"])
def test_a_history_with_faults_breaks_no_rule_with_several_copies_or_a_file(
    seed: int, knobs: dict[str, Any]
) -> None:
    history = History(seed, steps=150, **knobs)
    run(history.run())
    for node in history.cluster.nodes.values():
        if "writeback_bytes" in knobs:
            assert node.disk.races == []


@pytest.mark.parametrize("seed", range(100, 104))
def test_a_history_without_faults_loses_nothing(seed: int) -> None:
    history = History(seed, faults=False)
    run(history.run())
    for node in history.cluster.nodes.values():
        counters = node.cluster.counters
        assert counters.pages_lost == counters.lenders_gone == counters.spills_timed_out == 0


def test_the_same_seed_gives_the_same_history() -> None:
    def figures() -> list[object]:
        history = History(8)
        run(history.run())
        nodes = history.cluster.nodes.values()
        return [
            history.cluster.network.calls,
            [asdict(node.cluster.counters) for node in nodes],
            [node.cache.stats().as_dict() for node in nodes],
        ]

    assert figures() == figures()
