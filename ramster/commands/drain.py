"""``ramster drain``: ask the node on this machine to hand over the pages of others, and to stop.

Covers: finding its process, the signal, how it goes, until it is gone. Does not cover: draining
(``drain.py``), what the node does when it is signalled (``serve.py``).

The node is asked by SIGTERM, as by whoever else stops it: its HTTP port changes nothing. A node
that drains already is only watched, since a second signal would end it at once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass

from ramster.commands.stat import configured_url
from ramster.errors import RamsterError
from ramster.figures import Figures
from ramster.processes import pid_namespace, start_time
from ramster.stats_client import StatsError, fetch_figures

__all__ = ["add_flags", "run"]

LOOK_S = 0.2
LOOK_AT_END_S = 0.02
"""Pauses between two looks at the node; shorter when it is about to have handed over all."""

LINE_S = 1.0
"""Pause between two lines where they do not rewrite themselves."""

ANSWER_S = 2.0
"""How long the node's figures are waited for, once it stops."""

RATE_S = 2.0
"""The time over which pages a second are counted."""


class _DrainError(RamsterError):
    """The node cannot be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A node, and its process on this machine."""

    url: str
    name: str
    pid: int
    started: int

    def is_there(self) -> bool:
        """Whether the process runs."""
        return start_time(self.pid) == self.started


def add_flags(parser: argparse.ArgumentParser) -> None:
    """``URL``, ``--config``."""
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="where the node serves its figures (default: from the setting http, that is "
        "http://127.0.0.1:7780 unless RAMSTER_HTTP or the file says otherwise)",
    )
    parser.add_argument("--config", metavar="FILE", help="the node's configuration file")


def run(arguments: argparse.Namespace) -> int:
    """Ask and watch; exit code 0 when the process has gone."""
    url = configured_url(arguments.config, "a URL") if arguments.url is None else arguments.url
    try:
        figures = fetch_figures(url)
        target = _find(url, figures)
        if figures["state"] not in ("draining", "stopping"):
            _ask(target)
    except (StatsError, _DrainError) as error:
        print(f"ramster drain: {error}", file=sys.stderr)
        return 1
    _watch(target, figures["pages"]["foreign"])
    return 0


def _find(url: str, figures: Figures) -> _Target:
    """The node's process. Raises _DrainError if it is none of this machine."""
    name, pid, started = figures["name"], figures.get("pid"), figures.get("started")
    here = pid_namespace()
    if pid is None or started is None or here is None:
        raise _DrainError(f"node {name} does not say which process it is, or there is no /proc")
    target = _Target(url, name, pid, started)
    if figures.get("pid_namespace") != here or not target.is_there():
        raise _DrainError(
            f"node {name} at {url} is no process of this machine or container: run this where the "
            "node runs, for example docker exec NODE ramster drain"
        )
    return target


def _ask(target: _Target) -> None:
    try:
        os.kill(target.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # gone meanwhile
    except PermissionError:
        raise _DrainError(
            f"no permission to signal node {target.name}, process {target.pid}: "
            "run this as its user, or as root"
        ) from None


def _watch(target: _Target, at_first: int) -> None:
    """Show how it goes, until the process has gone."""
    began = time.monotonic()
    looks = [(began, at_first)]
    with _Line() as line:
        while target.is_there():
            try:
                left = fetch_figures(target.url, ANSWER_S)["pages"]["foreign"]
            except StatsError:  # it stops, and its figures are the last thing to go
                line.show(f"{target.name}: stopping")
                pause = LOOK_AT_END_S
            else:
                now = time.monotonic()
                looks = [look for look in looks if now - look[0] <= RATE_S] or looks[-1:]
                looks.append((now, left))
                rate = _rate(looks)
                line.show(f"{target.name}: {_progress(left, rate)}")
                pause = min(LOOK_S, max(LOOK_AT_END_S, left / rate / 2)) if rate else LOOK_S
            time.sleep(pause)
    left = looks[-1][1]
    seen = f", {left} of them still there at the last look" if left else ""
    took = time.monotonic() - began
    print(f"{target.name} has gone after {took:.1f} s; it held {at_first} pages of others{seen}")


def _rate(looks: list[tuple[float, int]]) -> float:
    """Pages a second of late; 0 when there are no fewer than before."""
    (began, before), (now, left) = looks[0], looks[-1]
    return max(0.0, (before - left) / (now - began)) if now > began else 0.0


def _progress(left: int, rate: float) -> str:
    """Pages left, pages a second, and how long that will take."""
    if not rate or not left:
        return f"{left} pages of others left"
    return f"{left} pages of others left, {rate:.0f} pages/s, about {left / rate:.0f} s to go"


class _Line:
    """A line on standard error that rewrites itself on a terminal; elsewhere a line now and then,
    if it says something new."""

    def __init__(self) -> None:
        self._rewrites = sys.stderr.isatty()
        self._shown = ""
        self._shown_at = float("-inf")

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rewrites and self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """What there is to say now."""
        now = time.monotonic()
        if self._rewrites:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif text == self._shown or now - self._shown_at < LINE_S:
            return
        else:
            print(text, file=sys.stderr, flush=True)
        self._shown, self._shown_at = text, now
