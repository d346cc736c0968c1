"""A node's figures as a page for people.

Covers: words, units, layout. Does not cover: where the figures come from (``figures.py``), HTTP.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from ramster.figures import Figures
from ramster.histograms import quantile
from ramster.quantities import show_size
from zcache import PAGE_SIZE

__all__ = ["render", "table"]


def render(figures: Figures) -> str:
    """The page; its lines fit 100 columns unless names are long."""
    sections = [_head(figures), _memory(figures), _pages(figures), _traffic(figures)]
    if figures["writeback"] is not None:
        sections.append(_writeback(figures["writeback"]))
    if figures["mode"] == "ramster":
        sections += [_peers(figures["peers"]), _owners(figures["owners"])]
    if figures["nbd"] is not None:
        sections.append(_exports(figures["nbd"], figures["latency"]["nbd"]))
    return "\n\n".join(section for section in sections if section) + "\n"


def table(titles: list[str], rows: Iterable[Iterable[object]], *, left: int = 1) -> str:
    """Columns as wide as they must be; the first ``left`` ones set left, numbers set right."""
    lines = [titles, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _head(figures: Figures) -> str:
    places = []
    for what, where in figures["endpoints"].items():
        places += [f"{what} {url}" for url in (where if isinstance(where, list) else [where])]
    return (
        f"node {figures['name']}: {figures['state']} for {_span(figures['uptime_s'])}, "
        f"mode {figures['mode']}, version {figures['version']}, zcache in {figures['backend']}\n"
        f"  {'   '.join(places) or 'listening nowhere'}"
    )


def _memory(figures: Figures) -> str:
    pool, sizes, pages = figures["pool"], figures["bytes"], figures["pages"]
    away = pages["away"] * PAGE_SIZE
    here = sizes["logical"] - away
    ratio = f" ({figures['ratio']:.2f} : 1)" if figures["ratio"] else ""
    lines = [
        f"  stored   {show_size(sizes['logical'])} of pages: {show_size(here)} here, "
        f"{show_size(away)} {_elsewhere(figures)}",
        f"  here     {show_size(here)} -> {show_size(sizes['compressed_here'])} compressed{ratio}",
        f"  frames   {show_size(pool['used_bytes'])} of {show_size(pool['limit_bytes'])} "
        f"({_percent(pool['used_bytes'], pool['limit_bytes'])}), "
        f"at most {show_size(pool['used_peak_bytes'])} so far; "
        f"index {show_size(pool['metadata_bytes'])}",
    ]
    if pool["lend_limit_bytes"]:
        slots = figures["cache"]["bytes_foreign_slots"]
        lines.append(
            f"  lent     {show_size(slots)} of the frames, of {show_size(pool['lend_limit_bytes'])}"
        )
    account = figures["accounting"]["line"]
    lines.append(textwrap.fill(f"  account  {account}", 100, subsequent_indent=11 * " "))
    return "\n".join(["memory", *lines])


def _pages(figures: Figures) -> str:
    pages = figures["pages"]
    keys = ["local", "same_filled", "in_transit", "away", "unreachable", "lost", "foreign"]
    away = _elsewhere(figures)
    lines = table(
        ["here", "same-filled", "in transit", away, "unreachable", "lost", "foreign"],
        [[_count(pages[key]) for key in keys]],
        left=0,
    )
    if pages["under_replicated"]:
        lines += f"\n  {_count(pages['under_replicated'])} have fewer copies than they should have"
    moving = figures["cluster"] and _MOVES.get(figures["cluster"]["relocating"])
    return "pages\n" + lines + (f"\n  {moving}" if moving else "")


_MOVES = {
    "evacuate": "leaving peers that drain or want room",
    "rebuild": "lost copies are being made again",
    "repatriate": "coming home, as there is room",
}


def _elsewhere(figures: Figures) -> str:
    """Where pages are that are not here."""
    if figures["writeback"] is None:
        return "at peers"
    return "in the file" if figures["mode"] == "zcache" else "away"


def _traffic(figures: Figures) -> str:
    cache, cluster = figures["cache"], figures["cluster"]
    found = cache["get_hits"] + cache["gets_away"]
    refused = "refused for want of room"
    if cluster is not None:  # where the page store waits and puts again
        refused = f"found no room at once ({_count(cluster['puts_waited'])} writes)"
    lines = [
        f"  gets     {_count(cache['gets'])}: {_count(cache['get_hits'])} here, "
        f"{_count(cache['gets_away'])} {_elsewhere(figures)}, "
        f"{_count(cache['get_misses'])} missed"
        f" ({_percent(found, cache['gets'])} found), {_count(cache['gets_corrupt'])} corrupt",
        f"  puts     {_count(cache['puts'])}: {_count(cache['puts_stored'])} stored, "
        f"{_count(cache['puts_refused_full'])} {refused}",
    ]
    if figures["mode"] == "ramster" and cluster is not None:
        failed = cluster["spills_timed_out"] + cluster["spills_unreachable"]
        lines += [
            f"  spilled  {_count(cluster['spill_pages'])} pages, "
            f"{show_size(cluster['spill_bytes'])} compressed; "
            f"{_count(cluster['spill_pages_refused'])} pages refused, {failed} messages failed",
            f"  fetched  {_count(cluster['pages_fetched'])} pages in "
            f"{_count(cluster['fetches'])} messages; "
            f"{_count(cluster['pages_lost'])} lost, {_count(cluster['pages_corrupt'])} corrupt",
        ]
    lines += _times(figures["latency"])
    return "traffic since the start\n" + "\n".join(lines)


def _times(latency: dict[str, Any]) -> list[str]:
    """Half, and 99 in 100, took at most so long; nothing for what has not happened."""
    names = {"get here": "get_local", "get away": "get_remote", "put": "put"}
    shown = [_within(name, latency[key]) for name, key in names.items()]
    peers = [_within(name, latency[name]) for name in ("fetch", "spill")]
    lines = ["; ".join(filter(None, some)) for some in (shown, peers)]
    titles = ("  took     p50, p99: ", " " * 11)
    return [title + line for title, line in zip(titles, lines, strict=True) if line]


def _within(name: str, histogram: dict[str, Any] | None) -> str:
    if histogram is None or not histogram["count"]:
        return ""
    bounds, counts = histogram["bounds"], histogram["counts"]
    found = [quantile(share, bounds, counts) or 0.0 for share in (0.5, 0.99)]
    return f"{name} " + ", ".join(map(_short, found))


def _short(seconds: float) -> str:
    """A duration of microseconds to minutes, to two or three digits."""
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:
            number = seconds * factor
            return f"{number:.1f} {unit}" if number < 9.95 else f"{number:.0f} {unit}"
    return f"{seconds:.1f} s"


def _writeback(file: dict[str, Any]) -> str:
    errors = file["write_errors"] + file["read_errors"]
    refused = file["refused_full"] + file["refused_busy"]
    lines = [
        f"  {_count(file['pages'])} pages in {show_size(file['used_bytes'])} of "
        f"{show_size(file['limit_bytes'])}; {_count(file['pages_written'])} written, "
        f"{_count(file['pages_read'])} read"
    ]
    if errors or refused:
        lines.append(f"  {_count(refused)} pages refused, {_count(errors)} errors of the disk")
    return "write-back file\n" + "\n".join(lines)


def _peers(peers: list[dict[str, Any]]) -> str:
    if not peers:
        return "peers: none configured"
    rows = [
        [
            peer["node"] or "?",
            peer["address"],
            "draining" if peer["draining"] and peer["state"] == "alive" else peer["state"],
            show_size(peer["room_bytes"]),
            _count(peer["pages_away"]),
            "-" if peer["rtt_s"] is None else f"{peer['rtt_s'] * 1000:.1f} ms",
            f"{peer['heard_s']:.1f} s ago",
        ]
        for peer in peers
    ]
    titles = ["node", "address", "state", "room", "our pages", "round trip", "heard"]
    return "peers\n" + table(titles, rows, left=3)


def _owners(owners: list[dict[str, Any]]) -> str:
    if not owners:
        return ""
    rows = [
        [owner["owner"], _count(owner["pages"]), f"{owner['heard_s']:.1f} s ago"]
        for owner in owners
    ]
    return "pages held for\n" + table(["node", "pages", "heard"], rows)


def _exports(nbd: dict[str, Any], latency: dict[str, Any] | None) -> str:
    rows = [
        [
            export["name"],
            show_size(export["size_bytes"]),
            export["connections"],
            show_size(export["traffic"]["bytes_read"]),
            show_size(export["traffic"]["bytes_written"]),
            sum(export["traffic"]["errors"].values()),
        ]
        for export in nbd["exports"]
    ]
    titles = ["export", "size", "clients", "read", "written", "errors"]
    times = [_within(kind, found) for kind, found in (latency or {}).items()]
    took = "; ".join(filter(None, times))
    return "block devices\n" + table(titles, rows) + (f"\n  took p50, p99: {took}" if took else "")


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
