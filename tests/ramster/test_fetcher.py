"""Pages come back, or it is said why not; never another page's bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ramster.errors import BadMessageError, PageLostError, PeerTimeoutError
from ramster.transport import FetchReply
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.virtual_time import VirtualTimeLoop, run, until
from zcache import PAGE_SIZE, GetFree, PoolKind

PAGES = 600


def pair(**knobs: Any) -> FakeCluster:
    return FakeCluster(only_b={"pool_bytes": 4 * MIB}, **knobs)


async def spilled(
    cluster: FakeCluster, kind: PoolKind = PoolKind.PERSISTENT, *, exclusive: bool = False
) -> tuple[int, list[int]]:
    """Pages of node a; the pool, and the indexes of those that are away."""
    a = cluster["a"]
    pool = a.pool(kind, exclusive=exclusive)
    await fill(a, pool, PAGES)
    await until(lambda: cluster.accounts_agree() and a.away > 0)
    return pool, away_of(a, pool)


def away_of(node: Node, pool: int) -> list[int]:
    return list(node.cache.peek_away(pool, 1, range(PAGES)).positions)


def fetches(cluster: FakeCluster) -> int:
    return sum(1 for _, _, call in cluster.network.calls if call == "fetch")


def test_a_page_that_is_away_comes_back_byte_by_byte() -> None:
    """Checklist 49: after remotify a get returns the same bytes."""

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            for index in away:
                assert await a.get(pool, index) == make_page(index)
            assert a.counters.remote_hits == len(away)
            assert a.counters.pages_lost == 0
            await until(cluster.accounts_agree)
            cluster.verify()

    run(main())


@pytest.mark.parametrize("free", [GetFree.NEVER, GetFree.BY_KIND, GetFree.ALWAYS])
@pytest.mark.parametrize("exclusive", [False, True])
def test_the_copy_elsewhere_follows_exclusivity(free: GetFree, exclusive: bool) -> None:
    """Checklist 49: the remote copy's fate follows exclusivity."""

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster, exclusive=exclusive)
            into = bytearray(PAGE_SIZE)
            assert await a.store.get_many(pool, 1, away[:1], into, free=free) == b"\1"
            assert into == make_page(away[0])
            frees = free is GetFree.ALWAYS or (free is GetFree.BY_KIND and exclusive)
            again = await a.store.get_many(pool, 1, away[:1], into, free=GetFree.NEVER)
            assert again == (b"\0" if frees else b"\1")
            await until(cluster.accounts_agree, within_s=2)
            if frees:
                assert a.away == len(away) - 1

    run(main())


def test_a_destructive_get_of_an_ephemeral_page_takes_it_away_everywhere() -> None:
    """Checklist 49: ephemeral pages are freed by their get, at the lender as well."""

    async def main() -> None:
        async with pair(spill_ephemeral=True) as cluster:
            a, b = cluster["a"], cluster["b"]
            a.cache.reconfigure(high_watermark=0.7, low_watermark=0.5)
            pool = a.pool(PoolKind.EPHEMERAL)
            await fill(a, pool, 400)
            await until(lambda: cluster.accounts_agree() and a.away > 0)
            held = b.foreign
            away = list(a.cache.peek_away(pool, 1, range(400)).positions)
            assert await a.get(pool, away[0]) == make_page(away[0])
            assert await a.get(pool, away[0]) is None
            await until(lambda: b.foreign == held - 1, within_s=1)

    run(main())


def test_a_batch_over_several_lenders_comes_back_whole() -> None:
    """Checklist 68: three or more nodes at the same time."""

    async def main() -> None:
        async with FakeCluster("a b c d e", spill_batch_bytes=16 * 1024) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 1000)
            await until(cluster.accounts_agree)
            holders = [peer for peer in a.cluster.snapshot().peers if peer.pages_away]
            assert len(holders) == 4
            into = bytearray(1000 * PAGE_SIZE)
            assert await a.store.get_many(pool, 1, range(1000), into) == b"\1" * 1000
            assert into == b"".join(make_page(index) for index in range(1000))

    run(main())


