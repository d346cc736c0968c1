"""Writers wait for room in the order they came."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from ramster.errors import StoreClosedError
from ramster.room import PendingPut, RoomQueue
from tests.support.virtual_time import run
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind, PoorCompressionError


def in_s(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


class Gate:
    """Room that tests give out."""

    def __init__(self) -> None:
        self.room = 0
        self.stored: list[str] = []

    def attempt(self, name: str, size: int = 1) -> bool:
        if size > self.room:
            return False
        self.room -= size
        self.stored.append(name)
        return True


def test_an_attempt_that_succeeds_at_once_does_not_wait() -> None:
    async def main() -> None:
        gate, queue = Gate(), RoomQueue()
        gate.room = 1
        assert await queue.until(lambda: gate.attempt("a"), in_s(0))

    run(main())


def test_without_time_to_wait_the_answer_is_no() -> None:
    async def main() -> None:
        gate, queue = Gate(), RoomQueue()
        assert not await queue.until(lambda: gate.attempt("a"), in_s(0))
        assert len(queue) == 0

    run(main())


def test_an_attempt_made_a_moment_ago_is_not_made_again_until_there_may_be_room() -> None:
    async def main() -> None:
        gate, queue = Gate(), RoomQueue()
        gate.room = 1
        assert not await queue.until(lambda: gate.attempt("a"), in_s(0), tried=True)
        waiting = asyncio.create_task(queue.until(lambda: gate.attempt("b"), in_s(10), tried=True))
        await asyncio.sleep(1)
        assert gate.stored == []
        queue.wake()
        assert await waiting
        assert gate.stored == ["b"]

    run(main())


def test_waiters_are_served_first_come_first_served_and_newcomers_queue_behind_them() -> None:
    async def main() -> None:
        gate, queue = Gate(), RoomQueue()

        async def writer(name: str, size: int) -> bool:
            return await queue.until(lambda: gate.attempt(name, size), in_s(10))

        big = asyncio.create_task(writer("big", 3))
        await asyncio.sleep(0)
        small = asyncio.create_task(writer("small", 1))
        await asyncio.sleep(0)
        gate.room = 1  # enough for the small one, which came later
        queue.wake()
        await asyncio.sleep(1)
        newcomer = asyncio.create_task(writer("newcomer", 1))
        await asyncio.sleep(1)
        assert gate.stored == []
        gate.room = 5
        queue.wake()
        assert await big
        assert await small  # no further wake was needed
        assert await newcomer
        assert gate.stored == ["big", "small", "newcomer"]

    run(main())


def test_a_waiter_that_runs_out_of_time_lets_the_next_one_try() -> None:
    async def main() -> None:
        gate, queue = Gate(), RoomQueue()
        first = asyncio.create_task(queue.until(lambda: gate.attempt("big", 9), in_s(1)))
        await asyncio.sleep(0)
        second = asyncio.create_task(queue.until(lambda: gate.attempt("small"), in_s(5)))
        await asyncio.sleep(0)
        gate.room = 1
        assert not await first
        assert await second

    run(main())


def test_a_cancelled_waiter_lets_the_next_one_try() -> None:
    async def main() -> None:
        gate, queue = Gate(), RoomQueue()
        first = asyncio.create_task(queue.until(lambda: gate.attempt("big", 9), in_s(9)))
        await asyncio.sleep(0)
        second = asyncio.create_task(queue.until(lambda: gate.attempt("small"), in_s(5)))
        await asyncio.sleep(0)
        gate.room = 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second

    run(main())


def test_an_exception_of_an_attempt_reaches_its_caller_and_frees_the_turn() -> None:
    async def main() -> None:
        gate, queue = Gate(), RoomQueue()
        broken = False

        def attempt() -> bool:
            if broken:
                raise LookupError("the pool is gone")
            return False

        first = asyncio.create_task(queue.until(attempt, in_s(9)))
        await asyncio.sleep(0)
        second = asyncio.create_task(queue.until(lambda: gate.attempt("next"), in_s(5)))
        await asyncio.sleep(0)
        gate.room, broken = 1, True
        queue.wake()
        with pytest.raises(LookupError):
            await first
        assert await second

    run(main())


def test_closing_sends_everybody_away() -> None:
    async def main() -> None:
        queue = RoomQueue()
        waiters = [asyncio.create_task(queue.until(lambda: False, in_s(9))) for _ in range(3)]
        await asyncio.sleep(0)
        queue.close()
        for waiter in waiters:
            with pytest.raises(StoreClosedError):
                await waiter
        with pytest.raises(StoreClosedError):
            await queue.until(lambda: True, in_s(9))

    run(main())


def full_cache(frames: int = 8) -> tuple[Cache, int, int]:
    """A cache, its pool and how many pages fit."""
    cache = Cache(CacheConfig(pool_bytes_max=frames * PAGE_SIZE))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    return cache, pool, frames


def random_pages(count: int) -> bytes:
    """Pages that take a frame each."""
    return Random(1).randbytes(count * PAGE_SIZE)


def test_a_pending_put_goes_on_where_it_was_refused() -> None:
    cache, pool, frames = full_cache()
    payload = random_pages(frames + 2)
    put = PendingPut(cache, pool, 1, range(frames + 2), payload, keep_old=False)
    assert not put()
    assert put.stored == frames
    assert put.refusal is not None
    cache.flush_range(pool, 1, 0, 2)
    assert put()
    assert put.stored == frames + 2
    for index in range(2, frames + 2):
        assert cache.get(pool, 1, index) == payload[index * PAGE_SIZE : (index + 1) * PAGE_SIZE]


def test_another_refusal_tells_the_pages_stored_in_all_attempts() -> None:
    cache, pool, frames = full_cache()
    payload = random_pages(frames + 1)
    put = PendingPut(cache, pool, 1, range(frames + 1), payload, keep_old=False)
    assert not put()
    cache.reconfigure(incompressible="refuse")
    with pytest.raises(PoorCompressionError) as refused:
        put()
    assert refused.value.stored == frames
