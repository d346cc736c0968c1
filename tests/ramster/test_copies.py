"""Reading pages that have several copies: from whoever gives them first, and never a bad one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ramster.errors import PageLostError
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.virtual_time import run, until
from zcache import PAGE_SIZE, PoolKind, place_of

PAGES = 600


def several(names: str = "a b c", **knobs: Any) -> FakeCluster:
    """A small node a, and lenders with room for all it has. Nothing moves, nothing is read ahead
    and nobody is suspect for silence, unless a test says so.
    """
    common = {
        "replicas": 2,
        "pool_bytes": 4 * MIB,
        "readahead_pages": 0,
        "repatriate_bytes_per_s": 0,
        "rebuild_bytes_per_s": 4096,
        "heartbeat_interval_s": 50.0,
        "suspect_after_s": 100.0,
        "dead_after_s": 200.0,
        "lease_s": 2000.0,
    }
    own = {"pool_bytes": MIB} | knobs.pop("only_a", {})
    return FakeCluster(names, only_a=own, **(common | knobs))


async def spilled(cluster: FakeCluster) -> tuple[int, list[int]]:
    """Pages of node a; the pool, and the indexes of those that are away.

    Its pool is between the watermarks then: a page that is read once does not come home.
    """
    a = cluster["a"]
    pool, more = a.pool(), 0
    await fill(a, pool, PAGES)
    await until(lambda: a.away > 0 and cluster.accounts_agree())
    while a.cache.excess_bytes(a.cache.config.low_watermark) == 0:
        await a.put(pool, more, make_page(more), object_id=2)
        more += 1
    assert a.cache.excess_bytes(a.cache.config.high_watermark) == 0
    return pool, list(a.cache.peek_away(pool, 1, range(PAGES)).positions)


def now() -> float:
    return asyncio.get_running_loop().time()


def fetches(cluster: FakeCluster) -> list[str]:
    """Whom fetch calls went to, in order."""
    return [to for _, to, call in cluster.network.calls if call == "fetch"]


def silence(*names: str, calls: tuple[str, ...] = ("fetch",)) -> Callable[..., Any]:
    """These lenders do not answer these calls."""

    def lose(source: str, to: str, call: str, message: Any) -> Any:
        return None if to in names and call in calls else message

    return lose


async def is_read_right(node: Node, pool: int, index: int) -> float:
    """Read one page, which must be the right one; how long it took."""
    began = now()
    assert await node.get(pool, index) == make_page(index)
    return now() - began


# -- who is asked
# ----------------------------------------------------------------------------------------------


def test_reads_are_spread_over_the_holders_and_each_asks_one() -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            before = len(fetches(cluster))
            for index in away[:60]:
                assert await is_read_right(a, pool, index) < 0.01
            asked = fetches(cluster)[before:]
            assert len(asked) == 60
            assert min(asked.count("b"), asked.count("c")) > 10
            assert a.counters.fetches_hedged == 0

    run(main())


def test_a_read_fails_over_at_once_when_a_holder_is_down() -> None:
    """No read waits for more than the failure to be seen."""

    async def main() -> None:
        async with several(hedge_after_s=1.0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.down("b")
            for index in away[:30]:
                assert await is_read_right(a, pool, index) < 0.01
            assert a.counters.fetches_hedged == 0
            assert a.peer("b").state == "suspect"

    run(main())


def test_of_three_holders_one_that_is_down_brings_in_one_other() -> None:
    async def main() -> None:
        async with several("a b c d", replicas=3) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.down("b")
            for index in away[:20]:
                assert await is_read_right(a, pool, index) < 0.01
            asked = fetches(cluster)
            assert asked.count("b") == 1
            assert len(asked) == 21

    run(main())


def test_a_silent_holder_is_helped_out_after_a_short_wait_and_asked_last_for_a_while() -> None:
    async def main() -> None:
        async with several(hedge_after_s=0.1) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.tamper_request = silence("b")
            took = [await is_read_right(a, pool, index) for index in away[:60]]
            slow = [time for time in took if time > 0.01]
            assert len(slow) == 1, "one read finds out, the next ones go to the other at first"
            assert slow[0] == pytest.approx(0.1, abs=0.01)
            assert a.counters.fetches_hedged == 1
            assert fetches(cluster).count("b") == 1
            await asyncio.sleep(1.5)
            again = [await is_read_right(a, pool, index) for index in away[60:120]]
            assert sum(time > 0.01 for time in again) == 1, "it is given another chance"

    run(main())


def test_a_suspect_holder_is_asked_last() -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            membership = a.cluster._membership
            lender = membership.peer("b").lender
            assert lender is not None
            cluster.network.cut("a", "b")
            membership.on_slow(lender, "a spill", now=now())
            before = len(fetches(cluster))
            for index in away[:20]:
                assert await is_read_right(a, pool, index) < 0.01
            assert set(fetches(cluster)[before:]) == {"c"}

    run(main())


def test_a_dead_holder_is_not_asked() -> None:
    async def main() -> None:
        async with several(
            heartbeat_interval_s=1.0, suspect_after_s=2.0, dead_after_s=4.0
        ) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.cut("a", "b")
            await until(lambda: a.peer("b").state == "dead")
            before = len(fetches(cluster))
            for index in away[:20]:
                assert await is_read_right(a, pool, index) < 0.01
            assert set(fetches(cluster)[before:]) == {"c"}
            assert a.cluster.snapshot().pages_unreachable == 0

    run(main())


def test_a_holder_that_restarted_is_not_asked_for_pages_of_its_former_life() -> None:
    async def main() -> None:
        async with several() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            await b.crash()
            await b.start()
            assert await is_read_right(a, pool, away[0]) < 0.1
            for index in away[1:40]:
                assert await is_read_right(a, pool, index) < 0.1
            assert a.counters.pages_lost == 0
            assert a.counters.copies_struck == 0

    run(main())


# -- what is left of it
# ----------------------------------------------------------------------------------------


def test_a_hedged_read_leaves_nothing_running() -> None:
    async def main() -> None:
        async with several(hedge_after_s=0.1) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            before = asyncio.all_tasks()
            cluster.network.tamper_request = silence("b")
            for index in away[:20]:
                await is_read_right(a, pool, index)
            assert a.counters.fetches_hedged > 0
            await asyncio.sleep(0.05)  # a task of the other side's answer may be at its end
            assert asyncio.all_tasks() <= before
            assert a.cluster._fetcher._on_their_way == {}

    run(main())


def test_a_cancelled_read_leaves_nothing_running() -> None:
    async def main() -> None:
        async with several(hedge_after_s=0.1) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            before = asyncio.all_tasks()
            cluster.network.tamper_request = silence("b", "c")
            get = asyncio.create_task(a.get(pool, away[0]))
            await asyncio.sleep(0.5)
            assert a.counters.fetches_hedged == 1
            get.cancel()
            with pytest.raises(asyncio.CancelledError):
                await get
            await asyncio.sleep(0.05)
            assert asyncio.all_tasks() <= before
            cluster.network.tamper_request = None
            await is_read_right(a, pool, away[0])

    run(main())


def test_many_reads_at_once_of_a_silent_holders_pages_cost_one_short_wait() -> None:
    async def main() -> None:
        async with several(hedge_after_s=0.1) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            before = asyncio.all_tasks()
            cluster.network.tamper_request = silence("b")
            took = await asyncio.gather(*(is_read_right(a, pool, index) for index in away[:100]))
            assert max(took) < 0.25
            await asyncio.sleep(a.cluster.config.fetch_deadline_s)
            assert asyncio.all_tasks() <= before

    run(main())


# -- nobody answers
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_when_all_holders_are_silent_the_loss_is_told_within_the_deadline(replicas: int) -> None:
    """R10: no get waits for longer than configured, however many copies there are."""

    async def main() -> None:
        async with several("a b c d", replicas=replicas, fetch_deadline_s=2.0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.tamper_request = silence("b", "c", "d")
            began = now()
            with pytest.raises(PageLostError, match=r"no answer from . within 2 s") as error:
                await a.get(pool, away[0])
            assert error.value.indexes == [away[0]]
            assert now() - began == pytest.approx(2.0, abs=0.01)
            cluster.network.tamper_request = None
            await is_read_right(a, pool, away[0])

    run(main())


def test_when_all_holders_are_down_the_loss_is_told_within_the_deadline() -> None:
    async def main() -> None:
        async with several(fetch_deadline_s=2.0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            handlers = {name: cluster.network._handlers[name] for name in "bc"}
            cluster.network.down("b")
            cluster.network.down("c")
            began = now()
            with pytest.raises(PageLostError):
                await a.get(pool, away[0])
            assert now() - began <= 2.01
            for name, handler in handlers.items():
                cluster.network.up(name, handler)
            await is_read_right(a, pool, away[0])

    run(main())


def test_a_connection_that_breaks_at_both_holders_for_a_moment_costs_a_moment() -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            handlers = {name: cluster.network._handlers[name] for name in "bc"}
            for name in handlers:
                cluster.network.down(name)
            get = asyncio.create_task(is_read_right(a, pool, away[0]))
            await asyncio.sleep(0.3)
            for name, handler in handlers.items():
                cluster.network.up(name, handler)
            assert await get < 1.0

    run(main())


# -- copies that are bad
# ---------------------------------------------------------------------------------------


def name_of(node: Node, pool: int, index: int) -> tuple[int, int]:
    away = node.cache.peek_away(pool, 1, [index])
    return away.keys[0], away.generations[0]


def lose_at(lender: Node, name: tuple[int, int], kind: PoolKind = PoolKind.PERSISTENT) -> None:
    """A lender drops a page of node a and tells nobody."""
    lease = next(lease for lease in lender.cluster._foreign.leases if lease.owner == "a")
    key, generation = name
    assert lender.cache.flush_adopted(lease.pools[kind], 0, [key], [generation]) == 1


def test_a_missing_copy_is_struck_off_and_the_other_served() -> None:
    async def main() -> None:
        async with several() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            for index in away[:20]:
                lose_at(b, name_of(a, pool, index))
            a.cluster.set_spill_target("none")  # nothing is rebuilt for now
            for index in away[:20]:
                assert await is_read_right(a, pool, index) < 0.01
            struck = [
                index
                for index, place in a.places(pool, PAGES).items()
                if [lender.node for lender in place.lenders] == ["c"]
            ]
            assert struck
            assert set(struck) <= set(away[:20])
            assert a.counters.copies_struck == len(struck) < 20, "some were read at c at first"
            assert a.cluster.snapshot().pages_under_replicated == len(struck)
            assert a.counters.pages_lost == 0
            a.cluster.set_spill_target("auto")
            await until(lambda: a.cluster.snapshot().pages_under_replicated == 0)
            for index in away[:20]:
                await is_read_right(a, pool, index)

    run(main())


def test_a_corrupt_copy_is_struck_off_and_flushed_and_the_other_served() -> None:
    """Checklist 57: the checksum is verified at receipt; corruption is refused, not returned."""

    async def main() -> None:
        async with several(rebuild_bytes_per_s=1 << 20) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            names = {index: name_of(a, pool, index) for index in away[:20]}

            def flip(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "fetch" and to == "b" and len(reply.blobs):
                    payload = bytearray(reply.blobs.payload)
                    payload[0] ^= 1
                    reply.blobs.payload = payload
                return reply

            cluster.network.tamper_reply = flip
            for index in names:
                assert await is_read_right(a, pool, index) < 0.01
            struck = a.counters.copies_struck
            assert 0 < struck < 20
            assert a.counters.pages_corrupt == struck
            assert a.counters.pages_lost == 0
            cluster.network.tamper_reply = None
            await until(lambda: a.cluster.snapshot().pages_under_replicated == 0)
            await until(cluster.accounts_agree)
            assert b.foreign == cluster["c"].foreign == a.away
            for index in names:
                await is_read_right(a, pool, index)

    run(main())


def test_a_page_whose_copies_are_all_bad_is_lost_and_no_copy_is_struck_off() -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)

            def flip(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "fetch" and len(reply.blobs):
                    payload = bytearray(reply.blobs.payload)
                    payload[-1] ^= 1
                    reply.blobs.payload = payload
                return reply

            cluster.network.tamper_reply = flip
            with pytest.raises(PageLostError, match=r"the copy of . fails its checksum"):
                await a.get(pool, away[0])
            assert a.counters.copies_struck == 0
            assert a.counters.pages_corrupt == 2
            cluster.network.tamper_reply = None
            await is_read_right(a, pool, away[0])

    run(main())


def test_a_lender_that_gives_another_page_under_this_ones_name_is_not_believed() -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            other = make_page(10_000)

            def swap(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "fetch" and to == "b" and len(reply.blobs):
                    reply.blobs.payload = (other * 2)[: len(reply.blobs.payload)]
                return reply

            cluster.network.tamper_reply = swap
            for index in away[:30]:
                await is_read_right(a, pool, index)
            assert a.counters.copies_struck > 0

    run(main())


def test_a_copy_that_is_bad_is_not_struck_off_a_page_that_changed_meanwhile() -> None:
    async def main() -> None:
        async with several() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            index = away[0]
            lose_at(b, name_of(a, pool, index))
            cluster.network.delay_s = (0.05, 0.05)
            get = asyncio.create_task(a.get(pool, index))
            await asyncio.sleep(0.01)
            await a.put(pool, index, make_page(index, 1))
            assert await get == make_page(index, 1)
            assert a.counters.copies_struck == 0
            cluster.network.delay_s = (0.0001, 0.001)
            await until(cluster.accounts_agree)

    run(main())


def test_a_page_that_moved_meanwhile_is_not_waited_for_at_a_silent_holder() -> None:
    """Else a get spends its time there, and has none left for where the page is by then."""

    async def main() -> None:
        async with several(hedge_after_s=0.1) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.tamper_request = silence("b")
            waited = 0
            for index in away[:20]:
                began, asked = now(), fetches(cluster).count("b")
                get = asyncio.create_task(a.get(pool, index))
                await asyncio.sleep(0)
                await a.put(pool, index, make_page(index, 1))
                assert await get == make_page(index, 1)
                assert now() - began < 0.12
                waited += fetches(cluster).count("b") > asked
            assert waited > 0
            assert a.counters.pages_lost == 0

    run(main())


def test_an_ephemeral_page_whose_one_copy_is_gone_is_a_miss() -> None:
    async def main() -> None:
        async with several(spill_ephemeral=True) as cluster:
            a = cluster["a"]
            pool = a.pool(PoolKind.EPHEMERAL)
            await fill(a, pool, 480)
            await until(lambda: a.away > 0 and cluster.accounts_agree())
            index, place = next(iter(a.places(pool, 480).items()))
            assert len(place.lenders) == 1
            lender = cluster[place.lenders[0].node]
            lose_at(lender, name_of(a, pool, index), PoolKind.EPHEMERAL)
            assert await a.get(pool, index) is None
            assert a.counters.ephemeral_lost == 1

    run(main())


# -- many pages
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["none", "down", "silent", "losing half"])
def test_a_large_read_is_right_whatever_one_holder_does(fault: str) -> None:
    async def main() -> None:
        async with several("a b c d", hedge_after_s=0.1) as cluster:
            a = cluster["a"]
            pool, _ = await spilled(cluster)
            if fault == "down":
                cluster.network.down("b")
            elif fault == "silent":
                cluster.network.tamper_request = silence("b")
            elif fault == "losing half":
                cluster.network.tamper_reply = lambda source, to, call, reply: (
                    None if to == "b" and cluster.network.random.random() < 0.5 else reply
                )
            into = bytearray(PAGES * PAGE_SIZE)
            began = now()
            assert await a.store.get_many(pool, 1, range(PAGES), into) == b"\1" * PAGES
            assert into == b"".join(make_page(index) for index in range(PAGES))
            assert now() - began < 1.0

    run(main())


def test_pages_read_ahead_are_not_worth_a_second_holder() -> None:
    async def main() -> None:
        async with several(readahead_pages=32) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            first = next(index for index in away if set(range(index, index + 6)) <= set(away))
            cluster.network.tamper_request = silence("c", calls=("hello", "heartbeat"))
            lender = a.cluster._membership.peer("c").lender
            assert lender is not None
            a.cluster._membership.on_slow(lender, "so that b is asked first", now=now())
            for index in range(first + 2, first + 6):
                lose_at(b, name_of(a, pool, index))
            await is_read_right(a, pool, first)
            await is_read_right(a, pool, first + 1)
            assert fetches(cluster) == ["b", "b"]
            assert a.counters.pages_fetched == 2, "the others were asked for and not there"
            await is_read_right(a, pool, first + 2)
            assert fetches(cluster)[2:] == ["b", "c"]

    run(main())


# -- the write-back file
# ---------------------------------------------------------------------------------------


def test_a_page_at_a_silent_lender_is_read_from_the_file_after_a_short_wait() -> None:
    async def main() -> None:
        async with several(
            replicas=1,
            writeback_safety=True,
            hedge_after_s=0.1,
            only_a={"writeback_bytes": 8 * MIB},
        ) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            assert a.writeback.pages == len(away)
            assert await is_read_right(a, pool, away[0]) < 0.01
            assert a.disk.reads == 0, "a lender is asked before the file"
            cluster.network.tamper_request = silence("b", "c")
            took = [await is_read_right(a, pool, index) for index in away[:60]]
            assert max(took) < 0.12
            assert a.disk.reads > 0
            assert a.counters.pages_lost == 0

    run(main())


def test_a_page_whose_lender_is_down_is_read_from_the_file_at_once() -> None:
    async def main() -> None:
        async with several(
            replicas=1,
            writeback_safety=True,
            hedge_after_s=1.0,
            only_a={"writeback_bytes": 8 * MIB},
        ) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.down("b")
            cluster.network.down("c")
            for index in away[:20]:
                assert await is_read_right(a, pool, index) < 0.02

    run(main())


def test_a_bad_copy_at_the_only_lender_is_struck_off_where_the_file_has_a_good_one() -> None:
    async def main() -> None:
        async with several(
            "a b", replicas=1, writeback_safety=True, only_a={"writeback_bytes": 8 * MIB}
        ) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            for index in away[:10]:
                lose_at(b, name_of(a, pool, index))
                assert await is_read_right(a, pool, index) < 0.01
            places = a.places(pool, PAGES)
            assert {places[index].names for index in away[:10]} == {"the write-back file"}
            assert a.counters.copies_struck == a.disk.reads == 10
            assert a.cluster.snapshot().pages_under_replicated == 0
            await until(cluster.accounts_agree)

    run(main())


@pytest.mark.parametrize("fault", ["read_errors", "corrupt_reads"])
def test_a_disk_that_reads_badly_is_a_loss_and_never_a_wrong_page(fault: str) -> None:
    async def main() -> None:
        async with several("a", only_a={"writeback_bytes": 8 * MIB}) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            setattr(a.disk, fault, 1.0)
            why = "could not be read" if fault == "read_errors" else "fails its checksum"
            with pytest.raises(PageLostError, match=f"the (copy of the )?write-back file.* {why}"):
                await a.get(pool, away[0])
            assert a.counters.pages_corrupt == (fault == "corrupt_reads")
            setattr(a.disk, fault, 0.0)
            await is_read_right(a, pool, away[0])

    run(main())


def test_a_hung_disk_costs_a_read_its_deadline_and_no_more() -> None:
    async def main() -> None:
        async with several(
            "a", fetch_deadline_s=2.0, only_a={"writeback_bytes": 8 * MIB}
        ) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            a.disk.hang()
            began = now()
            with pytest.raises(PageLostError, match="write-back file did not answer in time"):
                await a.get(pool, away[0])
            assert now() - began == pytest.approx(2.0, abs=0.01)
            a.disk.go_on()
            await is_read_right(a, pool, away[0])

    run(main())


def test_a_slot_that_is_given_to_another_page_is_never_read_as_the_former() -> None:
    """The page is flushed and its slot used again while a read of it is under way."""

    async def main() -> None:
        async with several("a", only_a={"writeback_bytes": 8 * MIB}) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            a.disk.delay_s = (0.01, 0.05)
            gets = [asyncio.create_task(a.get(pool, index)) for index in away[:50]]
            await asyncio.sleep(0.001)
            for index in away[:50:2]:
                await a.store.flush(pool, 1, index)
            await fill(a, pool, 100, first=PAGES)
            pages = await asyncio.gather(*gets)
            for number, (index, page) in enumerate(zip(away, pages, strict=False)):
                assert page == make_page(index) or (number % 2 == 0 and page is None)
            assert a.disk.races == []
            await until(cluster.accounts_agree)

    run(main())


def test_every_place_of_a_page_is_a_number_of_this_node() -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            words = set(a.cache.peek_away(pool, 1, away).wheres)
            assert len({place_of(word) for word in words}) == len(words) == 1

    run(main())


def test_a_read_does_not_wait_for_copies_of_a_page_that_changed_meanwhile() -> None:
    """One holder hangs, the other one has flushed the former page already."""

    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.tamper_request = silence("b", "c")
            began = now()
            reads = [asyncio.create_task(a.get(pool, index)) for index in away[:8]]
            await asyncio.sleep(0.01)
            for index in away[:8]:
                await a.put(pool, index, make_page(index, 1))
            pages = await asyncio.gather(*reads)
            assert now() - began < 0.5
            assert pages == [make_page(index, 1) for index in away[:8]]

    run(main())