def test_a_sequential_reader_is_read_ahead_of_and_a_random_one_is_not() -> None:
    async def main() -> None:
        async with pair(readahead_pages=32) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            run_of = [index for index in away if index + 1 in set(away)]
            assert len(run_of) > 100
            before = fetches(cluster)
            for index in away[:100]:
                assert await a.get(pool, index) == make_page(index)
            assert fetches(cluster) - before < 20
            assert a.counters.readahead_hits > 80

        async with pair(readahead_pages=32) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            before, hits = fetches(cluster), a.counters.readahead_hits
            for index in away[::-2][:50]:
                assert await a.get(pool, index) == make_page(index)
            assert fetches(cluster) - before == 50
            assert a.counters.readahead_hits == hits

    run(main())


def test_only_pages_of_the_lender_asked_are_read_ahead() -> None:
    async def main() -> None:
        async with FakeCluster("a b c d", spill_batch_bytes=16 * 1024) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, PAGES)
            await until(cluster.accounts_agree)
            found: list[bytes] = []

            def listen(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "fetch":
                    found.append(reply.found)
                return reply

            cluster.network.tamper_reply = listen
            for index in range(PAGES):
                assert await a.get(pool, index) == make_page(index)
            assert found
            assert not any(answer.count(0) for answer in found)

    run(main())


def test_a_page_read_ahead_and_then_overwritten_is_not_served() -> None:
    """Checklist 53: what was fetched before a dup put is discarded."""

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            for index in away[:2]:
                await a.get(pool, index)
            ahead = [
                index
                for index in away[2:]
                if (name := name_of(a, pool, index)) and name in a.cluster._fetcher.buffer
            ]
            assert ahead
            for index in ahead:
                await a.put(pool, index, make_page(index, 9))
            for index in ahead:
                assert await a.get(pool, index) == make_page(index, 9)

    run(main())


def name_of(node: Node, pool: int, index: int) -> tuple[int, int] | None:
    away = node.cache.peek_away(pool, 1, [index])
    return (away.keys[0], away.generations[0]) if len(away) else None


def test_gets_of_one_page_at_one_time_share_one_call() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            before = fetches(cluster)
            pages = await asyncio.gather(*(a.get(pool, away[0]) for _ in range(10)))
            assert pages == [make_page(away[0])] * 10
            assert fetches(cluster) - before == 1
            assert a.counters.fetches_joined == 9

    run(main())


def test_a_get_that_joined_another_goes_on_by_itself_when_that_one_is_cancelled() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            first = asyncio.create_task(a.get(pool, away[0]))
            await asyncio.sleep(0)
            second = asyncio.create_task(a.get(pool, away[0]))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == make_page(away[0])
            assert a.cluster._fetcher._on_their_way == {}

    run(main())


def test_an_index_twice_in_a_batch_is_served_twice() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            into = bytearray(3 * PAGE_SIZE)
            indexes = [away[0], away[1], away[0]]
            assert await a.store.get_many(pool, 1, indexes, into) == b"\1\1\1"
            assert into == b"".join(make_page(index) for index in indexes)

    run(main())


# -- where a fetched page stays
# ------------------------------------------------------------------------


def test_with_room_at_home_a_fetched_page_comes_home() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            here = [index for index in range(PAGES) if index not in set(away)]
            for index in here[:200]:
                await a.store.flush(pool, 1, index)
            held = b.foreign
            await a.get(pool, away[0])
            assert name_of(a, pool, away[0]) is None
            await until(lambda: b.foreign == held - 1, within_s=1)

    run(main())


def test_in_a_full_pool_a_page_comes_home_at_its_second_fetch() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            low, high = a.cache.config.low_watermark, a.cache.config.high_watermark
            first = PAGES
            while a.cache.excess_bytes(low) == 0:  # between the watermarks
                await fill(a, pool, 1, first=first)
                first += 1
            assert a.cache.excess_bytes(high) == 0
            await a.get(pool, away[0])
            assert name_of(a, pool, away[0]) is not None
            await a.get(pool, away[0])
            assert name_of(a, pool, away[0]) is None

    run(main())


# -- what goes wrong
# -----------------------------------------------------------------------------------


def test_a_lender_that_does_not_answer_costs_the_deadline_and_no_more() -> None:
    """Checklist 55, 60: requests under way are resolved by timeout, with an explicit error."""

    async def main() -> None:
        async with pair(fetch_deadline_s=3.0, dead_after_s=100.0, lease_s=1000.0) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool, away = await spilled(cluster)
            cluster.network.cut("a", "b")
            began = loop.time()
            with pytest.raises(PageLostError, match="no answer from b within 3 s") as error:
                await a.get(pool, away[0])
            assert error.value.indexes == [away[0]]
            assert loop.time() - began == pytest.approx(3.0, abs=0.01)
            cluster.network.heal()
            assert await a.get(pool, away[0]) == make_page(away[0])

    run(main())


def test_a_lost_answer_is_asked_for_again_within_the_deadline() -> None:
    async def main() -> None:
        async with pair(fetch_deadline_s=3.0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            losses = 1

            def lose_once(source: str, to: str, call: str, reply: Any) -> Any:
                nonlocal losses
                if call == "fetch" and losses:
                    losses -= 1
                    return None
                return reply

            cluster.network.tamper_reply = lose_once
            assert await a.get(pool, away[0]) == make_page(away[0])
            assert a.counters.fetches_timed_out == 1

    run(main())


def test_pages_at_a_dead_lender_are_a_loss_at_once_and_back_when_it_is() -> None:
    """Checklist 55: remote failure of persistent data is reported, and never wrong data."""

    async def main() -> None:
        async with pair(lease_s=1000.0) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool, away = await spilled(cluster)
            cluster.network.cut("a", "b")
            await until(lambda: a.peer("b").state == "dead")
            began = loop.time()
            with pytest.raises(PageLostError, match="out of touch"):
                await a.get(pool, away[0])
            assert loop.time() == began
            assert a.cluster.snapshot().pages_unreachable == len(away)
            cluster.network.heal()
            await until(lambda: a.peer("b").state == "alive")
            for index in away[:20]:
                assert await a.get(pool, index) == make_page(index)

    run(main())


def test_pages_at_a_lender_that_restarted_are_lost_and_can_be_written_again() -> None:
    """Checklist 55: persistent data that is gone is reported, again and again, until put anew."""

    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            await b.crash()
            await b.start()
            await until(lambda: a.counters.lenders_gone == 1)
            for _ in range(2):
                with pytest.raises(PageLostError, match=r"b at b (restarted|no longer knows)"):
                    await a.get(pool, away[0])
            assert a.cluster.snapshot().pages_lost == len(away)
            await a.put(pool, away[0], make_page(away[0], 5))
            assert await a.get(pool, away[0]) == make_page(away[0], 5)
            await a.store.flush(pool, 1, away[1])
            assert await a.get(pool, away[1]) is None
            await until(cluster.accounts_agree)

    run(main())


def test_a_fetch_under_a_lease_that_its_lender_does_not_know_is_counted() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            b.cluster._foreign._leases.end(b.cluster._foreign.leases[0])
            with pytest.raises(PageLostError, match="no longer knows the lease"):
                await a.get(pool, away[0])
            assert a.counters.fetches_unknown_lease == a.counters.fetches == 1
            assert a.counters.fetches_unreachable == a.counters.fetches_timed_out == 0

    run(main())


def test_ephemeral_pages_at_a_lender_that_restarted_are_misses() -> None:
    """Checklist 55: remote failure of ephemeral data is a miss."""

    async def main() -> None:
        async with pair(spill_ephemeral=True) as cluster:
            a, b = cluster["a"], cluster["b"]
            a.cache.reconfigure(high_watermark=0.7, low_watermark=0.5)
            pool = a.pool(PoolKind.EPHEMERAL)
            await fill(a, pool, 400)
            await until(lambda: cluster.accounts_agree() and a.away > 0)
            index = a.cache.peek_away(pool, 1, range(400)).positions[0]
            await b.crash()
            assert await a.get(pool, index) is None
            await b.start()
            await until(lambda: a.counters.lenders_gone == 1)
            assert a.away == 0
            a.cache.verify()

    run(main())


def test_a_lender_that_lost_a_page_is_believed_and_the_loss_reported() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, away = await spilled(cluster)
            key, generation = name_of(a, pool, away[0]) or (0, 0)
            lease = b.cluster._foreign.leases[0]
            b.cache.flush_adopted(lease.pools[PoolKind.PERSISTENT], 0, [key], [generation])
            with pytest.raises(PageLostError, match="b does not have it any more"):
                await a.get(pool, away[0])
            assert await a.get(pool, away[1]) == make_page(away[1])

    run(main())


def flip(reply: FetchReply) -> None:
    payload = bytearray(reply.blobs.payload)
    payload[0] ^= 1
    reply.blobs.payload = payload


def lie_about_checksum(reply: FetchReply) -> None:
    reply.blobs.checksums[0] ^= 1


def lie_about_length(reply: FetchReply) -> None:
    reply.blobs.lengths[0] -= 1
    reply.blobs.payload = bytes(reply.blobs.payload)[:-1]


def lie_about_encoding(reply: FetchReply) -> None:
    reply.blobs.encodings[0] ^= 1


@pytest.mark.parametrize("spoil", [flip, lie_about_checksum, lie_about_length, lie_about_encoding])
def test_a_corrupt_page_is_refused_and_never_returned(spoil: Any) -> None:
    """Checklist 57: the checksum is verified at receipt; corruption is refused, not returned."""

    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)

            def corrupt(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "fetch":
                    spoil(reply)
                return reply

            cluster.network.tamper_reply = corrupt
            with pytest.raises(PageLostError, match="checksum"):
                await a.get(pool, away[0])
            assert a.counters.pages_corrupt == 1
            cluster.network.tamper_reply = None
            assert await a.get(pool, away[0]) == make_page(away[0])

    run(main())


def other_generation(reply: FetchReply) -> None:
    reply.blobs.generations[0] += 1


def no_pages(reply: FetchReply) -> None:
    reply.found = b""


@pytest.mark.parametrize("spoil", [other_generation, no_pages])
def test_an_answer_to_another_question_is_refused(spoil: Any) -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)

            def lie(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "fetch":
                    spoil(reply)
                return reply

            cluster.network.tamper_reply = lie
            with pytest.raises(PageLostError):
                await a.get(pool, away[0])
            assert a.counters.fetches_bad_answer == 1

    run(main())


def test_a_lender_that_leaves_everything_out_is_not_asked_for_ever() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)

            def leave_out(source: str, to: str, call: str, reply: Any) -> Any:
                if call != "fetch":
                    return reply
                return FetchReply(found=b"\2" * len(reply.found))

            cluster.network.tamper_reply = leave_out
            before = fetches(cluster)
            with pytest.raises(PageLostError, match="leaves it out"):
                await a.get(pool, away[0])
            assert fetches(cluster) == before + 1

    run(main())


@pytest.mark.parametrize("error", [BadMessageError("no"), PeerTimeoutError("late")])
def test_some_pages_of_a_batch_can_be_had_when_others_cannot(error: Exception) -> None:
    async def main() -> None:
        async with FakeCluster("a b c", spill_batch_bytes=16 * 1024) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, PAGES)
            await until(cluster.accounts_agree)
            away = a.cache.peek_away(pool, 1, range(PAGES))
            table = a.cluster._table
            at_b = [
                index
                for index, where in zip(away.positions, away.wheres, strict=True)
                if table.place(where).lenders[0].node == "b"
            ]

            def refuse(source: str, to: str, call: str, message: Any) -> Any:
                if call == "fetch" and to == "b":
                    raise error
                return message

            cluster.network.tamper_request = refuse
            into = bytearray(PAGES * PAGE_SIZE)
            with pytest.raises(PageLostError) as lost:
                await a.store.get_many(pool, 1, range(PAGES), into)
            assert set(lost.value.indexes) <= set(at_b)
            others = sorted(set(away.positions[:200]) - set(at_b))
            into = bytearray(len(others) * PAGE_SIZE)
            assert await a.store.get_many(pool, 1, others, into) == b"\1" * len(others)
            assert into == b"".join(make_page(index) for index in others)

    run(main())


