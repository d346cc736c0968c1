"""The parts together: life, control, figures, and a node's whole behaviour."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from typing import Any

import pytest

from ramster.cluster import OWNERS_SHOWN_MAX
from ramster.errors import ConfigurationError, PageLostError
from ramster.transport import Hello
from tests.support.fake_cluster import MIB, FakeCluster, fill, make_page
from tests.support.virtual_time import run, until


def test_starting_and_stopping_wait_for_no_peer() -> None:
    """R10: a node never needs a peer to start or to shut down."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        cluster = FakeCluster("a b")
        cluster.network.delay_s = (5.0, 9.0)
        began = loop.time()
        await cluster["a"].start()
        await cluster["a"].stop()
        assert loop.time() == began

    run(main())


def test_stopping_with_everything_under_way_leaves_no_task_and_a_sound_cache() -> None:
    async def main() -> None:
        async with FakeCluster("a b c", only_b={"pool_bytes": 4 * MIB}) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool = a.pool()
            await fill(a, pool, 700)
            await until(cluster.accounts_agree)
            cluster.network.delay_s = (5.0, 9.0)
            await fill(a, pool, 30, first=700)
            await a.store.flush_range(pool, 1, 0, 50)
            get = asyncio.create_task(
                a.get(pool, a.cache.peek_away(pool, 1, range(700)).positions[0])
            )
            await asyncio.sleep(0.01)
            began = loop.time()
            await a.stop()
            assert loop.time() == began
            assert not any("to b" in task.get_name() for task in asyncio.all_tasks())
            with pytest.raises(PageLostError):
                await get
            assert loop.time() - began <= 3.0
            a.cache.verify()

    run(main())


def test_each_start_is_another_life() -> None:
    async def main() -> None:
        async with FakeCluster("a b") as cluster:
            first = cluster["a"].cluster.incarnation
            await cluster["a"].crash()
            await cluster["a"].start()
            assert cluster["a"].cluster.incarnation != first

    run(main())


def test_a_task_that_fails_is_not_silent() -> None:
    async def main() -> None:
        async with FakeCluster("a b") as cluster:
            a = cluster["a"]

            def broken(interval_s: float) -> int:
                raise ZeroDivisionError("a defect")

            a.cluster._foreign.sweep = broken  # type: ignore[method-assign]
            error = await asyncio.wait_for(a.cluster.tasks.wait_failed(), 60)
            assert isinstance(error, ZeroDivisionError)
            a.cluster.tasks.failure = None

    run(main())


def test_the_spill_target_can_be_a_known_peer_auto_or_none() -> None:
    """Checklist 63, 64: the target is set, changed and cleared while the node runs."""

    async def main() -> None:
        async with FakeCluster("a b") as cluster:
            a = cluster["a"].cluster
            for target in ("b", "none", "auto"):
                a.set_spill_target(target)
                assert a.snapshot().spill_target == target
            for wrong in ("a", "", "z"):
                with pytest.raises(ConfigurationError, match="spill_target"):
                    a.set_spill_target(wrong)
            assert a.snapshot().spill_target == "auto"

    run(main())


def test_all_nodes_spill_to_all_at_the_same_time() -> None:
    """Checklist 68: three or more nodes work at the same time, all to all."""

    async def main() -> None:
        names = "a b c d e f g h i j"
        async with FakeCluster(names, pool_bytes=2 * MIB, spill_batch_bytes=32 * 1024) as cluster:
            pools = {name: cluster[name].pool() for name in cluster.names}

            async def work(name: str) -> None:
                await fill(cluster[name], pools[name], 900)
                for index in range(900):
                    assert await cluster[name].get(pools[name], index) == make_page(index)

            for name in cluster.names:
                await fill(cluster[name], pools[name], 100)
            await asyncio.gather(*(work(name) for name in cluster.names))
            await until(cluster.accounts_agree)
            cluster.verify()

    # 10 nodes x 900 pages of some 2.1 KB: 19 MB in pools of 20 MB, of which each lends half.
    run(main())


