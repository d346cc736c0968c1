"""The configuration quick: its shape; test_configurations.py runs it."""

from __future__ import annotations

from ramster.bench.configurations import CONFIGURATIONS


def test_it_has_rounds_enough_and_few_cases() -> None:
    quick = CONFIGURATIONS["quick"]
    assert quick.rounds >= 7
    assert len(quick.cases) <= 12


def test_its_cases_are_those_of_other_configurations() -> None:
    found = [one for name, one in CONFIGURATIONS.items() if name != "quick"]
    others = {case.key for one in found for case in one.cases}
    assert {case.key for case in CONFIGURATIONS["quick"].cases} <= others
