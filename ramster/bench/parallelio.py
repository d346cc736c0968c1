"""``parallelio``: a key-value server's throughput while another program writes more and more.

Covers: the workload and its configuration. Does not cover: writing in the background
(``hogs.write_pass``), what is behind it (``targets.py``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

from ramster.bench.device_pages import DevicePages, PagesRefusedError
from ramster.bench.hogs import BATCH_PAGES, write_pass
from ramster.bench.model import Better, Case, Configuration, Context, Figure, Samples, Workload
from ramster.bench.stamped_pages import StampedPages, stamped
from ramster.bench.targets import SUBJECTS, Room, Target, open_target
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_BUDGET_PAGES = 8192
_BUDGET_PAGES_MIN = 2048
"""With fewer the half-filled size classes of a pool take more than compression saves."""
_VALUE_PAGES = 4
_FILLED_SHARE = 0.8
_SETS_SHARE = 0.1
_STEP_S = 1.0
_STEPS = (0, 10, 40, 80)
"""Per cent of the budget that the background writes."""


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    asked = context.parameters
    budget = context.pages(_BUDGET_PAGES, least=_BUDGET_PAGES_MIN)
    ratio = float(asked["ratio"])
    values = int(budget * _FILLED_SHARE) // _VALUE_PAGES
    first = values * _VALUE_PAGES
    pages = first + budget * _STEPS[-1] // 100
    room = Room(budget_bytes=budget * PAGE_SIZE)
    samples: dict[str, float] = {}
    async with (
        open_target(str(asked["way"]), context.subject, room, pages, context.scratch) as target,
        target.connect() as device,
        target.connect() as background_device,
    ):
        server = _Server(device, stamped(ratio, context.seed), values, context.seed)
        await server.fill()
        background = _Background(background_device, stamped(ratio, context.seed + 1), first)
        for step in _STEPS:
            samples |= await _step(
                target, server, background, budget, step, context.seconds(_STEP_S)
            )
        target.check()
    return samples


async def _step(
    target: Target,
    server: _Server,
    background: _Background,
    budget: int,
    step: int,
    duration_s: float,
) -> dict[str, float]:
    """The server's work for ``duration_s``, and until the background has written all once."""
    before = _moved(await target.figures())
    refusals = server.refusals + background.refusals
    stop = asyncio.Event()
    writing = asyncio.create_task(background.run(budget * step // 100, stop))
    start = time.perf_counter()
    operations = 0
    try:
        while True:
            elapsed = time.perf_counter() - start
            if elapsed >= duration_s and (background.passes_s or not step):
                break
            await server.operate()
            operations += 1
            await asyncio.sleep(0)  # a store in this process gives the others no turn
            if writing.done():
                await writing  # nothing to write, or it failed
    finally:
        stop.set()
    await writing
    after = _moved(await target.figures())
    found = {f"ops_s_{step}": operations / elapsed}
    found |= {f"{what}_{step}": after[what] - before[what] for what in after}
    found[f"refusals_{step}"] = server.refusals + background.refusals - refusals
    if step:
        found[f"background_s_{step}"] = sum(background.passes_s) / len(background.passes_s)
    return found


def _moved(figures: Mapping[str, Any]) -> dict[str, int]:
    cache, cluster = figures["cache"], figures["cluster"]
    return {
        "out_pages": cache["pages_spilled"] + cache["ephemeral_evicted"],
        "in_pages": cluster["pages_fetched"] if cluster else 0,
    }


class _Server:
    """Values of 16 KiB by number, read and written at random, each read checked."""

    def __init__(self, device: DevicePages, contents: StampedPages, values: int, seed: int) -> None:
        self._device = device
        self._contents = contents
        self._versions: list[int | None] = [None] * values
        """Of the value that is stored; None: there is none, its last write was refused."""
        self._chance = random.Random(seed)
        self.refusals = 0
        """Writes without room."""

    async def fill(self) -> None:
        for value in range(len(self._versions)):
            await self._set(value)
            await asyncio.sleep(0)

    async def operate(self) -> None:
        value = self._chance.randrange(len(self._versions))
        version = self._versions[value]
        if version is None or self._chance.random() < _SETS_SHARE:
            await self._set(value)
            return
        first = value * _VALUE_PAGES
        data = await self._device.read(first, _VALUE_PAGES)
        self._contents.check_run(first, _VALUE_PAGES, version, data)

    async def _set(self, value: int) -> None:
        first = value * _VALUE_PAGES
        version = (self._versions[value] or 0) + 1
        self._versions[value] = None
        try:
            await self._device.write(first, self._contents.run(first, _VALUE_PAGES, version))
        except PagesRefusedError:
            self.refusals += 1
            await self._device.discard(first, _VALUE_PAGES)
        else:
            self._versions[value] = version


class _Background:
    """Writes its pages over and over, and takes them away at the end."""

    def __init__(self, device: DevicePages, contents: StampedPages, first: int) -> None:
        self._device = device
        self._contents = contents
        self._first = first
        self._version = 0
        self.passes_s: list[float] = []
        """Seconds of each complete pass of the last run."""
        self.refusals = 0
        """Writes without room."""

    async def run(self, pages: int, stop: asyncio.Event) -> None:
        self.passes_s = []
        while pages and not stop.is_set():
            start = time.perf_counter()
            self._version += 1
            self.refusals += await write_pass(
                self._device, self._contents, self._first, pages, self._version, stop.is_set
            )
            if not stop.is_set():
                self.passes_s.append(time.perf_counter() - start)
        if pages:
            await self._device.discard(self._first, pages)


def _figures(step: int) -> tuple[Figure, ...]:
    beside = f"beside writes of {step} % of the budget"
    figures = [
        Figure(f"ops_s_{step}", "ops/s", Better.HIGHER, f"Values read or written, {beside}."),
        Figure(
            f"out_pages_{step}",
            "pages",
            Better.LOWER,
            f"Pages that went to a lender or were dropped, {beside}: a gain in speed with more of "
            "them is no gain.",
        ),
        Figure(f"in_pages_{step}", "pages", Better.LOWER, f"Pages that came back, {beside}."),
        Figure(f"refusals_{step}", "writes", Better.LOWER, f"Writes without room, {beside}."),
    ]
    if step:
        text = f"Mean time in which the background wrote {step} % of the budget once."
        figures.insert(1, Figure(f"background_s_{step}", "s", Better.LOWER, text))
    return tuple(figures)


_PARALLELIO = Workload(
    name="parallelio",
    figures=tuple(figure for step in _STEPS for figure in _figures(step)),
    run=_run,
)

_TEXT = f"""\
A server of values of 16 KiB fills {100 * _FILLED_SHARE:g} % of the budget, then reads random
ones, and writes {100 * _SETS_SHARE:g} % of the time, one at a time, as fast as it can. In steps of
{_STEP_S:g} s another client writes 0, 10, 40 and 80 % of the budget beside it, over and over, and
takes its pages away after each step. Every value read is checked.

After MMTests' parallelio-memcachetest: memcached with 80 % of the memory, 16 KiB values, one
client, beside dd of growing size; operations and time of the dd by size, swapped pages beside.
(MMTests removed it in 2025 as shaky; the complaint that a gain in speed with more swapping is no
gain comes from its configuration.)

The budget is {_BUDGET_PAGES * PAGE_SIZE >> 20} MiB for every subject; ramster has as much again
at a lender. ratio says how far values and writes compress.

What makes the figures doubtful:
- Where refusals are not 0 something was not stored: a refused value is written again when its turn
  comes, and a refused write of the background costs no more than its refusal. Compare speeds only
  between subjects that refuse nothing, and beside out_pages.
- The store is the server's memory: each operation is a request, while memcached's values are
  mapped and cost nothing until they are swapped. Read the differences between steps.
- The background writes without a pause at every step but the first, so ops/s falls at once by what
  two clients share: the thread over the Python API, where each operation waits for a write of
  {BATCH_PAGES} pages; over NBD the client's thread and the server.
"""

WORKLOADS = (_PARALLELIO,)
CONFIGURATIONS = (
    Configuration(
        name="parallelio",
        summary="throughput of a key-value server beside growing writes of another program",
        text=_TEXT,
        cases=tuple(
            Case("parallelio", subject, {"way": way, "ratio": ratio})
            for way in ("api", "nbd")
            for ratio in (2.5, 1.3)
            for subject in SUBJECTS
        ),
    ),
)