def test_foreign_pages_are_counted_and_go_with_their_owner() -> None:
    """Checklist 65: foreign pages are counted at the target, and 0 after the client has left."""

    async def main() -> None:
        async with FakeCluster(
            "a b", only_b={"pool_bytes": 4 * MIB}, lease_s=20.0, dead_after_s=10.0
        ) as cluster:
            a, b = cluster["a"], cluster["b"]
            await fill(a, a.pool(), 600)
            await until(cluster.accounts_agree)
            view = b.cluster.snapshot()
            assert view.foreign_pages == a.away > 0
            assert [(f.owner, f.pages) for f in view.foreign] == [("a", a.away)]
            assert view.foreign_bytes > 0
            await a.stop()
            await asyncio.sleep(19)
            assert b.foreign > 0
            await until(lambda: b.foreign == 0, within_s=20 / 8 + 2.1)
            assert b.cluster.snapshot().foreign == ()
            assert b.counters.leases_expired == 1
            b.cache.verify()

    run(main())


def test_of_very_many_owners_those_with_most_pages_are_shown() -> None:
    """Names of owners are invented as fast as hellos can be sent."""

    async def main() -> None:
        async with FakeCluster("a b", only_b={"pool_bytes": 4 * MIB}) as cluster:
            a, b = cluster["a"], cluster["b"]
            for number in range(2 * OWNERS_SHOWN_MAX):
                hello = Hello(cluster=b.cluster.config.cluster, node=f"x{number}", incarnation=1)
                b.cluster.handler.on_hello(hello)
            await fill(a, a.pool(), 600)
            await until(cluster.accounts_agree)
            shown = b.cluster.snapshot().foreign
            assert len(shown) == OWNERS_SHOWN_MAX
            assert (shown[0].owner, shown[0].pages) == ("a", a.away)
            assert {owner.pages for owner in shown[1:]} == {0}

    run(main())


def test_the_snapshot_tells_what_both_sides_know() -> None:
    async def main() -> None:
        async with FakeCluster("a b", only_b={"pool_bytes": 4 * MIB}) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = a.pool()
            await fill(a, pool, 600)
            await until(cluster.accounts_agree)
            await asyncio.sleep(1.5)
            view, peer = a.cluster.snapshot(), a.peer("b")
            assert view.node == "a"
            assert peer.node == "b"
            assert peer.state == "alive"
            assert peer.incarnation == b.cluster.incarnation
            assert peer.pages_away == peer.foreign_pages == view.pages_away == b.foreign
            assert peer.room_bytes == b.cache.foreign_room_bytes()
            assert 0 < peer.rtt_s < 0.01
            assert 0 <= peer.heard_s <= 1.1
            assert view.pages_unreachable == view.pages_lost == 0
            assert view.counters.spill_pages >= view.pages_away
            before = asdict(view.counters)
            await a.get(pool, 0)
            assert asdict(view.counters) == before, "a snapshot does not change"

    run(main())


def test_numbers_of_lenders_that_are_gone_are_forgotten_with_their_last_page() -> None:
    async def main() -> None:
        async with FakeCluster("a b", only_b={"pool_bytes": 4 * MIB}) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = a.pool()
            await fill(a, pool, 600)
            await until(cluster.accounts_agree)
            for life in range(3):
                await b.crash()
                await b.start()
                await until(lambda life=life: a.counters.lenders_gone == life + 1)
                await fill(a, pool, 600, version=life)
                await until(cluster.accounts_agree)
            await asyncio.sleep(20)
            assert len(a.cluster._table) == 1
            for index in range(600):
                assert await a.get(pool, index) == make_page(index, 2)

    run(main())


def test_a_node_that_forgot_everything_is_told_so_by_its_lenders() -> None:
    """An owner that restarts is another life: its former pages are freed at once."""

    async def main() -> None:
        async with FakeCluster("a b", only_b={"pool_bytes": 4 * MIB}) as cluster:
            a, b = cluster["a"], cluster["b"]
            await fill(a, a.pool(), 600)
            await until(lambda: b.foreign > 0)
            await a.crash()
            await a.start()
            await until(lambda: b.foreign == 0, within_s=1)
            assert b.counters.leases_superseded == 1
            pool = a.pool()
            assert await a.get(pool, 0) is None

    run(main())


