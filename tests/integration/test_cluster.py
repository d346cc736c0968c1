"""Clusters of containers: spilling, fetching, and what each fault costs."""

from __future__ import annotations

import asyncio
import errno
import random
from contextlib import AsyncExitStack

import pytest

from ramster.nbd.client import NbdClient
from tests.support.containers import ContainerCluster, ContainerNode, MemoryPeaks, wait_until
from tests.support.nbd_workload import fill, read_back

pytestmark = [pytest.mark.container, pytest.mark.timeout(300, func_only=True)]

POOL_MIB = 16
SPARE_MIB = 128
"""What a container's memory limit leaves beside the pool: interpreter, index, buffers in flight."""
MIB = 1024 * 1024
LARGE = 8 * MIB
"""Bytes of a large request."""
PAGES = 3 * POOL_MIB * 256 * 2
"""Pages whose compressed size is about three times the owner's pool."""

# Short times, so that deaths are noticed within a test's patience.
TIMES = {
    "heartbeat_interval": "0.3",
    "suspect_after": "1",
    "dead_after": "3",
    "lease": "6",
    "fetch_deadline": "4",
    "put_wait": "5",
}


def start_owner(cluster: ContainerCluster, peers: list[str], **settings: str) -> ContainerNode:
    return cluster.start(
        "owner",
        memory=f"{POOL_MIB + SPARE_MIB}m",
        **{
            "mode": "ramster",
            "pool_limit": f"{POOL_MIB}MiB",
            "lend_limit": "0",
            "peer": ",".join(f"{peer}:7777" for peer in peers),
            "nbd": "tcp://0.0.0.0:10809",
            "export": "disk=512MiB",
            **TIMES,
            **settings,
        },
    )


def start_lender(
    cluster: ContainerCluster, name: str, pool_mib: int = 128, **settings: str
) -> ContainerNode:
    return cluster.start(
        name,
        memory=f"{pool_mib + SPARE_MIB}m",
        **{
            "mode": "ramster",
            "pool_limit": f"{pool_mib}MiB",
            "lend_limit": f"{pool_mib}MiB",
            "peer": "owner:7777",
            **TIMES,
            **settings,
        },
    )


@pytest.fixture
def trio(containers: ContainerCluster) -> tuple[ContainerNode, ContainerNode, ContainerNode]:
    """An owner and two lenders, all serving and acquainted."""
    lenders = start_lender(containers, "east"), start_lender(containers, "west")
    owner = start_owner(containers, ["east", "west"])
    containers.wait_healthy()
    wait_until(lambda: peer_states(owner) == {"east": "alive", "west": "alive"}, "peers alive")
    return owner, *lenders


def peer_states(node: ContainerNode) -> dict[str, str]:
    return {peer["node"]: peer["state"] for peer in node.stats()["peers"]}


def foreign_pages(node: ContainerNode) -> int:
    return int(node.stats()["pages"]["foreign"])


def away_pages(node: ContainerNode) -> int:
    return int(node.stats()["pages"]["away"])


def fill_and_settle(owner: ContainerNode, seed: int = 1, pages: int = PAGES) -> None:
    """Write the pages and wait until the pool is back under its high watermark."""
    assert fill(owner.nbd_url, "disk", range(pages), seed) == pages
    wait_until(
        lambda: owner.stats()["pool"]["used_bytes"] <= 0.91 * owner.stats()["pool"]["limit_bytes"],
        "the spiller is done",
        60,
    )


def assert_survived(node: ContainerNode) -> None:
    """Still the first life of the container, never short of memory."""
    node.container.reload()
    assert node.container.status == "running"
    assert not node.container.attrs["State"]["OOMKilled"]
    assert node.container.attrs["RestartCount"] == 0


def test_a_cluster_spills_and_fetches(
    trio: tuple[ContainerNode, ContainerNode, ContainerNode],
) -> None:
    owner, east, west = trio
    fill_and_settle(owner)
    assert away_pages(owner) > PAGES // 2
    assert foreign_pages(east) + foreign_pages(west) == away_pages(owner)
    assert foreign_pages(east) > 0
    assert foreign_pages(west) > 0
    report = read_back(owner.nbd_url, "disk", range(0, PAGES, 3), 1)
    assert (report.wrong, dict(report.errors)) == ([], {})
    assert owner.stats()["cluster"]["pages_fetched"] > 0