def test_a_pool_destroyed_under_a_get_ends_the_get() -> None:
    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            get = asyncio.create_task(a.get(pool, away[0]))
            await asyncio.sleep(0)
            await a.store.destroy_pool(pool)
            with pytest.raises(LookupError):
                await get
            await until(cluster.accounts_agree)
            assert cluster["b"].foreign == 0

    run(main())


# -- pages with several copies, and in the file (see also test_copies.py)
# ---------------------------------------------------------------------------


def several(names: str = "a b c d", **knobs: Any) -> FakeCluster:
    common = {"replicas": 2, "pool_bytes": 4 * MIB, "repatriate_bytes_per_s": 0}
    own = {"pool_bytes": MIB} | knobs.pop("only_a", {})
    return FakeCluster(names, only_a=own, **(common | knobs))


def test_a_batch_over_lenders_and_file_comes_back_whole() -> None:
    async def main() -> None:
        async with several(
            "a b c",
            spill_batch_bytes=16 * 1024,
            pool_bytes=MIB,
            lend_bytes=150 * 1024,
            only_a={"writeback_bytes": 8 * MIB},
        ) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 1000)
            await until(cluster.accounts_agree)
            places = {(place.names) for place in a.places(pool, 1000).values()}
            assert {"b and c", "the write-back file"} <= places
            into = bytearray(1000 * PAGE_SIZE)
            assert await a.store.get_many(pool, 1, range(1000), into) == b"\1" * 1000
            assert into == b"".join(make_page(index) for index in range(1000))

    run(main())


