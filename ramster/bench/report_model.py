"""What a report shows: sections, charts, and claims of better and worse.

Covers: from results to plain values. Does not cover: drawing (``charts.py``), HTML
(``report_html.py``).

Several results are shown beside each other, the first as the base. Of one result its subjects are:
ours against the others, or, where there are no others, against the first of ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ramster.bench.averages import Spread
from ramster.bench.compare import (
    Cell,
    Comparison,
    Row,
    Verdict,
    compare_results,
    compare_subjects,
)
from ramster.bench.model import Better, Figure, Subject
from ramster.bench.results import Result
from ramster.bench.series import Key, gather

__all__ = ["OURS", "Bar", "Chart", "Claim", "Group", "Report", "Section", "Tally", "build"]

OURS = (Subject.ZCACHE, Subject.ALONE, Subject.RAMSTER)
"""Subjects that are this project; the others are what a user would have in its place."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure of one subject or result in one case."""

    name: str
    values: tuple[float, ...]
    """One a round."""
    spread: Spread
    cell: Cell | None
    """Against the base; None: nothing to compare with."""


@dataclass(frozen=True, slots=True)
class Group:
    """Bars to be compared with each other."""

    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure in all cases of a workload."""

    workload: str
    figure: Figure
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One configuration."""

    name: str
    summary: str
    text: str
    scale: float
    rounds: int
    base: str
    """What gains are against; empty: nothing."""
    charts: tuple[Chart, ...]
    missing: tuple[str, ...]
    """Skipped and failed cases with their reasons."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Significant differences of one figure beyond the threshold, all of one direction."""

    configuration: str
    figure: Figure
    name: str
    base: str
    factors: tuple[float, ...]
    """By case: so many times as good, or as bad; the largest first; infinite where one of the two
    is 0."""
    cases: tuple[str, ...]
    of: int
    """So many cases were compared."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How one name fares against a base in one configuration."""

    configuration: str
    name: str
    base: str
    overall: float | None
    """Geometric mean over all figures: times as good."""
    better: int
    worse: int
    same: int
    """No significant difference beyond the threshold, or too few rounds to tell."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that is shown."""

    title: str
    results: tuple[Result, ...]
    names: tuple[str, ...]
    """Of the bars: subjects of one result, or results."""
    threshold_percent: float
    tallies: tuple[Tally, ...]
    wins: tuple[Claim, ...]
    """Where a name is better than its base; the largest first."""
    losses: tuple[Claim, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]


def build(results: Sequence[Result], threshold_percent: float) -> Report:
    """Of one result or several."""
    if len(results) == 1:
        (result,) = results
        names = _subjects(result)
        comparisons = _against_others(result, names, threshold_percent)
        shown = _shown_bases(result, names, threshold_percent)
        title = result.name
    else:
        comparison = compare_results(results, threshold_percent)
        names, comparisons = list(comparison.names), [comparison]
        shown = dict.fromkeys(_configurations(results), comparison)
        title = f"{', '.join(names[1:])} against {names[0]}"
    notes = dict.fromkeys(note for comparison in shown.values() for note in comparison.notes)
    return Report(
        title,
        tuple(results),
        tuple(names),
        threshold_percent,
        tuple(tally for comparison in comparisons for tally in _tallies(comparison)),
        _claims(comparisons, Verdict.BETTER),
        _claims(comparisons, Verdict.WORSE),
        tuple(_sections(results, names, shown)),
        tuple(notes) if len(results) > 1 else (),
    )


def _subjects(result: Result) -> list[str]:
    there = {key.subject for key, _ in gather(result)}
    return [str(subject) for subject in Subject if subject in there]


def _configurations(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(one.name for result in results for one in result.configurations))


def _against_others(
    result: Result, subjects: Sequence[str], threshold_percent: float
) -> list[Comparison]:
    ours = [subject for subject in subjects if subject in OURS]
    others = [subject for subject in subjects if subject not in OURS]
    if others and ours:
        return [compare_subjects(result, [other, *ours], threshold_percent) for other in others]
    if len(subjects) > 1:
        return [compare_subjects(result, subjects, threshold_percent)]
    return []


def _shown_bases(
    result: Result, subjects: Sequence[str], threshold_percent: float
) -> dict[str, Comparison]:
    """By configuration: its first subject against the others. "nothing" is the first of all."""
    by_base: dict[str, Comparison] = {}
    found = {}
    series = gather(result)
    for configuration in _configurations([result]):
        there = {key.subject for key, _ in series if key.configuration == configuration}
        ordered = [subject for subject in subjects if subject in there]
        if len(ordered) < 2:
            continue
        base = ordered[0]
        if base not in by_base:
            others = [subject for subject in subjects if subject != base]
            by_base[base] = compare_subjects(result, [base, *others], threshold_percent)
        found[configuration] = by_base[base]
    return found


def _cases_of(comparison: Comparison) -> list[Row]:
    return [row for row in comparison.rows if not row.summed]


