"""Cold pages leave in the background, and every ticket ends once."""

from __future__ import annotations

import asyncio
from array import array
from dataclasses import replace
from typing import Any

import pytest

from ramster.errors import StoreFullError
from ramster.transport import SpillReply
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.virtual_time import run, until
from zcache import AdoptStatus, PoolKind
from zcache.cache import Cache as PythonCache


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


async def fill_up(node: Node, pool: int) -> tuple[int, str]:
    """Put pages until one is refused: how many were stored, and what the refusal says."""
    stored = 0
    while True:
        try:
            await node.put(pool, stored, make_page(stored))
        except StoreFullError as refusal:
            return stored, str(refusal)
        stored += 1


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


# -- several copies
# ------------------------------------------------------------------------------------------


def several(names: str = "a b c d", **knobs: Any) -> FakeCluster:
    """A small node a and lenders with room for all it has; nothing moves but what it spills."""
    knobs = {"repatriate_bytes_per_s": 0, "replicas": 2} | knobs
    return FakeCluster(names, pool_bytes=4 * MIB, only_a={"pool_bytes": MIB}, **knobs)


def copies_of(node: Node, pool: int, count: int) -> list[list[str]]:
    """The nodes that hold each page that is away."""
    return [
        [lender.node for lender in place.lenders] for place in node.places(pool, count).values()
    ]


@pytest.mark.parametrize("replicas", [2, 3])
def test_each_page_goes_to_as_many_lenders_on_different_nodes(replicas: int) -> None:
    async def main() -> None:
        async with several(replicas=replicas, spill_batch_bytes=16 * 1024) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 700)
            await quiet(a)
            copies = copies_of(a, pool, 700)
            assert copies
            assert all(len(set(nodes)) == replicas == len(nodes) for nodes in copies)
            assert sum(cluster[name].foreign for name in "bcd") == replicas * a.away
            assert min(cluster[name].foreign for name in "bcd") > 0
            assert a.counters.pages_spilled_short == 0
            assert a.cluster.snapshot().pages_under_replicated == 0
            await until(cluster.accounts_agree)
            cluster.verify()
            await everything_is_right(a, pool, 700)

    run(main())


def test_with_too_few_lenders_pages_leave_with_fewer_copies_and_are_counted() -> None:
    async def main() -> None:
        async with several("a b c", replicas=3, replicas_min=2) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 500)
            await quiet(a)
            assert {tuple(nodes) for nodes in copies_of(a, pool, 500)} == {("b", "c")}
            assert a.counters.pages_spilled_short == a.away > 0
            assert a.cluster.snapshot().pages_under_replicated == a.away
            await until(cluster.accounts_agree)

    run(main())


def test_with_fewer_lenders_than_the_least_the_rest_stays_home_and_puts_are_refused_at_once() -> (
    None
):
    async def main() -> None:
        async with several("a b", replicas_min=2, put_wait_s=60.0) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool, began = a.pool(), loop.time()
            with pytest.raises(StoreFullError):
                await fill(a, pool, 700)
            assert loop.time() - began < 1.0
            assert (a.away, cluster["b"].foreign) == (0, 0)
            stored = a.cache.stats().pages_local
            await everything_is_right(a, pool, stored)

    run(main())


def test_pools_of_one_ticket_have_each_their_own_number_of_copies() -> None:
    async def main() -> None:
        async with several(
            replicas=2, spill_batch_bytes=64 * 1024, make_cache=PythonCache
        ) as cluster:
            a = cluster["a"]
            assert isinstance(a.cache, PythonCache)
            pools = {1: a.pool(replicas=1), 2: a.pool(), 3: a.pool(replicas=3)}
            tickets = 0
            for index in range(240):
                for pool in pools.values():
                    await a.put(pool, index, make_page(index))
                tickets = max(
                    tickets, *(len(set(t.pools)) for t in a.cache._spills.tickets()), tickets
                )
            await quiet(a)
            assert tickets == 3, "the pools never shared a ticket"
            for replicas, pool in pools.items():
                copies = copies_of(a, pool, 240)
                assert copies
                assert {len(set(nodes)) for nodes in copies} == {replicas}
            await until(cluster.accounts_agree)
            for pool in pools.values():
                await everything_is_right(a, pool, 240)

    run(main())


def test_pages_that_want_few_copies_leave_although_others_beside_them_cannot() -> None:
    async def main() -> None:
        async with several("a b", replicas=1, replicas_min=1) as cluster:
            a = cluster["a"]
            a.cluster._replication._config = replace(a.cluster.config, replicas=2, replicas_min=2)
            few, many = a.pool(replicas=1), a.pool(replicas=2)
            for index in range(240):
                await a.put(few, index, make_page(index))
                await a.put(many, index, make_page(index))
            await quiet(a)
            assert copies_of(a, few, 240)
            assert copies_of(a, many, 240) == []
            await until(cluster.accounts_agree)

    run(main())


