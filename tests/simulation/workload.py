"""Programs on a node: one that writes and reads its own pages, and one that reads beside it.

Covers: which operations, and whether each answer is right (``model.py`` says what is) and came in
time. Does not cover: whether a loss has a cause (``audit.py``), faults.

Each operation ends within its configured bound, by the node's own clock, and the time during which
the node was paused does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, TypeVar

from ramster.errors import PageLostError, StoreClosedError, StoreFullError
from tests.simulation.loop import simulation_loop
from tests.simulation.losses import Loss
from tests.simulation.model import ABSENT, PageModel, Versions, page_of
from zcache import PAGE_SIZE, GetFree, NoSuchPoolError, PoolKind

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World

T = TypeVar("T")

BATCH_MAX = 8
SLACK_S = 0.1
"""What an operation may take beyond its configured bound: waiting in line, passes of the loop."""
UNTOUCHED = b"\xa5"


class GivenUpError(Exception):
    """A program has given up an operation that was under way."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How one program behaves."""

    kind: PoolKind
    exclusive: bool
    pages: int
    replicas: int | None = None
    """Copies, where this program asks for a number of its own."""
    put: float = 0.42
    get: float = 0.36
    scan: float = 0.04
    flush: float = 0.12
    flush_range: float = 0.03
    flush_object: float = 0.02
    recreate: float = 0.01
    hot: float = 0.2
    """Share of single pages that are among the first few."""
    impatient: float = 0.02
    """Share of puts and gets that are given up after a moment."""
    pauses_s: tuple[float, ...] = (0.0, 0.0, 0.001, 0.02, 0.1, 0.2)


