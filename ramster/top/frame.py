"""The picture: lines from a history and what the user wants to see of it.

Covers: sections, their order, what is shown where a figure is missing. Does not cover: rates
(``history.py``), columns and numbers (``layout.py``), keys and colours (``app.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from ramster.top.history import History, Track
from ramster.top.latency import OPERATIONS
from ramster.top.layout import (
    Cell,
    Column,
    Line,
    bar,
    line,
    show_bytes,
    show_count,
    show_seconds,
    show_span,
    sparkline,
    table,
)
from ramster.top.reading import number, safe, text
from ramster.top.sections import accounting_line, owner_rows, peer_reasons, peer_rows

__all__ = ["SORTS", "WIDTH_MIN", "View", "ordered", "picture"]

WIDTH_MIN = 80

STALE_S = 3.0
"""A picture that is older says so."""

SORTS = ("cluster", "name", "pool", "pages", "spill")
"""Orders of the nodes: as the asked node names them, or by one of these, the largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the user wants to see."""

    url: str = ""
    chosen: str = ""
    """Name of the node whose peers are shown; the asked one if there is none of that name."""
    alone: bool = False
    """Show that node only, with all there is."""
    sort: str = SORTS[0]
    paused: bool = False

    def sorted_otherwise(self) -> View:
        """The next order."""
        return replace(self, sort=SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)])


def ordered(history: History, sort: str) -> list[Track]:
    """The nodes, in an order; those that do not answer come last."""
    tracks = list(history.tracks.values())
    if sort == "name":
        tracks.sort(key=lambda track: track.name)
    elif sort == "pool":
        tracks.sort(key=lambda track: -(_pool_share(track) or 0))
    elif sort == "pages":
        tracks.sort(key=lambda track: -(number(track.figures, "pages", "own") or 0))
    elif sort == "spill":
        tracks.sort(key=lambda track: -track.rates.get("spill_pages", 0.0))
    return sorted(tracks, key=lambda track: not track.answers)


def picture(history: History, view: View, width: int, now: float) -> list[Line]:
    """All lines, for a terminal ``width`` columns wide (80 at least)."""
    width = max(width, WIDTH_MIN)
    lines = _head(history, view, width, now)
    if history.taken_at is None:
        return lines
    tracks = ordered(history, view.sort)
    chosen = _chosen(history, view)
    if view.alone and chosen is not None:
        tracks = [chosen]
    name = _name_column(tracks)
    lines += [(), *_nodes(tracks, chosen, name, width)]
    lines += [(), *_states(tracks, chosen, name, width)]
    lines += [(), *_flows(tracks, chosen, name, width)]
    lines += _latency(tracks, chosen, name, width)
    if chosen is not None and chosen.figures:
        lines += _of_one(chosen, view, width)
    if history.failure:
        lines = [*lines[:2], *(_dimmed(one) for one in lines[2:])]
    return [line(width, *one) for one in lines]


def _chosen(history: History, view: View) -> Track | None:
    first = next(iter(history.tracks.values()), None)
    return history.tracks.get(view.chosen) or history.tracks.get(history.asked) or first


def _dimmed(one: Line) -> Line:
    return tuple(Cell(cell.text, "dim") for cell in one)


def _head(history: History, view: View, width: int, now: float) -> list[Line]:
    answering = sum(track.answers for track in history.tracks.values())
    cells = [Cell("ramster top", "title"), Cell(f"  {history.asked or '?'} at {safe(view.url)}")]
    if history.taken_at is not None:
        cells.append(Cell(f"  {answering} of {len(history.tracks)} nodes answer"))
        cells.append(Cell(f"  by {view.sort}", "dim"))
    if view.paused:
        cells.append(Cell("  PAUSED", "warn"))
    if history.taken_at is not None and now - history.taken_at > STALE_S:
        cells.append(Cell(f"  {show_span(now - history.taken_at)} old", "dim"))
    if not history.failure:
        return [line(width, *cells), ()]
    age = "" if history.taken_at is None else f", picture {show_span(now - history.taken_at)} old"
    since = show_span(now - (history.failing_since or now))
    reason = history.failure.replace(f" at {safe(view.url)}/cluster", "")  # it stands above
    said = Cell(f"NO ANSWER for {since}{age}: {reason}", "bad")
    return [line(width, *cells), line(width, said)]


def _name_column(tracks: Sequence[Track]) -> Column:
    return Column("node", 9, True, min(24, max((len(track.name) for track in tracks), default=0)))


def _style(track: Track) -> str:
    if not track.answers:
        return "bad"
    return "good" if track.state == "serving" else "warn"


def _name_cell(track: Track, chosen: Track | None) -> Cell:
    return Cell(track.name, "title" if track is chosen else "")


def _pool_share(track: Track) -> float | None:
    used, limit = (
        number(track.figures, "pool", "used_bytes"),
        number(track.figures, "pool", "limit_bytes"),
    )
    return used / limit if used is not None and limit else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{round(min(999.0, 100 * share))}%"  # it may be infinity


def _nodes(tracks: Sequence[Track], chosen: Track | None, name: Column, width: int) -> list[Line]:
    spare = max(0, width - WIDTH_MIN)
    bar_width = min(30, 8 + spare // 2)
    columns = [
        name,
        Column("state", 8, True),
        Column("mode", 7, True),
        Column("up", 6),
        Column("pool", bar_width, True),
        Column("", 4),
        Column("of", 5),
        Column("lent", 5),
        Column("own", 5),
        Column("guests", 6),
        Column("core", 6, True),
    ]
    rows = []
    for track in tracks:
        figures = track.figures if track.answers else {}
        share = _pool_share(track) if track.answers else None
        full = share is not None and share >= (number(figures, "pool", "high_watermark") or 1.0)
        rows.append(
            [
                Cell(track.name, "chosen" if track is chosen else ""),
                Cell(track.state or "?", _style(track)),
                Cell(text(figures, "mode") or "-"),
                Cell(show_span(number(figures, "uptime_s"))),
                Cell(bar(share, bar_width), "warn" if full else "bar"),
                Cell(_percent(share)),
                Cell(show_bytes(number(figures, "pool", "limit_bytes"))),
                Cell(show_bytes(number(figures, "cache", "bytes_foreign_slots"))),
                Cell(show_count(number(figures, "pages", "own"))),
                Cell(show_count(number(figures, "pages", "foreign"))),
                Cell(text(figures, "backend") or "-"),
            ]
        )
    lines = table(width, columns, rows)
    for track in tracks:
        if not track.answers and track.reason:
            lines.append(line(width, Cell(f"  {track.name}: {track.reason}", "bad")))
    return lines


_STATES = (
    ("local", "local", ""),
    ("same", "same_filled", ""),
    ("transit", "in_transit", ""),
    ("away", "away", ""),
    ("silent", "unreachable", "warn"),
    ("lost", "lost", "bad"),
    ("short", "under_replicated", "warn"),
)
"""Titles, keys of ``pages``, and the style of a count above 0."""


def _states(tracks: Sequence[Track], chosen: Track | None, name: Column, width: int) -> list[Line]:
    columns = [name, *(Column(title, 8) for title, _, _ in _STATES)]
    rows = []
    for track in _with_figures(tracks):
        row = [_name_cell(track, chosen)]
        for _, key, style in _STATES:
            count = number(track.figures, "pages", key)
            row.append(Cell(show_count(count), style if count else ""))
        rows.append(row)
    return [_section("pages, by state"), *table(width, columns, rows)]


def _with_figures(tracks: Sequence[Track]) -> list[Track]:
    return [track for track in tracks if track.answers]


def _section(title: str) -> Line:
    return (Cell(title, "title"),)


def _flows(tracks: Sequence[Track], chosen: Track | None, name: Column, width: int) -> list[Line]:
    spark = 7 + min(40, max(0, width - WIDTH_MIN)) // 2
    columns = [
        name,
        Column("put/s", 5),
        Column("get/s", 5),
        Column("here/away/miss", 14),
        Column("spill/s", 7),
        Column("B/s", 5),
        Column("", spark, True),
        Column("fetch/s", 7),
        Column("B/s", 5),
        Column("", spark - 2, True),
    ]
    rows = []
    for track in _with_figures(tracks):
        rates, of = track.rates, ("hits", "away", "misses")
        shares = [track.share(part, *of) for part in of]
        hit = "-" if None in shares else " ".join(f"{_percent(share):>4}" for share in shares)
        rows.append(
            [
                _name_cell(track, chosen),
                Cell(show_count(rates.get("puts"))),
                Cell(show_count(rates.get("gets"))),
                Cell(hit),
                Cell(show_count(rates.get("spill_pages"))),
                Cell(show_bytes(rates.get("spill_bytes"))),
                Cell(sparkline(track.sparks.get("spill_pages", ()), spark), "bar"),
                Cell(show_count(rates.get("fetch_pages"))),
                Cell(show_bytes(rates.get("fetch_bytes"))),
                Cell(sparkline(track.sparks.get("fetch_pages", ()), spark - 2), "bar"),
            ]
        )
    return [
        _section("traffic: pages a second; gets found here, away, nowhere"),
        *table(width, columns, rows),
    ]


def _latency(tracks: Sequence[Track], chosen: Track | None, name: Column, width: int) -> list[Line]:
    """p50 and p99 of operations; nothing where no node tells them."""
    shown = _with_figures(tracks)
    operations = [
        operation
        for operation in OPERATIONS
        if any(track.latencies.of(operation) is not None for track in shown)
    ]
    if not operations:
        return []
    columns = [name, *(Column(operation, 13) for operation in operations)]
    rows = []
    for track in shown:
        row = [_name_cell(track, chosen)]
        for operation in operations:
            took = track.latencies.of(operation)
            row.append(Cell("-" if took is None else " ".join(map(show_seconds, took))))
        rows.append(row)
    return [
        (),
        _section("latency: half took, 99 of 100 took at most"),
        *table(width, columns, rows),
    ]


def _of_one(track: Track, view: View, width: int) -> list[Line]:
    """What is shown of one node: its peers, the accounting, and more if it is looked at alone."""
    lines: list[Line] = [()]
    peers = peer_rows(track.figures)
    if peers:
        columns = [
            Column("peer", 10, True, 20),
            Column("address", 21, True, 40),
            Column("state", 10, True),
            Column("round trip", 10),
            Column("room", 6),
            Column("our pages", 9),
            Column("heard", 6),
        ]
        lines += [_section(f"peers of {track.name}"), *table(width, columns, peers)]
        lines += [(Cell(reason, "dim"),) for reason in peer_reasons(track.figures)]
    else:
        lines.append((Cell(f"{track.name} has no peers configured", "dim"),))
    if view.alone:
        owners = owner_rows(track.figures)
        if owners:
            columns = [Column("owner", 10, True, 20), Column("pages", 9), Column("heard", 6)]
            title = _section(f"pages held by {track.name} for")
            lines += [(), title, *table(width, columns, owners)]
    accounts = accounting_line(track.figures)
    if accounts:
        wrapped = wrap(f"  {accounts}", width, subsequent_indent="    ")
        lines += [(), _section(f"memory of {track.name}"), *((Cell(part),) for part in wrapped)]
    return lines