def test_cold_pages_that_cannot_leave_do_not_keep_warmer_ones_from_leaving() -> None:
    """All of the coldest want two copies, and there is one lender."""

    async def main() -> None:
        async with several("a b", replicas=2, replicas_min=2) as cluster:
            a = cluster["a"]
            many, few = a.pool(), a.pool(replicas=1)
            await fill(a, many, 200)
            await fill(a, few, 600)
            await quiet(a)
            assert copies_of(a, many, 200) == []
            assert len(copies_of(a, few, 600)) > 200
            assert a.counters.puts_refused == 0
            await until(cluster.accounts_agree)

    run(main())


def refuse_at(name: str, status: AdoptStatus = AdoptStatus.QUOTA) -> Any:
    """One lender refuses every second page, having dropped it."""

    def refuse(source: str, to: str, call: str, message: Any) -> Any:
        if call == "spill" and to == name:
            message.blobs.checksums[::2] = array(
                "Q", [checksum ^ 1 for checksum in message.blobs.checksums[::2]]
            )
        return message

    return refuse


def test_a_page_refused_by_one_lender_and_taken_by_the_other_leaves_with_one_copy() -> None:
    async def main() -> None:
        async with several("a b c", rebuild_bytes_per_s=4096) as cluster:
            a = cluster["a"]
            cluster.network.tamper_request = refuse_at("b")
            pool = a.pool()
            await fill(a, pool, 450)
            await until(lambda: a.away > 0 and idle(a))
            held_by = {tuple(nodes) for nodes in copies_of(a, pool, 450)}
            assert {("b", "c"), ("c",)} <= held_by <= {("b", "c"), ("c",), ("b",)}
            assert a.counters.pages_spilled_short > 0
            assert a.counters.spill_pages_refused > 0
            cluster.network.tamper_request = None
            await until(cluster.accounts_agree)
            cluster.verify()
            await everything_is_right(a, pool, 450)

    run(main())


def test_a_page_with_fewer_copies_taken_than_the_least_stays_home_and_they_are_flushed() -> None:
    async def main() -> None:
        async with several("a b c", replicas_min=2) as cluster:
            a, c = cluster["a"], cluster["c"]
            cluster.network.tamper_request = refuse_at("b")
            pool = a.pool()
            await fill(a, pool, 450)
            await until(lambda: a.away > 0)
            cluster.network.tamper_request = None
            a.cluster.set_spill_target("none")
            await until(cluster.accounts_agree)
            assert {tuple(nodes) for nodes in copies_of(a, pool, 450)} == {("b", "c")}
            assert c.foreign == a.away
            assert a.counters.spill_pages > 2 * a.away, "c took what did not stay there"
            await everything_is_right(a, pool, 450)

    run(main())


@pytest.mark.parametrize("replicas_min", [1, 2])
def test_a_batch_of_unknown_outcome_at_one_of_two_lenders_leaks_nothing(replicas_min: int) -> None:
    """Checklist 56: a failed remote put leaks no page, here or there."""

    async def main() -> None:
        async with several("a b c", replicas_min=replicas_min, spill_deadline_s=1.0) as cluster:
            a, b = cluster["a"], cluster["b"]

            def lose_answer(source: str, to: str, call: str, reply: Any) -> Any:
                return None if call == "spill" and source == "a" and b.foreign else reply

            cluster.network.tamper_reply = lose_answer
            pool = a.pool()
            await fill(a, pool, 450)
            await until(lambda: a.counters.spills_timed_out > 0)
            cluster.network.tamper_reply = None
            await until(lambda: a.away > 0)
            await until(lambda: idle(a) and cluster.accounts_agree())
            await until(lambda: a.cluster.snapshot().pages_under_replicated == 0)
            await until(cluster.accounts_agree)
            assert {tuple(nodes) for nodes in copies_of(a, pool, 450)} == {("b", "c")}
            cluster.verify()
            await everything_is_right(a, pool, 450)

    run(main())