def test_a_killed_lender_costs_exactly_its_pages(
    trio: tuple[ContainerNode, ContainerNode, ContainerNode],
) -> None:
    owner, east, _west = trio
    fill_and_settle(owner)
    lost = foreign_pages(east)
    east.kill()
    wait_until(lambda: peer_states(owner)["east"] == "dead", "the death is noticed", 15)
    report = read_back(owner.nbd_url, "disk", range(PAGES), 1)
    assert report.wrong == []
    assert dict(report.errors) == {errno.EIO: lost}
    assert report.right == PAGES - lost
    # The owner goes on: new contents for every page, at home and with the lender that is left.
    fill_and_settle(owner, seed=2)
    report = read_back(owner.nbd_url, "disk", range(0, PAGES, 3), 2)
    assert (report.wrong, dict(report.errors)) == ([], {})


def test_a_restarted_lender_is_another_lender(
    trio: tuple[ContainerNode, ContainerNode, ContainerNode],
) -> None:
    owner, east, _west = trio
    fill_and_settle(owner)
    lost = foreign_pages(east)
    east.kill()
    east.start_again()
    wait_until(lambda: peer_states(owner)["east"] == "alive", "the lender is back", 20)
    report = read_back(owner.nbd_url, "disk", range(PAGES), 1)
    assert report.wrong == []
    assert dict(report.errors) == {errno.EIO: lost}
    fill_and_settle(owner, seed=2)
    assert foreign_pages(east) > 0
    report = read_back(owner.nbd_url, "disk", range(0, PAGES, 3), 2)
    assert (report.wrong, dict(report.errors)) == ([], {})


def test_a_paused_lender_delays_its_pages_and_no_others(
    trio: tuple[ContainerNode, ContainerNode, ContainerNode],
) -> None:
    owner, east, _west = trio
    fill_and_settle(owner)
    at_east = foreign_pages(east)
    east.container.pause()
    try:
        report = read_back(owner.nbd_url, "disk", range(PAGES), 1)
        assert report.wrong == []
        assert dict(report.errors) == {errno.EIO: at_east}
    finally:
        east.container.unpause()
    wait_until(lambda: peer_states(owner)["east"] == "alive", "the lender is back", 20)
    report = read_back(owner.nbd_url, "disk", range(PAGES), 1)
    assert report.wrong == []
    # A pause longer than the lease makes it another lender; a shorter one costs nothing.
    assert sum(report.errors.values()) in (0, at_east)


