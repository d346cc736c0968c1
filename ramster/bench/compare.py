"""Results against each other, or subjects of one result: means, gains, significance.

Covers: which series belong together, paired or not, and what is said of each. Does not cover: the
tests (``significance.py``), the text (``compare_text.py``).

Rounds of one session are compared in pairs: they were measured side by side. Runs of different
sessions met different machines, even on the same one; of speeds only what is seen in every view
counts there: as measured, and in steps of each calibration loop of its round. The loop that wakes
threads is left out for cases that wait for nobody.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ramster.bench.averages import Spread, gain_percent, geometric_mean
from ramster.bench.model import Better, Figure
from ramster.bench.results import Result
from ramster.bench.series import Key, Series, gather, geometric_series, loops_by_round, mean_loops
from ramster.bench.significance import ALPHA, Difference, adjust, paired, unpaired, weakest
from ramster.errors import BenchError

__all__ = [
    "Cell",
    "Comparison",
    "Row",
    "Verdict",
    "compare_results",
    "compare_subjects",
    "is_speed",
]

_BUSY = 0.8
"""A process that was on a CPU for this share of the time, or more, waited for nobody."""

_UNPLANNED = "not measured"

_TIMES = ("s", "ms", "us", "µs", "ns")


class Verdict(StrEnum):
    """What is said of a figure against the first one."""

    BASE = "base"
    """It is the first one."""
    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    """No significant difference beyond the threshold."""
    UNTESTED = "untested"
    """Too few rounds."""
    MISSING = "missing"
    """Not measured, or not comparable; ``Comparison.notes`` says why. A row has at least one
    cell that is not."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one name."""

    verdict: Verdict
    spread: Spread | None = None
    gain_percent: float | None = None
    """Of the means shown; positive is better."""
    change_percent: float | None = None
    """As the test weighs rounds; positive is better. None: not tested."""
    p: float | None = None
    """Corrected for the number of figures."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one case, in all names."""

    key: Key
    figure: Figure
    cells: tuple[Cell, ...]
    summed: bool = False
    """It is the geometric mean over the cases above it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, the first name being what the others are compared with."""

    names: tuple[str, ...]
    pairs: tuple[bool, ...]
    """By name: whether its rounds were paired with those of the first."""
    threshold_percent: float
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """What could not be compared, and why."""

    @property
    def worse(self) -> int:
        """How many figures are significantly worse by more than the threshold."""
        return sum(cell.verdict is Verdict.WORSE for row in self.rows for cell in row.cells)

    @property
    def better(self) -> int:
        """How many are better."""
        return sum(cell.verdict is Verdict.BETTER for row in self.rows for cell in row.cells)

    def overall(self, configuration: str, name: int) -> float | None:
        """Geometric mean over a configuration's figures of how many times as good they are."""
        ratios = []
        for row in self.rows:
            base, new = row.cells[0].spread, row.cells[name].spread
            if row.key.configuration != configuration or row.summed or not base or not new:
                continue
            if base.mean > 0 and new.mean > 0:
                ratio = new.mean / base.mean
                ratios.append(ratio if row.figure.better is Better.HIGHER else 1 / ratio)
        return geometric_mean(ratios)


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    session: str
    series: Mapping[tuple[Key, str], Series]
    loops: Mapping[str, Mapping[int, float]]
    absent: Mapping[Key, str]


def compare_results(results: Sequence[Result], threshold_percent: float) -> Comparison:
    """Every figure of every case of the first result, in the others."""
    found = _compare([_column(result) for result in results], threshold_percent)
    base, *others = results
    notes = [note for other in others for note in _surroundings(base, other)]
    return dataclasses.replace(found, notes=(*notes, *found.notes))


