"""``ramster serve``: a node in the foreground.

Covers: signals, the log, exit codes. Does not cover: what a node is (``node.py``).

The first SIGTERM or SIGINT lets a node with peers hand over what it holds for others (at most as
long as ``drain_timeout``) and stops it, exit code 0. A second one ends the process at once, without
waiting for anything, exit code 128 + the signal's number.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from typing import Any

from ramster.config import Mode, NodeConfig
from ramster.config_flags import add_config_flags, config_from
from ramster.errors import ConfigurationError
from ramster.logs import set_up_logging
from ramster.node import Node
from ramster.quantities import format_size
from zcache.backend import ASKED_FOR, BACKEND, NATIVE_MISSING

__all__ = ["add_flags", "run"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger(__name__)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting."""
    add_config_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    loaded = config_from(arguments)
    config = loaded.config
    set_up_logging(config.log_level)
    if config.export and not config.nbd:
        _log.warning("exports without an NBD address (--nbd): nobody can reach them")
    if config.peer and config.mode is Mode.ZCACHE:
        _log.info("mode zcache: %d configured peers are not used", len(config.peer))
    try:
        return asyncio.run(_serve(config))
    except (OSError, ConfigurationError) as error:
        # An address that cannot be listened on, or a file that cannot be used: nothing is wrong
        # with how it is written.
        reason = (isinstance(error, OSError) and error.strerror) or error
        if isinstance(error, ConfigurationError):
            error.source = loaded.sources.get(error.key, error.source)
        print(f"ramster serve: {reason}", file=sys.stderr)
        return 1


def _say_backend() -> None:
    if NATIVE_MISSING and ASKED_FOR == "auto":
        _log.warning("zcache backend: python; the native core is not there: %s", NATIVE_MISSING)
    else:
        _log.info("zcache backend: %s", BACKEND)


async def _serve(config: NodeConfig) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        for again in SIGNALS:  # not through the loop, so that they work while it is busy
            signal.signal(again, lambda received, _: os._exit(128 + received))
        _log.info("%s: stopping; once more to stop at once", number.name)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    async with Node(config) as node:
        _say_backend()
        _log.info("ready %s", _summary(config, node))
        stopped, failed = asyncio.create_task(stop.wait()), asyncio.create_task(node.failed())
        await asyncio.wait([stopped, failed], return_when=asyncio.FIRST_COMPLETED)
        if not failed.done() and config.drain_timeout > 0:
            await _drain(node, config.drain_timeout, failed)
        failure = failed.result() if failed.done() else None
        for wait in (stopped, failed):
            wait.cancel()
    if failure is not None:
        print(f"ramster serve: a part of the node died: {failure!r}", file=sys.stderr)
        return 1
    _log.info("stopped")
    return 0


async def _drain(node: Node, limit_s: float, failed: asyncio.Task[BaseException]) -> None:
    """Hand over what the node holds for others, and say how it goes; ends early with the node."""
    draining = asyncio.create_task(node.drain(limit_s))
    ends: list[asyncio.Task[Any]] = [draining, failed]
    while not (await asyncio.wait(ends, timeout=1.0, return_when=asyncio.FIRST_COMPLETED))[0]:
        _log.info("draining: %d pages of others left", node.figures()["pages"]["foreign"])
    if not draining.done():
        draining.cancel()
        return
    report = draining.result()
    if report is not None and (report.handed_over or report.left):
        _log.log(
            logging.WARNING if report.left else logging.INFO,
            "drained in %.1f s: %d pages handed over, %d left behind",
            report.took_s,
            report.handed_over,
            report.left,
        )


def _summary(config: NodeConfig, node: Node) -> str:
    """What serves where, as key=value; read by programs that start a node on port 0."""
    parts = [f"mode={config.mode}", f"name={config.name}", f"pool={format_size(config.pool_limit)}"]
    for what, where in node.endpoints.items():
        parts += [f"{what}={url}" for url in (where if isinstance(where, list) else [where])]
    return " ".join(parts)