@pytest.mark.parametrize("free", [GetFree.NEVER, GetFree.ALWAYS])
def test_a_get_that_frees_a_page_frees_all_its_copies(free: GetFree) -> None:
    """Checklist 49: the remote copies' fate follows exclusivity, in the file as at each lender."""

    async def main() -> None:
        async with several(
            writeback_safety=True, readahead_pages=0, only_a={"writeback_bytes": 8 * MIB}
        ) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            copies = sum(cluster[name].foreign for name in "bcd")
            assert copies == 2 * len(away) == 2 * a.writeback.pages
            into = bytearray(PAGE_SIZE)
            for index in away[:10]:
                assert await a.store.get_many(pool, 1, [index], into, free=free) == b"\1"
                assert into == make_page(index)
            await until(cluster.accounts_agree)
            if free is GetFree.ALWAYS:
                assert sum(cluster[name].foreign for name in "bcd") == copies - 20
                assert a.writeback.pages == len(away) - 10
                assert await a.get(pool, away[0]) is None

    run(main())


def test_pages_that_move_while_they_are_fetched_are_found_where_they_went() -> None:
    """Their lender drains; it gives no page any more by the time the get's call is there."""

    async def main() -> None:
        async with several("a b c", replicas=1, readahead_pages=0) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, _ = await spilled(cluster)
            at_b = [
                index
                for index, place in a.places(pool, PAGES).items()
                if place.lenders[0].node == "b"
            ]
            gate = asyncio.Event()
            carry = cluster.network._carry
            held: list[asyncio.Task[Any]] = []

            async def late(source: str, to: str, call: str, message: Any) -> Any:
                if call == "fetch" and asyncio.current_task() in held:
                    await gate.wait()
                return await carry(source, to, call, message)

            cluster.network._carry = late  # type: ignore[method-assign]
            get = asyncio.create_task(a.get(pool, at_b[0]))
            held.append(get)
            await asyncio.sleep(0.001)
            assert (await b.cluster.drain(2.0)).left == 0
            await until(lambda: b.foreign == 0)
            assert not get.done()
            gate.set()
            assert await get == make_page(at_b[0])
            assert a.counters.pages_lost == 0

    run(main())