class Writer:
    """A program that owns a pool."""

    def __init__(self, world: World, node: SimulatedNode, number: int, habits: Habits) -> None:
        name = f"{node.life.name}.{number}"
        self.model = PageModel(name)
        self.habits = habits
        self.object_id = number if number % 2 else 2**100 + number
        self._world = world
        self._node = node
        self._random = Random(f"{world.seed} program {name}")
        self._took_s = 0.0
        """How long the last operation took, pauses included: deadlines pass meanwhile."""
        self._recreate_pool()

    def _recreate_pool(self) -> None:
        habits, node = self.habits, self._node
        self.pool = node.store.create_pool(
            habits.kind, exclusive_gets=habits.exclusive, replicas=habits.replicas
        )
        node.pool_copies[self.pool] = habits.replicas or node.config.replicas

    # -- life -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until the world is to come to rest, or the node stops."""
        while not self._world.resting:
            try:
                await self.step()
            except GivenUpError:
                pass  # it may have happened or not, as the model says
            except StoreClosedError:
                return
            await asyncio.sleep(self._random.choice(self.habits.pauses_s))

    async def run_beside(self) -> None:
        """Read single pages that the writer may change at this very moment."""
        random = Random(f"{self._world.seed} reader {self.model.program}")
        while not self._world.resting:
            try:
                await self._read_beside(random.randrange(self.habits.pages))
            except StoreClosedError:
                return
            except NoSuchPoolError:
                pass  # the writer is about to make another
            await asyncio.sleep(random.choice((0.001, 0.05, 0.2)))

    async def read_all(self) -> None:
        """Read every page that may be there once more."""
        indexes = self.model.indexes()
        for first in range(0, len(indexes), BATCH_MAX):
            await self.get(indexes[first : first + BATCH_MAX], GetFree.NEVER)

    async def flush_all(self) -> None:
        """Give every page up."""
        if self._random.random() < 0.5:
            await self._recreate()
        else:
            await self._flush_object()

    async def step(self) -> None:
        """One operation."""
        habits, random = self.habits, self._random
        steps: tuple[tuple[float, Callable[[], Awaitable[None]]], ...] = (
            (habits.put, self._put_some),
            (habits.get, self._get_some),
            (habits.scan, self._scan),
            (habits.flush, self._flush_some),
            (habits.flush_range, self._flush_range),
            (habits.flush_object, self._flush_object),
            (habits.recreate, self._recreate),
        )
        (chosen,) = random.choices(
            [step for _, step in steps], weights=[weight for weight, _ in steps]
        )
        await chosen()

    # -- operations -------------------------------------------------------------------------------

    def _some_indexes(self) -> list[int]:
        random, pages = self._random, self.habits.pages
        if random.random() < self.habits.hot:
            return [random.randrange(min(4, pages))]
        first = random.randrange(pages)
        count = min(pages, random.choice((1, 1, 2, BATCH_MAX)))
        return [(first + i) % pages for i in range(count)]

    async def _put_some(self) -> None:
        await self.put(self._some_indexes(), keep_old=self._random.random() < 0.3)

    async def _get_some(self) -> None:
        free = GetFree.ALWAYS if self._random.random() < 0.08 else GetFree.BY_KIND
        await self.get(self._some_indexes(), free)

    async def _scan(self) -> None:
        """Read forward, a few pages at a time, as readahead likes it."""
        width = self._random.choice((1, 4))
        for first in range(0, self.habits.pages, width):
            stop = min(first + width, self.habits.pages)
            await self.get(list(range(first, stop)), GetFree.NEVER)

    async def put(self, indexes: list[int], *, keep_old: bool) -> None:
        """Store a new version of some pages."""
        model = self.model
        version = model.next_version()
        payload = b"".join(page_of(model.program, index, version) for index in indexes)
        before = {index: model.versions(index) for index in indexes}
        # Stored, or refused (absent, or kept), or behind the refused one and as before.
        kept: Versions = frozenset() if keep_old and self._persistent else ABSENT
        for index in indexes:
            model.set(index, before[index] | {version} | kept)
        work = self._node.store.put_many(
            self.pool, self.object_id, indexes, payload, keep_old=keep_old
        )
        try:
            await self._bounded("put", indexes, self._node.config.put_wait_s, work)
        except StoreFullError as error:
            self._world.on_refused(self._node, str(error))
            return
        for index in indexes:
            model.stored(index, version, simulation_loop().true_time)

    @property
    def _persistent(self) -> bool:
        return self.habits.kind is PoolKind.PERSISTENT

    def _frees(self, free: GetFree) -> bool:
        by_kind = not self._persistent or self.habits.exclusive
        return free is GetFree.ALWAYS or (free is GetFree.BY_KIND and by_kind)

    async def get(self, indexes: list[int], free: GetFree) -> None:
        """Read pages and compare them with what they may be."""
        model, began = self.model, simulation_loop().true_time
        into = bytearray(UNTOUCHED * (PAGE_SIZE * len(indexes)))
        frees = self._frees(free)
        before = {index: model.versions(index) for index in indexes}
        if frees:
            for index in indexes:
                model.set(index, before[index] | ABSENT)
        wheres = self._wheres(indexes)
        work = self._node.store.get_many(self.pool, self.object_id, indexes, into, free=free)
        try:
            found = await self._bounded("get", indexes, self._node.config.fetch_deadline_s, work)
        except PageLostError as error:
            self._check_loss(error, indexes, began, wheres, changed=frozenset())
            return
        for row, index in enumerate(indexes):
            page = bytes(into[row * PAGE_SIZE : (row + 1) * PAGE_SIZE])
            if found[row]:
                right = model.match(index, page, before[index])
                assert right, self._wrong(index, page, before[index])
                model.set(index, ABSENT if frees else right)
            else:
                assert page == UNTOUCHED * PAGE_SIZE, "an absent page was written"
                assert None in before[index] or not self._persistent, (
                    f"{self._where(index)}: missing, should be one of {_shown(before[index])}"
                )
                model.set(index, ABSENT)

    async def _read_beside(self, index: int) -> None:
        model, mark, began = self.model, len(self.model.changes), simulation_loop().true_time
        may_be = model.versions(index)
        into = bytearray(PAGE_SIZE)
        wheres = self._wheres([index])
        work = self._node.store.get_many(
            self.pool, self.object_id, [index], into, free=GetFree.NEVER
        )
        try:
            found = await self._bounded("read", [index], self._node.config.fetch_deadline_s, work)
        except PageLostError as error:
            changed = frozenset(at for at, _ in model.changes[mark:])
            self._check_loss(error, [index], began, wheres, changed=changed)
            return
        for versions in model.changed_since(mark, index):
            may_be |= versions
        if found == b"\1":
            assert model.match(index, bytes(into), may_be), self._wrong(index, bytes(into), may_be)
        else:
            assert None in may_be or not self._persistent, (
                f"{self._where(index)}: missing for a reader, should be one of {_shown(may_be)}"
            )

    async def _flush_some(self) -> None:
        for index in self._some_indexes():
            may_be = self.model.versions(index)
            work = self._node.store.flush(self.pool, self.object_id, index)
            found = await self._bounded("flush", [index], 0.0, work)
            if self._persistent and may_be == ABSENT:
                assert not found, f"{self._where(index)}: flushed, should have been absent"
            if self._persistent and None not in may_be:
                assert found, f"{self._where(index)}: no page to flush, should be {_shown(may_be)}"
            self.model.set(index, ABSENT)

    async def _flush_range(self) -> None:
        start = self._random.randrange(self.habits.pages)
        stop = start + self._random.randrange(1, 10)
        for index in range(start, stop):
            self.model.set(index, self.model.versions(index) | ABSENT)
        work = self._node.store.flush_range(self.pool, self.object_id, start, stop)
        await self._bounded("flush_range", [start, stop], 0.0, work)
        for index in range(start, stop):
            self.model.set(index, ABSENT)

    async def _flush_object(self) -> None:
        for index in self.model.indexes():
            self.model.set(index, self.model.versions(index) | ABSENT)
        work = self._node.store.flush_object(self.pool, self.object_id)
        await self._bounded("flush_object", [], 0.0, work)
        self.model.clear()

    async def _recreate(self) -> None:
        """Destroy the pool and make another, as when an export is taken away and comes again."""
        for index in self.model.indexes():
            self.model.set(index, self.model.versions(index) | ABSENT)
        work = self._node.store.destroy_pool(self.pool)
        await self._bounded("destroy_pool", [], 0.0, work)
        self.model.clear()
        self._recreate_pool()

    # -- what always holds ------------------------------------------------------------------------

    async def _bounded(
        self, what: str, indexes: list[int], bound_s: float, work: Awaitable[T]
    ) -> T:
        """Wait for an operation, which may not take longer than its bound.

        Raises GivenUpError: its program did not want to wait any longer.
        """
        life, patience_s = self._node.life, None
        impatient = what in ("put", "get") and not self._world.resting
        if impatient and self._random.random() < self.habits.impatient:
            patience_s = self._random.choice((0.0, 0.001, 0.05))
        began, paused_s = life.now(), life.paused_s
        outcome = "cut off"
        try:
            if patience_s is None:
                result = await work
            else:
                async with asyncio.timeout(patience_s):
                    result = await work
            outcome = "ok" if not isinstance(result, bytes) else result.hex()
        except TimeoutError:
            outcome = "given up"
            raise GivenUpError from None
        except (PageLostError, StoreFullError) as error:
            outcome = f"{type(error).__name__} {error}"
            raise
        finally:
            self._took_s = life.now() - began
            took = self._took_s - (life.paused_s - paused_s)
            self._world.trace.add(self.model.program, what, indexes, outcome)
            self._world.on_took(what, took)
            assert took <= bound_s + SLACK_S or outcome == "cut off", (
                f"{what} of {self.model.program} took {took:.3f} s: the bound is {bound_s} s"
            )
        return result

    def _check_loss(
        self,
        error: PageLostError,
        indexes: list[int],
        began: float,
        wheres: dict[int, int],
        *,
        changed: frozenset[int],
    ) -> None:
        assert self._persistent, "an ephemeral page is a miss, not an error"
        assert set(error.indexes) <= set(indexes), "a page is lost that nobody asked for"
        assert error.indexes, "a loss of nothing"
        for index in error.indexes:
            loss = Loss(
                handle=(self.pool, self.object_id, index),
                where=wheres.get(index, 0),
                stored_at=self.model.stored_at(index),
                began=began,
                changed=index in changed,
                out_of_time=self._took_s >= 0.95 * self._node.config.fetch_deadline_s,
                reason=error.reason,
            )
            self._world.check_loss(self._node, loss)

    def _wheres(self, indexes: list[int]) -> dict[int, int]:
        """The words of those pages that are away; of interest where they can be lost."""
        if not self._persistent:
            return {}
        away = self._node.cache.peek_away(self.pool, self.object_id, indexes)
        return {indexes[at]: where for at, where in zip(away.positions, away.wheres, strict=True)}

    def _wrong(self, index: int, page: bytes, may_be: Versions) -> str:
        return (
            f"{self._where(index)}: wrong bytes, should be one of {_shown(may_be)}; "
            f"begins with {page[:48]!r}"
        )

    def _where(self, index: int) -> str:
        return f"program {self.model.program} page {index}"


def _shown(versions: Versions) -> list[int | str]:
    return ["absent" if v is None else v for v in sorted(versions, key=lambda v: (v is None, v))]
