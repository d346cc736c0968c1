"""One batch to one lender, and every way in which it can end."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
import xxhash

from ramster.blobs import Blob, pack
from ramster.deliveries import Deliveries
from ramster.errors import BadMessageError
from ramster.lenders import Lender
from ramster.transport import SpillReply
from tests.support.fake_cluster import MIB, FakeCluster, Node
from tests.support.fake_network import wire_copy
from tests.support.virtual_time import run, until
from zcache import AdoptStatus, PackedBlobs, PoolKind

PERSISTENT = PoolKind.PERSISTENT
PAGES = 10
BLOB_BYTES = 700


def batch(*, first: int = 0, generation: int = 1) -> PackedBlobs:
    """Blobs of pages that no cache has: what is sent here is nobody's stub."""
    random = Random(f"{first} {generation}")
    blobs = []
    for key in range(first, first + PAGES):
        data = random.randbytes(BLOB_BYTES)
        checksum = xxhash.xxh3_64_intdigest(data)
        blobs.append(Blob(key, generation, len(data), 1, checksum, data))
    return pack(blobs)


def pair(names: str = "a b", **knobs: Any) -> FakeCluster:
    return FakeCluster(names, pool_bytes=4 * MIB, **knobs)


def deliveries(node: Node) -> Deliveries:
    return node.cluster._deliveries


def lender_of(node: Node, peer: str = "b") -> Lender:
    view = node.peer(peer)
    return Lender(view.node, view.incarnation, view.lease)


def reserved(node: Node, peer: str = "b") -> int:
    return node.cluster._membership.peer(peer).reserved_bytes


def nothing_owed(node: Node) -> bool:
    return not node.cluster.snapshot().flushes_pending


async def send(node: Node, blobs: PackedBlobs | None = None) -> bytes:
    return await deliveries(node).send(lender_of(node), PERSISTENT, blobs or batch())


def test_a_lender_that_takes_a_batch_holds_it() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            assert await send(a) == b"\1" * PAGES
            assert b.foreign == PAGES
            counters = a.counters
            assert (counters.spills, counters.spill_pages) == (1, PAGES)
            assert counters.spill_bytes == PAGES * BLOB_BYTES
            assert counters.spill_pages_refused == 0
            assert reserved(a) == 0
            assert a.peer("b").room_bytes == b.cache.foreign_room_bytes()

    run(main())


