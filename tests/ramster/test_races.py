"""Races by name: what happens when messages and operations meet in the least welcome order.

Each test holds one message back (``Gate``), lets something else happen, and lets the message go on.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ramster.blobs import rows
from ramster.errors import PageLostError, PeerError
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.fake_network import wire_copy
from tests.support.virtual_time import run, until
from zcache.codec import decode

PAGES = 450
"""Enough to pass the high watermark of 1 MiB, so that a spill begins."""


class Gate:
    """Holds every request (or answer) of one kind from node a until it is opened."""

    def __init__(self, cluster: FakeCluster, call: str, *, answers: bool = False) -> None:
        self.waiting: list[Any] = []
        self._opened = asyncio.Event()
        self._call = call
        self._answers = answers
        self._network = cluster.network
        self._carry = cluster.network._carry
        cluster.network._carry = self._held  # type: ignore[method-assign]

    async def _held(self, source: str, address: str, call: str, message: Any) -> Any:
        if source != "a" or call != self._call or self._opened.is_set():
            return await self._carry(source, address, call, message)
        if self._answers:
            answer = await self._carry(source, address, call, message)
            self.waiting.append(message)
            await self._opened.wait()
            return answer
        self.waiting.append(message)
        await self._opened.wait()
        return await self._carry(source, address, call, message)

    def open(self) -> None:
        self._opened.set()


def pair(**knobs: Any) -> FakeCluster:
    return FakeCluster(only_b={"pool_bytes": 4 * MIB}, **({"call_deadline_s": 60.0} | knobs))


async def spilling(cluster: FakeCluster, *, answers: bool) -> tuple[int, list[int], Gate]:
    """A spill of node a that is held: the pool, the indexes in the ticket, the gate."""
    a = cluster["a"]
    pool = a.pool()
    gate = Gate(cluster, "spill", answers=answers)
    await fill(a, pool, PAGES)
    await until(lambda: gate.waiting)
    return pool, on_their_way(gate), gate


def on_their_way(gate: Gate) -> list[int]:
    """The indexes of the pages in spills that are held: each page says which it is."""
    pages = [
        decode(blob.data, blob.encoding, blob.checksum)
        for message in gate.waiting
        for blob in rows(message.blobs)
    ]
    return sorted(int(page.split()[1]) for page in pages)


async def away(cluster: FakeCluster) -> tuple[int, list[int]]:
    """Pages of node a that are away: the pool and their indexes."""
    a = cluster["a"]
    pool = a.pool()
    await fill(a, pool, PAGES)
    await until(lambda: cluster.accounts_agree() and a.away > 0)
    return pool, list(a.cache.peek_away(pool, 1, range(PAGES)).positions)


async def all_is_well(
    cluster: FakeCluster, pool: int, changed: dict[int, bytes | None] | None = None
) -> None:
    """Every page is what it should be, and all books agree."""
    a = cluster["a"]
    for index in range(PAGES):
        assert await a.get(pool, index) == (changed or {}).get(index, make_page(index))
    await until(cluster.accounts_agree)
    cluster.verify()


@pytest.mark.parametrize("answers", [False, True])
def test_put_during_a_ticket(answers: bool) -> None:
    """Checklist 51: a dup put during a remotify; the late answer never touches the new data."""

    async def main() -> None:
        async with pair() as cluster:
            pool, moving, gate = await spilling(cluster, answers=answers)
            changed: dict[int, bytes | None] = {i: make_page(i, 7) for i in moving[::2]}
            for index, page in changed.items():
                assert page is not None
                await cluster["a"].put(pool, index, page)
            gate.open()
            await until(lambda: cluster["a"].cluster.snapshot().spill_bytes_in_flight == 0)
            assert cluster["a"].cache.stats().pages_spill_stale >= len(changed)
            await all_is_well(cluster, pool, changed)

    run(main())


@pytest.mark.parametrize("answers", [False, True])
def test_flush_during_a_ticket(answers: bool) -> None:
    """Checklist 51: a flush during a remotify leaves neither a stub nor an orphan."""

    async def main() -> None:
        async with pair() as cluster:
            pool, moving, gate = await spilling(cluster, answers=answers)
            for index in moving:
                assert await cluster["a"].store.flush(pool, 1, index)
            gate.open()
            await all_is_well(cluster, pool, dict.fromkeys(moving, None))

    run(main())


@pytest.mark.parametrize("answers", [False, True])
def test_flush_and_put_during_a_ticket(answers: bool) -> None:
    """Checklist 51: flush then re-put during a remotify in flight."""

    async def main() -> None:
        async with pair() as cluster:
            pool, moving, gate = await spilling(cluster, answers=answers)
            a = cluster["a"]
            for index in moving:
                await a.store.flush(pool, 1, index)
            for index in reversed(moving):  # other entries for other pages
                await a.put(pool, index, make_page(index, 3))
            gate.open()
            await all_is_well(cluster, pool, {i: make_page(i, 3) for i in moving})

    run(main())


def test_pages_in_a_ticket_are_read_at_home() -> None:
    async def main() -> None:
        async with pair() as cluster:
            pool, moving, gate = await spilling(cluster, answers=True)
            for index in moving:
                assert await cluster["a"].get(pool, index) == make_page(index)
            assert cluster["a"].counters.fetches == 0
            gate.open()
            await all_is_well(cluster, pool)

    run(main())


def test_a_spill_that_arrives_after_it_timed_out() -> None:
    """Checklist 51, 56: the late batch is refused or flushed; it is never confused with newer
    data.
    """

    async def main() -> None:
        async with pair(call_deadline_s=1.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            kept: list[Any] = []

            def keep_and_lose(source: str, to: str, call: str, message: Any) -> Any:
                if call == "spill" and source == "a" and len(kept) < 4:
                    kept.append(wire_copy(message))
                    return None
                return message

            cluster.network.tamper_request = keep_and_lose
            pool = a.pool()
            await fill(a, pool, PAGES)
            await until(lambda: a.counters.spills_timed_out > 0)
            # The flush of what it may have left, and a spill of a later epoch, overtake it.
            await until(lambda: a.away > 0 and cluster.accounts_agree())
            held = b.foreign
            for late in kept:
                with pytest.raises(PeerError, match="epoch"):
                    b.cluster.handler.on_spill(late)
            assert b.foreign == held
            await all_is_well(cluster, pool)

    run(main())


def test_a_spill_that_arrives_after_it_timed_out_and_before_its_flush() -> None:
    async def main() -> None:
        async with pair(call_deadline_s=1.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            gate = Gate(cluster, "flush")
            losing = True
            kept: list[Any] = []

            def keep_and_lose(source: str, to: str, call: str, message: Any) -> Any:
                if losing and call == "spill" and source == "a":
                    kept.append(wire_copy(message))
                    return None
                return message

            cluster.network.tamper_request = keep_and_lose
            pool = a.pool()
            await fill(a, pool, PAGES)
            await until(lambda: gate.waiting)
            losing = False
            b.cluster.handler.on_spill(kept[0])
            orphans = b.foreign
            assert orphans == len(kept[0].blobs)
            gate.open()
            await until(lambda: a.away > 0 and cluster.accounts_agree())
            await all_is_well(cluster, pool)

    run(main())


def test_a_batch_is_delivered_twice() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            cluster.network.duplicate = 1.0
            cluster.network.late_s = 5.0
            pool, _ = await away(cluster)
            await a.store.flush_range(pool, 1, 0, 200)
            await fill(a, pool, 100, version=1)
            await cluster.network.settle()
            changed = {i: make_page(i, 1) if i < 100 else None for i in range(200)}
            await all_is_well(cluster, pool, changed)
            cluster.network.duplicate = 0.0
            await cluster.network.settle()
            assert cluster.accounts_agree()

    run(main())


def test_put_flush_put_with_a_late_flush() -> None:
    """Checklist 54: the first copy's flush arrives after the page was put and spilled again."""

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool, gone = await away(cluster)
            gate = Gate(cluster, "flush")
            for index in gone:
                await a.store.flush(pool, 1, index)
            for index in gone:
                await a.put(pool, index, make_page(index, 2))
            await until(lambda: gate.waiting)
            await fill(a, pool, 400, first=PAGES)  # push them out again
            await until(lambda: set(gone) & set(a.cache.peek_away(pool, 1, gone).positions))
            await until(lambda: a.cluster.snapshot().spill_bytes_in_flight == 0)
            gate.open()
            await all_is_well(cluster, pool, {i: make_page(i, 2) for i in gone})

    run(main())


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("put", [False, True])
def test_a_fetch_answer_that_arrives_after_a_flush_or_an_overwrite(
    answers: bool, put: bool
) -> None:
    """Checklist 52, 53: a get's answer after a flush, or after a dup put, is discarded."""

    async def main() -> None:
        async with pair(readahead_pages=0, fetch_deadline_s=60.0) as cluster:
            a = cluster["a"]
            pool, gone = await away(cluster)
            index = gone[0]
            gate = Gate(cluster, "fetch", answers=answers)
            get = asyncio.create_task(a.get(pool, index))
            await until(lambda: gate.waiting)
            new = make_page(index, 4) if put else None
            if new is not None:
                await a.put(pool, index, new)
            else:
                await a.store.flush(pool, 1, index)
            await asyncio.sleep(1.0)  # the lender has dropped its copy by now
            gate.open()
            assert await get == new
            await all_is_well(cluster, pool, {index: new})

    run(main())