def _surroundings(base: Result, other: Result) -> Iterator[str]:
    """What beside the code may make the difference."""
    for key in ("model", "cores", "virtual"):
        if base.machine.get(key) != other.machine.get(key):
            yield (
                f"{other.name} was measured on another machine than {base.name}: "
                f"{key} {other.machine.get(key)}, not {base.machine.get(key)}"
            )
    for one in (base, other):
        if not one.complete:
            yield f"{one.name} is partial: its run was interrupted"
    if other.session != base.session:
        before, after = (mean_loops(result) for result in (base, other))
        slower = ", ".join(
            f"{loop} {100 * (after[loop] / before[loop] - 1):+.0f} %"
            for loop in before
            if after.get(loop)
        )
        yield (
            f"{other.name} was not measured beside {base.name} (run --variant does that); "
            f"the calibration loops took there, against {base.name}: {slower}"
        )


def compare_subjects(
    result: Result, subjects: Sequence[str], threshold_percent: float
) -> Comparison:
    """Every case that the first subject has, on the other subjects. Raises BenchError for subjects
    that were not measured."""
    whole = _column(result)
    there = {key.subject for key, _ in whole.series}
    for subject in subjects:
        if subject not in there:
            accepted = ", ".join(sorted(there)) or "none"
            raise BenchError(f"{result.name} has no measurements of {subject!r}; it has {accepted}")
    columns = []
    for subject in subjects:
        series = {
            (key._replace(subject=result.name), figure): row
            for (key, figure), row in whole.series.items()
            if key.subject == subject
        }
        absent = {
            key._replace(subject=result.name): reason
            for key, reason in whole.absent.items()
            if key.subject == subject
        }
        columns.append(_Column(subject, whole.session, series, whole.loops, absent))
    # What a subject does not have is told where it was to be measured, and else of no interest.
    return _compare(columns, threshold_percent, tell_unplanned=False)


def _column(result: Result) -> _Column:
    reasons = {
        **{(row.configuration, row.case): f"failed: {row.reason}" for row in result.failures},
        **{(row.configuration, row.case): f"skipped: {row.reason}" for row in result.skipped},
    }
    cases = result.cases()
    absent = {}
    for (configuration, case_key), reason in reasons.items():
        case = cases[configuration, case_key]
        absent[Key(configuration, case.workload, case.label, str(case.subject))] = reason
    return _Column(result.name, result.session, gather(result), loops_by_round(result), absent)


def _compare(
    columns: Sequence[_Column], threshold_percent: float, tell_unplanned: bool = True
) -> Comparison:
    columns, sums = _with_sums(columns)
    base, others = columns[0], columns[1:]
    rows: list[tuple[Key, Figure, list[Cell]]] = []
    notes: dict[str, None] = {}
    tested: list[tuple[int, int, Difference]] = []
    for (key, name), series in base.series.items():
        cells = [Cell(Verdict.BASE, series.spread())]
        for column in others:
            new = column.series.get((key, name))
            problem = _not_comparable(series, new, column.absent.get(key))
            if new is None or problem:
                if tell_unplanned or problem != _UNPLANNED:
                    notes[f"{_describe(key)}: not compared with {column.name}: {problem}"] = None
                cells.append(Cell(Verdict.MISSING))
                continue
            difference = _difference(base, column, series, new)
            if difference is not None:
                tested.append((len(rows), len(cells), difference))
            cells.append(_untested(series, new))
        if any(cell.verdict is not Verdict.MISSING for cell in cells[1:]):
            rows.append((key, series.figure, cells))
    for column in others if tell_unplanned else ():
        for key in {key: None for key, _ in column.series if (key, _) not in base.series}:
            why = base.absent.get(key, _UNPLANNED)
            notes[f"{_describe(key)}: only in {column.name}; in {base.name} {why}"] = None
    for (row, at, difference), p in zip(tested, adjust([t[2].p for t in tested]), strict=True):
        figure, cells = rows[row][1:]
        cells[at] = _judge(cells[at], figure, difference, p, threshold_percent)
    return Comparison(
        tuple(column.name for column in columns),
        tuple(column.session == base.session for column in columns),
        threshold_percent,
        tuple(Row(key, figure, tuple(cells), key in sums) for key, figure, cells in rows),
        tuple(notes),
    )


