"""A node for programs without an event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ramster.addresses import Address
from ramster.config import Mode, NodeConfig
from ramster.embed import EmbeddedNode
from ramster.errors import ListenError, StoreClosedError, StoreFullError
from ramster.node import Node
from zcache import GetFree, NoSuchPoolError, PoolKind

PAGES = [os.urandom(4096) for _ in range(8)]


def config(pool_limit: int = 4 * 2**20) -> NodeConfig:
    return NodeConfig(name="n", pool_limit=pool_limit, http=None)


def test_a_lender_drains_and_a_lone_node_has_nothing_to_hand_over() -> None:
    with EmbeddedNode(config()) as node:
        assert node.drain(10) is None
    loopback = Address("127.0.0.1", 0)
    member = {"mode": Mode.RAMSTER, "listen": loopback, "http": None, "heartbeat_interval": 0.05}
    lends = NodeConfig(name="lender", pool_limit=16 * 2**20, lend_limit=15 * 2**20, **member)  # type: ignore[arg-type]
    with EmbeddedNode(lends) as lender:
        peer = (lender.node.endpoints["peers"],)
        owns = NodeConfig(name="owner", pool_limit=2**20, peer=peer, **member)  # type: ignore[arg-type]
        with EmbeddedNode(owns) as owner:
            pool = owner.create_pool(PoolKind.PERSISTENT, replicas=1)
            for index in range(600):
                owner.put(pool, 1, index, PAGES[index % 8])
            assert lender.figures()["pages"]["foreign"] > 0
            for index in range(500):
                owner.flush(pool, 1, index)
            report = lender.drain(30)
            assert report is not None
            assert report.left == lender.figures()["pages"]["foreign"] == 0
            assert owner.get(pool, 1, 599) == PAGES[599 % 8]


def test_pages_go_in_and_come_out() -> None:
    with EmbeddedNode(config()) as node:
        pool = node.create_pool(PoolKind.PERSISTENT, codec="zstd")
        node.put(pool, 1, 0, PAGES[0])
        node.put_many(pool, 1, [1, 2, 3], b"".join(PAGES[1:4]))
        assert node.get(pool, 1, 0) == PAGES[0]
        into = bytearray(3 * 4096)
        assert node.get_many(pool, 1, [3, 9, 1], into) == b"\1\0\1"
        assert into == PAGES[3] + bytes(4096) + PAGES[1]
        assert node.flush(pool, 1, 0) is True
        assert node.get(pool, 1, 0) is None
        assert node.flush_range(pool, 1, 0, 3) == 2
        assert node.get(pool, 1, 3, free=GetFree.ALWAYS) == PAGES[3]
        assert node.flush_object(pool, 1) == 0
        node.put(pool, 2, 0, PAGES[0])
        assert node.figures()["pages"]["own"] == 1
        assert node.destroy_pool(pool) == 1


def test_errors_arrive_as_they_are() -> None:
    with EmbeddedNode(config(pool_limit=8 * 4096)) as node:
        with pytest.raises(NoSuchPoolError):
            node.put(99, 1, 0, PAGES[0])
        pool = node.create_pool(PoolKind.PERSISTENT)
        for index in range(8):
            node.put(pool, 1, index, PAGES[index])
        with pytest.raises(StoreFullError):
            node.put(pool, 1, 8, os.urandom(4096))


def test_many_threads_may_call() -> None:
    with EmbeddedNode(config()) as node, ThreadPoolExecutor(8) as threads:
        pool = node.create_pool(PoolKind.PERSISTENT)

        def work(index: int) -> bool:
            for _ in range(20):
                node.put(pool, index, 0, PAGES[index])
            return node.get(pool, index, 0) == PAGES[index]

        assert all(threads.map(work, range(8)))


def test_after_closing_every_call_is_refused_and_the_thread_is_gone() -> None:
    threads = threading.active_count()
    node = EmbeddedNode(config())
    pool = node.create_pool(PoolKind.EPHEMERAL)
    node.close()
    node.close()
    assert threading.active_count() == threads
    with pytest.raises(StoreClosedError):
        node.put(pool, 1, 0, PAGES[0])
    with pytest.raises(StoreClosedError):
        node.figures()


def test_a_call_under_way_when_the_node_closes_ends_with_an_error() -> None:
    node = EmbeddedNode(config())
    begun = threading.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(node._call, never())
        begun.wait()
        node.close()
        with pytest.raises(StoreClosedError, match="closed meanwhile"):
            call.result()


def test_closing_raises_what_stopping_died_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Node) -> None:
        raise OSError("stuck")

    node = EmbeddedNode(config())
    monkeypatch.setattr(Node, "stop", fail)
    with pytest.raises(OSError, match="stuck"):
        node.close()


def test_a_start_that_fails_leaves_no_thread() -> None:
    threads = threading.active_count()
    with EmbeddedNode(NodeConfig(name="n", http=Address("127.0.0.1", 0))) as node:
        taken = node.node.endpoints["http"].removeprefix("http://")
        with pytest.raises(ListenError):
            EmbeddedNode(NodeConfig(name="n", http=taken))
    assert threading.active_count() == threads


def test_two_embedded_nodes_form_a_cluster() -> None:
    def member(name: str, **values: object) -> NodeConfig:
        return NodeConfig(
            name=name,
            mode=Mode.RAMSTER,
            listen=Address("127.0.0.1", 0),
            http=None,
            heartbeat_interval=0.05,
            **values,  # type: ignore[arg-type]
        )

    lender = member("lender", pool_limit=32 * 2**20, lend_limit=30 * 2**20)
    with EmbeddedNode(lender) as there:
        owner = member("owner", pool_limit=2**20, peer=[there.node.endpoints["peers"]])
        with EmbeddedNode(owner) as here:
            pool = here.create_pool(PoolKind.PERSISTENT)
            stored = {index: os.urandom(4096) for index in range(600)}
            for index, content in stored.items():
                here.put(pool, 1, index, content)
            assert here.figures()["pages"]["away"] > 300
            assert all(here.get(pool, 1, index) == content for index, content in stored.items())