def test_a_fetch_answer_that_arrives_after_the_page_was_put_and_left_again() -> None:
    """Checklist 53, 62: the answer is about an earlier copy, and is not taken for the later one."""

    async def main() -> None:
        async with pair(readahead_pages=0, fetch_deadline_s=60.0) as cluster:
            a = cluster["a"]
            pool, gone = await away(cluster)
            index = gone[0]
            gate = Gate(cluster, "fetch", answers=True)
            get = asyncio.create_task(a.get(pool, index))
            await until(lambda: gate.waiting)
            await a.put(pool, index, make_page(index, 4))
            await fill(a, pool, 400, first=PAGES)
            await until(lambda: len(a.cache.peek_away(pool, 1, [index])))
            gate.open()
            assert await get == make_page(index, 4)
            await all_is_well(cluster, pool, {index: make_page(index, 4)})

    run(main())


def test_a_page_is_overwritten_while_its_lender_does_not_answer() -> None:
    """The get that waited gives the new page, and no loss error."""

    async def main() -> None:
        async with pair(readahead_pages=0, dead_after_s=60.0, lease_s=600.0) as cluster:
            a = cluster["a"]
            pool, gone = await away(cluster)
            cluster.network.cut("a", "b")
            gets = [asyncio.create_task(a.get(pool, gone[0])) for _ in range(3)]
            await asyncio.sleep(1.0)
            await a.put(pool, gone[0], make_page(gone[0], 8))
            assert await asyncio.gather(*gets) == [make_page(gone[0], 8)] * 3
            assert a.counters.pages_lost == 0

    run(main())


