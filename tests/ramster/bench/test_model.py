"""The words of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.model import Better, Case, Context, Figure, Mean, Subject


@pytest.mark.parametrize(
    ("unit", "mean"),
    [("pages/s", Mean.HARMONIC), ("MB/s", Mean.HARMONIC), ("us", Mean.ARITHMETIC)],
)
def test_rates_are_averaged_harmonically(unit: str, mean: Mean) -> None:
    assert Figure("f", unit, Better.HIGHER, "A figure.").mean is mean


def test_a_label_is_the_parameters_and_a_key_all_of_it() -> None:
    case = Case("mix", Subject.ALONE, {"threads": 2, "ratio": 2.5})
    assert case.label == "threads=2 ratio=2.5"
    assert case.key == "mix ramster-alone threads=2 ratio=2.5"
    assert Case("mix", Subject.ZCACHE).label == "-"


def test_sizes_and_durations_scale_down_to_a_least() -> None:
    context = Context(Subject.ZCACHE, {}, 0.5, 1, Path())
    assert (context.pages(1000), context.pages(100)) == (500, 64)
    assert (context.seconds(2), context.seconds(0.01)) == (1, 0.05)
