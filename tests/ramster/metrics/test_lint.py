"""What running nodes serve, as Prometheus' own linter sees it."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ramster.addresses import Address, parse_address
from ramster.config import Mode, NodeConfig
from ramster.embed import EmbeddedNode
from ramster.nbd.client import NbdClient
from tests.support.containers import wait_until
from tests.support.fake_cluster import make_page
from tests.support.prometheus_programs import promtool
from zcache import PoolKind

LOOPBACK = Address("127.0.0.1", 0)
MIB = 2**20


def metrics_of(node: EmbeddedNode) -> bytes:
    with urllib.request.urlopen(f"{node.node.endpoints['http']}/metrics", timeout=10) as answer:
        body: bytes = answer.read()
        return body


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[EmbeddedNode]]:
    """An owner that spills, fetches, serves a block device and has a file, and its lender."""
    with ExitStack() as nodes:
        lender = nodes.enter_context(
            EmbeddedNode(NodeConfig(name="b", mode=Mode.RAMSTER, listen=LOOPBACK, http=LOOPBACK))
        )
        peer = parse_address(lender.node.endpoints["peers"], 0)
        owner = nodes.enter_context(
            EmbeddedNode(
                NodeConfig(
                    name="a",
                    mode=Mode.RAMSTER,
                    listen=LOOPBACK,
                    peer=(peer,),
                    http=LOOPBACK,
                    pool_limit=MIB // 2,
                    nbd=["tcp://127.0.0.1:0"],  # type: ignore[arg-type]
                    export=["disk=1MiB"],  # type: ignore[arg-type]
                    writeback=tmp_path_factory.mktemp("file") / "pages",  # type: ignore[arg-type]
                    writeback_limit=MIB,
                )
            )
        )
        wait_until(lambda: owner.figures()["peers"][0]["state"] == "alive", "they know each other")
        pool = owner.create_pool(PoolKind.PERSISTENT)
        for index in range(400):
            owner.put(pool, 1, index, make_page(index))
        wait_until(lambda: owner.figures()["cluster"]["spill_pages"] > 0, "pages were spilled")
        for index in range(400):
            assert owner.get(pool, 1, index) == make_page(index)
        asyncio.run(use_the_device(owner.node.endpoints["nbd"][0]))
        yield [owner, lender]


async def use_the_device(url: str) -> None:
    async with await NbdClient.connect(url, "disk") as client:
        await client.write(0, bytes(range(256)) * 32)
        await client.read(0, 4096)
        await client.flush()


def test_metrics_of_a_cluster_have_nothing_to_complain_about(cluster: list[EmbeddedNode]) -> None:
    for node in cluster:
        assert promtool("check", "metrics", stdin=metrics_of(node)) == ""


def test_metrics_of_a_lone_node_have_nothing_to_complain_about() -> None:
    with EmbeddedNode(NodeConfig(name="n", http=LOOPBACK)) as node:
        pool = node.create_pool(PoolKind.PERSISTENT)
        node.put(pool, 1, 0, make_page(0))
        node.get(pool, 1, 0)
        assert promtool("check", "metrics", stdin=metrics_of(node)) == ""


def test_the_linter_complains_where_there_is_reason() -> None:
    wrong = b"# HELP x_milliseconds X.\n# TYPE x_milliseconds counter\nx_milliseconds 1\n"
    with pytest.raises(pytest.fail.Exception, match="_total"):
        promtool("check", "metrics", stdin=wrong)


def test_traffic_is_in_the_histograms(cluster: list[EmbeddedNode]) -> None:
    latency = cluster[0].figures()["latency"]
    for name in ("put", "get_local", "get_remote", "fetch", "spill"):
        assert latency[name]["count"] > 0, name
        assert latency[name]["sum"] > 0, name
    assert [latency["nbd"][kind]["count"] for kind in ("read", "write", "flush")] == [1, 1, 1]