def test_a_lenders_number_is_forgotten_under_a_get_that_waits_for_it() -> None:
    async def main() -> None:
        async with pair(
            readahead_pages=0, fetch_deadline_s=60.0, dead_after_s=70.0, lease_s=80.0
        ) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, gone = await away(cluster)
            gate = Gate(cluster, "fetch")
            gets = [asyncio.create_task(a.get(pool, gone[0])) for _ in range(3)]
            await until(lambda: gate.waiting)
            await b.crash()
            await b.start()
            await until(lambda: a.counters.lenders_gone == 1)
            await a.store.flush_object(pool, 1)
            await until(lambda: len(a.cluster._table) == 0, within_s=30)
            assert await asyncio.gather(*gets) == [None] * 3

    run(main())


def test_a_lender_restarts_under_its_name() -> None:
    """Checklist 55: its pages are lost, and nothing it is asked for is taken for them."""

    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, gone = await away(cluster)
            await b.crash()
            await b.start()
            await until(lambda: a.peer("b").incarnation == b.cluster.incarnation)
            for index in gone:
                with pytest.raises(PageLostError):
                    await a.get(pool, index)
            for index in gone:
                await a.put(pool, index, make_page(index, 1))
            await all_is_well(cluster, pool, {i: make_page(i, 1) for i in gone})

    run(main())


def test_a_lender_restarts_with_a_spill_under_way() -> None:
    async def main() -> None:
        async with pair() as cluster:
            pool, _, gate = await spilling(cluster, answers=True)
            b = cluster["b"]
            await b.crash()
            await b.start()
            await until(lambda: cluster["a"].peer("b").incarnation == b.cluster.incarnation)
            gate.open()  # the former life took the pages, and is known to be over
            await until(lambda: cluster["a"].cluster.snapshot().spill_bytes_in_flight == 0)
            assert cluster["a"].counters.spills_overtaken > 0
            await all_is_well(cluster, pool)
            assert cluster["a"].cluster.snapshot().pages_lost == 0

    run(main())


