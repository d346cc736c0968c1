"""Cold pages leave in the background, and every ticket ends once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ramster.errors import StoreFullError
from ramster.transport import SpillReply
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.virtual_time import run, until
from zcache import AdoptStatus, PoolKind


def pair(**knobs: Any) -> FakeCluster:
    return FakeCluster(only_b={"pool_bytes": 4 * MIB}, **knobs)


def idle(node: Node) -> bool:
    """Below the low watermark, or nothing on its way."""
    return node.cluster.snapshot().spill_bytes_in_flight == 0


async def quiet(node: Node) -> None:
    """Until the spiller has come to rest."""
    await asyncio.sleep(0.1)
    await until(lambda: idle(node))
    await asyncio.sleep(0.1)


def spills(cluster: FakeCluster) -> int:
    return sum(1 for _, _, call in cluster.network.calls if call == "spill")


async def everything_is_right(node: Node, pool: int, count: int, version: int = 0) -> None:
    for index in range(count):
        assert await node.get(pool, index) == make_page(index, version)


def test_nothing_leaves_below_the_high_watermark() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            await fill(a, a.pool(), 300)
            assert a.cache.excess_bytes(a.cache.config.high_watermark) == 0
            await asyncio.sleep(10)
            assert spills(cluster) == 0

    run(main())


def test_above_the_high_watermark_pages_leave_until_the_low_one() -> None:
    """Checklist 48: a put is local first, and pages leave behind its back."""

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool = a.pool()
            count = 0
            while a.cache.excess_bytes(a.cache.config.high_watermark) == 0:
                await fill(a, pool, 1, first=count)
                count += 1
            assert spills(cluster) == 0
            await quiet(a)
            low = a.cache.config.low_watermark
            assert a.cache.excess_bytes(low) == 0
            assert a.cache.excess_bytes(low - 0.1) > 0, "far more left than needed"
            assert a.counters.puts_waited == 0
            await everything_is_right(a, pool, count)

    run(main())


def test_a_put_does_not_wait_for_a_slow_peer_while_there_is_room() -> None:
    """Checklist 48: remotify never blocks the caller."""

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            cluster.network.delay_s = (1.0, 2.0)
            pool, loop = a.pool(), asyncio.get_running_loop()
            count = 0
            while a.cache.excess_bytes(0.97) == 0:
                began = loop.time()
                await fill(a, pool, 1, first=count)
                assert loop.time() == began
                count += 1
            assert a.cluster.snapshot().spill_bytes_in_flight > 0

    run(main())


def test_several_batches_are_on_their_way_up_to_the_bound() -> None:
    async def main() -> None:
        async with pair(
            spill_batch_bytes=16 * 1024, spill_bytes_in_flight_max=64 * 1024
        ) as cluster:
            a = cluster["a"]
            cluster.network.delay_s = (0.01, 0.02)
            pool, most = a.pool(), 0
            for index in range(1200):
                await a.put(pool, index, make_page(index))
                most = max(most, a.cluster.snapshot().spill_bytes_in_flight)
            assert 32 * 1024 < most <= 64 * 1024
            await quiet(a)
            await everything_is_right(a, pool, 1200)

    run(main())


def test_ephemeral_pages_leave_only_if_so_configured() -> None:
    async def main(spill: bool) -> tuple[int, int]:
        async with pair(spill_ephemeral=spill) as cluster:
            a = cluster["a"]
            pool = a.pool(PoolKind.EPHEMERAL)
            await fill(a, pool, 480)
            await quiet(a)
            return a.away, cluster["b"].foreign

    assert run(main(False)) == (0, 0)
    away, foreign = run(main(True))
    assert away == foreign > 0


def test_a_batch_that_times_out_stays_home_and_leaves_nothing_behind() -> None:
    """Checklist 56: a failed remote put keeps the local copy usable, leaking nothing."""

    async def main() -> None:
        async with pair(call_deadline_s=1.0) as cluster:
            a, b = cluster["a"], cluster["b"]

            def lose_answer(source: str, to: str, call: str, reply: Any) -> Any:
                return None if call == "spill" else reply

            cluster.network.tamper_reply = lose_answer
            pool = a.pool()
            await fill(a, pool, 450)
            await until(lambda: a.counters.spills_timed_out > 0)
            assert b.foreign > 0, "the batch did arrive"
            assert a.away == 0
            await everything_is_right(a, pool, 450)
            cluster.network.tamper_reply = None
            await until(lambda: a.away > 0)
            await until(cluster.accounts_agree)
            cluster.verify()
            await everything_is_right(a, pool, 450)

    run(main())


def test_a_batch_that_finds_no_connection_stays_home() -> None:
    """Checklist 56: a failed remote put keeps the local copy on the queue."""

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            handler = cluster.network._handlers["b"]
            cluster.network.down("b")
            pool = a.pool()
            await fill(a, pool, 450)
            await until(lambda: a.counters.spills_unreachable > 0)
            stats = a.cache.stats()
            assert (stats.pages_away, stats.pages_in_transit) == (0, 0)
            assert stats.pages_local == 450
            cluster.network.up("b", handler)
            await until(lambda: a.away > 0)
            await until(cluster.accounts_agree)
            await everything_is_right(a, pool, 450)

    run(main())


@pytest.mark.parametrize("status", [AdoptStatus.QUOTA, AdoptStatus.FULL, AdoptStatus.BAD])
def test_a_refused_batch_stays_home_and_the_lender_is_not_asked_in_a_loop(
    status: AdoptStatus,
) -> None:
    async def main() -> None:
        async with pair(heartbeat_interval_s=1.0) as cluster:
            a = cluster["a"]

            def refuse(source: str, to: str, call: str, reply: Any) -> Any:
                if call != "spill":
                    return reply
                return SpillReply(
                    statuses=bytes((status,)) * len(reply.statuses), room_bytes=reply.room_bytes
                )

            cluster.network.tamper_reply = refuse
            pool = a.pool()
            await fill(a, pool, 450)
            await asyncio.sleep(10)
            # What was in flight at first, and one batch after each heartbeat that tells of room.
            assert spills(cluster) <= 4 + 11 * 4
            assert a.away == 0
            assert a.counters.spill_pages_refused > 0
            await everything_is_right(a, pool, 450)

    run(main())


def test_a_partly_refused_batch_leaves_in_part() -> None:
    async def main() -> None:
        async with FakeCluster(only_b={"pool_bytes": 4 * MIB, "lend_bytes": 20 * 4096}) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = a.pool()
            await fill(a, pool, 450)
            await quiet(a)
            assert 0 < a.away == b.foreign
            assert a.counters.spill_pages_refused > 0
            assert cluster.accounts_agree()
            await everything_is_right(a, pool, 450)

    run(main())


@pytest.mark.parametrize(
    "answer",
    [SpillReply(statuses=b"", room_bytes=0), SpillReply(statuses=b"\0" * 5000, room_bytes=0)],
)
def test_an_answer_that_does_not_fit_the_batch_counts_as_unknown(answer: SpillReply) -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            lying = True

            def lie(source: str, to: str, call: str, reply: Any) -> Any:
                return answer if lying and call == "spill" else reply

            cluster.network.tamper_reply = lie
            pool = a.pool()
            await fill(a, pool, 450)
            await until(lambda: a.counters.spills_bad_answer > 0)
            assert a.away == 0
            lying = False
            await until(lambda: a.away > 0)
            await until(cluster.accounts_agree)
            await everything_is_right(a, pool, 450)

    run(main())


def test_a_batch_accepted_by_a_lender_that_is_gone_by_then_stays_home() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]

            def forget(source: str, to: str, call: str, reply: Any) -> Any:
                if call == "spill":
                    membership = a.cluster._membership
                    lender = membership.peer("b").lender
                    if lender is not None:
                        now = asyncio.get_running_loop().time()
                        a.cluster._on_events(membership.on_unknown_lease(lender, now=now))
                return reply

            cluster.network.tamper_reply = forget
            pool = a.pool()
            await fill(a, pool, 450)
            await until(lambda: a.counters.spills_overtaken > 0)
            assert a.away == 0
            assert a.cluster.snapshot().pages_lost == 0
            await everything_is_right(a, pool, 450)

    run(main())


def test_batches_under_way_end_when_the_node_stops() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            cluster.network.delay_s = (3.0, 4.0)
            pool = a.pool()
            await fill(a, pool, 450)
            await asyncio.sleep(0)
            assert a.cache.stats().pages_in_transit > 0
            began = loop.time()
            await a.stop()
            assert loop.time() == began, "stopping waited for a peer"
            stats = a.cache.stats()
            assert stats.pages_in_transit == 0
            assert stats.tickets_begun == stats.tickets_cancelled > 0
            a.cache.verify()

    run(main())


def test_a_defect_on_the_way_ends_the_ticket_and_is_told() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]

            def defect(source: str, to: str, call: str, message: Any) -> Any:
                if call == "spill":
                    raise ZeroDivisionError("a defect in a transport")
                return message

            cluster.network.tamper_request = defect
            await fill(a, a.pool(), 450)
            error = await asyncio.wait_for(a.cluster.tasks.wait_failed(), 10)
            assert isinstance(error, ZeroDivisionError)
            cluster.network.tamper_request = None
            await quiet(a)
            assert a.cache.stats().pages_in_transit == 0
            a.cache.verify()
            a.cluster.tasks.failure = None

    run(main())


def test_a_fixed_target_gets_all_and_can_be_changed_and_cleared() -> None:
    """Checklist 63, 64: the target changes while pages are elsewhere, and can be unset."""

    async def main() -> None:
        big = {"pool_bytes": 4 * MIB}
        async with FakeCluster("a b c", only_b=big, only_c=big, spill_target="auto") as cluster:
            a = cluster["a"]
            pool = a.pool()
            a.cluster.set_spill_target("b")
            await fill(a, pool, 600)
            await quiet(a)
            at_b = a.peer("b").pages_away
            assert at_b > 0
            assert a.peer("c").pages_away == 0
            a.cluster.set_spill_target("c")
            await fill(a, pool, 200, first=600)
            await quiet(a)
            at_c = a.peer("c").pages_away
            assert at_c > 0
            assert a.peer("b").pages_away == at_b
            a.cluster.set_spill_target("none")
            with pytest.raises(StoreFullError, match="switched off"):
                await fill(a, pool, 600, first=800)
            assert a.peer("c").pages_away == at_c
            await everything_is_right(a, pool, 800)

    run(main())


def test_room_of_lenders_is_spread_over() -> None:
    """Checklist 68: three or more nodes work at the same time."""

    async def main() -> None:
        names = "a b c d e f g h i j"
        async with FakeCluster(names, spill_batch_bytes=16 * 1024) as cluster:
            a = cluster["a"]
            await fill(a, a.pool(), 1500)
            await quiet(a)
            holding = [peer.pages_away for peer in a.cluster.snapshot().peers]
            assert len(holding) == 9
            assert min(holding) > 0
            assert cluster.accounts_agree()

    run(main())
