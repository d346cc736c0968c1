"""The tests: known values, and by simulation how often they are wrong and how much they see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ramster.bench.significance import (
    ALPHA,
    Difference,
    adjust,
    paired,
    unpaired,
    weakest,
)

THRESHOLD = 0.05
FIGURES = 40
Values = NDArray[np.float64]


def test_few_rounds_are_compared_by_students_test_of_logarithms() -> None:
    base, new = [100.0, 110, 95, 105], [120.0, 125, 118, 121]
    found = paired(base, new)
    assert found is not None
    assert found.p == pytest.approx(stats.ttest_rel(np.log(base), np.log(new)).pvalue)
    assert found.change == pytest.approx(math.exp(np.mean(np.log(new) - np.log(base))) - 1)


def test_of_seven_rounds_the_best_and_the_worst_are_left_out() -> None:
    base = [100.0] * 7
    new = [120.0, 121, 122, 119, 118, 120, 5]
    found = paired(base, new)
    assert found is not None
    assert found.p < 1e-4
    assert found.change == pytest.approx(0.196, abs=0.002)
    whole = unpaired([99.0, 100, 101, 100, 99, 101, 500], new)
    assert whole is not None
    assert whole.p < 1e-4


def test_the_trimmed_error_is_yuens() -> None:
    d = np.array([0.1, 0.3, 0.2, 0.15, 0.5, 0.22, -0.3, 0.21])
    found = paired([1.0] * 8, list(np.exp(d)))
    cut = np.sort(d)
    winsorized = np.clip(d, cut[1], cut[-2])
    error = math.sqrt(winsorized.var(ddof=1) * 7 / (6 * 5))
    expected = 2 * stats.t.sf(cut[1:-1].mean() / error, 5)
    assert found is not None
    assert found.p == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("test", [paired, unpaired])
def test_too_few_rounds_say_nothing(test) -> None:  # type: ignore[no-untyped-def]
    assert test([1.0, 2.0], [2.0, 3.0]) is None


@pytest.mark.parametrize("test", [paired, unpaired])
@pytest.mark.parametrize("rounds", [3, 7])
def test_figures_without_noise_differ_where_they_differ(test, rounds: int) -> None:  # type: ignore[no-untyped-def]
    assert test([4096.0] * rounds, [4096.0] * rounds) == Difference(0.0, 1.0)
    found = test([4096.0] * rounds, [8192.0] * rounds)
    assert (found.change, found.p) == (pytest.approx(1), 0)
    assert test([0.0] * rounds, [0.0] * rounds) == Difference(0.0, 1.0)
    assert test([0.0] * rounds, [3.0] * rounds) == Difference(math.inf, 0.0)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=3, max_size=12))
def test_any_numbers_have_an_answer_and_direction_turns_with_order(
    rows: list[tuple[float, float]],
) -> None:
    base, new = [a for a, _ in rows], [b for _, b in rows]
    for test in (paired, unpaired):
        there, back = test(base, new), test(new, base)
        assert there is not None
        assert back is not None
        assert 0 <= there.p <= 1
        assert there.p == pytest.approx(back.p, abs=1e-6)


def test_the_weakest_view_is_what_all_agree_on() -> None:
    views = [Difference(-0.2, 0.001), Difference(-0.1, 0.03)]
    assert weakest(views) == Difference(pytest.approx(-0.05), 0.03)  # type: ignore[arg-type]
    assert weakest(views[:1]) == views[0]
    assert weakest([views[0], Difference(-0.01, 0.02)]).change == 0
    assert weakest([Difference(math.inf, 0.0)]).change == math.inf
    assert weakest([*views, Difference(0.1, 0.0001)]) == Difference(0.0, 0.03)


def test_many_figures_are_corrected_for() -> None:
    assert adjust([]) == []
    assert adjust([0.01, 0.04, 0.03, 1.0]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 1.0])


def noise(chance: np.random.Generator, rounds: int) -> Values:
    """Logarithms of rates, by round and figure, as a busy virtual machine has them: 3 % with heavy
    tails, and each twelfth measurement disturbed by some 25 %, always downwards."""
    shape = (rounds, FIGURES)
    tails = 0.03 * chance.standard_t(3, shape) / math.sqrt(3)
    disturbed = (chance.random(shape) < 1 / 12) * chance.exponential(0.25, shape)
    return np.asarray(tails - disturbed)


def drift(chance: np.random.Generator, rounds: int) -> Values:
    """The machine's speed while the figures are measured one after the other: it walks, some 15 %
    from the beginning of a run to its end."""
    walk = np.cumsum(chance.normal(0, 0.15 / math.sqrt(rounds * FIGURES), rounds * FIGURES))
    return np.asarray((walk - walk.mean()).reshape(rounds, FIGURES))


def alarms(differences: list[Difference | None]) -> list[bool]:
    """Which figures would be said to be worse."""
    found = [one for one in differences if one is not None]
    ps = adjust([one.p for one in found])
    return [p < ALPHA and one.change < -THRESHOLD for one, p in zip(found, ps, strict=True)]


def side_by_side(seed: int, rounds: int, slower: Values) -> list[bool]:
    """Two variants in one session; the second is slower by these shares."""
    chance = np.random.default_rng(seed)
    common = drift(chance, rounds)
    base = np.exp(common + noise(chance, rounds))
    new = np.exp(common + noise(chance, rounds)) * (1 - slower)
    return alarms([paired(list(base[:, n]), list(new[:, n])) for n in range(FIGURES)])


def apart(seed: int, rounds: int, slower: Values, shift: float = 0.05) -> list[bool]:
    """Two sessions on a machine whose speed is another each time, by some 5 %; calibration sees
    that, and figures feel it by 0.4 to 1.4 of it."""
    chance = np.random.default_rng(seed)
    felt = chance.uniform(0.4, 1.4, FIGURES)
    views: list[list[Values]] = []
    for factor in (1.0, 1 - slower):
        machine = drift(chance, rounds) + chance.normal(0, shift)
        speed = machine * felt + noise(chance, rounds) + chance.normal(0, 0.01, FIGURES)
        values = np.exp(speed) * factor
        loops = []
        for feels in (1.0, 0.8):
            seen = machine.mean(axis=1) * feels + chance.normal(0, 0.4 * shift)
            loops.append(np.exp(-seen - chance.normal(0, 0.01, rounds)))
        views.append([values, *(values * loop[:, None] for loop in loops)])
    found = []
    for n in range(FIGURES):
        each = [unpaired(list(a[:, n]), list(b[:, n])) for a, b in zip(*views, strict=True)]
        found.append(weakest([one for one in each if one is not None]))
    return alarms(found)  # type: ignore[arg-type]


NOTHING = np.zeros(FIGURES)
ALL_15 = np.full(FIGURES, 0.15)
FEW_20 = np.where(np.arange(FIGURES) % 10 == 0, 0.2, 0.0)
RUNS = 60


@pytest.mark.parametrize("rounds", [5, 7, 10])
def test_side_by_side_the_same_code_is_hardly_ever_called_slower(rounds: int) -> None:
    wrong = sum(any(side_by_side(seed, rounds, NOTHING)) for seed in range(RUNS))
    assert wrong <= 0.05 * RUNS


@pytest.mark.parametrize(
    ("rounds", "slower", "share"), [(7, ALL_15, 0.85), (10, ALL_15, 0.95), (7, FEW_20, 0.75)]
)
def test_side_by_side_a_slower_build_is_seen(rounds: int, slower: Values, share: float) -> None:
    """``share``: of the figures that are slower, so many are called so, on average; in nearly every
    run there is one, which is what guards a change."""
    runs = [side_by_side(seed, rounds, slower) for seed in range(RUNS)]
    found = [np.array(run)[slower > 0] for run in runs]
    assert np.mean([row.mean() for row in found]) >= share
    assert sum(row.any() for row in found) >= 0.95 * RUNS
    false = [np.array(run)[slower == 0].sum() for run in runs]
    assert sum(false) <= 0.05 * sum(row.sum() for row in found)


def test_apart_the_same_code_is_hardly_ever_called_slower() -> None:
    wrong = sum(any(apart(seed, 7, NOTHING)) for seed in range(RUNS // 3))
    assert wrong <= 0.05 * RUNS // 3


def test_apart_a_build_of_half_the_speed_is_seen() -> None:
    runs = [apart(seed, 7, np.full(FIGURES, 0.5)) for seed in range(10)]
    assert np.mean(runs) >= 0.9