def test_lost_pages_are_shown_until_they_are_written_again() -> None:
    async def main() -> None:
        async with FakeCluster("a b", only_b={"pool_bytes": 4 * MIB}) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool = a.pool()
            await fill(a, pool, 600)
            await until(cluster.accounts_agree)
            away = a.away
            await b.crash()
            await until(lambda: a.peer("b").state == "dead")
            assert a.cluster.snapshot().pages_unreachable == away
            await b.start()
            await until(lambda: a.peer("b").state == "alive")
            view = a.cluster.snapshot()
            assert (view.pages_unreachable, view.pages_lost) == (0, away)
            index = a.cache.peek_away(pool, 1, range(600)).positions[0]
            with pytest.raises(PageLostError):
                await a.get(pool, index)
            assert a.counters.pages_lost == 1
            await a.store.flush_object(pool, 1)
            assert a.cluster.snapshot().pages_lost == 0

    run(main())


def told(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """The fields of each time that an event was told."""
    return [
        record.__dict__["fields"]
        for record in caplog.records
        if record.__dict__.get("event") == event
    ]


def test_the_log_tells_of_a_peer_that_dies_and_of_the_pages_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "ramster")

    async def main() -> None:
        async with FakeCluster("a b", only_b={"pool_bytes": 4 * MIB}) as cluster:
            a, b = cluster["a"], cluster["b"]
            (alive,) = [fields for fields in told(caplog, "peer_alive") if fields["peer"] == "b"]
            assert alive["room_bytes"] > 0
            await fill(a, a.pool(), 600)
            await until(cluster.accounts_agree)
            away = a.away
            await b.crash()
            await until(lambda: a.peer("b").state == "dead")
            (dead,) = told(caplog, "peer_dead")
            assert (dead["peer"], dead["pages"]) == ("b", away)
            assert not told(caplog, "pages_lost")
            await b.start()
            await until(lambda: a.peer("b").state == "alive")
            (lost,) = told(caplog, "pages_lost")
            assert (lost["peer"], lost["lost"], lost["left"]) == ("b", away, 0)

    run(main())


def test_the_log_tells_of_a_lost_copy_and_not_of_lost_pages_while_there_is_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "ramster")

    async def main() -> None:
        async with several() as cluster:
            await spilled(cluster)
            await cluster["b"].crash()
            await cluster["b"].start()
            await until(lambda: bool(told(caplog, "copies_lost")))
            (copies,) = told(caplog, "copies_lost")
            assert copies["left"] > 0
            assert not told(caplog, "pages_lost")

    run(main())


# -- leaving
# ---------------------------------------------------------------------------------------------


def several(**knobs: Any) -> FakeCluster:
    common = {"pool_bytes": 4 * MIB, "repatriate_bytes_per_s": 0, "replicas": 2}
    own = {"pool_bytes": MIB} | knobs.pop("only_a", {})
    return FakeCluster("a b c", only_a=own, **(common | knobs))


async def spilled(cluster: FakeCluster) -> int:
    a = cluster["a"]
    pool = a.pool()
    await fill(a, pool, 600)
    await until(lambda: a.away > 0 and cluster.accounts_agree())
    return pool


def test_a_goodbye_frees_what_a_node_has_at_its_lenders_at_once() -> None:
    async def main() -> None:
        async with several() as cluster:
            a, b, c = (cluster[name] for name in "abc")
            await spilled(cluster)
            assert b.foreign == c.foreign > 0
            await a.stop(goodbye_s=1.0)
            await until(lambda: b.foreign == c.foreign == 0, within_s=0.1)
            assert b.counters.leases_left == 1
            assert b.counters.leases_expired == 0
            cluster.verify()

    run(main())


