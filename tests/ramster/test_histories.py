"""Random histories under faults: the rules that always hold, held."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from tests.support.history import History
from tests.support.virtual_time import run


@pytest.mark.parametrize("seed", range(24))
def test_a_history_with_faults_breaks_no_rule(seed: int) -> None:
    """R6: the last page, a miss or an error with a cause; after healing all books agree."""
    run(History(seed).run())


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