def test_a_lease_ends_at_the_lender_alone() -> None:
    """The owner hears of it at its next word, and not by a wrong page."""

    async def main() -> None:
        async with pair(lease_s=20.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, gone = await away(cluster)
            cluster.network.cut("a", "b")
            await until(lambda: b.foreign == 0, within_s=30)
            assert a.away == len(gone)
            assert a.cluster.snapshot().pages_unreachable == len(gone)
            cluster.network.heal()
            await until(lambda: a.peer("b").state == "alive")
            assert a.cluster.snapshot().pages_lost == len(gone)
            with pytest.raises(PageLostError, match="ended the lease"):
                await a.get(pool, gone[0])
            await a.store.flush_object(pool, 1)
            assert a.away == 0
            await until(cluster.accounts_agree)

    run(main())


def test_a_lease_ends_between_two_words_of_an_owner() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, gone = await away(cluster)
            b.cluster._foreign._leases.end(b.cluster._foreign.leases[0])
            with pytest.raises(PageLostError, match="no longer knows the lease"):
                await a.get(pool, gone[0])
            await until(lambda: a.peer("b").lease is not None)
            await fill(a, pool, PAGES, version=1)
            await all_is_well(cluster, pool, {i: make_page(i, 1) for i in range(PAGES)})

    run(main())


def test_an_owner_restarts_with_messages_under_way() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            kept: list[Any] = []

            def keep(source: str, to: str, call: str, message: Any) -> Any:
                if source == "a" and call in ("spill", "flush"):
                    kept.append((call, wire_copy(message)))
                return message

            cluster.network.tamper_request = keep
            pool, gone = await away(cluster)
            await a.store.flush(pool, 1, gone[0])
            await until(cluster.accounts_agree)
            await a.crash()
            await a.start()
            await until(lambda: a.peer("b").state == "alive")
            assert b.foreign == 0
            for call, message in kept:  # of the former life
                with pytest.raises(PeerError, match="no lease"):
                    getattr(b.cluster.handler, f"on_{call}")(message)
            pool = a.pool()
            await fill(a, pool, PAGES)
            await all_is_well(cluster, pool)

    run(main())


def test_a_partition_heals() -> None:
    """After it, pages are readable again, flushes are replayed, and nothing stale is served."""

    async def main() -> None:
        async with pair(lease_s=600.0) as cluster:
            a = cluster["a"]
            pool, gone = await away(cluster)
            cluster.network.cut("a", "b")
            half = len(gone) // 2
            for index in gone[:half]:
                await a.put(pool, index, make_page(index, 1))
            await asyncio.sleep(60)
            with pytest.raises(PageLostError):
                await a.get(pool, gone[-1])
            cluster.network.heal()
            await until(lambda: a.peer("b").state == "alive")
            await all_is_well(cluster, pool, {i: make_page(i, 1) for i in gone[:half]})
            assert a.counters.lenders_gone == 0

    run(main())


def test_a_partition_in_one_direction() -> None:
    """Requests arrive and answers do not: every outcome is unknown to the owner."""

    async def main() -> None:
        async with pair(call_deadline_s=1.0, lease_s=600.0) as cluster:
            a = cluster["a"]
            pool, gone = await away(cluster)
            cluster.network.tamper_reply = lambda source, to, call, reply: (
                None if source == "a" else reply
            )
            for index in gone[:10]:
                await a.put(pool, index, make_page(index, 1))
            await fill(a, pool, 40, first=PAGES)
            await asyncio.sleep(60)
            cluster.network.tamper_reply = None
            await until(lambda: a.peer("b").state == "alive")
            await all_is_well(cluster, pool, {i: make_page(i, 1) for i in gone[:10]})

    run(main())


def test_a_node_with_two_processes_keeps_the_later_ones_pages() -> None:
    """Two processes with one name do not free each other's pages in turn."""

    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            twin = Node(cluster.network, "a", ["b"], seed=1)
            await fill(a, a.pool(), PAGES)
            await until(lambda: a.away > 0)
            await twin.start()
            pool = twin.pool()
            await until(lambda: twin.peer("b").state == "alive")
            await fill(twin, pool, PAGES)
            await until(lambda: twin.away > 0)
            await asyncio.sleep(30)
            assert a.peer("b").state == "refused"
            assert "started later" in a.peer("b").reason
            for index in range(PAGES):
                assert await twin.get(pool, index) == make_page(index)
            assert b.counters.leases_superseded == 1
            await twin.stop()
            cluster.network.up("a", a.cluster.handler)

    run(main())


def test_an_unknown_reply_id_or_a_late_reply_reaches_nobody() -> None:
    """Checklist 62: a reply that comes after its caller gave up changes nothing."""

    async def main() -> None:
        async with pair(readahead_pages=0, fetch_deadline_s=2.0) as cluster:
            a = cluster["a"]
            pool, gone = await away(cluster)
            gate = Gate(cluster, "fetch", answers=True)
            with pytest.raises(PageLostError, match="no answer"):
                await a.get(pool, gone[0])
            before = a.cache.stats().pages_restored
            gate.open()
            await asyncio.sleep(1)
            assert a.cache.stats().pages_restored == before
            assert await a.get(pool, gone[0]) == make_page(gone[0])

    run(main())
