"""A node in this process: its parts, their order, its end."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ramster.addresses import Address, ExportSpec
from ramster.cluster import Cluster
from ramster.cluster_store import ClusterStore
from ramster.config import Mode, NodeConfig
from ramster.errors import ListenError, StoreClosedError, WritebackFileError
from ramster.nbd.client import NbdClient
from ramster.nbd.server import NbdServer
from ramster.node import Node
from ramster.peers import Peers
from ramster.rpc import GrpcTransport, PeerServer
from ramster.stats_client import fetch_figures
from ramster.stats_server import StatsServer
from ramster.upkeep import Upkeep
from ramster.writeback import Writeback
from tests.support.grpc_peers import until
from zcache import PAGE_SIZE, Encoding, NoSuchPoolError, PoolKind

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


def lend(name: str, **values: object) -> Node:
    return Node(member(name, pool_limit=16 * 2**20, lend_limit=14 * 2**20, **values))


async def read_all(node: Node, pool: int, data: list[bytes]) -> None:
    into = bytearray(PAGE_SIZE)
    for index, content in enumerate(data):
        assert await node.store.get_many(pool, 1, [index], into) == b"\1"
        assert into == content, index


def test_a_lone_node_with_a_write_back_file_keeps_more_than_its_pool(tmp_path: Path) -> None:
    file = tmp_path / "pages"

    async def run() -> None:
        config = alone(
            pool_limit=2**20,
            # None of this is used: there is nobody but the file.
            peer=(Address("127.0.0.1", 1),),
            spill_target="none",
            replicas=2,
            writeback=file,
            writeback_limit=16 * 2**20,
        )
        async with Node(config) as node:
            pool = node.store.create_pool(PoolKind.PERSISTENT)
            data = [page(index) for index in range(2000)]
            for index, content in enumerate(data):
                await node.store.put_many(pool, 1, [index], content)
            await until(lambda: not node.figures()["pages"]["in_transit"])
            figures = node.figures()
            assert figures["pages"]["away"] == figures["writeback"]["pages"] > 1000
            assert (figures["pages"]["under_replicated"], figures["peers"]) == (0, [])
            assert file.stat().st_size > 2**20
            await read_all(node, pool, data)
            assert "peers" not in node.endpoints
            assert await node.drain(10) is None
            assert node.state == "serving"
        assert file.stat().st_size <= 4096

    asyncio.run(run())


def test_the_write_back_file_takes_what_peers_have_no_room_for(tmp_path: Path) -> None:
    async def run() -> None:
        async with Node(member("lender", pool_limit=2**20, lend_limit=2**19)) as lender:
            config = member(
                "owner",
                pool_limit=2**20,
                peer=(lender.endpoints["peers"],),
                writeback=tmp_path / "pages",
                writeback_limit=16 * 2**20,
            )
            async with Node(config) as owner:
                pool = owner.store.create_pool(PoolKind.PERSISTENT)
                data = [page(index) for index in range(2000)]
                for index, content in enumerate(data):
                    await owner.store.put_many(pool, 1, [index], content)
                figures = owner.figures()
                assert figures["writeback"]["pages"] > 500
                assert figures["peers"][0]["pages_away"] > 50
                await read_all(owner, pool, data)

    asyncio.run(run())


def test_a_write_back_file_that_cannot_be_used_leaves_nothing_running(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / "mine").write_text("my thesis")
        values = {"writeback": tmp_path / "mine", "writeback_limit": 2**20}
        for config in (alone(http=ANY, **values), member("n", **values)):
            node = Node(config)
            with pytest.raises(WritebackFileError, match="other data in it"):
                await node.start()
        assert (tmp_path / "mine").read_text() == "my thesis"
        # A start that fails later lets go of the file.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            busy = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            values = {"writeback": tmp_path / "w", "writeback_limit": 2**20}
            with pytest.raises(ListenError):
                await Node(alone(nbd=(busy,), export=(ExportSpec("a", 2**20),), **values)).start()
        async with Node(alone(**values)) as node:
            assert node.state == "serving"

    asyncio.run(run())


@pytest.mark.parametrize(("export", "copies"), [("a", 1), ("b", 2)])
def test_exports_have_their_own_number_of_copies(export: str, copies: int) -> None:
    async def run() -> None:
        exports = ("a=4MiB", "b=4MiB,replicas=2", "c=4KiB", "d=4KiB,replicas=2")
        disks = {"nbd": ("tcp://127.0.0.1:0",), "export": exports}
        async with lend("x") as x, lend("y") as y:
            peers = (x.endpoints["peers"], y.endpoints["peers"])
            config = member("owner", pool_limit=2**20, peer=peers, **disks)
            async with Node(config) as owner:
                async with await NbdClient.connect(owner.endpoints["nbd"][0], export) as client:
                    for index in range(1024):
                        await client.write(index * 4096, page(index))

                def settled() -> bool:
                    pages = owner.figures()["pages"]
                    foreign = sum(node.figures()["pages"]["foreign"] for node in (x, y))
                    in_full = not pages["under_replicated"] and not pages["in_transit"]
                    return in_full and foreign == copies * pages["away"] > 0

                await until(settled)
                # Exports of the same number share a pool.
                cache = owner.store.cache
                assert cache.pool_pages(copies - 1) == 1024
                assert cache.pool_pages(2 - copies) == 0
                with pytest.raises(NoSuchPoolError):
                    cache.pool_pages(2)

    asyncio.run(run())


def test_exports_have_their_own_codec() -> None:
    async def run() -> None:
        exports = ("a=1MiB", "b=1MiB,codec=zstd", "c=1MiB,codec=none", "d=4KiB,codec=zstd")
        disks = {"nbd": ("tcp://127.0.0.1:0",), "export": exports}
        async with Node(alone(codec="lz4", **disks)) as node:
            for name in "abcd":
                url = node.endpoints["nbd"][0]
                async with await NbdClient.connect(url, name) as client:
                    await client.write(0, text)
                    assert await client.read(0, 4096) == text
            cache = node.store.cache
            # Exports of the same codec share a pool.
            assert [cache.pool_pages(pool) for pool in range(3)] == [1, 2, 1]
            with pytest.raises(NoSuchPoolError):
                cache.pool_pages(3)
            ticket = cache.begin_spill(2**20)
            assert ticket is not None
            cache.cancel_spill(ticket)
            assert list(zip(ticket.pools, ticket.blobs.encodings, strict=True)) == [
                (0, Encoding.LZ4),
                (1, Encoding.ZSTD),
                (2, Encoding.RAW),
                (1, Encoding.ZSTD),
            ]

    text = (b"the quick brown fox " * 300)[:4096]
    asyncio.run(run())


def test_a_node_that_drains_hands_over_all_while_it_serves_and_takes_no_more() -> None:
    async def run() -> None:
        disk = {"nbd": ("tcp://127.0.0.1:0",), "export": (ExportSpec("disk", 2**20),)}
        async with lend("first", http=ANY, **disk) as first, lend("second") as second:
            peers = (first.endpoints["peers"], second.endpoints["peers"])
            async with Node(member("owner", pool_limit=2**20, peer=peers)) as owner:
                pool = owner.store.create_pool(PoolKind.PERSISTENT)
                data = [page(index) for index in range(3000)]
                for index, content in enumerate(data):
                    await owner.store.put_many(pool, 1, [index], content)
                held = first.figures()["pages"]["foreign"]
                assert held > 500
                draining = asyncio.create_task(first.drain(60))
                async with await NbdClient.connect(first.endpoints["nbd"][0], "disk") as client:
                    assert first.state == "draining"
                    assert await healthz(first) == (200, "draining\n")
                    await client.write(4096, data[0])
                    assert await client.read(4096, 4096) == data[0]
                report = await draining
                assert report is not None
                assert report.handed_over > 500
                assert (report.left, first.figures()["pages"]["foreign"]) == (0, 0)
                assert await first.drain(60) is None
                await first.stop()
                await read_all(owner, pool, data)
                figures = owner.figures()
                assert figures["cluster"]["pages_evacuated"] > 500
                assert (figures["cluster"]["pages_lost"], figures["pages"]["lost"]) == (0, 0)

    asyncio.run(run())


async def healthz(node: Node) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        with urllib.request.urlopen(f"{node.endpoints['http']}/healthz", timeout=10) as answer:
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(ask)


def test_lenders_have_the_room_again_when_an_owner_has_stopped() -> None:
    async def run() -> None:
        async with lend("lender") as lender:
            owner = Node(member("owner", pool_limit=2**20, peer=(lender.endpoints["peers"],)))
            await owner.start()
            pool = owner.store.create_pool(PoolKind.PERSISTENT)
            for index in range(1000):
                await owner.store.put_many(pool, 1, [index], page(index))
            assert lender.figures()["pages"]["foreign"] > 100
            await owner.stop()
            await until(lambda: not lender.figures()["pages"]["foreign"])
            assert lender.figures()["cluster"]["leases_left"] == 1

    asyncio.run(run())


def test_parts_stop_in_the_opposite_order_of_their_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended: list[str] = []

    def note(owner: type, method: str, what: str) -> None:
        """Add ``what`` to the list at the end of each call of the real method."""
        original = getattr(owner, method)

        @functools.wraps(original)
        def ending(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            if not asyncio.iscoroutine(result):
                ended.append(what)
                return result

            async def wait() -> None:
                await result
                ended.append(what)

            return wait()

        monkeypatch.setattr(owner, method, ending)

    note(NbdServer, "close", "block devices")
    note(PeerServer, "stop", "peers' server")
    note(ClusterStore, "close", "store")
    note(Peers, "say_goodbye", "goodbye")
    note(Writeback, "close", "write-back file")
    note(Cluster, "stop", "cluster")
    note(GrpcTransport, "close", "transport")
    note(StatsServer, "close", "figures")

    async def run() -> None:
        config = member(
            "n",
            http=ANY,
            nbd=("tcp://127.0.0.1:0",),
            export=(ExportSpec("disk", 2**20),),
            writeback=tmp_path / "pages",
            writeback_limit=2**20,
        )
        async with Node(config) as node:
            await node.drain(5)
            assert ended == []

    asyncio.run(run())
    assert list(dict.fromkeys(ended)) == [
        *("block devices", "peers' server", "store", "goodbye", "write-back file", "cluster"),
        *("transport", "figures"),
    ]


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
