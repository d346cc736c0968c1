"""A node in this process: its parts, their order, its end."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from ramster.addresses import Address, ExportSpec
from ramster.config import Mode, NodeConfig
from ramster.errors import ListenError, StoreClosedError
from ramster.nbd.client import NbdClient
from ramster.node import Node
from ramster.stats_client import fetch_figures
from ramster.upkeep import Upkeep
from zcache import PAGE_SIZE, PoolKind

ANY = Address("127.0.0.1", 0)


def alone(**values: object) -> NodeConfig:
    settings: dict[str, object] = {"name": "n", "pool_limit": 8 * 2**20, "http": None, **values}
    return NodeConfig(**settings)  # type: ignore[arg-type]


def member(name: str, **values: object) -> NodeConfig:
    return alone(name=name, mode=Mode.RAMSTER, listen=ANY, heartbeat_interval=0.05, **values)


def page(number: int) -> bytes:
    """A page that compresses to a half and is like no other."""
    return number.to_bytes(8) + os.urandom(2040) + bytes(2048)


def test_a_node_keeps_pages_while_it_runs_and_refuses_them_after() -> None:
    async def run() -> None:
        node = Node(alone())
        assert node.state == "starting"
        with pytest.raises(StoreClosedError):
            _ = node.store
        async with node:
            assert node.state == "serving"
            store = node.store
            pool = store.create_pool(PoolKind.PERSISTENT)
            data = page(1)
            await store.put_many(pool, 1, [5], data)
            into = bytearray(PAGE_SIZE)
            assert await store.get_many(pool, 1, [5], into) == b"\1"
            assert into == data
        assert node.state == "stopped"
        with pytest.raises(StoreClosedError):
            _ = node.store
        with pytest.raises(StoreClosedError):
            await store.get_many(pool, 1, [5], into)
        await node.stop()

    asyncio.run(run())


def test_it_serves_its_exports_and_figures_where_it_says(tmp_path: Path) -> None:
    async def run() -> None:
        urls = ("tcp://127.0.0.1:0", f"unix://{tmp_path}/nbd.sock")
        exports = (ExportSpec("a", 2**20), ExportSpec("b", 2**21))
        async with Node(alone(http=ANY, nbd=urls, export=exports)) as node:
            first, second = node.endpoints["nbd"]
            async with await NbdClient.connect(first, "b") as client:
                assert client.size == 2**21
                await client.write(4096, b"x" * 4096)
            async with await NbdClient.connect(second, "b") as client:
                assert await client.read(4096, 4096) == b"x" * 4096
            async with await NbdClient.connect(second) as client:
                assert (client.size, await client.read(4096, 4096)) == (2**20, bytes(4096))
            figures = await asyncio.to_thread(fetch_figures, node.endpoints["http"])
            assert figures["nbd"]["connections_total"] == 3
            assert figures["pages"]["own"] == figures["pages"]["same_filled"] == 1
            assert figures["endpoints"] == node.endpoints
        assert not (tmp_path / "nbd.sock").exists()

    asyncio.run(run())


def test_a_start_that_fails_leaves_nothing_running() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            busy = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            nbd = ("tcp://127.0.0.1:0", busy)
            node = Node(alone(http=ANY, nbd=nbd, export=(ExportSpec("a", 2**20),)))
            with pytest.raises(ListenError, match=busy):
                await node.start()
        host, _, port = node.endpoints["http"].rpartition("//")[2].rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=10)

    asyncio.run(run())


def test_pages_leave_for_a_peer_when_the_pool_is_full_and_come_back() -> None:
    async def run() -> None:
        async with Node(member("lender", pool_limit=64 * 2**20, lend_limit=60 * 2**20)) as lender:
            peer = lender.endpoints["peers"]
            async with Node(member("owner", pool_limit=2**20, peer=(peer,))) as owner:
                store = owner.store
                pool = store.create_pool(PoolKind.PERSISTENT)
                data = [page(index) for index in range(2000)]
                for index, content in enumerate(data):
                    await store.put_many(pool, 1, [index], content)
                figures = owner.figures()
                assert figures["pages"]["away"] > 1000
                assert figures["peers"][0]["node"] == "lender"
                assert figures["peers"][0]["state"] == "alive"
                # The lender may have taken pages whose answer is still on its way.
                taken = lender.figures()["pages"]["foreign"] - figures["pages"]["away"]
                assert 0 <= taken <= figures["pages"]["in_transit"]
                assert lender.figures()["owners"][0]["owner"] == "owner"
                into = bytearray(PAGE_SIZE)
                for index, content in enumerate(data):
                    assert await store.get_many(pool, 1, [index], into) == b"\1"
                    assert into == content
                assert owner.figures()["cluster"]["remote_hits"] > 1000

    asyncio.run(run())


def test_stopping_needs_no_peer() -> None:
    async def run() -> None:
        lender = Node(member("lender", pool_limit=64 * 2**20, lend_limit=60 * 2**20))
        await lender.start()
        owner = Node(member("owner", pool_limit=2**20, peer=(lender.endpoints["peers"],)))
        await owner.start()
        pool = owner.store.create_pool(PoolKind.PERSISTENT)
        for index in range(1000):
            await owner.store.put_many(pool, 1, [index], page(index))
        assert owner.figures()["pages"]["away"] > 0
        await lender.stop()
        async with asyncio.timeout(30):
            await owner.stop()

    asyncio.run(run())


def test_the_death_of_a_part_is_the_nodes_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = RuntimeError("worn out")

    def die(_: Upkeep) -> int:
        raise reason

    monkeypatch.setattr(Upkeep, "compact_once", die)

    async def run() -> None:
        async with Node(alone(compact_interval=0.001)) as node, asyncio.timeout(30):
            assert await node.failed() is reason

    asyncio.run(run())


def test_a_loop_that_hangs_makes_the_node_unhealthy() -> None:
    async def run() -> tuple[int, str]:
        async with Node(alone(http=ANY)) as node:
            host, _, port = node.endpoints["http"].rpartition("//")[2].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=30) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
                # Read here, without giving the loop a chance to run.
                answer = client.recv(65536)
            return int(answer.split()[1]), answer.decode().rpartition("\r\n")[2]

    assert asyncio.run(run()) == (503, "the node does not answer\n")