def test_a_lender_cut_off_for_less_than_its_lease_costs_only_time(
    containers: ContainerCluster,
) -> None:
    lenders = [start_lender(containers, name, lease="120") for name in ("east", "west")]
    owner = start_owner(containers, ["east", "west"])
    containers.wait_healthy()
    wait_until(lambda: peer_states(owner) == {"east": "alive", "west": "alive"}, "peers alive")
    fill_and_settle(owner)
    east = lenders[0]
    at_east = foreign_pages(east)
    east.cut()
    wait_until(lambda: peer_states(owner)["east"] == "dead", "the cut is noticed", 20)
    report = read_back(owner.nbd_url, "disk", range(PAGES), 1)
    assert report.wrong == []
    assert dict(report.errors) == {errno.EIO: at_east}
    # Written during the cut: the copies at the lender are out of date from now on.
    fill(owner.nbd_url, "disk", range(PAGES // 8), 2)
    east.heal()
    wait_until(lambda: peer_states(owner)["east"] == "alive", "the lender is back", 40)
    report = read_back(owner.nbd_url, "disk", range(PAGES // 8), 2)
    assert (report.wrong, dict(report.errors)) == ([], {})
    report = read_back(owner.nbd_url, "disk", range(PAGES // 8, PAGES), 1)
    assert (report.wrong, dict(report.errors)) == ([], {})
    wait_until(
        lambda: sum(foreign_pages(lender) for lender in lenders) == away_pages(owner),
        "flushes of the time of the cut are replayed",
        30,
    )


def test_lenders_free_the_pages_of_a_killed_owner(
    trio: tuple[ContainerNode, ContainerNode, ContainerNode],
) -> None:
    owner, east, west = trio
    fill_and_settle(owner)
    assert foreign_pages(east) > 0
    owner.kill()
    wait_until(lambda: foreign_pages(east) == 0, "east frees them", 30)
    wait_until(lambda: foreign_pages(west) == 0, "west frees them", 30)
    assert east.stats()["pool"]["used_bytes"] == 0


# Docker's own resolver listens inside the container on 127.0.0.11 (0B00007F), on any port.
LISTENING = """
import os
rows = [row.split() for kind in ("tcp", "tcp6") if os.path.exists(f"/proc/net/{kind}")
        for row in open(f"/proc/net/{kind}").readlines()[1:]]
listening = [row[1].split(":") for row in rows if row[3] == "0A"]
print(sorted({int(port, 16) for address, port in listening if address != "0B00007F"}))
"""


def test_zcache_mode_with_peers_configured_has_no_grpc(containers: ContainerCluster) -> None:
    node = start_owner(containers, ["east", "west"], mode="zcache", lend_limit="8MiB")
    node.wait_healthy()
    listening = node.run_python(LISTENING)
    assert listening.strip() == "[7780, 10809]"
    maps = node.run_python("print('cygrpc' in open('/proc/1/maps').read())")
    assert maps.strip() == "False"
    pages = POOL_MIB * 256
    assert fill(node.nbd_url, "disk", range(pages), 1) == pages
    report = read_back(node.nbd_url, "disk", range(pages), 1)
    assert (report.right, report.wrong) == (pages, [])


def test_a_node_within_pool_limit_plus_128_mib_survives_being_filled(
    containers: ContainerCluster,
) -> None:
    pool_mib = 64
    limit = f"{pool_mib + SPARE_MIB}m"
    node = containers.start(
        "full",
        memory=limit,
        mode="zcache",
        pool_limit=f"{pool_mib}MiB",
        nbd="tcp://0.0.0.0:10809",
        export="disk=1GiB",
    )
    node.wait_healthy()
    with pytest.raises(OSError, match=r"no (room|frame)") as refused:
        fill(node.nbd_url, "disk", range(4 * pool_mib * 256), 1)
    assert refused.value.errno == errno.ENOSPC
    stored = node.stats()["pages"]["local"]
    assert stored > pool_mib * 256
    report = read_back(node.nbd_url, "disk", range(0, stored - 64, 7), 1)
    assert (report.wrong, dict(report.errors)) == ([], {})
    assert_survived(node)


async def large_requests(url: str, connections: int, depth: int, rounds: int) -> None:
    """Write and read LARGE bytes at a time, at a place of its own each; all that is read is right.

    Before that, pages of zeros behind those places, so that half a million pages are there.
    """
    places = connections * depth
    # About 8:1 under LZ4, so that the pool holds all of them.
    noise = random.Random(1)
    contents = [b"".join(noise.randbytes(400) + bytes(3696) for _ in range(LARGE // 4096))]
    contents.append(contents[0][4096:] + contents[0][:4096])

    async def work(client: NbdClient, place: int) -> None:
        for turn in range(rounds):
            content = contents[(place + turn) % 2]
            await client.write(place * LARGE, content)
            assert await client.read(place * LARGE, LARGE) == content, f"wrong bytes at {place}"

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(await NbdClient.connect(url, "disk"))
            for _ in range(connections)
        ]
        size = clients[0].size
        for start in range(places * LARGE, size, 64 * MIB):
            await clients[0].write_zeroes(start, min(64 * MIB, size - start), no_hole=True)
        async with asyncio.TaskGroup() as tasks:
            for place in range(places):
                tasks.create_task(work(clients[place % connections], place))


def test_a_node_within_pool_limit_plus_128_mib_survives_large_requests_of_many_clients(
    containers: ContainerCluster,
) -> None:
    pool_mib = 64
    node = containers.start(
        "busy",
        memory=f"{pool_mib + SPARE_MIB}m",
        healthcheck=False,
        mode="zcache",
        pool_limit=f"{pool_mib}MiB",
        nbd="tcp://0.0.0.0:10809",
        export="disk=2000MiB",
    )
    node.wait_healthy()
    asyncio.run(large_requests(node.nbd_url, connections=8, depth=4, rounds=3))
    figures = node.stats_from_host()
    assert figures["pages"]["own"] > 500_000
    assert_survived(node)
    resident = MemoryPeaks.of(node.state()["Pid"]).resident
    assert resident is not None
    assert resident < (pool_mib + SPARE_MIB) * MIB


def test_a_full_cluster_refuses_and_keeps_what_it_has(containers: ContainerCluster) -> None:
    lenders = [start_lender(containers, name, pool_mib=24) for name in ("east", "west")]
    owner = start_owner(containers, ["east", "west"], put_wait="1")
    containers.wait_healthy()
    wait_until(lambda: peer_states(owner) == {"east": "alive", "west": "alive"}, "peers alive")
    with pytest.raises(OSError, match=r"no (room|frame)") as refused:
        fill(owner.nbd_url, "disk", range(4 * PAGES), 1)
    assert refused.value.errno == errno.ENOSPC
    stored = owner.stats()["pages"]["own"]
    assert stored > PAGES // 2
    report = read_back(owner.nbd_url, "disk", range(stored - 64), 1)
    assert (report.wrong, dict(report.errors)) == ([], {})
    for node in (owner, *lenders):
        assert_survived(node)
