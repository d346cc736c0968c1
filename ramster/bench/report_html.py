"""A report as one HTML page that needs nothing else.

Covers: the page, from values and charts. Does not cover: drawing (``charts.py``), colours and
layout (``report_style.py``).

Everything that comes from a result is escaped: results are passed around.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby

from ramster.bench.compare import Verdict
from ramster.bench.model import Better, Mean
from ramster.bench.notation import show_factor, show_number, show_p, show_percent
from ramster.bench.prose import blocks_of
from ramster.bench.report_model import Bar, Chart, Claim, Report, Section, Tally
from ramster.bench.report_style import STYLE
from ramster.bench.results import Result
from ramster.bench.significance import ALPHA
from ramster.quantities import show_size

__all__ = ["page"]

_CLAIMS = 8
"""So many wins and losses are shown at once; the others on a click."""


def page(report: Report, charts: Mapping[tuple[str, str, str], str]) -> str:
    """The page. ``charts``: an SVG by configuration, workload and figure."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>RAMster benchmarks: {escape(report.title)}</title>",
            f"<style>{STYLE}</style></head><body><main>",
            *_summary(report),
            *_overview(report),
            *_claims(report),
            *(line for section in report.sections for line in _section(section, charts)),
            *_method(report),
            "</main></body></html>\n",
        ]
    )


def _summary(report: Report) -> Iterator[str]:
    yield f"<header><h1>RAMster benchmarks: {escape(report.title)}</h1>"
    yield f'<p class="lead">{_in_a_sentence(report)}</p></header>'
    yield "<section><h2>What was measured, on what</h2>"
    facts = _facts(report.results)
    yield '<dl class="facts">'
    for name, value in facts:
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
    yield "</dl>"
    if report.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
        yield f'<div class="missing small"><b>Mind</b><ul>{notes}</ul></div>'
    links = "".join(
        f'<a href="#{escape(section.name)}">{escape(section.name)}</a>'
        for section in report.sections
    )
    yield f"<nav>{links}</nav></section>"


def _in_a_sentence(report: Report) -> str:
    measured = sum(len(result.measurements) for result in report.results)
    said = f"{measured} measurements, each in a process of its own"
    compared = sum(tally.better + tally.worse + tally.same for tally in report.tallies)
    if compared:
        better = sum(tally.better for tally in report.tallies)
        worse = sum(tally.worse for tally in report.tallies)
        said += (
            f"; of {compared} comparisons {better} are better, {worse} worse, and "
            f"{compared - better - worse} undecided"
        )
    return said + "."


