"""A lender's notice: guests are asked to leave, and waited for no longer than it makes sense."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
import xxhash

from ramster.blobs import Blob, pack
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.drain import PATIENCE_S, WANTED_SHARE, Guests
from ramster.errors import PageLostError
from ramster.foreign import ForeignPages
from ramster.transport import Hello, SpillRequest
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.hand_clock import HandClock
from tests.support.virtual_time import run, until
from zcache import Cache, CacheConfig, PoolKind

PAGES = 600
BLOB_BYTES = 2000


class Host:
    """A lender with guests, and its own programs' need under control."""

    def __init__(self) -> None:
        self.cache = Cache(CacheConfig(pool_bytes_max=MIB, foreign_bytes_max=MIB // 2))
        self.clock = HandClock()
        config = ClusterConfig(node="b")
        self.foreign = ForeignPages(
            self.cache, config, self.clock, Random(1), ClusterCounters(), incarnation=7
        )
        self.stuck = False
        self.guests = Guests(
            self.cache,
            self.foreign,
            self.clock,
            stuck=lambda: self.stuck,
            dead_after_s=config.dead_after_s,
        )
        hello = Hello(cluster=config.cluster, node="a", incarnation=1)
        self.lease = self.foreign.on_hello(hello).lease
        self._batch = 0

    def take_in(self, pages: int, kind: PoolKind = PoolKind.PERSISTENT) -> None:
        blobs = []
        for key in range(pages):
            data = Random(f"{kind} {key}").randbytes(BLOB_BYTES)
            checksum = xxhash.xxh3_64_intdigest(data)
            blobs.append(Blob(key, 1, len(data), 1, checksum, data))
        self._batch += 1
        self.foreign.on_spill(
            SpillRequest(lease=self.lease, epoch=0, batch=self._batch, kind=kind, blobs=pack(blobs))
        )

    def let_go(self, *keys: int) -> None:
        pool = self.foreign.leases[0].pools[PoolKind.PERSISTENT]
        self.cache.flush_adopted(pool, 0, list(keys), [1] * len(keys))


# -- asking
# -----------------------------------------------------------------------------------------------


def test_a_node_that_can_spill_its_own_pages_asks_no_guest_to_leave() -> None:
    host = Host()
    host.take_in(200)
    assert host.cache.excess_bytes(0.1) > 0
    assert host.guests.ask_for_room() == 0
    assert not host.guests.may_leave()


def test_a_node_that_is_stuck_wants_what_brings_it_below_the_low_watermark() -> None:
    host = Host()
    pool = host.cache.create_pool(PoolKind.PERSISTENT)
    for index in range(400):
        host.cache.put(pool, 1, index, make_page(index))
    host.stuck = True
    low = host.cache.config.low_watermark
    assert host.guests.ask_for_room() == host.cache.excess_bytes(low) > MIB // WANTED_SHARE


def test_a_node_that_is_stuck_wants_something_even_below_the_low_watermark() -> None:
    host = Host()
    host.take_in(10)
    host.stuck = True
    assert host.guests.ask_for_room() == MIB // WANTED_SHARE


def test_ephemeral_guests_go_before_persistent_ones_are_asked() -> None:
    host = Host()
    host.take_in(10)
    host.take_in(50, PoolKind.EPHEMERAL)
    host.stuck = True
    assert host.guests.ask_for_room() == 0, "enough of them were dropped"
    held = host.cache.stats().pages_foreign
    assert 10 < held < 60
    while host.cache.stats().pages_foreign > 10:
        host.guests.ask_for_room()
    assert host.guests.ask_for_room() == MIB // WANTED_SHARE
    assert host.cache.stats().pages_foreign == 10


# -- hoping
# -----------------------------------------------------------------------------------------------


def test_a_writer_hopes_while_guests_leave_and_no_longer_than_its_patience_after_that() -> None:
    host = Host()
    host.take_in(10)
    host.stuck = True
    assert host.guests.may_leave()
    host.clock.seconds += PATIENCE_S - 0.1
    assert host.guests.may_leave()
    host.let_go(1)
    assert host.guests.may_leave()
    host.clock.seconds += PATIENCE_S - 0.1
    assert host.guests.may_leave(), "one left meanwhile"
    host.clock.seconds += 0.2
    assert not host.guests.may_leave()
    host.let_go(2)
    assert host.guests.may_leave(), "they go on"


def test_a_writer_does_not_hope_where_there_are_no_guests_or_none_are_asked() -> None:
    host = Host()
    host.stuck = True
    assert not host.guests.may_leave()
    host.take_in(10)
    assert host.guests.may_leave()
    host.stuck = False
    assert not host.guests.may_leave()


def test_a_writer_does_not_hope_for_guests_whose_owner_is_silent() -> None:
    host = Host()
    host.take_in(10)
    host.stuck = True
    host.clock.seconds += 20.0
    assert not host.guests.may_leave()


def test_guests_that_come_in_are_no_sign_that_guests_leave() -> None:
    host = Host()
    host.take_in(10)
    host.stuck = True
    assert host.guests.may_leave()
    host.clock.seconds += PATIENCE_S + 0.1
    host.take_in(20)
    assert not host.guests.may_leave()


# -- draining
# ---------------------------------------------------------------------------------------------


def cluster(names: str = "a b c", **knobs: Any) -> FakeCluster:
    """A small node a whose pages do not fit, and lenders."""
    common = {"pool_bytes": 4 * MIB, "repatriate_bytes_per_s": 0}
    own = {"pool_bytes": MIB} | knobs.pop("only_a", {})
    return FakeCluster(names, only_a=own, **(common | knobs))


async def spilled(nodes: FakeCluster) -> int:
    a = nodes["a"]
    pool = a.pool()
    await fill(a, pool, PAGES)
    await until(lambda: a.away > 0 and nodes.accounts_agree())
    return pool


async def everything_is_right(node: Node, pool: int) -> None:
    for index in range(PAGES):
        assert await node.get(pool, index) == make_page(index)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_drained_lender_hands_everything_over_and_its_end_costs_nothing(replicas: int) -> None:
    async def main() -> None:
        async with cluster("a b c d", replicas=replicas) as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await spilled(nodes)
            held = b.foreign
            assert held > 0
            report = await b.cluster.drain(30.0)
            assert report.handed_over == held
            assert report.left == b.foreign == 0
            assert report.took_s < 5.0
            assert all(
                lender.node != "b"
                for place in a.places(pool, PAGES).values()
                for lender in place.lenders
            )
            await b.stop()
            await everything_is_right(a, pool)
            assert a.counters.pages_lost == 0

    run(main())


def test_pages_of_a_drained_lender_come_home_when_there_is_room_and_no_other_lender() -> None:
    async def main() -> None:
        async with cluster("a b") as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await spilled(nodes)
            here = [index for index in range(PAGES) if index not in a.places(pool, PAGES)]
            for index in here[:300]:
                await a.store.flush(pool, 1, index)
            report = await b.cluster.drain(30.0)
            assert report.left == a.away == 0
            assert report.handed_over > 0
            kept = set(range(PAGES)) - set(here[:300])
            for index in kept:
                assert await a.get(pool, index) == make_page(index)

    run(main())


def test_pages_of_a_drained_lender_go_to_the_file_where_there_is_no_other_place() -> None:
    async def main() -> None:
        async with cluster("a b", only_a={"writeback_bytes": 8 * MIB}) as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await spilled(nodes)
            held = b.foreign
            report = await b.cluster.drain(30.0)
            assert (report.handed_over, report.left) == (held, 0)
            assert a.writeback.pages == a.away > 0
            await b.stop()
            await everything_is_right(a, pool)
            await until(lambda: a.cluster.snapshot().flushes_pending == 0)

    run(main())


def test_a_drain_with_owners_that_have_no_room_ends_at_its_limit() -> None:
    async def main() -> None:
        async with cluster("a b") as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await spilled(nodes)
            held, began = b.foreign, now()
            report = await b.cluster.drain(3.0)
            assert now() - began == pytest.approx(3.0, abs=0.1)
            assert report.took_s == pytest.approx(3.0, abs=0.1)
            assert report.left == b.foreign > 0
            assert report.handed_over == held - report.left
            await everything_is_right(a, pool)

    run(main())


def test_a_drain_with_silent_owners_ends_at_its_limit() -> None:
    async def main() -> None:
        async with cluster("a b c", dead_after_s=10.0) as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await spilled(nodes)
            held = b.foreign
            nodes.network.cut("a", "b")
            report = await b.cluster.drain(3.0)
            assert report.took_s == pytest.approx(3.0, abs=0.1)
            assert (report.handed_over, report.left) == (0, held)
            nodes.network.heal()
            await until(lambda: b.foreign == 0)
            await everything_is_right(a, pool)

    run(main())


def test_a_drain_does_not_wait_for_owners_that_are_dead_and_does_not_say_they_took_pages() -> None:
    async def main() -> None:
        async with cluster("a b c", dead_after_s=4.0, lease_s=600.0) as nodes:
            b = nodes["b"]
            await spilled(nodes)
            held = b.foreign
            nodes.network.cut("a", "b")
            report = await b.cluster.drain(60.0)
            assert report.took_s == pytest.approx(4.0, abs=1.2)
            assert b.foreign == held
            assert report.handed_over == 0

    run(main())


def test_nodes_that_drain_together_do_not_wait_for_each_other() -> None:
    """Neither can take its pages back, and neither will need them."""

    async def scenario() -> None:
        async with FakeCluster("a b", pool_bytes=MIB // 4) as nodes:
            for name, pages in (("a", 125), ("b", 95)):
                await fill(nodes[name], nodes[name].pool(), pages)
                await until(lambda node=nodes[name]: node.away > 0)
            assert nodes["a"].foreign
            assert nodes["b"].foreign
            reports = await asyncio.gather(
                *(node.cluster.drain(60.0) for node in nodes.nodes.values())
            )
            assert all(report.took_s < 3.0 for report in reports)

    run(scenario())


def test_a_drain_waits_for_no_ephemeral_page() -> None:
    async def main() -> None:
        async with cluster("a b", spill_ephemeral=True) as nodes:
            a, b = nodes["a"], nodes["b"]
            await fill(a, a.pool(PoolKind.EPHEMERAL), 480)
            await until(lambda: b.foreign > 0 and nodes.accounts_agree())
            report = await b.cluster.drain(30.0)
            assert (report.handed_over, report.left) == (0, 0)
            assert report.took_s < 0.1

    run(main())


def test_a_node_without_guests_is_drained_at_once() -> None:
    async def main() -> None:
        async with cluster("a b") as nodes:
            began = now()
            assert await nodes["b"].cluster.drain(30.0) == (0, 0, 0.0)
            assert now() == began

    run(main())


def test_a_draining_node_takes_no_page_and_goes_on_serving_its_own_programs() -> None:
    async def main() -> None:
        async with cluster("a b c", only_b={"pool_bytes": MIB}) as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await spilled(nodes)
            own = b.pool()
            nodes.network.cut("a", "b")
            drain = asyncio.create_task(b.cluster.drain(3.0))
            await asyncio.sleep(0.01)
            assert b.cluster.snapshot().draining
            await fill(b, own, PAGES)
            await drain
            nodes.network.heal()
            await until(lambda: b.foreign == 0)
            await until(lambda: a.peer("b").draining)
            taken = a.peer("b").pages_away
            await fill(a, pool, 200, first=PAGES)
            await asyncio.sleep(1.0)
            assert a.peer("b").pages_away == b.foreign == taken == 0
            for index in range(PAGES):
                assert await b.get(own, index) == make_page(index)

    run(main())


def test_a_node_that_drains_and_stops_without_a_place_for_its_guests_loses_just_those() -> None:
    async def main() -> None:
        async with cluster("a b") as nodes:
            a, b = nodes["a"], nodes["b"]
            pool = await spilled(nodes)
            left = (await b.cluster.drain(1.0)).left
            at_b = set(a.places(pool, PAGES))
            assert len(at_b) == left
            await b.stop()
            lost = set()
            for index in range(PAGES):
                try:
                    assert await a.get(pool, index) == make_page(index)
                except PageLostError:
                    lost.add(index)
            assert lost == at_b

    run(main())
