"""Charts of figures: every round a point, so that spread is seen.

Covers: drawing one figure of all its cases, as SVG or PNG, by matplotlib. Does not cover: what is
drawn (``report_model.py``), pages around it (``report_html.py``).

An SVG has no background and its text the colour of the text around it, so that it fits light and
dark pages alike.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ramster.bench.model import Better
from ramster.bench.notation import show_number
from ramster.bench.report_model import Chart
from ramster.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["as_png", "as_svg", "colours"]

_PALETTE = (
    "#3f7fc1",
    "#e0782f",
    "#2a9d76",
    "#b35fc4",
    "#c49a17",
    "#d14f63",
    "#35a3b8",
    "#7c8a3a",
    "#8a6bd1",
    "#a8705a",
    "#5b8f5b",
)
"""Middle tones, that are seen on white and on black."""
_PLAIN = "#8b8f96"
"""Of the subject "nothing"."""

_INK = "#010203"
"""Drawn for text and axes, and replaced by currentColor."""

_WIDTH_IN = 9.0
_ROW_IN = 0.235
_LETTER_IN = 0.076
_GAP_ROWS = 0.75
_LOG_FROM = 20.0
"""Values that differ by this factor are drawn on a logarithmic axis."""

_SETTINGS: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, the same in every chart of a report."""
    drawn = [name for name in names if name != "nothing"]
    found = {name: _PALETTE[at % len(_PALETTE)] for at, name in enumerate(drawn)}
    return {name: found.get(name, _PLAIN) for name in names}


def as_svg(chart: Chart, palette: Mapping[str, str], identity: str) -> str:
    """An ``<svg>`` element, without the XML declaration. ``identity``: unlike that of the other
    charts of a page; it makes the names within the SVG."""
    out = io.StringIO()
    with _matplotlib().rc_context({**_SETTINGS, "svg.hashsalt": identity}):
        figure = _draw(chart, palette, _INK)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)
    text = text.replace(_INK, "currentColor")
    label = f'role="img" aria-label="{chart.figure.name}"'
    return re.sub(r'<svg (.*?)width="[^"]*" height="[^"]*"', rf"<svg {label} \1", text, count=1)


def as_png(chart: Chart, palette: Mapping[str, str], dots_per_inch: int = 144) -> bytes:
    """A PNG on white."""
    out = io.BytesIO()
    with _matplotlib().rc_context(dict(_SETTINGS)):
        figure = _draw(chart, palette, "#1c1e21")
        figure.savefig(out, format="png", dpi=dots_per_inch, facecolor="white")
    return out.getvalue()


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError(
            f"a report needs matplotlib: pip install 'ramster[bench]' ({error})"
        ) from error
    return matplotlib


def _draw(chart: Chart, palette: Mapping[str, str], ink: str) -> Figure:
    from matplotlib.figure import Figure

    rows = sum(len(group.bars) for group in chart.groups)
    height_in = (rows + _GAP_ROWS * len(chart.groups)) * _ROW_IN + 0.95
    figure = Figure(figsize=(_WIDTH_IN, height_in))
    longest = max(len(line) for group in chart.groups for line in _wrap(group.label).split("\n"))
    left, right = (0.3 + _LETTER_IN * longest) / _WIDTH_IN, 0.9 / _WIDTH_IN
    below, above = 0.52 / height_in, 0.40 / height_in
    axes = figure.add_axes((left, below, 1 - left - right, 1 - below - above))
    place, ticks = 0.0, []
    for group in chart.groups:
        ticks.append((place + (len(group.bars) - 1) / 2, _wrap(group.label)))
        for bar in group.bars:
            _draw_row(axes, place, bar.values, bar.spread.mean, palette[bar.name], ink)
            place += 1
        axes.axhline(place - 0.5 + _GAP_ROWS / 2, color=ink, alpha=0.12, linewidth=0.6)
        place += _GAP_ROWS
    axes.set_ylim(place - _GAP_ROWS - 0.2, -0.8)
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks])
    _draw_axis(axes, chart, ink)
    _draw_legend(axes, chart, palette, ink)
    return figure


def _draw_row(
    axes: Axes, place: float, values: Sequence[float], mean: float, colour: str, ink: str
) -> None:
    axes.plot([min(values), max(values)], [place, place], color=colour, linewidth=1.2, alpha=0.7)
    # A little up and down in turn, so that equal rounds are seen as several.
    heights = [place + 0.16 * (number % 3 - 1) for number in range(len(values))]
    axes.scatter(values, heights, s=15, color=colour, alpha=0.55, linewidths=0, zorder=3)
    axes.plot([mean], [place], marker="|", markersize=11, markeredgewidth=2, color=colour, zorder=4)
    text = axes.text(1.015, place, show_number(mean), va="center", fontsize=8.5, color=ink)
    text.set_transform(axes.get_yaxis_transform())


def _draw_axis(axes: Axes, chart: Chart, ink: str) -> None:
    values = [v for group in chart.groups for bar in group.bars for v in bar.values]
    if min(values) > 0 and max(values) > _LOG_FROM * min(values):
        axes.set_xscale("log")
    else:
        axes.set_xlim(min(0.0, min(values) * 1.05), max(values) * 1.05 or 1.0)
        axes.xaxis.set_major_formatter(lambda value, _: _tick(value))
    better = "more is better" if chart.figure.better is Better.HIGHER else "less is better"
    unit = chart.figure.unit or "ratio"
    scale = ", logarithmic" if axes.get_xscale() == "log" else ""
    axes.set_xlabel(f"{unit} ({better}{scale})", color=ink)
    axes.tick_params(axis="x", colors=ink, labelsize=8.5)
    axes.tick_params(axis="y", length=0, labelcolor=ink, labelsize=8.5)
    axes.spines["bottom"].set_color(ink)
    axes.grid(axis="x", color=ink, alpha=0.13, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")


def _tick(value: float) -> str:
    return show_number(value) if abs(value) >= 1000 else f"{value:g}"


def _draw_legend(axes: Axes, chart: Chart, palette: Mapping[str, str], ink: str) -> None:
    names = list(dict.fromkeys(bar.name for group in chart.groups for bar in group.bars))
    handles = [
        axes.plot([], [], marker="o", linestyle="", color=palette[name], label=name)[0]
        for name in names
    ]
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=len(names) if len(names) < 7 else (len(names) + 1) // 2,
        frameon=False,
        labelcolor=ink,
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=0.1,
    )


def _wrap(label: str) -> str:
    return "\n".join(textwrap.wrap(label, 30)[:3])