@pytest.mark.parametrize("own_numbers", [False, True])
def test_a_lender_that_is_gone_before_the_other_answers_holds_no_copy(own_numbers: bool) -> None:
    """Also where the table has forgotten it by then, as it does with lenders that no stub names."""

    async def main() -> None:
        async with several(
            "a b c",
            spill_deadline_s=10.0,
            call_deadline_s=1.0,
            lease_s=3.0,
            suspect_after_s=1.5,
            dead_after_s=2.0,
            heartbeat_interval_s=0.5,
            rebuild_bytes_per_s=4096,
        ) as cluster:
            a, b = cluster["a"], cluster["b"]
            gate = asyncio.Event()
            carry = cluster.network._carry

            async def slow_c(source: str, to: str, call: str, message: Any) -> Any:
                reply = await carry(source, to, call, message)
                if (source, to, call) == ("a", "c", "spill"):
                    await gate.wait()
                return reply

            cluster.network._carry = slow_c  # type: ignore[method-assign, assignment]
            pools = [a.pool(), a.pool(replicas=1 if own_numbers else None)]
            for index in range(225):
                for pool in pools:
                    await a.put(pool, index, make_page(index))
            await until(lambda: b.foreign > 0 and a.counters.spill_pages >= b.foreign)
            await b.crash()
            await b.start()
            await until(lambda: a.counters.lenders_gone > 0 and a.sees("b"))
            await asyncio.sleep(1.0)  # the sweep has its turn
            gate.set()
            await until(lambda: a.away > 0 and idle(a))
            assert a.cluster.tasks.failure is None
            await until(lambda: a.cluster.snapshot().pages_under_replicated == 0)
            await until(cluster.accounts_agree)
            assert a.cluster.snapshot().pages_lost == 0
            for pool in pools:
                await everything_is_right(a, pool, 225)

    run(main())


# -- lenders that are slow, silent or full
# --------------------------------------------------------------------


def test_a_silent_lender_is_suspect_after_the_spill_deadline_and_the_others_go_on() -> None:
    async def main() -> None:
        async with several(
            replicas=1,
            spill_deadline_s=1.0,
            heartbeat_interval_s=30,
            suspect_after_s=60,
            dead_after_s=90,
            lease_s=600,
        ) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            cluster.network.cut("a", "b")
            pool = a.pool()
            await fill(a, pool, 450)
            await until(
                lambda: "b" in [to for _, to, call in cluster.network.calls if call == "spill"]
            )
            sent_at = loop.time()
            first = 450
            while a.peer("b").state == "alive":
                await fill(a, pool, 10, first=first)
                first += 10
                await asyncio.sleep(0.01)
                assert loop.time() - sent_at < 1.1
            assert a.peer("b").state == "suspect"
            assert a.peer("c").pages_away > 0
            assert a.peer("d").pages_away > 0
            assert a.counters.spills_timed_out > 0
            before = cluster.network.calls.count(("a", "b", "spill"))
            await fill(a, pool, 300, first=first)
            await quiet(a)
            assert cluster.network.calls.count(("a", "b", "spill")) == before
            assert a.counters.puts_refused == 0
            await everything_is_right(a, pool, first + 300)

    run(main())


def test_a_slow_lender_has_little_on_its_way_and_the_others_as_much_as_before() -> None:
    async def main() -> None:
        async with several(
            replicas=1, spill_batch_bytes=16 * 1024, spill_deadline_s=5.0
        ) as cluster:
            a = cluster["a"]
            carry = cluster.network._carry

            async def slow_b(source: str, to: str, call: str, message: Any) -> Any:
                reply = await carry(source, to, call, message)
                if (to, call) == ("b", "spill"):
                    await asyncio.sleep(0.5)
                return reply

            pool = a.pool()
            await fill(a, pool, 600)
            await quiet(a)
            most = a.cluster.config.spill_bytes_in_flight_max
            assert a.peer("b").spill_window_bytes == most
            cluster.network._carry = slow_b  # type: ignore[method-assign, assignment]
            first = 600
            while a.peer("b").spill_window_bytes > 16 * 1024:
                await fill(a, pool, 20, first=first)
                first += 20
                await asyncio.sleep(0.01)
                assert first < 2500
            assert a.peer("c").spill_window_bytes == a.peer("d").spill_window_bytes == most
            at_b, at_c = a.peer("b").pages_away, a.peer("c").pages_away
            await fill(a, pool, 500, first=first)
            await quiet(a)
            assert a.peer("c").pages_away - at_c > 3 * (a.peer("b").pages_away - at_b)
            assert a.counters.puts_refused == 0

    run(main())


def test_a_full_cluster_refuses_promptly_and_all_that_was_stored_stays() -> None:
    async def main() -> None:
        async with FakeCluster(
            "a b c", pool_bytes=MIB, replicas=2, put_wait_s=60.0, repatriate_bytes_per_s=0
        ) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool = a.pool()
            stored, why = await fill_up(a, pool)
            assert "no peer that answers has room" in why
            assert a.away > 0
            for index in range(5000, 5020):
                began = loop.time()
                with pytest.raises(StoreFullError):
                    await a.put(pool, index, make_page(index))
                assert loop.time() - began < 0.2
            await everything_is_right(a, pool, stored)
            await until(cluster.accounts_agree)
            cluster.verify()

    run(main())


