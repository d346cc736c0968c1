"""Means, spread, gains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.bench.averages import gain_percent, geometric_mean, round_value, spread
from ramster.bench.model import Better, Figure, Mean

RATE = Figure("f", "pages/s", Better.HIGHER, "A rate.")
TIME = Figure("f", "us", Better.LOWER, "A time.")
POSITIVE = st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=20)


def test_a_rounds_value_is_the_median_of_its_samples() -> None:
    assert round_value([1, 2, 99]) == 2


def test_rates_are_averaged_as_rates_are() -> None:
    # Half of the work at 100 a second and half at 300 takes as long as all of it at 150.
    assert spread([100, 300], Mean.HARMONIC).mean == pytest.approx(150)
    assert spread([100, 300], Mean.ARITHMETIC).mean == 200


@given(POSITIVE)
def test_means_lie_between_least_and_most(values: list[float]) -> None:
    harmonic, arithmetic = (spread(values, mean) for mean in (Mean.HARMONIC, Mean.ARITHMETIC))
    slack = 1 + 1e-9
    assert arithmetic.least <= harmonic.mean * slack
    assert harmonic.mean <= arithmetic.mean * slack
    assert arithmetic.mean <= arithmetic.most * slack


def test_variation_is_the_deviation_by_the_mean() -> None:
    assert spread([90, 110], Mean.ARITHMETIC).variation == pytest.approx(0.1414, abs=1e-4)
    assert spread([5], Mean.ARITHMETIC).variation is None
    assert spread([-1, 1], Mean.ARITHMETIC).variation is None


@pytest.mark.parametrize("values", [[0.0, 5.0], [-5.0, 5.0, 3.0]])
def test_rates_of_zero_and_below_have_a_mean(values: list[float]) -> None:
    found = spread(values, Mean.HARMONIC)
    assert found.mean in (0, 1)


@pytest.mark.parametrize(
    ("figure", "base", "new", "gain"),
    [
        (RATE, 100, 120, 20),
        (RATE, 100, 80, -20),
        (TIME, 100, 120, -20),
        (TIME, 100, 80, 20),
        (TIME, -100, -80, -20),
        (TIME, 0, 0, 0),
        (TIME, 0, 5, None),
    ],
)
def test_a_gain_is_positive_where_the_figure_is_better(
    figure: Figure, base: float, new: float, gain: float | None
) -> None:
    assert gain_percent(figure, base, new) == gain


def test_the_geometric_mean_of_double_and_half_is_one() -> None:
    assert geometric_mean([2, 0.5]) == pytest.approx(1)
    assert geometric_mean([]) is None
    assert geometric_mean([0.0]) is None
