"""Results as rows: one value a round for each figure of each case.

Covers: gathering measurements by case, figure and round; the machine's speed by round. Does not
cover: comparing rows (``compare.py``).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ramster.bench.averages import Spread, round_value, spread
from ramster.bench.model import Figure
from ramster.bench.results import Result

__all__ = ["Key", "Series", "gather", "geometric_series", "loops_by_round", "mean_loops"]


class Key(NamedTuple):
    """What two series must have in common to be comparable, beside the figure."""

    configuration: str
    workload: str
    label: str
    subject: str


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one case."""

    figure: Figure
    scale: float
    values: Mapping[int, float]
    """By round."""
    busy: float
    """CPU seconds a second of the measuring process, the median of the rounds."""

    def spread(self) -> Spread:
        """Over all rounds."""
        return spread(list(self.values.values()), self.figure.mean)


def gather(result: Result) -> dict[tuple[Key, str], Series]:
    """By case and figure's name, in the order of configurations, cases and figures; what was never
    measured is not there."""
    values: dict[tuple[str, str, str], dict[int, float]] = {}
    busy: dict[tuple[str, str], list[float]] = {}
    for row in result.measurements:
        shares = busy.setdefault((row.configuration, row.case), [])
        shares.append(row.cpu_s / row.elapsed_s if row.elapsed_s > 0 else 1.0)
        for name, samples in row.samples.items():
            by_round = values.setdefault((row.configuration, row.case, name), {})
            by_round[row.round] = round_value(samples)
    found = {}
    for key, case_key, figure, scale in _rows(result):
        by_round = values.get((key.configuration, case_key, figure.name), {})
        if by_round:
            share = statistics.median(busy[key.configuration, case_key])
            found[key, figure.name] = Series(figure, scale, dict(sorted(by_round.items())), share)
    return found


def _rows(result: Result) -> Iterator[tuple[Key, str, Figure, float]]:
    for configuration in result.configurations:
        for case in configuration.cases:
            key = Key(configuration.name, case.workload, case.label, str(case.subject))
            for figure in result.figures.get(case.workload, ()):
                yield key, case.key, figure, configuration.scale


def geometric_series(rows: Sequence[Series]) -> Series:
    """What several cases of one figure, all above 0, say together: by round, the geometric mean of
    the cases; rounds that one of them lacks are left out."""
    rounds = [number for number in rows[0].values if all(number in row.values for row in rows)]
    means = {
        number: statistics.geometric_mean(row.values[number] for row in rows) for number in rounds
    }
    busy = min(row.busy for row in rows)
    return Series(rows[0].figure, rows[0].scale, means, busy)


def loops_by_round(result: Result) -> dict[str, dict[int, float]]:
    """Seconds that each loop of the calibration took, by loop and round: the median over the
    round's measurements, before and after."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in result.measurements:
        for loops in row.calibration.values():
            for loop, seconds in loops.items():
                found.setdefault(loop, {}).setdefault(row.round, []).append(seconds)
    return {
        loop: {number: statistics.median(row) for number, row in rounds.items()}
        for loop, rounds in found.items()
    }


def mean_loops(result: Result) -> dict[str, float]:
    """Seconds by loop, over the whole run: the median of the rounds."""
    return {loop: statistics.median(row.values()) for loop, row in loops_by_round(result).items()}