def test_gets_of_one_page_share_one_read_of_several_holders() -> None:
    async def main() -> None:
        async with several("a b c", readahead_pages=0, hedge_after_s=0.1) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.tamper_request = lambda source, to, call, message: (
                None if call == "fetch" and to == "b" else message
            )
            before = fetches(cluster)
            pages = await asyncio.gather(*(a.get(pool, away[0]) for _ in range(10)))
            assert pages == [make_page(away[0])] * 10
            assert fetches(cluster) - before <= 2
            assert a.counters.fetches_joined == 9

    run(main())


def test_gets_that_share_a_read_nobody_answers_end_each_at_its_own_deadline() -> None:
    async def main() -> None:
        async with several(
            "a b c", readahead_pages=0, fetch_deadline_s=3.0, dead_after_s=60.0
        ) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool, away = await spilled(cluster)
            cluster.network.tamper_request = lambda source, to, call, message: (
                None if call == "fetch" else message
            )

            async def get_late(after_s: float) -> float:
                await asyncio.sleep(after_s)
                began = loop.time()
                with pytest.raises(PageLostError, match="no answer from"):
                    await a.get(pool, away[0])
                return loop.time() - began

            took = await asyncio.gather(*(get_late(after_s) for after_s in (0.0, 1.0, 2.5)))
            assert took == pytest.approx([3.0] * 3, abs=0.02)

    run(main())


