"""Which pages should move, and which first."""

from __future__ import annotations

from ramster.relocation_plan import Move, Reason
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill
from tests.support.virtual_time import run, until


def planned(node: Node, reason: Reason) -> list[Move]:
    return [move for move in node.cluster._relocator.plan.moves() if move.reason is reason]


def test_pages_at_shaky_lenders_come_home_first() -> None:
    async def scenario() -> None:
        async with FakeCluster(
            "a b c",
            pool_bytes=2 * MIB,
            only_a={"pool_bytes": 256 * 1024, "lend_bytes": 0},
            repatriate_bytes_per_s=MIB,
        ) as nodes:
            a = nodes["a"]
            await fill(a, a.pool(), 300)
            await until(lambda: not a.cluster.snapshot().spill_bytes_in_flight)
            nodes.network.cut("a", "b")
            await until(lambda: a.peer("b").state == "suspect")
            plan = a.cluster._relocator.plan
            plan._room_since = 0.0
            a.cache.reconfigure(pool_bytes_max=4 * MIB)
            homeward = [move for move in plan.moves() if move.reason is Reason.REPATRIATE]
            assert [move.place.lenders[0].node for move in homeward] == ["b", "c"]

    run(scenario())


def test_what_a_draining_lender_holds_comes_before_everything_else() -> None:
    async def scenario() -> None:
        async with FakeCluster(
            "a b c d",
            replicas=2,
            pool_bytes=2 * MIB,
            only_a={"pool_bytes": 256 * 1024, "lend_bytes": 0},
            rebuild_bytes_per_s=4096,
        ) as nodes:
            a = nodes["a"]
            await fill(a, a.pool(), 300)
            await until(lambda: not a.cluster.snapshot().spill_bytes_in_flight)
            await nodes["b"].crash()
            await until(lambda: a.peer("b").state == "dead")
            assert planned(a, Reason.EVACUATE) == []
            nodes["c"].cluster._foreign.drain()
            peer = a.cluster._membership.peer("c")
            await until(lambda: peer.draining)
            reasons = [move.reason for move in a.cluster._relocator.plan.moves()]
            assert reasons[0] is Reason.EVACUATE
            for move in planned(a, Reason.EVACUATE):
                assert all(lender.node != "c" for lender in move.keep)

    run(scenario())


def test_a_place_of_which_nothing_could_be_moved_rests() -> None:
    async def scenario() -> None:
        async with FakeCluster(
            "a b", pool_bytes=2 * MIB, only_a={"pool_bytes": 256 * 1024, "lend_bytes": 0}
        ) as nodes:
            a = nodes["a"]
            await fill(a, a.pool(), 300)
            await until(lambda: not a.cluster.snapshot().spill_bytes_in_flight)
            peer = a.cluster._membership.peer("b")
            peer.wanted_bytes = 4096
            (move,) = planned(a, Reason.EVACUATE)
            a.cluster._relocator.plan.rest(move)
            assert planned(a, Reason.EVACUATE) == []

    run(scenario())
