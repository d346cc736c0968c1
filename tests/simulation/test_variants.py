"""Every safety measure that is taken away is missed by some history."""

from __future__ import annotations

import pytest

from tests.simulation.history import run_seed
from tests.simulation.variants import VARIANTS, variant


@pytest.mark.parametrize("name", VARIANTS)
def test_a_broken_variant_is_found_out(name: str) -> None:
    broken = VARIANTS[name]
    outcome = broken.caught()
    assert outcome is not None, f"survived: {broken.missing}"
    assert "AttributeError" not in str(outcome.failure), outcome.report()


def test_a_failure_tells_how_to_see_it_again() -> None:
    broken = VARIANTS["displaced_copies_are_not_flushed"]
    with broken.broken():
        outcome = run_seed(0, "any")
    assert outcome.failure is not None
    report = outcome.report()
    assert "seed 0, profile any" in report
    assert "python -m tests.simulation --seed 0 --profile any --trace" in report
    assert len(outcome.last) > 10


def test_the_code_is_whole_again_after_a_variant() -> None:
    for broken in VARIANTS.values():
        with broken.broken():
            pass
    assert run_seed(0, "any").failure is None


def test_every_variant_says_what_is_missing() -> None:
    assert all(broken.missing.endswith(".") for broken in VARIANTS.values())
    assert variant.__doc__