def _with_sums(columns: Sequence[_Column]) -> tuple[list[_Column], set[Key]]:
    """The columns with rows for what the cases of a configuration say together, and their keys.

    A change that slows everything a little is seen in the mean over cases, whose noise is less,
    before it is seen in any of them.
    """
    groups: dict[tuple[Key, str], list[Key]] = {}
    for key, figure in columns[0].series:
        there = [column.series.get((key, figure)) for column in columns]
        if all(row is not None and min(row.values.values()) > 0 for row in there):
            groups.setdefault((key._replace(label=""), figure), []).append(key)
    added: list[dict[tuple[Key, str], Series]] = [{} for _ in columns]
    for (whole, figure), keys in groups.items():
        sums = [geometric_series([one.series[key, figure] for key in keys]) for one in columns]
        if len(keys) > 1 and all(one.values for one in sums):
            named = whole._replace(label=f"all {len(keys)} cases")
            for rows, one in zip(added, sums, strict=True):
                rows[named, figure] = one
    # Behind the cases of their configuration, so that what belongs together stays together.
    order = {key.configuration: at for at, (key, _) in enumerate(columns[0].series)}
    found = []
    for column, rows in zip(columns, added, strict=True):
        both = sorted(
            {**column.series, **rows}.items(),
            key=lambda item: order.get(item[0][0].configuration, len(columns[0].series)),
        )
        found.append(dataclasses.replace(column, series=dict(both)))
    return found, {key for key, _ in added[0]}


def _describe(key: Key) -> str:
    return f"{key.configuration}: {key.workload} {key.subject} {key.label}".removesuffix(" -")


def _not_comparable(base: Series, new: Series | None, why: str | None) -> str | None:
    if new is None:
        return why or _UNPLANNED
    if new.scale != base.scale:
        return f"its scale is {new.scale:g}, not {base.scale:g}"
    if (new.figure.unit, new.figure.better) != (base.figure.unit, base.figure.better):
        return f"{base.figure.name} means something else there"
    return None


def _untested(base: Series, new: Series) -> Cell:
    spread = new.spread()
    gain = gain_percent(base.figure, base.spread().mean, spread.mean)
    return Cell(Verdict.UNTESTED, spread, gain)


def _difference(base: _Column, other: _Column, one: Series, two: Series) -> Difference | None:
    if base.session == other.session:
        rounds = [number for number in one.values if number in two.values]
        return paired([one.values[r] for r in rounds], [two.values[r] for r in rounds])
    views = [unpaired(list(one.values.values()), list(two.values.values()))]
    if is_speed(one.figure) and min(*one.values.values(), *two.values.values()) > 0:
        views += [
            unpaired(_steady(one, base.loops[loop]), _steady(two, other.loops[loop]))
            for loop in sorted(base.loops.keys() & other.loops.keys())
            if loop != "wake" or min(one.busy, two.busy) < _BUSY
        ]
    found = [view for view in views if view is not None]
    return weakest(found) if found else None


def is_speed(figure: Figure) -> bool:
    """Whether a figure is a time or a rate, which a slow machine changes; sizes and shares are
    not."""
    return figure.unit in _TIMES or figure.unit.endswith("/s")


def _steady(series: Series, loop: Mapping[int, float]) -> list[float]:
    """A speed in steps of the calibration loop in place of seconds."""
    rate = series.figure.unit.endswith("/s")
    return [
        value * loop[number] if rate else value / loop[number]
        for number, value in series.values.items()
    ]


def _judge(
    cell: Cell, figure: Figure, difference: Difference, p: float, threshold_percent: float
) -> Cell:
    change = 100 * difference.change * (1 if figure.better is Better.HIGHER else -1)
    gain = math.copysign(math.inf, change) if cell.gain_percent is None else cell.gain_percent
    verdict = Verdict.SAME
    if p < ALPHA and min(change, gain) > threshold_percent:
        verdict = Verdict.BETTER
    elif p < ALPHA and max(change, gain) < -threshold_percent:
        verdict = Verdict.WORSE
    return Cell(verdict, cell.spread, cell.gain_percent, change, p)
