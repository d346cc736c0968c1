"""``cluster-peerloss``: a lender is killed while pages are read; what the readers notice.

Covers: the workload and its configuration. Does not cover: the nodes (``lending.py``), the readers
and their record (``loss_readers.py``).
"""

from __future__ import annotations

import asyncio
import os
import signal

from ramster.bench.lending import Owner, Timing, open_owner
from ramster.bench.loss_readers import LossReaders
from ramster.bench.model import (
    Better,
    Case,
    Configuration,
    Context,
    Figure,
    Samples,
    Subject,
    Workload,
)

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 16384
_PAGES_MIN = 2048
_TIMES = 4.0
_LENDERS = 3
_READERS = 8
_BEFORE_S = 1.5
_BEFORE_S_MIN = 0.4
_AFTER_S = 3.5
_AFTER_S_MIN = 0.6


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    dead = float(context.parameters["dead_after"])
    timing = Timing(heartbeat_s=dead / 8, suspect_s=dead / 2, dead_s=dead)
    pages = context.pages(_PAGES, least=_PAGES_MIN)
    async with open_owner(
        pages,
        _TIMES,
        seed=context.seed,
        lenders=_LENDERS,
        replicas=int(context.parameters["replicas"]),
        timing=timing,
    ) as owner:
        await owner.put_all()
        await owner.settle()
        readers = LossReaders(owner, _READERS, context.seed)
        readers.start()
        await asyncio.sleep(context.seconds(_BEFORE_S, least=_BEFORE_S_MIN))
        address = owner.lenders[0].endpoints["peers"]
        assert _pages_at(owner, address), "nothing was at the lender that is killed"
        readers.note_kill()
        os.kill(owner.lenders[0].pid, signal.SIGKILL)
        await asyncio.sleep(dead + context.seconds(_AFTER_S, least=_AFTER_S_MIN))
        record = await readers.stop()
        verified, lost = await readers.sweep()
        owner.node.store.cache.verify()
    return {
        "read_pages_s": record.rate_before,
        "longest_stall_s": record.longest_stall_s,
        "full_speed_s": record.full_speed_s,
        "read_errors": record.errors,
        "pages_lost": lost,
        "verified_pages": verified,
    }


def _pages_at(owner: Owner, address: str) -> int:
    return sum(p["pages_away"] for p in owner.figures()["peers"] if p["address"] == address)


_PEERLOSS = Workload(
    name="cluster-peerloss",
    figures=(
        Figure("read_pages_s", "pages/s", Better.HIGHER, "Reads a second before the kill."),
        Figure(
            "longest_stall_s",
            "s",
            Better.LOWER,
            "The longest single read after the kill, whether it got its page or an error.",
        ),
        Figure(
            "full_speed_s",
            "s",
            Better.LOWER,
            "From the kill until a quarter of a second in which 0.8 times as many reads as before "
            "ended, well or with an error; where there is none, until the end of the reading.",
        ),
        Figure(
            "read_errors",
            "reads",
            Better.LOWER,
            "Reads that ended with the error that says the page is lost.",
        ),
        Figure(
            "pages_lost",
            "pages",
            Better.LOWER,
            "Pages that cannot be read at the end, each with the explicit error.",
        ),
        Figure(
            "verified_pages",
            "pages",
            Better.HIGHER,
            "Pages that were read at the end and were right, byte for byte.",
        ),
    ),
    run=_run,
)

_TEXT = f"""\
An owner whose pages need {_TIMES:g} times its pool has the rest at {_LENDERS} lenders, each a
process. {_READERS} readers get single pages at random; then one lender gets SIGKILL and stays away.
The readers go on until well after it counts as dead. At the end every page is read once more: it
is right, byte for byte, or its read says that it is lost. A page that came back wrong, or silently
as zeros, fails the measurement.

With replicas=2 nothing may be lost: each page has a second copy, and is copied anew. With
replicas=1 the pages that were only at the killed lender are lost, about a third of those away.

dead_after is the silence, in seconds, after which a lender counts as dead; it is set to 2 here, so
that a run is short, and is 10 by default. Until then a read of a page that is nowhere else waits
for the lender, up to fetch_deadline (3 s), and ends with an error: with replicas=1 the stalls and
full_speed_s are made of that setting, not of speed.

What makes the figures doubtful: the loopback closes the connection of a killed process at once,
which a machine that lost its power does not do; with replicas=2 reads then wait for hedge_after
(0.1 s) first. Speed after the kill may be higher than before, as fewer pages are away.
"""

WORKLOADS = (_PEERLOSS,)
CONFIGURATIONS = (
    Configuration(
        name="cluster-peerloss",
        summary="a lender is killed while pages are read: stalls, errors, pages lost",
        text=_TEXT,
        cases=tuple(
            Case("cluster-peerloss", Subject.RAMSTER, {"replicas": replicas, "dead_after": 2})
            for replicas in (2, 1)
        ),
    ),
)