@pytest.mark.parametrize("goodbye_s", [0.0, 0.5])
def test_a_goodbye_to_silent_lenders_takes_no_longer_than_its_bound(goodbye_s: float) -> None:
    """R10: a node never needs a peer to shut down."""

    async def main() -> None:
        async with several() as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            await spilled(cluster)
            cluster.network.cut("a", "b")
            cluster.network.cut("a", "c")
            began = loop.time()
            await a.stop(goodbye_s=goodbye_s)
            assert loop.time() - began == pytest.approx(goodbye_s, abs=0.001)
            assert cluster["b"].foreign > 0, "until the lease ends"

    run(main())


def test_a_goodbye_with_batches_and_flushes_under_way_leaves_nothing_at_lenders() -> None:
    async def main() -> None:
        async with several() as cluster:
            a, b, c = (cluster[name] for name in "abc")
            pool = await spilled(cluster)
            cluster.network.delay_s = (0.01, 0.05)
            await fill(a, pool, 100, first=600)
            await a.store.flush_range(pool, 1, 0, 50)
            assert a.cluster.snapshot().spill_bytes_in_flight > 0
            await a.stop(goodbye_s=1.0)
            await until(lambda: b.foreign == c.foreign == 0, within_s=1.0)
            await cluster.network.settle()
            assert b.foreign == c.foreign == 0

    run(main())


def test_stopping_closes_the_write_back_file_and_waits_for_no_hung_disk() -> None:
    async def main() -> None:
        async with several(writeback_safety=True, only_a={"writeback_bytes": 8 * MIB}) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            await spilled(cluster)
            a.disk.hang()
            await fill(a, a.pool(), 100)
            began = loop.time()
            await a.stop(goodbye_s=0.5)
            assert loop.time() - began <= 2.5
            assert a.disk.closed
            a.cache.verify()

    run(main())


def test_the_snapshot_tells_of_the_file_the_windows_and_what_is_wanted() -> None:
    async def main() -> None:
        async with several(writeback_safety=True, only_a={"writeback_bytes": 8 * MIB}) as cluster:
            a, b = cluster["a"], cluster["b"]
            await spilled(cluster)
            view = a.cluster.snapshot()
            assert view.writeback is not None
            assert view.writeback.pages == view.pages_away > 0
            assert 0 < view.writeback.bytes_used <= view.writeback.bytes_max == 8 * MIB
            assert view.writeback.counters.pages_written == view.writeback.pages
            assert not view.draining
            assert b.cluster.snapshot().writeback is None
            assert a.peer("b").spill_window_bytes == a.cluster.config.spill_bytes_in_flight_max
            cluster.network.cut("b", "c")
            drain = asyncio.create_task(b.cluster.drain(5.0))
            await until(lambda: a.peer("b").draining, within_s=1.1)
            assert b.cluster.snapshot().draining
            assert (await drain).left == 0
            await until(lambda: a.peer("b").wanted_bytes == 0, within_s=0.3)

    run(main())


def test_lost_unreachable_and_under_replicated_pages_are_told_apart() -> None:
    async def main() -> None:
        async with several(rebuild_bytes_per_s=4096) as cluster:
            a = cluster["a"]
            await spilled(cluster)
            away = a.away

            def view() -> tuple[int, int, int]:
                now = a.cluster.snapshot()
                return now.pages_under_replicated, now.pages_unreachable, now.pages_lost

            assert view() == (0, 0, 0)
            cluster.network.cut("a", "b")
            await until(lambda: a.peer("b").state == "dead")
            assert view() == (away, 0, 0)
            cluster.network.cut("a", "c")
            await until(lambda: a.peer("c").state == "dead")
            assert view() == (0, away, 0)
            cluster.network.heal()
            await until(cluster.all_alive)
            await until(lambda: view() == (0, 0, 0))
            for name in "bc":
                await cluster[name].crash()
            for name in "bc":
                await cluster[name].start()
            await until(lambda: a.counters.lenders_gone == 2)
            assert view() == (0, 0, a.away)

    run(main())
