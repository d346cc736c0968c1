"""Flushes reach lenders: in order, after failures, or not at all when there is no one to tell."""

from __future__ import annotations

import asyncio
from typing import Any

from ramster.errors import BadMessageError
from ramster.lenders import Lender
from ramster.transport import FlushRequest
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.fake_network import wire_copy
from tests.support.virtual_time import run, until


def caught(cluster: FakeCluster, source: str = "a") -> list[FlushRequest]:
    """Every flush that a node sends from now on, as it was when it was sent."""
    requests: list[FlushRequest] = []
    carry = cluster.network._carry

    async def record(sender: str, to: str, call: str, message: Any) -> Any:
        if sender == source and call == "flush":
            requests.append(wire_copy(message))
        return await carry(sender, to, call, message)

    cluster.network._carry = record  # type: ignore[method-assign]
    return requests


async def spilled(cluster: FakeCluster, pages: int = 600) -> int:
    """Pages of node a, of which many are away at b; the pool."""
    pool = cluster["a"].pool()
    await fill(cluster["a"], pool, pages)
    await until(lambda: cluster.accounts_agree() and cluster["a"].away > 0)
    return pool


def pair(**knobs: Any) -> FakeCluster:
    return FakeCluster(only_b={"pool_bytes": 4 * MIB}, **knobs)


def flushes(cluster: FakeCluster) -> int:
    return sum(1 for _, _, call in cluster.network.calls if call == "flush")


def test_a_flushed_page_is_gone_here_at_once_and_at_the_lender_soon() -> None:
    """Checklist 50: a flush removes the stub at once and the remote copy eventually."""

    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = await spilled(cluster)
            held = b.foreign
            assert held == a.away > 0
            assert await a.store.flush_object(pool, 1) == 600
            assert a.away == 0
            assert await a.get(pool, 0) is None
            assert b.foreign == held
            await until(lambda: b.foreign == 0, within_s=1)
            cluster.verify()

    run(main())


def test_an_overwritten_pages_copy_goes_soon() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = await spilled(cluster)
            a.cluster.set_spill_target("none")
            held, index = b.foreign, a.cache.peek_away(pool, 1, range(600)).positions[0]
            await a.put(pool, index, make_page(index, 1))
            await until(lambda: b.foreign == held - 1, within_s=0.1, every_s=0.001)

    run(main())


def test_many_flushes_travel_in_few_messages() -> None:
    async def main() -> None:
        async with pair(flush_batch_pages=100) as cluster:
            a = cluster["a"]
            pool = await spilled(cluster)
            pages, before, sent = a.away, flushes(cluster), a.counters.flushes_sent
            await a.store.flush_object(pool, 1)
            await until(cluster.accounts_agree)
            assert flushes(cluster) - before <= pages // 100 + 2
            assert a.counters.flushes_sent - sent == pages

    run(main())


def test_flushes_of_single_pages_one_after_the_other_share_a_message() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool = await spilled(cluster)
            before = flushes(cluster)
            for index in list(a.cache.peek_away(pool, 1, range(600)).positions)[:100]:
                assert await a.store.flush(pool, 1, index)
                await asyncio.sleep(0)
            await until(cluster.accounts_agree)
            assert flushes(cluster) - before == 1

    run(main())


