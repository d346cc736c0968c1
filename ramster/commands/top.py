"""``ramster top``: a live view of the cluster, in a terminal or once as plain text."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from functools import partial

from ramster.commands.stat import configured_url
from ramster.errors import MissingExtraError
from ramster.quantities import parse_duration
from ramster.stats_client import StatsError
from ramster.top.frame import WIDTH_MIN, View, picture
from ramster.top.history import History
from ramster.top.layout import plain
from ramster.top.source import fetch_cluster

__all__ = ["INTERVAL_S_MIN", "add_flags", "run"]

INTERVAL_S_MIN = 0.1

RATES_WAIT_S = 2.0
"""How much longer one picture waits for newer figures: the asked node keeps them for a second."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """``--url``, ``--config``, ``--interval``, ``--once``."""
    parser.add_argument(
        "--url",
        help="the node to ask (default: from the setting http, that is "
        "http://127.0.0.1:7780 unless RAMSTER_HTTP or the file says otherwise)",
    )
    parser.add_argument("--config", metavar="FILE", help="the node's configuration file")
    parser.add_argument(
        "--interval",
        type=_interval,
        default=1.0,
        metavar="TIME",
        help="how often to ask, such as 2s or 500ms (default: 1s)",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="print one picture as plain text and exit; rates are those of one interval",
    )


def _interval(text: str) -> float:
    accepted = f"{text!r}, accepted is a time from 100ms to 1h, such as 2s or 500ms"
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(accepted) from None
    if not INTERVAL_S_MIN <= seconds <= 3600:
        raise argparse.ArgumentTypeError(accepted)
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Show until told to quit; with ``--once`` exit code 1 when there is no answer."""
    url = configured_url(arguments.config, "--url") if arguments.url is None else arguments.url
    if arguments.once:
        return _once(url, arguments.interval)
    try:
        from ramster.top.app import TopApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise MissingExtraError(
            "a live view needs an extra: pip install 'ramster[top]'; or --once for one picture"
        ) from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("ramster top: this is no terminal; --once prints one picture", file=sys.stderr)
        return 2
    app = TopApp(partial(fetch_cluster, url), url, arguments.interval)
    app.run()
    return app.return_code or 0


def _once(url: str, interval_s: float) -> int:
    history = History()
    try:
        history.take(fetch_cluster(url), time.monotonic())
        latest = time.monotonic() + interval_s + RATES_WAIT_S
        while not history.has_rates and time.monotonic() < latest:
            time.sleep(interval_s)
            history.take(fetch_cluster(url), time.monotonic())
    except StatsError as error:
        print(f"ramster top: {error}", file=sys.stderr)
        return 1
    width = max(WIDTH_MIN, shutil.get_terminal_size((100, 24)).columns)
    print(plain(picture(history, View(url=url), width, time.monotonic())), end="")
    return 0