# -- the write-back file
# --------------------------------------------------------------------------------------


async def put_at_last(node: Node, pool: int, index: int) -> None:
    """Put a page, again after refusals: a file rests after an error."""
    for _ in range(100):
        try:
            await node.put(pool, index, make_page(index))
        except StoreFullError:
            await asyncio.sleep(1.0)
        else:
            return
    raise AssertionError("there never was room")


def filing(names: str = "a b c d", **knobs: Any) -> FakeCluster:
    """As ``several``, with a write-back file at node a."""
    own = {"pool_bytes": MIB, "writeback_bytes": 8 * MIB} | knobs.pop("only_a", {})
    knobs = {"repatriate_bytes_per_s": 0} | knobs
    return FakeCluster(names, only_a=own, **({"pool_bytes": 4 * MIB} | knobs))


def test_pages_go_to_the_file_when_no_lender_has_room_and_come_back_by_reads() -> None:
    async def main() -> None:
        async with filing("a b", pool_bytes=MIB, lend_bytes=200 * 1024) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = a.pool()
            await fill(a, pool, 1000)
            await quiet(a)
            places = a.places(pool, 1000).values()
            assert {(len(place.lenders), place.disk) for place in places} == {(1, False), (0, True)}
            assert b.foreign > 0
            assert a.writeback.pages > 100
            assert a.counters.puts_refused == 0
            await until(cluster.accounts_agree)
            await everything_is_right(a, pool, 1000)
            assert a.disk.reads > 0
            assert a.disk.races == []
            cluster.verify()

    run(main())


def test_slots_are_freed_by_overwriting_and_flushing() -> None:
    async def main() -> None:
        async with filing("a") as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 1000)
            await quiet(a)
            in_file = list(a.places(pool, 1000))
            assert a.writeback.pages == len(in_file) > 100
            await a.put(pool, in_file[0], make_page(in_file[0], 1))
            await a.store.flush(pool, 1, in_file[1])
            await until(cluster.accounts_agree)
            assert await a.get(pool, in_file[0]) == make_page(in_file[0], 1)
            assert await a.get(pool, in_file[1]) is None
            assert await a.get(pool, in_file[2]) == make_page(in_file[2])
            await fill(a, pool, 1000, version=2)
            await quiet(a)
            assert cluster.accounts_agree()
            await everything_is_right(a, pool, 1000, version=2)
            await a.store.flush_object(pool, 1)
            await until(lambda: a.writeback.pages == 0)
            assert a.writeback.bytes_used == 0
            assert a.cluster.snapshot().pages_away == 0

    run(main())


def test_a_pool_and_a_file_without_peers_hold_more_than_the_pool() -> None:
    """zcache mode with a write-back file: the same code, no peer."""

    async def main() -> None:
        async with filing("a", put_wait_s=5.0) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 2000)
            assert a.writeback.pages > 1000
            assert cluster.network.calls == []
            view = a.cluster.snapshot()
            assert (view.pages_lost, view.pages_unreachable, view.pages_under_replicated) == (
                0,
                0,
                0,
            )
            await everything_is_right(a, pool, 2000)
            await a.store.destroy_pool(pool)
            await until(lambda: a.writeback.pages == 0)

    run(main())


def test_when_the_file_is_full_too_puts_are_refused_promptly_and_say_so() -> None:
    async def main() -> None:
        async with filing("a", put_wait_s=60.0, only_a={"writeback_bytes": MIB}) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool, began = a.pool(), loop.time()
            stored, why = await fill_up(a, pool)
            assert "nor has the write-back file" in why
            assert loop.time() - began < 5.0
            assert stored > 700
            await everything_is_right(a, pool, stored)
            for index in range(300):
                await a.store.flush(pool, 1, index)
            await fill(a, pool, 100, first=5000)

    run(main())


def test_ephemeral_pages_do_not_go_to_the_file() -> None:
    async def main() -> None:
        async with filing("a", spill_ephemeral=True) as cluster:
            a = cluster["a"]
            await fill(a, a.pool(PoolKind.EPHEMERAL), 800)
            await quiet(a)
            assert (a.writeback.pages, a.disk.writes) == (0, 0)

    run(main())


