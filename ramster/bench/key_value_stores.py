"""Opening a store of pages by key, with the server that it may need.

Covers: one opener for each subject. Does not cover: the stores (``key_value.py``,
``key_value_clients.py``), what is done with them (``peers_kv.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ramster.bench.key_value import CachePages, Dictionary, EmbeddedPages, KeyValue, NbdPages
from ramster.bench.key_value_clients import DiskcachePages, MemcachedPages, RedisPages
from ramster.bench.key_value_servers import memcached_server, redis_server
from ramster.bench.model import Subject, WorkloadUnavailable
from ramster.bench.server_process import socket_folder
from ramster.config import NodeConfig
from ramster.demo.nodes import NodeProcess
from ramster.embed import EmbeddedNode
from ramster.nbd.client import NbdClient

__all__ = ["STORES", "open_key_value"]

_EXPORT = "disk"

_Opener = Callable[[Path, int], contextlib.AbstractContextManager[KeyValue]]


@contextlib.contextmanager
def _open_embedded(_: Path, data_bytes: int) -> Iterator[KeyValue]:
    with EmbeddedNode(NodeConfig(name="bench", pool_limit=2 * data_bytes, http=None)) as node:
        yield EmbeddedPages(node)


@contextlib.contextmanager
def _open_nbd(scratch: Path, data_bytes: int) -> Iterator[KeyValue]:
    with socket_folder(scratch) as folder, asyncio.Runner() as runner:
        url = f"unix://{folder / 'nbd.sock'}"
        node = NodeProcess(
            "node",
            *("--mode", "zcache", "--http", "off", "--pool-limit", str(2 * data_bytes)),
            *("--nbd", url, "--export", f"{_EXPORT}={data_bytes}"),
        )
        runner.run(node.__aenter__())
        try:
            client = runner.run(NbdClient.connect(url, _EXPORT))
            yield NbdPages(runner.get_loop(), client, node.pid)
            runner.run(client.close())
        finally:
            runner.run(node.__aexit__(None, None, None))


@contextlib.contextmanager
def _open_redis(scratch: Path, _: int) -> Iterator[KeyValue]:
    with (
        redis_server(scratch) as server,
        contextlib.closing(RedisPages(server)) as pages,
    ):
        yield pages


@contextlib.contextmanager
def _open_memcached(scratch: Path, data_bytes: int) -> Iterator[KeyValue]:
    with (
        memcached_server(scratch, data_bytes) as server,
        contextlib.closing(MemcachedPages(server)) as pages,
    ):
        yield pages


@contextlib.contextmanager
def _open_diskcache(scratch: Path, data_bytes: int) -> Iterator[KeyValue]:
    with contextlib.closing(DiskcachePages(scratch / "diskcache", data_bytes)) as pages:
        yield pages


STORES: dict[Subject, _Opener] = {
    Subject.NOTHING: lambda _, __: contextlib.nullcontext(Dictionary()),
    Subject.ZCACHE: lambda _, data_bytes: contextlib.nullcontext(CachePages(data_bytes)),
    Subject.ZCACHE_EMBEDDED: _open_embedded,
    Subject.ZCACHE_NBD: _open_nbd,
    Subject.REDIS: _open_redis,
    Subject.MEMCACHED: _open_memcached,
    Subject.DISKCACHE: _open_diskcache,
}
"""How each subject that is a key-value store is opened, given a folder and room for so much."""


def open_key_value(
    subject: Subject, scratch: Path, data_bytes: int
) -> contextlib.AbstractContextManager[KeyValue]:
    """An empty store. Raises WorkloadUnavailable when a program or a client is missing, ServerError
    and NodeProcessError when a server does not start."""
    if subject not in STORES:
        raise WorkloadUnavailable(
            f"{subject} is no key-value store: accepted is {', '.join(STORES)}"
        )
    return STORES[subject](scratch, data_bytes)