def _facts(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    rows: dict[str, list[str]] = {}
    for result in results:
        for name, value in _facts_of(result):
            rows.setdefault(name, []).append(value)
    for name, values in rows.items():
        if len(set(values)) == 1:
            yield name, values[0]
        else:
            pairs = zip(results, values, strict=False)
            yield name, "; ".join(f"{result.name}: {value}" for result, value in pairs)


def _facts_of(result: Result) -> Iterator[tuple[str, str]]:
    machine, versions = result.machine, result.versions
    virtual = ", virtual" if machine.get("virtual") else ""
    memory = machine.get("memory_bytes")
    yield "Machine", f"{machine.get('model')}, {machine.get('cores')} cores{virtual}"
    yield "Memory", show_size(memory) if isinstance(memory, int) else "unknown"
    yield "Kernel", f"Linux {machine.get('kernel', 'unknown')}"
    yield "Measured", f"{result.started[:16].replace('T', ' ')} to {result.ended[11:16]} UTC"
    yield "Rounds", f"{result.rounds}{'' if result.complete else ' (interrupted: partial)'}"
    yield "RAMster", f"{versions.get('ramster')}, {versions.get('backend')} cache"
    commit = versions.get("commit")
    if commit:
        yield "Commit", f"{str(commit)[:12]}{' with changes' if versions.get('changed') else ''}"
    yield "Python", str(versions.get("python"))
    yield "lz4", str(versions.get("lz4"))
    load = [row.load for row in result.measurements if row.load is not None]
    if load:
        yield "Load average", f"{min(load):.1f} to {max(load):.1f}"
    stolen = [row.steal_s for row in result.measurements if row.steal_s is not None]
    spent = sum(row.elapsed_s for row in result.measurements)
    if stolen and spent:
        yield "Stolen by the hypervisor", f"{100 * sum(stolen) / spent:.1f} % of the time"


def _overview(report: Report) -> Iterator[str]:
    if not report.tallies:
        return
    yield "<section><h2>At a glance</h2>"
    yield (
        '<p class="soft small">How many times as good, the geometric mean over all figures of a '
        "configuration; and how many figures are better, worse, or neither, "
        f"by more than {report.threshold_percent:g} % and more than chance.</p>"
    )
    yield '<div class="scroll"><table><tr><th class="text">Configuration</th>'
    yield '<th class="text">Compared</th><th>Overall</th><th>Better</th><th>Worse</th>'
    yield "<th>Undecided</th></tr>"
    order = {section.name: number for number, section in enumerate(report.sections)}
    tallies = sorted(report.tallies, key=lambda tally: order[tally.configuration])
    for configuration, rows in groupby(tallies, lambda tally: tally.configuration):
        link = f'<a href="#{escape(configuration)}">{escape(configuration)}</a>'
        for tally in rows:
            yield _tally(tally, link, report.threshold_percent)
            link = ""
    yield "</table></div></section>"


def _tally(tally: Tally, link: str, threshold_percent: float) -> str:
    overall, kind = "-", ""
    if tally.overall is not None:
        overall = show_factor(tally.overall)
        if abs(math.log(tally.overall)) > math.log1p(threshold_percent / 100):
            kind = "better" if tally.overall > 1 else "worse"
    return (
        f'<tr{"" if link else " class=next"}><td class="text">{link}</td>'
        f'<td class="text">{escape(tally.name)} against {escape(tally.base)}</td>'
        f'<td class="{kind}">{overall}</td><td>{tally.better or "-"}</td>'
        f"<td>{tally.worse or '-'}</td><td>{tally.same or '-'}</td></tr>"
    )


def _claims(report: Report) -> Iterator[str]:
    if not report.tallies:
        return
    yield '<div class="split">'
    yield from _column("win", "better", report.wins)
    yield from _column("lose", "worse", report.losses)
    yield "</div>"


def _column(kind: str, word: str, claims: Sequence[Claim]) -> Iterator[str]:
    count = sum(len(claim.cases) for claim in claims)
    yield f'<section class="{kind}"><h2><span class="count">{count}</span>{word}</h2>'
    if not claims:
        yield '<p class="soft">No figure is, by more than the threshold and more than chance.</p>'
    first, more = claims[:_CLAIMS], claims[_CLAIMS:]
    if first:
        yield f'<ul class="claims">{"".join(_claim(one, kind) for one in first)}</ul>'
    if more:
        yield f"<details><summary>{len(more)} more</summary>"
        yield f'<ul class="claims">{"".join(_claim(one, kind) for one in more)}</ul></details>'
    yield "</section>"


def _claim(claim: Claim, kind: str) -> str:
    most, least = claim.factors[0], claim.factors[-1]
    factor = show_factor(most)
    if math.isinf(most):
        falls = (claim.figure.better is Better.LOWER) == (kind == "win")
        factor = "to 0" if falls else "from 0"
    elif show_factor(least) != show_factor(most):
        factor = f"{show_factor(least).removesuffix(' x')} to {factor}"
    where = claim.cases[0]
    if claim.of > 1:
        where = f"in {len(claim.cases)} of {claim.of} cases; most: {claim.cases[0]}"
    return (
        f"<li><b>{factor}</b><span><code>{escape(claim.figure.name)}</code>: "
        f"{escape(claim.name)} against {escape(claim.base)}<br>"
        f'<span class="soft small"><a href="#{escape(claim.configuration)}">'
        f"{escape(claim.configuration)}</a> {escape(where)}</span></span></li>"
    )


def _section(section: Section, charts: Mapping[tuple[str, str, str], str]) -> Iterator[str]:
    yield f'<section id="{escape(section.name)}"><h2>{escape(section.name)}</h2>'
    yield f'<p class="lead">{escape(section.summary)}</p>'
    for block in blocks_of(section.text):
        if block.is_list:
            yield f'<ul class="prose">{"".join(f"<li>{escape(x)}</li>" for x in block.lines)}</ul>'
        else:
            yield f"<p>{escape(block.lines[0])}</p>"
    if section.scale != 1:
        yield f'<p class="soft small">Sizes and durations at {section.scale:g} of their own.</p>'
    for chart in section.charts:
        yield f"<h3><code>{escape(chart.figure.name)}</code> {_of(chart, section)}</h3>"
        yield f'<p class="soft small">{escape(chart.figure.text)}</p>'
        svg = charts[section.name, chart.workload, chart.figure.name]
        yield f'<div class="chart">{svg}</div>'
    if section.charts:
        yield "<details open><summary>All numbers</summary>"
        yield from _table(section)
        yield "</details>"
    else:
        yield '<p class="soft">Nothing was measured.</p>'
    if section.missing:
        rows = "".join(f"<li>{escape(text)}</li>" for text in section.missing)
        yield f'<div class="missing small"><b>Not measured</b><ul>{rows}</ul></div>'
    yield "</section>"


def _table(section: Section) -> Iterator[str]:
    gain = f"<th>against {escape(section.base)}</th><th>p</th>" if section.base else ""
    yield '<div class="scroll"><table><tr><th class="text">Case</th><th class="text"></th>'
    yield f"<th>mean</th><th>least</th><th>most</th><th>cv</th>{gain}</tr>"
    for chart in section.charts:
        columns = 8 if section.base else 6
        figure = f"{_figure_name(chart)} {_of(chart, section)}"
        yield f'<tr class="figure"><td class="text" colspan="{columns}">{figure}</td></tr>'
        for group in chart.groups:
            label = escape(group.label or chart.workload)
            for bar in group.bars:
                start = f"<tr{'' if label else ' class=next'}>"
                yield f'{start}<td class="text">{label}</td>{_bar(bar, bool(section.base))}</tr>'
                label = ""
    yield "</table></div>"


def _of(chart: Chart, section: Section) -> str:
    """The workload, where a section has several."""
    several = len({one.workload for one in section.charts}) > 1
    return f'<span class="soft small">{escape(chart.workload)}</span>' if several else ""


def _figure_name(chart: Chart) -> str:
    unit = f" [{escape(chart.figure.unit)}]" if chart.figure.unit else ""
    return f"<code>{escape(chart.figure.name)}</code>{unit}"


def _bar(bar: Bar, with_gain: bool) -> str:
    spread, cell = bar.spread, bar.cell
    variation = None if spread.variation is None else 100 * spread.variation
    cells = [
        f'<td class="text">{escape(bar.name)}</td>',
        *(f"<td>{show_number(v)}</td>" for v in (spread.mean, spread.least, spread.most)),
        f"<td>{show_percent(variation, signed=False)}</td>",
    ]
    if with_gain and (cell is None or cell.verdict is Verdict.BASE):
        cells.append("<td></td><td></td>")
    elif with_gain and cell is not None:
        kind = cell.verdict if cell.verdict in (Verdict.BETTER, Verdict.WORSE) else ""
        cells.append(f'<td class="{kind}">{show_percent(cell.gain_percent)}</td>')
        cells.append(f"<td>{show_p(cell.p)}</td>")
    return "".join(cells)


def _method(report: Report) -> Iterator[str]:
    means = f"{Mean.HARMONIC} for rates, {Mean.ARITHMETIC} for all else"
    yield "<section><h2>How to read this</h2>"
    yield (
        "<p>Each point of a chart is one round: the median of what one process measured. The mark "
        f"is the mean over rounds ({means}), the line reaches from the least to the most. Gains "
        "are percent of the base, positive where the figure is better. p is the chance of such a "
        "difference between equals, corrected for the number of figures (Benjamini and Hochberg); "
        f"coloured is what has a p below {ALPHA:g} and differs by more than "
        f"{report.threshold_percent:g} %.</p>"
    )
    yield (
        "<p>What makes these numbers doubtful: another machine, other data, and, for anything that "
        "crosses processes, few processors. docs/bench.md says more.</p></section>"
    )
