"""The configuration quick: its shape; test_configurations.py runs it."""

from __future__ import annotations

from ramster.bench.configurations import CONFIGURATIONS


def test_it_has_rounds_enough_and_few_cases() -> None:
    quick = CONFIGURATIONS["quick"]
    assert quick.rounds >= 7
    assert len(quick.cases) <= 12