def test_a_copy_that_was_struck_off_is_flushed_at_its_lender_and_made_again() -> None:
    async def main() -> None:
        async with several("a b c", readahead_pages=0) as cluster:
            a = cluster["a"]
            pool, away = await spilled(cluster)
            cluster.network.tamper_reply = lambda source, to, call, reply: (
                spoiled(reply) if call == "fetch" and to == "b" else reply
            )
            for index in away[:30]:
                assert await a.get(pool, index) == make_page(index)
            assert a.counters.copies_struck > 0
            cluster.network.tamper_reply = None
            await until(lambda: a.cluster.snapshot().pages_under_replicated == 0)
            await until(cluster.accounts_agree)
            cluster.verify()

    run(main())


def spoiled(reply: FetchReply) -> FetchReply:
    if len(reply.blobs):
        flip(reply)
    return reply


@pytest.mark.parametrize("replicas", [1, 2])
def test_gets_under_way_while_their_node_stands_still_fail_and_succeed_when_repeated(
    replicas: int,
) -> None:
    """A limit, not a wish: a get's deadline runs on while its own process is stopped."""

    async def main() -> None:
        async with FakeCluster(
            "a b c",
            replicas=replicas,
            pool_bytes=4 * MIB,
            only_a={"pool_bytes": MIB},
            readahead_pages=0,
        ) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            pool = a.pool()
            await fill(a, pool, 600)
            await until(lambda: a.away > 0 and not a.cluster.snapshot().spill_bytes_in_flight)
            away = list(a.cache.peek_away(pool, 1, range(600)).positions)[:10]
            cluster.network.delay_s = (0.02, 0.03)
            gets = [asyncio.create_task(a.get(pool, index)) for index in away]
            await asyncio.sleep(0.005)
            loop._jump(10.0)
            failed = await asyncio.gather(*gets, return_exceptions=True)
            assert all(isinstance(answer, PageLostError) for answer in failed)
            for index in away:
                assert await a.get(pool, index) == make_page(index)

    run(main())