def _claims(comparisons: Sequence[Comparison], verdict: Verdict) -> tuple[Claim, ...]:
    found = []
    for comparison in comparisons:
        groups: dict[tuple[str, str, str, int], list[Row]] = {}
        for row in _cases_of(comparison):
            for number in range(1, len(comparison.names)):
                group = (row.key.configuration, row.key.workload, row.figure.name, number)
                groups.setdefault(group, []).append(row)
        for (configuration, _, _, number), rows in groups.items():
            hits = [row for row in rows if row.cells[number].verdict is verdict]
            if hits:
                factors = {_case(r.key, comparison): _factor(r, number, verdict) for r in hits}
                cases = sorted(factors, key=lambda case: -factors[case])
                found.append(
                    Claim(
                        configuration,
                        rows[0].figure,
                        comparison.names[number],
                        comparison.names[0],
                        tuple(factors[case] for case in cases),
                        tuple(cases),
                        sum(row.cells[number].spread is not None for row in rows),
                    )
                )
    return tuple(sorted(found, key=lambda claim: -claim.factors[0]))


def _case(key: Key, comparison: Comparison) -> str:
    """A case without its subject, where the subject is what is compared."""
    label = "" if key.label == "-" else key.label
    subject = "" if key.subject in comparison.names or not _is_subject(key) else key.subject
    return " ".join(part for part in (key.workload, label, subject) if part)


def _is_subject(key: Key) -> bool:
    return key.subject in set(map(str, Subject))


def _factor(row: Row, number: int, verdict: Verdict) -> float:
    base, new = row.cells[0].spread, row.cells[number].spread
    assert base is not None
    assert new is not None
    if base.mean <= 0 or new.mean <= 0:
        return math.inf
    more = new.mean / base.mean
    rises = (row.figure.better is Better.HIGHER) == (verdict is Verdict.BETTER)
    return more if rises else 1 / more


def _tallies(comparison: Comparison) -> Iterator[Tally]:
    configurations = dict.fromkeys(row.key.configuration for row in comparison.rows)
    for configuration in configurations:
        rows = [row for row in _cases_of(comparison) if row.key.configuration == configuration]
        for number, name in enumerate(comparison.names[1:], 1):
            verdicts = [row.cells[number].verdict for row in rows]
            tally = Tally(
                configuration,
                name,
                comparison.names[0],
                comparison.overall(configuration, number),
                better=verdicts.count(Verdict.BETTER),
                worse=verdicts.count(Verdict.WORSE),
                same=verdicts.count(Verdict.SAME) + verdicts.count(Verdict.UNTESTED),
            )
            if tally.better + tally.worse + tally.same:
                yield tally


def _sections(
    results: Sequence[Result], names: Sequence[str], shown: Mapping[str, Comparison]
) -> Iterator[Section]:
    gathered = [gather(result) for result in results]
    several = len(results) > 1
    for name in _configurations(results):
        described = next(one for r in results for one in r.configurations if one.name == name)
        comparison = shown.get(name)
        cells = _cells(comparison) if comparison else {}
        charts: dict[tuple[str, str], dict[str, list[Bar]]] = {}
        figures: dict[tuple[str, str], Figure] = {}
        for result, series in zip(results, gathered, strict=True):
            for (key, figure_name), row in series.items():
                if key.configuration != name:
                    continue
                figures.setdefault((key.workload, figure_name), row.figure)
                groups = charts.setdefault((key.workload, figure_name), {})
                label = "" if key.label == "-" else key.label
                if several:
                    label = f"{label} ({key.subject})".strip()
                bar_name = result.name if several else key.subject
                where = key if several else key._replace(subject=result.name)
                bar = Bar(
                    bar_name,
                    tuple(row.values.values()),
                    row.spread(),
                    cells.get((where, figure_name, bar_name)),
                )
                groups.setdefault(label, []).append(bar)
        yield Section(
            name,
            described.summary,
            described.text,
            described.scale,
            described.rounds,
            comparison.names[0] if comparison else "",
            tuple(
                Chart(workload, figures[workload, figure_name], _groups(groups, names))
                for (workload, figure_name), groups in charts.items()
            ),
            tuple(_missing(results, name)),
        )


def _cells(comparison: Comparison) -> dict[tuple[Key, str, str], Cell]:
    return {
        (row.key, row.figure.name, name): cell
        for row in comparison.rows
        for name, cell in zip(comparison.names, row.cells, strict=True)
        if cell.verdict is not Verdict.MISSING
    }


def _groups(groups: Mapping[str, list[Bar]], names: Sequence[str]) -> tuple[Group, ...]:
    place = {name: number for number, name in enumerate(names)}
    return tuple(
        Group(label, tuple(sorted(bars, key=lambda bar: place[bar.name])))
        for label, bars in groups.items()
    )


def _missing(results: Sequence[Result], configuration: str) -> Iterator[str]:
    for result in results:
        whose = f"{result.name}: " if len(results) > 1 else ""
        for skip in result.skipped:
            if skip.configuration == configuration:
                yield f"{whose}{skip.case}: skipped: {skip.reason}"
        for failure in result.failures:
            if failure.configuration == configuration:
                yield f"{whose}{failure.case}, round {failure.round}: failed: {failure.reason}"
