"""Pages that move while they are away: made safe again, taken from lenders that leave, brought
home."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ramster.errors import PageLostError
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.virtual_time import run, until
from zcache import PoolKind

KIB = 1024
PAGES = 300
SMALL = {"pool_bytes": 256 * KIB, "lend_bytes": 0}


def cluster(names: str = "a b c d", *, replicas: int = 2, **knobs: Any) -> FakeCluster:
    """Node a is small and lends nothing; the others have room for all of its pages."""
    settings: dict[str, Any] = {
        "only_a": SMALL,
        "pool_bytes": 2 * MIB,
        "repatriate_bytes_per_s": 0,
        "replicas": replicas,
    }
    return FakeCluster(names, **{**settings, **knobs})


async def filled(node: Node, *, version: int = 0) -> int:
    """A pool of pages, most of them away, nothing on its way."""
    pool = node.pool()
    await fill(node, pool, PAGES, version=version)
    await until(lambda: not node.cluster.snapshot().spill_bytes_in_flight)
    assert node.away > PAGES // 2
    return pool


async def check_all(node: Node, pool: int, *, version: int = 0) -> None:
    for index in range(PAGES):
        assert await node.get(pool, index) == make_page(index, version)


def short(node: Node) -> int:
    return node.cluster.snapshot().pages_under_replicated


def now() -> float:
    return asyncio.get_running_loop().time()


# -- rebuilding


def test_copies_lost_with_a_lender_are_made_again_elsewhere() -> None:
    async def scenario() -> None:
        async with cluster() as nodes:
            a = nodes["a"]
            pool = await filled(a)
            assert short(a) == 0
            await nodes["b"].crash()
            await until(lambda: a.peer("b").state == "dead")
            assert short(a) > 0
            await until(lambda: short(a) == 0)
            assert a.counters.pages_rebuilt > 0
            await nodes["c"].crash()  # one fault after the other: nothing is lost
            await check_all(a, pool)

    run(scenario())


def test_a_lender_that_restarts_is_given_copies_again() -> None:
    """Its former life is no reason to pass over its node."""

    async def scenario() -> None:
        async with cluster("a b c") as nodes:
            a = nodes["a"]
            pool = await filled(a)
            await nodes["b"].crash()
            await nodes["b"].start()
            await until(lambda: a.counters.lenders_gone == 1)
            await until(lambda: short(a) == 0)
            await nodes["c"].crash()
            await check_all(a, pool)

    run(scenario())


def test_rebuilding_keeps_to_its_rate() -> None:
    async def scenario() -> None:
        rate = 64 * KIB
        async with cluster("a b c", rebuild_bytes_per_s=rate) as nodes:
            a = nodes["a"]
            await filled(a)
            size = a.away * 2 * KIB
            await nodes["b"].crash()
            await nodes["b"].start()
            await until(lambda: short(a) > 0)
            began = now()
            await until(lambda: short(a) == 0)
            assert size / rate * 0.5 < now() - began < size / rate * 1.5 + 1

    run(scenario())


def test_without_a_further_lender_pages_stay_readable_and_are_made_whole_when_one_comes() -> None:
    async def scenario() -> None:
        async with cluster("a b c") as nodes:
            a = nodes["a"]
            pool = await filled(a)
            await nodes["b"].crash()
            await until(lambda: a.peer("b").state == "dead")
            await check_all(a, pool)
            assert short(a) > 0
            await nodes["b"].start()
            await until(lambda: short(a) == 0)

    run(scenario())


def test_a_page_that_changes_while_it_is_copied_leaves_no_copy_behind() -> None:
    async def scenario() -> None:
        async with cluster(rebuild_bytes_per_s=64 * KIB) as nodes:
            a = nodes["a"]
            nodes.network.delay_s = (0.01, 0.05)
            pool = await filled(a)
            await nodes["b"].crash()
            await until(lambda: a.counters.pages_rebuilt > 0)
            for index in range(0, PAGES, 2):
                await a.put(pool, index, make_page(index, 1))
            for index in range(1, PAGES, 4):
                await a.store.flush(pool, 1, index)
            await until(lambda: short(a) == 0)
            await nodes["b"].start()
            await until(nodes.accounts_agree)
            for index in range(PAGES):
                expected = make_page(index, 1) if index % 2 == 0 else make_page(index)
                if index % 4 == 1:
                    expected = None  # type: ignore[assignment]
                assert await a.get(pool, index) == expected

    run(scenario())


def test_ephemeral_pages_are_not_rebuilt() -> None:
    async def scenario() -> None:
        async with cluster(spill_ephemeral=True) as nodes:
            a = nodes["a"]
            pool = a.pool(PoolKind.EPHEMERAL)
            await fill(a, pool, PAGES)
            await until(lambda: a.away > 0 and not a.cluster.snapshot().spill_bytes_in_flight)
            assert sum(nodes[name].foreign for name in "bcd") == a.away  # one copy each
            await nodes["b"].crash()
            await until(lambda: a.peer("b").state == "dead")
            assert short(a) == 0
            assert a.counters.pages_rebuilt == 0

    run(scenario())


# -- leaving lenders


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_draining_lender_is_emptied_and_its_end_costs_nothing(replicas: int) -> None:
    async def scenario() -> None:
        async with cluster(replicas=replicas) as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await filled(a)
            held = b.foreign
            assert held > 0
            report = await b.cluster.drain(10.0)
            assert report.left == 0
            assert report.handed_over == held
            assert report.took_s < 3.0
            assert b.foreign == 0
            await b.stop()
            await check_all(a, pool)
            assert a.counters.pages_lost == 0
            assert short(a) == 0

    run(scenario())


def test_every_lender_can_be_restarted_one_by_one_without_a_second_copy() -> None:
    async def scenario() -> None:
        async with cluster(replicas=1) as nodes:
            a = nodes["a"]
            pool = await filled(a)
            for name in "bcd":
                assert (await nodes[name].cluster.drain(10.0)).left == 0
                await nodes[name].stop()
                await nodes[name].start()
                await until(nodes.all_alive)
            await check_all(a, pool)
            assert a.counters.pages_lost == 0
            await until(nodes.accounts_agree)

    run(scenario())


def test_pages_of_a_draining_lender_come_home_when_there_is_room() -> None:
    async def scenario() -> None:
        async with cluster("a b", replicas=1) as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await filled(a)
            away = a.cache.peek_away(pool, 1, range(PAGES))
            gone = set(away.positions)
            await a.store.flush_range(pool, 1, 0, PAGES - 20)  # the coldest ones, mostly away
            for index in range(PAGES - 20, PAGES):
                gone.discard(index)
            left = a.away
            assert (await b.cluster.drain(10.0)).left == 0
            assert a.away == 0
            assert a.counters.pages_evacuated == left

    run(scenario())


def test_a_drain_ends_in_time_when_the_owner_has_no_room_anywhere() -> None:
    async def scenario() -> None:
        async with cluster("a b", replicas=1) as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await filled(a)
            report = await b.cluster.drain(2.0)
            assert report.left > 0
            assert report.took_s == pytest.approx(2.0, abs=0.1)
            await check_all(a, pool)  # it still gives what it holds

    run(scenario())


def test_a_draining_lender_does_not_wait_for_a_third_node_that_is_not_there() -> None:
    """Its copies would go with it anyway; they are made again when it is back."""

    async def scenario() -> None:
        async with cluster("a b c") as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await filled(a)
            report = await b.cluster.drain(10.0)
            assert (report.left, report.took_s < 3.0) == (0, True)
            await b.stop()
            await check_all(a, pool)
            assert short(a) > 0
            await b.start()
            await until(lambda: short(a) == 0)

    run(scenario())


def test_a_disk_that_hangs_does_not_keep_pages_from_other_lenders() -> None:
    async def scenario() -> None:
        async with cluster("a b c", replicas=1, only_a={**SMALL, "writeback_bytes": MIB}) as nodes:
            a, b = nodes["a"], nodes["b"]
            await nodes["c"].crash()
            pool = await filled(a)
            a.disk.hang()
            drain = asyncio.create_task(b.cluster.drain(30.0))
            await asyncio.sleep(1.0)
            await nodes["c"].start()
            assert (await drain).left == 0
            a.disk.go_on()
            await check_all(a, pool)

    run(scenario())


def test_a_lender_that_needs_room_gets_its_guests_moved() -> None:
    """Node b fills with pages of its own and cannot spill them: a takes its pages elsewhere."""

    async def scenario() -> None:
        async with cluster(
            "a b c", replicas=1, only_b={"pool_bytes": MIB, "spill_target": "none"}, put_wait_s=10.0
        ) as nodes:
            a, b = nodes["a"], nodes["b"]
            await nodes["c"].crash()
            pool = await filled(a)
            held = b.foreign
            assert held > 0
            await nodes["c"].start()
            await until(nodes.all_alive)
            own = b.pool()
            await fill(b, own, 420)  # more than fits beside the guests
            await until(lambda: b.foreign < held)
            assert a.counters.pages_evacuated > 0
            await check_all(a, pool)
            for index in range(420):
                assert await b.get(own, index) == make_page(index)
            assert a.counters.pages_lost == 0

    run(scenario())


# -- coming home


def test_pages_come_home_at_a_limited_rate_when_there_has_been_room_for_a_while() -> None:
    async def scenario() -> None:
        rate = 32 * KIB
        async with cluster(
            "a b", replicas=1, repatriate_after_s=5.0, repatriate_bytes_per_s=rate
        ) as nodes:
            a = nodes["a"]
            pool = await filled(a)
            away = [i for i in range(PAGES) if len(a.cache.peek_away(pool, 1, [i]))]
            keep = set(away[-60:])
            for index in range(PAGES):
                if index not in keep:
                    await a.store.flush(pool, 1, index)
            size, began = a.away * 2 * KIB, now()
            await asyncio.sleep(4.0)
            assert a.away == 60  # not yet
            await until(lambda: a.away == 0)
            assert a.counters.pages_repatriated == 60
            assert now() - began > 4.0 + size / rate * 0.5
            await until(nodes.accounts_agree)
            for index in keep:
                assert await a.get(pool, index) == make_page(index)

    run(scenario())


def test_nothing_comes_home_while_there_is_no_room() -> None:
    async def scenario() -> None:
        async with cluster(
            "a b", replicas=1, repatriate_after_s=0.0, repatriate_bytes_per_s=MIB
        ) as nodes:
            a = nodes["a"]
            await filled(a)
            before = a.away
            await asyncio.sleep(30.0)
            assert a.counters.pages_repatriated == 0
            assert a.away == before

    run(scenario())


# -- what always holds


def test_with_one_copy_a_crash_loses_exactly_what_that_lender_held() -> None:
    async def scenario() -> None:
        async with cluster("a b c", replicas=1) as nodes:
            a = nodes["a"]
            pool = await filled(a)
            held = nodes["b"].foreign
            await nodes["b"].crash()
            await nodes["b"].start()
            await until(lambda: a.counters.lenders_gone == 1)
            lost = 0
            for index in range(PAGES):
                try:
                    assert await a.get(pool, index) == make_page(index)
                except PageLostError:
                    lost += 1
            assert lost == held == a.cluster.snapshot().pages_lost

    run(scenario())
