"""``ramster demo``: the demo's flags and output.

Exit codes: 0 every byte came back; 1 a byte differed, a request was refused, or a node failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from ramster.addresses import parse_nbd_url
from ramster.config import Mode
from ramster.demo.nodes import NodeProcessError
from ramster.demo.progress import Progress
from ramster.demo.report import DemoReport
from ramster.demo.run import DemoPlan, run_demo
from ramster.errors import ConfigurationError, MissingExtraError
from ramster.quantities import show_size
from ramster.settings import MODE, SIZE, Kind
from ramster.stats_client import StatsError

__all__ = ["add_flags", "run"]

_DEFAULT_SIZE = "128MiB"

T = TypeVar("T")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """What to run, and on what."""
    parser.add_argument(
        "--mode", metavar="zcache|ramster", default="ramster", help="one node or three (default)"
    )
    parser.add_argument(
        "--size",
        metavar="SIZE",
        default=_DEFAULT_SIZE,
        help=f"how much data (default: {_DEFAULT_SIZE})",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="take the files below this folder, not the machine's own"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--seed", type=int, default=0, help="for the pages read at random")
    parser.add_argument(
        "--connect",
        metavar="URL",
        help="start no node and use this NBD address: tcp://HOST:PORT/EXPORT or "
        "unix:///PATH?EXPORT; what is on it is overwritten",
    )
    parser.add_argument(
        "--stats", metavar="URL", help="with --connect: where that node serves its figures"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run it and print what came of it."""
    plan = DemoPlan(
        mode=_read(MODE, "mode", arguments.mode),
        size_bytes=_read(SIZE, "size", arguments.size),
        folder=None if arguments.data is None else Path(arguments.data),
        seed=arguments.seed,
        connect=None if arguments.connect is None else _device(arguments.connect),
        stats_url=arguments.stats or "",
    )
    if plan.size_bytes < 2**20:
        raise ConfigurationError("size", arguments.size, "--size", "at least 1MiB")
    # The demo holds the data itself, and its nodes hold them compressed.
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if plan.size_bytes > memory // 2:
        accepted = f"at most half of this machine's memory ({show_size(memory // 2)})"
        raise ConfigurationError("size", arguments.size, "--size", accepted)
    if (plan.connect is None) != (not plan.stats_url):
        accepted = "given together with --stats, or neither of them"
        key = "connect" if arguments.connect is not None else "stats"
        raise ConfigurationError(key, getattr(arguments, key), f"--{key}", accepted)
    if plan.connect is None and plan.mode is Mode.RAMSTER and not _peers_possible():
        raise MissingExtraError(
            "three nodes need grpcio and protobuf: pip install 'ramster[cluster]'; "
            "--mode zcache shows a lone node without them"
        )
    try:
        report = asyncio.run(_run(plan))
    except (NodeProcessError, StatsError, OSError) as error:
        print(f"ramster demo: {_in_words(error, arguments.connect)}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    print(json.dumps(report.as_dict(), indent=2) if arguments.json else "\n" + report.render())
    return 0 if report.succeeded else 1


async def _run(plan: DemoPlan) -> DemoReport:
    this = asyncio.current_task()
    assert this is not None
    # Ended from outside, the demo still stops its nodes; asyncio does the same for Ctrl-C.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    with Progress() as progress:
        return await run_demo(plan, progress)


def _peers_possible() -> bool:
    try:
        return None not in (find_spec("grpc"), find_spec("google.protobuf"))
    except ModuleNotFoundError:
        return False


def _in_words(error: Exception, connect: str | None) -> str:
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or str(error)
    if error.errno and reason.startswith("Connect call failed"):  # asyncio's words
        reason = os.strerror(error.errno)
    return f"{connect}: {reason}" if connect and "://" not in reason else reason


def _read(kind: Kind[T], key: str, text: str) -> T:
    try:
        return kind.parse(text)
    except ValueError:
        raise ConfigurationError(key, text, f"--{key}", kind.accepted) from None


def _device(text: str) -> tuple[str, str]:
    """NBD address and export name of --connect; no name means the server's first export."""
    mark = "?" if text.startswith("unix:") else "/"
    scheme, separator, rest = text.partition("://")
    place, _, export = rest.partition(mark)
    try:
        return parse_nbd_url(f"{scheme}{separator}{place}"), unquote(export)
    except ValueError:
        accepted = "tcp://HOST:PORT/EXPORT or unix:///PATH?EXPORT"
        raise ConfigurationError("connect", text, "--connect", accepted) from None
