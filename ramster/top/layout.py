"""Lines of styled text, and what they are made of: columns, bars, small charts, short numbers.

Covers: plain values and how wide they are. Does not cover: which figures (``frame.py``), colours of
a terminal (``app.py``).

Every character is one cell wide; a line is never wider than it is told to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "Cell",
    "Column",
    "Line",
    "bar",
    "line",
    "plain",
    "show_bytes",
    "show_count",
    "show_seconds",
    "show_span",
    "sparkline",
    "table",
]

NONE = "-"
_BLOCKS = " ▏▎▍▌▋▊▉█"
_SPARKS = "▁▂▃▄▅▆▇█"


class Cell(NamedTuple):
    """A piece of a line. Styles: "", "title", "dim", "good", "warn", "bad", "chosen", "bar"."""

    text: str
    style: str = ""


Line = tuple[Cell, ...]


class Column(NamedTuple):
    """A column of a table. ``grows``: it takes its part of what a line has left, up to ``most``."""

    title: str
    width: int
    left: bool = False
    most: int = 0
    """Widest that it may grow to; 0: it stays as it is."""


def line(width: int, *cells: Cell) -> Line:
    """A line, cut where it is too long."""
    kept, left = [], width
    for cell in cells:
        if left <= 0:
            break
        kept.append(cell if len(cell.text) <= left else Cell(cell.text[:left], cell.style))
        left -= len(cell.text)
    return tuple(kept)


def plain(lines: Sequence[Line]) -> str:
    """The text alone, a line end after each line."""
    return "".join("".join(cell.text for cell in one).rstrip() + "\n" for one in lines)


def table(width: int, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[Line]:
    """A line of titles and one a row; what is too long for its column is cut.

    Columns that would not fit on a line are left out, the last ones first.
    """
    widths = _widths(width, columns)
    shown = columns[: len(widths)]
    titles = [Cell(column.title, "title") for column in shown]
    return [
        line(width, *(_fit(*item) for item in zip(row, shown, widths, strict=False)))
        for row in [titles, *rows]
    ]


def _widths(width: int, columns: Sequence[Column]) -> list[int]:
    widths: list[int] = []
    for column in columns:
        if sum(widths) + len(widths) + column.width > width:
            break
        widths.append(column.width)
    spare = width - sum(widths) - len(widths)
    for place, column in enumerate(columns[: len(widths)]):
        growth = max(0, min(spare, column.most - column.width))
        widths[place] += growth
        spare -= growth
    return widths


def _fit(cell: Cell, column: Column, width: int) -> Cell:
    text = cell.text if len(cell.text) <= width else cell.text[: width - 1] + "~"
    text = text.ljust(width) if column.left else text.rjust(width)
    return Cell(f"{text} ", cell.style)


def bar(share: float | None, width: int) -> str:
    """A bar of ``width`` characters, filled to a share from 0 to 1 in eighths of a character."""
    eighths = round(min(1.0, max(0.0, share or 0.0)) * width * 8)
    whole, rest = divmod(eighths, 8)
    text = "█" * whole + (_BLOCKS[rest] if rest else "")
    return text.ljust(width, "·")


def sparkline(values: Sequence[float], width: int) -> str:
    """The last ``width`` values as a small chart from 0 to the largest of them."""
    shown = list(values)[-width:] if width > 0 else []
    most = max(shown, default=0.0)
    top = len(_SPARKS) - 1
    chart = "".join(
        _SPARKS[max(1, round(value / most * top))] if value > 0 and most > 0 else _SPARKS[0]
        for value in shown
    )
    return chart.rjust(width)


def show_count(value: float | None) -> str:
    """A number in five characters at most: 999, 1.2k, 34k, 5.6M."""
    return NONE if value is None else _short(value, 1000, ("", "k", "M", "G", "T", "P"))


def show_bytes(value: float | None) -> str:
    """A size in five characters at most, in powers of 1024: 512, 4.0K, 256M."""
    return NONE if value is None else _short(value, 1024, ("", "K", "M", "G", "T", "P"))


def _short(value: float, step: int, units: Sequence[str]) -> str:
    place = 0
    while round(value) >= step and place < len(units) - 1:
        value /= step
        place += 1
    unit = units[place]
    if not unit:
        return f"{value:.0f}"
    if value < 9.95:
        return f"{value:.1f}{unit}"
    return f"{value:.0f}{unit}" if value < 9999.5 else f">9e3{unit}"


def show_seconds(value: float | None) -> str:
    """A short time in six characters at most: 85us, 1.2ms, 340ms, 2.5s."""
    if value is None:
        return NONE
    for factor, unit in ((1e6, "us"), (1e3, "ms")):
        if value * factor < 999.5:
            return f"{value * factor:.{1 if value * factor < 9.95 else 0}f}{unit}"
    return f"{value:.{1 if value < 99.95 else 0}f}s" if value < 9999.5 else show_span(value)


def show_span(value: float | None) -> str:
    """A long time in six characters at most: 42s, 3m10s, 5h20m, 12d3h."""
    if value is None:
        return NONE
    seconds = int(value)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60}s"
    hours = seconds // 3600
    if hours < 24:
        return f"{hours}h{seconds % 3600 // 60}m"
    days = hours // 24
    if days < 100:
        return f"{days}d{hours % 24}h"
    return f"{days}d" if days < 100_000 else "years"
