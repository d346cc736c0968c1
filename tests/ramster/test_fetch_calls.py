"""Gets at the same time share calls; each keeps its own deadline and its own answer."""

from __future__ import annotations

import asyncio

import pytest

from ramster.blobs import Blob
from ramster.errors import PageLostError
from ramster.fetch_calls import CALLS_IN_FLIGHT_MAX, JOINED_PAGES_MAX, LINE_WAIT_MAX_S
from tests.ramster.test_fetcher import away_of, fetches, name_of, pair, spilled
from tests.support.fake_cluster import make_page
from tests.support.virtual_time import run, until
from zcache import PoolKind


def test_gets_at_the_same_time_share_calls() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            a.cluster.set_spill_target("none")
            chosen, before = away[::3][:60], fetches(cluster)
            pages = await asyncio.gather(*(a.get(pool, index) for index in chosen))
            assert pages == [make_page(index) for index in chosen]
            assert fetches(cluster) - before == CALLS_IN_FLIGHT_MAX + 1

    run(main())


def test_no_call_grows_beyond_its_bound() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            a.cluster.set_spill_target("none")
            before, count = fetches(cluster), CALLS_IN_FLIGHT_MAX + JOINED_PAGES_MAX + 1
            chosen = away[:count]
            await asyncio.gather(*(a.get(pool, index) for index in chosen))
            assert fetches(cluster) - before == CALLS_IN_FLIGHT_MAX + 2

    run(main())


def test_a_get_on_its_own_is_asked_for_at_once() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            for index in away[:5]:
                before, size = fetches(cluster), a.counters.fetch_bytes
                length = a.cache.peek_away(pool, 1, [index]).lengths[0]
                assert await a.get(pool, index) == make_page(index)
                assert fetches(cluster) - before == 1
                assert a.counters.fetch_bytes - size == length

    run(main())


def test_gets_that_wait_for_a_call_end_within_their_deadline_when_the_lender_is_silent() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0, fetch_deadline_s=2.0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.cut("a", "b")
            loop = asyncio.get_running_loop()
            began = loop.time()
            results = await asyncio.gather(
                *(a.get(pool, index) for index in away[:20]), return_exceptions=True
            )
            assert loop.time() - began <= 2.0 + 1e-6
            assert [type(result) for result in results] == [PageLostError] * 20
            cluster.network.heal()
            await until(lambda: a.sees("b"), within_s=30)
            for index in away[:20]:
                assert await a.get(pool, index) == make_page(index)

    run(main())


def test_no_get_waits_for_lost_calls_of_others() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0, fetch_deadline_s=4.0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.cut("a", "b")
            stuck = [asyncio.create_task(a.get(pool, index)) for index in away[:4]]
            await asyncio.sleep(0)
            cluster.network.heal()
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert await a.get(pool, away[10]) == make_page(away[10])
            assert loop.time() - began < 2 * LINE_WAIT_MAX_S
            assert await asyncio.gather(*stuck) == [make_page(index) for index in away[:4]]

    run(main())


def test_a_cancelled_get_takes_no_other_with_it() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            gets = [asyncio.create_task(a.get(pool, index)) for index in away[:12]]
            await asyncio.sleep(0)
            for get in gets[::2]:
                get.cancel()
            for index, get in zip(away[1:12:2], gets[1::2], strict=True):
                assert await get == make_page(index)
            for index in away_of(a, pool)[:5]:
                assert await a.get(pool, index) == make_page(index)

    run(main())


def test_gets_that_wait_when_the_node_stops_are_told() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.cut("a", "b")
            gets = [asyncio.create_task(a.get(pool, index)) for index in away[:12]]
            await asyncio.sleep(0)
            await a.stop()
            for get in gets:
                with pytest.raises(PageLostError):
                    await get

    run(main())


def test_all_who_share_a_call_are_told_that_its_lender_cannot_be_reached() -> None:
    """So that each may go on to another holder; the call is repeated all the same."""

    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            calls = a.cluster._fetcher._copies._calls
            lender = a.cluster._membership.peer("b").lender
            assert lender is not None
            names = [name for index in away[:10] if (name := name_of(a, pool, index))]
            told: list[int] = []
            handler = cluster.network._handlers["b"]
            cluster.network.down("b")
            deadline = asyncio.get_running_loop().time() + 3.0
            asks = [
                asyncio.create_task(
                    calls.ask(
                        lender,
                        PoolKind.PERSISTENT,
                        [name],
                        deadline,
                        lambda number=number: told.append(number),
                    )
                )
                for number, name in enumerate(names)
            ]
            await until(lambda: set(told) == set(range(10)), within_s=LINE_WAIT_MAX_S + 0.01)
            assert not any(ask.done() for ask in asks)
            cluster.network.up("b", handler)
            answers = await asyncio.gather(*asks)
            for name, answer in zip(names, answers, strict=True):
                blob = answer[name]
                assert isinstance(blob, Blob)
                assert (blob.key, blob.generation) == name

    run(main())