def test_the_file_makes_up_for_lenders_that_are_missing() -> None:
    async def main() -> None:
        async with filing("a b", replicas=2) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 600)
            await quiet(a)
            places = a.places(pool, 600).values()
            assert {(place.names, place.copies) for place in places} == {
                ("b and the write-back file", 2)
            }
            assert a.counters.pages_spilled_short == 0
            assert a.cluster.snapshot().pages_under_replicated == 0
            await until(cluster.accounts_agree)
            await cluster["b"].crash()
            await everything_is_right(a, pool, 600)
            assert a.counters.pages_lost == 0

    run(main())


def test_in_safety_mode_a_lenders_death_loses_nothing() -> None:
    async def main() -> None:
        async with filing("a b c", writeback_safety=True) as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 600)
            await quiet(a)
            places = a.places(pool, 600).values()
            assert {(len(place.lenders), place.disk) for place in places} == {(1, True)}
            assert a.writeback.pages == a.away > 0
            await until(cluster.accounts_agree)
            await cluster["b"].crash()
            await cluster["b"].start()
            await until(lambda: a.counters.lenders_gone == 1)
            await cluster["c"].crash()
            await until(lambda: a.peer("c").state == "dead")
            view = a.cluster.snapshot()
            assert (view.pages_lost, view.pages_unreachable) == (0, 0)
            await everything_is_right(a, pool, 600)
            assert a.counters.pages_lost == 0

    run(main())


def test_a_failing_disk_refuses_only_what_has_no_other_place() -> None:
    async def main() -> None:
        async with filing("a b", pool_bytes=MIB, lend_bytes=200 * 1024) as cluster:
            a = cluster["a"]
            a.disk.write_errors = 1.0
            pool = a.pool()
            stored, _ = await fill_up(a, pool)
            assert a.writeback.pages == 0
            assert a.writeback.counters.write_errors > 0
            assert a.away > 0, "the lender has what it has room for"
            await everything_is_right(a, pool, stored)
            a.disk.write_errors = 0.0
            await asyncio.sleep(60)
            await fill(a, pool, 200, first=stored)
            await quiet(a)
            assert a.writeback.pages > 0
            await until(cluster.accounts_agree)
            await everything_is_right(a, pool, stored + 200)

    run(main())


def test_a_disk_that_fails_in_safety_mode_does_not_keep_pages_from_lenders() -> None:
    async def main() -> None:
        async with filing("a b c", writeback_safety=True) as cluster:
            a = cluster["a"]
            a.disk.write_errors = 1.0
            pool = a.pool()
            await fill(a, pool, 600)
            await quiet(a)
            assert a.counters.puts_refused == 0
            places = a.places(pool, 600).values()
            assert {(len(place.lenders), place.disk) for place in places} == {(1, False)}
            await everything_is_right(a, pool, 600)

    run(main())


@pytest.mark.parametrize("short", [False, True])
def test_what_the_disk_did_not_write_stays_home(short: bool) -> None:
    async def main() -> None:
        async with filing("a") as cluster:
            a = cluster["a"]
            if short:
                a.disk.short_writes = 0.3
            else:
                a.disk.write_errors = 0.3
            pool = a.pool()
            for index in range(1200):
                await put_at_last(a, pool, index)
            await quiet(a)
            assert a.writeback.pages > 0
            assert a.writeback.counters.write_errors > 0
            await everything_is_right(a, pool, 1200)
            await until(cluster.accounts_agree)

    run(main())


def test_a_hung_disk_holds_up_no_spill_to_peers_beyond_the_deadline() -> None:
    async def main() -> None:
        async with filing("a b c", writeback_safety=True, spill_deadline_s=1.0) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            a.disk.hang()
            pool = a.pool()
            began = loop.time()
            await fill(a, pool, 450)
            assert loop.time() - began < 0.1
            await until(lambda: a.away > 0, within_s=1.1)
            places = a.places(pool, 450).values()
            assert {(len(place.lenders), place.disk) for place in places} == {(1, False)}
            await fill(a, pool, 300, first=450)
            assert a.counters.puts_refused == 0
            await everything_is_right(a, pool, 750)
            a.disk.go_on()
            await until(lambda: a.cluster.snapshot().pages_under_replicated == 0)
            await until(cluster.accounts_agree)
            assert a.disk.races == []

    run(main())


def test_a_file_that_hangs_does_not_keep_the_node_from_stopping() -> None:
    async def main() -> None:
        async with filing("a") as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            a.disk.hang()
            await fill(a, a.pool(), 450)
            await until(lambda: a.disk.calls_under_way > 0)
            began = loop.time()
            await a.stop()
            assert loop.time() - began <= 2.0
            a.cache.verify()

    run(main())