def test_flushes_wait_for_a_lender_that_is_away_and_are_replayed() -> None:
    async def main() -> None:
        async with pair(lease_s=3600.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = await spilled(cluster)
            cluster.network.cut("a", "b")
            await a.store.flush_object(pool, 1)
            await asyncio.sleep(60)
            assert a.peer("b").state == "dead"
            assert a.peer("b").flushes_pending > 0
            assert b.foreign > 0
            cluster.network.heal()
            await until(lambda: b.foreign == 0, within_s=10)
            assert cluster.accounts_agree()
            assert a.counters.flush_failures > 0
            assert a.counters.flushes_dropped == 0

    run(main())


def test_flushes_for_a_lender_that_is_gone_are_dropped() -> None:
    async def main() -> None:
        async with pair(lease_s=3600.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = await spilled(cluster)
            cluster.network.cut("a", "b")
            await a.store.flush_object(pool, 1)
            pending = a.cluster.snapshot().flushes_pending
            assert pending > 0
            await b.crash()
            await b.start()
            cluster.network.heal()
            await until(lambda: a.cluster.snapshot().flushes_pending == 0, within_s=20)
            assert a.counters.flushes_dropped == pending

    run(main())


def test_switching_spilling_off_still_delivers_pending_flushes() -> None:
    """Checklist 66: disabling remotify still drains the pending flushes."""

    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = await spilled(cluster)
            a.cluster.set_spill_target("none")
            await a.store.flush_object(pool, 1)
            await until(lambda: b.foreign == 0, within_s=1)

    run(main())


def test_a_flush_that_a_lender_calls_broken_is_not_repeated_for_ever() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool = await spilled(cluster)

            def refuse(source: str, to: str, call: str, message: Any) -> Any:
                if call == "flush":
                    raise BadMessageError("no such thing")
                return message

            cluster.network.tamper_request = refuse
            before = flushes(cluster)
            await a.store.flush(pool, 1, 0)
            await until(lambda: flushes(cluster) > before)
            await asyncio.sleep(60)
            assert flushes(cluster) == before + 1
            assert a.counters.flush_failures == 1
            assert a.cluster.snapshot().flushes_pending == 0

    run(main())


def test_a_lender_that_is_far_behind_gets_no_spills_until_it_has_caught_up() -> None:
    async def main() -> None:
        async with FakeCluster(
            "a b c",
            only_a={"flush_queue_pages_max": 20},
            only_b={"pool_bytes": 4 * MIB},
            only_c={"pool_bytes": 4 * MIB},
        ) as cluster:
            a, b = cluster["a"], cluster["b"]
            a.cluster.set_spill_target("b")
            pool = await spilled(cluster)
            stuck = True

            def lose_flushes(source: str, to: str, call: str, message: Any) -> Any:
                return None if stuck and call == "flush" and to == "b" else message

            cluster.network.tamper_request = lose_flushes
            await a.store.flush_range(pool, 1, 0, 100)
            assert a.peer("b").flushes_pending > 20
            at_b = a.peer("b").pages_away
            a.cluster.set_spill_target("auto")
            await fill(a, pool, 600, first=1000)
            await until(lambda: a.cluster.snapshot().spill_bytes_in_flight == 0)
            assert a.peer("b").pages_away <= at_b
            assert a.peer("c").pages_away > 0
            stuck = False
            await until(cluster.accounts_agree, within_s=60)
            assert b.foreign == a.peer("b").pages_away

    run(main())


def test_put_flush_put_ends_with_the_last_page_in_every_order_of_messages() -> None:
    """Checklist 54: flushes are delivered so that put-flush-put stays correct."""

    async def cycle(node: Node, pool: int, version: int) -> None:
        await fill(node, pool, 300, version=version)
        await node.store.flush_range(pool, 1, 0, 100)

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            cluster.network.delay_s = (0.0001, 0.5)
            pool = a.pool()
            for version in range(5):
                await cycle(a, pool, version)
                await fill(a, pool, 50, version=version + 100)
                for index in range(0, 300, 7):
                    page = await a.get(pool, index)
                    if index < 50:
                        assert page == make_page(index, version + 100)
                    elif index < 100:
                        assert page is None
                    else:
                        assert page == make_page(index, version)
            await until(cluster.accounts_agree)
            cluster.verify()

    run(main())


def test_flushes_are_numbered_from_one_for_each_lease_and_a_retry_keeps_its_number() -> None:
    async def main() -> None:
        async with pair(flush_batch_pages=50, lease_s=3600.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            sent = caught(cluster)
            pool = await spilled(cluster)
            cluster.network.loss = 0.3
            await a.store.flush_object(pool, 1)
            await until(cluster.accounts_agree)
            cluster.network.loss = 0.0
            numbers = [request.sequence for request in sent]
            assert list(dict.fromkeys(numbers)) == list(range(1, max(numbers) + 1))
            assert len(numbers) > max(numbers) > 5, "some were repeated"
            by_number = {request.sequence: request for request in sent}
            assert all(
                (request.keys, request.generations)
                == (by_number[request.sequence].keys, by_number[request.sequence].generations)
                for request in sent
            )
            await b.crash()
            await b.start()
            await until(cluster.all_alive)
            sent.clear()
            await fill(a, pool, 600)
            await a.store.flush_object(pool, 1)
            await until(cluster.accounts_agree)
            assert [request.sequence for request in sent] == list(range(1, len(sent) + 1))

    run(main())


def test_what_is_flushed_while_a_lender_is_silent_joins_no_message_that_was_sent() -> None:
    """Its answer may be what was lost: the lender then takes the repetition as done."""

    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = await spilled(cluster)
            sent = caught(cluster)
            indexes = list(a.cache.peek_away(pool, 1, range(600)).positions)
            lost = True

            async def lose_answers(source: str, to: str, call: str, message: Any) -> Any:
                answer = await carry(source, to, call, message)
                if lost and call == "flush":
                    await asyncio.Event().wait()
                return answer

            carry = cluster.network._carry
            cluster.network._carry = lose_answers  # type: ignore[method-assign]
            held = b.foreign
            await a.store.flush(pool, 1, indexes[0])
            await until(lambda: a.counters.flush_failures == 1, every_s=0.001)
            assert b.foreign == held - 1, "carried out, and nobody knows"
            await a.store.flush(pool, 1, indexes[1])
            await until(lambda: a.counters.flush_failures == 2, every_s=0.001)
            assert sent[0] == sent[1]
            assert len(sent[0].keys) == 1
            lost = False
            await until(cluster.accounts_agree, within_s=30)
            assert b.foreign == held - 2
            assert sent[-1].sequence == sent[0].sequence + 1

    run(main())


def test_the_keys_of_pending_flushes_are_known_until_they_are_acknowledged() -> None:
    async def main() -> None:
        async with pair(flush_batch_pages=10) as cluster:
            a = cluster["a"]
            pool = await spilled(cluster)
            flusher, view = a.cluster._flusher, a.peer("b")
            lender = Lender(view.node, view.incarnation, view.lease)
            assert flusher.pending_keys(lender) == set()
            assert flusher.pending_keys(lender._replace(lease=1)) == set()
            away = a.cache.peek_away(pool, 1, range(25))
            sent = caught(cluster)
            cluster.network.cut("a", "b")
            await a.store.flush_range(pool, 1, 0, 25)
            assert len(flusher.pending_keys(lender)) == len(away) > 20
            pending = flusher.pending_keys(lender)
            await until(lambda: a.counters.flush_failures)
            assert flusher.pending_keys(lender) == pending
            cluster.network.heal()
            await until(cluster.accounts_agree, within_s=30)
            assert flusher.pending_keys(lender) == set()
            assert pending == {key for request in sent for key in request.keys}

    run(main())


def test_a_flush_of_another_copy_never_hits_a_later_one() -> None:
    """A flush that was repeated, because its answer was lost, arrives after the page left again."""

    async def main() -> None:
        async with pair(readahead_pages=0) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = await spilled(cluster)
            caught: list[FlushRequest] = []

            def catch(source: str, to: str, call: str, message: Any) -> Any:
                if call == "flush":
                    caught.append(message)
                return message

            cluster.network.tamper_request = catch
            away = a.cache.peek_away(pool, 1, range(600))
            index = away.positions[0]
            await a.store.flush_range(pool, 1, 300, 600)  # room, so that the page comes home
            assert await a.get(pool, index) == make_page(index)
            assert len(a.cache.peek_away(pool, 1, [index])) == 0
            await until(cluster.accounts_agree)
            await fill(a, pool, 600, first=1000)  # the page leaves again
            await until(lambda: len(a.cache.peek_away(pool, 1, [index])) == 1)
            await until(cluster.accounts_agree)
            for request in caught:
                b.cluster.handler.on_flush(request)
            assert cluster.accounts_agree()
            assert await a.get(pool, index) == make_page(index)

    run(main())