def test_what_a_lender_refuses_is_told_page_by_page_and_it_counts_as_full() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]

            def refuse_some(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "spill":
                    statuses = bytearray(reply.statuses)
                    statuses[3] = AdoptStatus.QUOTA
                    return SpillReply(statuses=bytes(statuses), room_bytes=reply.room_bytes)
                return reply

            cluster.network.tamper_reply = refuse_some
            assert await send(a) == b"\1\1\1\0\1\1\1\1\1\1"
            assert a.counters.spill_pages == PAGES - 1
            assert a.counters.spill_pages_refused == 1
            assert a.peer("b").room_bytes == 0, "whatever it says"

    run(main())


def test_a_stale_page_is_not_taken_and_says_nothing_of_room() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            assert await send(a, batch(generation=2)) == b"\1" * PAGES
            assert await send(a, batch(generation=1)) == bytes(PAGES)
            assert a.peer("b").room_bytes > 0

    run(main())


def test_room_at_the_lender_is_reserved_while_a_batch_is_on_its_way() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            task = asyncio.create_task(send(a))
            await asyncio.sleep(0)
            assert reserved(a) == PAGES * BLOB_BYTES
            assert deliveries(a).pacer._windows[lender_of(a)].in_flight == PAGES * BLOB_BYTES
            await task
            assert reserved(a) == 0
            assert deliveries(a).pacer._windows[lender_of(a)].in_flight == 0

    run(main())


def lose(*args: Any) -> Any:
    return None if args[2] == "spill" else args[3]


def too_few(source: str, to: str, call: str, reply: Any) -> Any:
    return SpillReply(statuses=b"\0", room_bytes=99) if call == "spill" else reply


@pytest.mark.parametrize(
    ("tamper", "counter"), [(lose, "spills_timed_out"), (too_few, "spills_bad_answer")]
)
def test_a_batch_of_unknown_outcome_counts_as_not_taken_and_is_flushed(
    tamper: Any, counter: str
) -> None:
    """Checklist 56: a failed remote put leaks nothing at the lender."""

    async def main() -> None:
        async with pair(spill_deadline_s=1.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            lender = lender_of(a)
            epoch = a.cluster._table.epoch(lender)
            cluster.network.tamper_reply = tamper
            assert await send(a) == bytes(PAGES)
            assert getattr(a.counters, counter) == 1
            assert a.counters.spill_pages == 0
            assert b.foreign == PAGES, "it did arrive"
            assert reserved(a) == 0
            assert a.cluster._table.epoch(lender) == epoch + 1
            assert a.peer("b").spill_window_bytes == a.cluster.config.spill_batch_bytes
            cluster.network.tamper_reply = None
            await until(lambda: b.foreign == 0, within_s=10)
            await until(lambda: nothing_owed(a))
            assert b.cluster._foreign.leases[0].epoch == epoch + 1

    run(main())


def test_a_batch_that_arrives_after_it_was_given_up_is_refused() -> None:
    async def main() -> None:
        async with pair(spill_deadline_s=1.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            caught: list[Any] = []

            def catch(source: str, to: str, call: str, message: Any) -> Any:
                if call == "spill":
                    caught.append(wire_copy(message))
                    return None
                return message

            cluster.network.tamper_request = catch
            assert await send(a) == bytes(PAGES)
            await until(lambda: nothing_owed(a))
            with pytest.raises(BadMessageError, match="epoch"):
                b.cluster.handler.on_spill(caught[0])
            assert b.foreign == 0
            cluster.network.tamper_request = None
            assert await send(a, batch(generation=2)) == b"\1" * PAGES

    run(main())


def test_a_batch_that_is_cancelled_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            cluster.network.delay_s = (0.1, 0.1)
            task = asyncio.create_task(send(a))
            await until(lambda: b.foreign == PAGES)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert reserved(a) == 0
            await until(lambda: b.foreign == 0, within_s=2)

    run(main())


def test_a_lender_that_is_down_takes_nothing_and_is_suspect() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            handler = cluster.network._handlers["b"]
            cluster.network.down("b")
            assert await send(a) == bytes(PAGES)
            assert a.counters.spills_unreachable == 1
            assert a.peer("b").state == "suspect"
            assert reserved(a) == 0
            assert a.peer("b").flushes_pending == PAGES, "it may have got it"
            cluster.network.up("b", handler)
            await until(lambda: nothing_owed(a), within_s=10)

    run(main())


def test_a_lender_that_does_not_know_the_lease_took_nothing_and_is_owed_nothing() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            b.cluster._foreign._leases.end(b.cluster._foreign.leases[0])
            assert await send(a) == bytes(PAGES)
            assert a.counters.spills_unknown_lease == 1
            assert a.cluster.snapshot().flushes_pending == 0
            await until(lambda: b.foreign == 0, within_s=1)

    run(main())


def test_a_lender_that_refuses_the_message_gets_no_more_until_it_tells_of_room() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]

            def refuse(source: str, to: str, call: str, message: Any) -> Any:
                if call == "spill":
                    raise BadMessageError("no")
                return message

            cluster.network.tamper_request = refuse
            assert await send(a) == bytes(PAGES)
            assert a.counters.spills_bad_answer == 1
            assert a.peer("b").room_bytes == 0
            await until(lambda: a.peer("b").room_bytes > 0, within_s=1.1)

    run(main())


def test_what_a_lender_took_that_is_gone_by_the_time_it_answers_is_not_taken() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]

            def forget(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "spill":
                    now = asyncio.get_running_loop().time()
                    events = a.cluster._membership.on_unknown_lease(lender_of(a), now=now)
                    a.cluster._on_events(events)
                return reply

            cluster.network.tamper_reply = forget
            assert await send(a) == bytes(PAGES)
            assert a.counters.spills_overtaken == 1
            assert a.cluster.snapshot().flushes_pending == 0

    run(main())


def test_batch_numbers_rise_whoever_gets_them_and_a_second_delivery_brings_nothing() -> None:
    async def main() -> None:
        async with pair("a b c") as cluster:
            a, b = cluster["a"], cluster["b"]
            caught: list[Any] = []

            def listen(source: str, to: str, call: str, message: Any) -> Any:
                if call == "spill":
                    caught.append(wire_copy(message))
                return message

            cluster.network.tamper_request = listen
            for number, name in enumerate(("b", "c", "b")):
                sent = batch(first=100 * number)
                await deliveries(a).send(lender_of(a, name), PERSISTENT, sent)
            numbers = [request.batch for request in caught]
            assert numbers == sorted(set(numbers))
            assert numbers[0] > 0
            blobs = caught[0].blobs
            a.cluster._flusher.flush_batch(lender_of(a), PERSISTENT, blobs.keys, blobs.generations)
            await until(lambda: nothing_owed(a))
            held = b.foreign
            with pytest.raises(BadMessageError, match="delivered before"):
                b.cluster.handler.on_spill(caught[0])
            assert b.foreign == held == PAGES

    run(main())


def test_a_slow_lender_gets_less_at_once() -> None:
    async def main() -> None:
        async with pair("a b c", spill_batch_bytes=8192) as cluster:
            a = cluster["a"]
            for _ in range(3):
                await send(a)
            most = a.cluster.config.spill_bytes_in_flight_max
            assert a.peer("b").spill_window_bytes == most
            cluster.network.delay_s = (0.1, 0.1)
            for generation in range(2, 12):
                await send(a, batch(generation=generation))
            assert a.peer("b").spill_window_bytes == 8192
            assert a.peer("c").spill_window_bytes == most

    run(main())
