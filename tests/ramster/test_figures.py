"""The figures of a node as one JSON value."""

from __future__ import annotations

import json
import os

from ramster.config import Mode, NodeConfig
from ramster.counters import ClusterCounters
from ramster.figures import collect
from ramster.processes import pid_namespace, start_time
from ramster.snapshot import ClusterSnapshot, ForeignSnapshot, PeerSnapshot, WritebackSnapshot
from ramster.writeback import WritebackCounters
from zcache import Cache, PoolKind

CLUSTER = ClusterSnapshot(
    node="n",
    incarnation=2**63 + 1,
    spill_target="auto",
    peers=(
        PeerSnapshot(
            address="b:7777",
            state="alive",
            reason="",
            node="b",
            incarnation=7,
            lease=None,
            room_bytes=5,
            pages_away=3,
            foreign_pages=3,
            flushes_pending=0,
            heard_s=0.12345678,
            rtt_s=None,
            wanted_bytes=0,
            draining=True,
            spill_window_bytes=65536,
        ),
    ),
    foreign=(ForeignSnapshot(owner="c", incarnation=9, lease=1, pages=2, heard_s=1.0),),
    foreign_pages=2,
    foreign_bytes=0,
    pages_away=3,
    pages_at_peers=3,
    copies_at_peers=6,
    pages_unreachable=1,
    pages_lost=2,
    pages_under_replicated=1234,
    draining=False,
    relocating="rebuild",
    writeback=WritebackSnapshot(
        pages=7,
        bytes_used=14336,
        bytes_max=2**20,
        counters=WritebackCounters(pages_written=9, pages_read=2, freed=2, refused_full=3),
    ),
    spill_bytes_in_flight=0,
    writers_waiting=0,
    flushes_pending=0,
    readahead_bytes=0,
    counters=ClusterCounters(pages_lost=11, remote_hits=4),
)


def filled_cache(config: NodeConfig) -> Cache:
    cache = Cache(config.cache_config())
    pool = cache.create_pool(PoolKind.PERSISTENT)
    for index in range(10):
        cache.put(pool, 1, index, os.urandom(1024) * 4)
    cache.put(pool, 1, 10, bytes(4096))
    return cache


def collected(mode: Mode, cluster: ClusterSnapshot | None) -> dict:  # type: ignore[type-arg]
    config = NodeConfig(name="n", mode=mode, pool_limit=2**20)
    return collect(
        config,
        filled_cache(config),
        state="serving",
        uptime_s=1.23456,
        endpoints={"http": "http://x"},
        cluster=cluster,
        nbd=None,
    )


def test_sums_add_up() -> None:
    figures = collected(Mode.ZCACHE, None)
    pages, sizes = figures["pages"], figures["bytes"]
    states = ("local", "same_filled", "in_transit", "away")
    assert pages["own"] == sum(pages[state] for state in states) == 11
    assert pages["own"] == pages["persistent"] + pages["ephemeral"]
    assert sizes["logical"] == 11 * 4096
    assert sizes["frames"] == figures["pool"]["used_bytes"] <= figures["pool"]["limit_bytes"]
    assert figures["ratio"] == round(10 * 4096 / sizes["compressed_here"], 3)
    assert 3.5 < figures["ratio"] < 4


def test_a_figure_is_shown_in_one_place() -> None:
    cache = collected(Mode.ZCACHE, None)["cache"]
    assert {"puts", "pages_spilled", "frames_compacted", "displaced_pending"} <= cache.keys()
    assert not {"pages_local", "frames_used", "bytes_local", "away_by_where"} & cache.keys()


def test_without_peers_the_cluster_is_null_and_the_lists_are_empty() -> None:
    figures = collected(Mode.ZCACHE, None)
    assert figures["cluster"] is None
    assert (figures["peers"], figures["owners"], figures["nbd"]) == ([], [], None)
    assert figures["writeback"] is None
    assert figures["pool"]["lend_limit_bytes"] == 0


def test_the_cluster_is_shown_with_counters_peers_and_owners() -> None:
    figures = collected(Mode.RAMSTER, CLUSTER)
    assert figures["cluster"]["remote_hits"] == 4
    assert figures["cluster"]["pages_lost"] == 11
    assert (figures["pages"]["lost"], figures["pages"]["unreachable"]) == (2, 1)
    assert figures["cluster"]["incarnation"] == "8000000000000001"
    (peer,) = figures["peers"]
    assert (peer["node"], peer["incarnation"], peer["lease"]) == ("b", "0000000000000007", None)
    assert (peer["heard_s"], peer["rtt_s"]) == (0.123457, None)
    assert (peer["draining"], peer["wanted_bytes"], peer["spill_window_bytes"]) == (True, 0, 65536)
    assert figures["owners"][0]["owner"] == "c"
    assert figures["pages"]["under_replicated"] == 1234
    assert (figures["cluster"]["draining"], figures["cluster"]["relocating"]) == (False, "rebuild")
    file = figures["writeback"]
    assert (file["pages"], file["used_bytes"], file["limit_bytes"]) == (7, 14336, 2**20)
    assert (file["pages_written"], file["refused_full"]) == (9, 3)
    assert figures["pool"]["lend_limit_bytes"] == 2**19


def test_they_say_which_process_it_is() -> None:
    figures = collected(Mode.ZCACHE, None)
    assert figures["pid"] == os.getpid()
    assert figures["started"] == start_time() is not None
    assert figures["pid_namespace"] == pid_namespace() is not None


def test_everything_is_json() -> None:
    for figures in (collected(Mode.ZCACHE, None), collected(Mode.RAMSTER, CLUSTER)):
        assert json.loads(json.dumps(figures)) == figures


def test_names_of_the_cluster_do_not_clash_with_those_of_its_counters() -> None:
    gauges = {"incarnation", "spill_target", "spill_bytes_in_flight", "writers_waiting"}
    gauges |= {"flushes_pending", "readahead_bytes", "draining", "relocating"}
    assert not gauges & set(ClusterCounters.__dataclass_fields__)
