"""``ramster serve``: a node in the foreground.

Covers: signals, the log, exit codes. Does not cover: what a node is (``node.py``).

The first SIGTERM or SIGINT lets a node with peers hand over what it holds for others (at most as
long as ``drain_timeout``) and stops it, exit code 0. A second one ends the process at once, without
waiting for anything, exit code 128 + the signal's number.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from typing import Any

from ramster.config import Mode, NodeConfig
from ramster.config_flags import add_config_flags, config_from
from ramster.errors import ConfigurationError
from ramster.event_log import EventLog, show_error
from ramster.logs import set_up_logging
from ramster.node import Node
from ramster.quantities import format_size
from zcache.backend import ASKED_FOR, BACKEND, NATIVE_MISSING

__all__ = ["add_flags", "run"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = EventLog(__name__)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting."""
    add_config_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    loaded = config_from(arguments)
    config = loaded.config
    set_up_logging(config.log_level, config.log_format, config.name)
    if config.export and not config.nbd:
        _log.warning(
            "exports_unreachable",
            "exports without an NBD address (--nbd): nobody can reach them",
            exports=[spec.name for spec in config.export],
        )
    if config.peer and config.mode is Mode.ZCACHE:
        _log.info(
            "peers_not_used",
            "mode zcache: {peers} configured peers are not used",
            peers=len(config.peer),
        )
    try:
        return asyncio.run(_serve(config))
    except (OSError, ConfigurationError) as error:
        # An address that cannot be listened on, or a file that cannot be used: nothing is wrong
        # with how it is written.
        reason = (isinstance(error, OSError) and error.strerror) or error
        if isinstance(error, ConfigurationError):
            error.source = loaded.sources.get(error.key, error.source)
        return _fail(config, f"{reason}")


def _say_backend() -> None:
    if NATIVE_MISSING and ASKED_FOR == "auto":
        _log.warning(
            "native_missing",
            "zcache backend: python; the native core is not there: {reason}",
            reason=NATIVE_MISSING,
        )
    else:
        _log.info("backend", "zcache backend: {backend}", backend=BACKEND)


def _say_limits(config: NodeConfig) -> None:
    """What the node may take, as it follows from all that was and was not configured."""
    alone = config.mode is Mode.ZCACHE
    _log.info(
        "limits",
        "limits: pool {pool_bytes:size}, room is made above {high_bytes:size} down to "
        "{low_bytes:size}, lent at most {lend_bytes:size}, file at most {file_bytes:size}",
        pool_bytes=config.pool_limit,
        high_bytes=int(config.pool_limit * config.high_watermark),
        low_bytes=int(config.pool_limit * config.low_watermark),
        lend_bytes=0 if alone else config.lend_bytes,
        file_bytes=0 if config.writeback is None else config.writeback_limit or 0,
        codec=config.codec,
        replicas=1 if alone else config.replicas,
        put_wait_s=config.put_wait,
        fetch_deadline_s=config.fetch_deadline,
    )


def _fail(config: NodeConfig, reason: str) -> int:
    """Say why the node ends, in the form that was asked for; exit code 1."""
    if config.log_format == "json":
        _log.critical("failed", "ramster serve: {reason}", reason=reason)
    else:
        print(f"ramster serve: {reason}", file=sys.stderr)
    return 1


async def _serve(config: NodeConfig) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        for again in SIGNALS:  # not through the loop, so that they work while it is busy
            signal.signal(again, lambda received, _: os._exit(128 + received))
        _log.info("stopping", "{signal}: stopping; once more to stop at once", signal=number.name)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    async with Node(config) as node:
        _say_backend()
        _say_limits(config)
        # Read by programs that start a node on port 0.
        _log.info(
            "ready",
            "ready {fields}",
            mode=config.mode,
            name=config.name,
            pool=format_size(config.pool_limit),
            **node.endpoints,
        )
        stopped, failed = asyncio.create_task(stop.wait()), asyncio.create_task(node.failed())
        await asyncio.wait([stopped, failed], return_when=asyncio.FIRST_COMPLETED)
        if not failed.done() and config.drain_timeout > 0:
            await _drain(node, config.drain_timeout, failed)
        failure = failed.result() if failed.done() else None
        for wait in (stopped, failed):
            wait.cancel()
    if failure is not None:
        return _fail(config, f"a part of the node died: {show_error(failure)}")
    _log.info("stopped", "stopped")
    return 0


async def _drain(node: Node, limit_s: float, failed: asyncio.Task[BaseException]) -> None:
    """Hand over what the node holds for others, and say how it goes; ends early with the node."""
    draining = asyncio.create_task(node.drain(limit_s))
    ends: list[asyncio.Task[Any]] = [draining, failed]
    while not (await asyncio.wait(ends, timeout=1.0, return_when=asyncio.FIRST_COMPLETED))[0]:
        _log.info(
            "draining",
            "draining: {left} pages of others left",
            left=node.figures()["pages"]["foreign"],
        )
    if not draining.done():
        draining.cancel()
        return
    report = draining.result()
    if report is None or not (report.handed_over or report.left):
        return
    if report.left:
        _log.warning(
            "drained_partly",
            "drained in {took_s:.1f} s: {handed_over} pages handed over, {left} left behind",
            handed_over=report.handed_over,
            left=report.left,
            took_s=report.took_s,
        )
    else:
        _log.info(
            "drained",
            "drained in {took_s:.1f} s: {handed_over} pages handed over, {left} left behind",
            handed_over=report.handed_over,
            left=report.left,
            took_s=report.took_s,
        )
