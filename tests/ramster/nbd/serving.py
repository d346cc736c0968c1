"""A real server over a real cache, and a client that speaks bytes: what the tests here share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct
from typing import Any, Self, TypeVar

from ramster.nbd.export import Export
from ramster.nbd.limits import NbdLimits
from ramster.nbd.listener import split_url
from ramster.nbd.protocol import (
    CHUNK,
    CHUNK_DONE,
    CHUNK_MAGIC,
    GREETING,
    IHAVEOPT,
    OPTION_HEADER,
    OPTION_REPLY,
    REQUEST,
    REQUEST_MAGIC,
    SIMPLE_REPLY,
    SIMPLE_REPLY_MAGIC,
    Command,
    Option,
    OptionReply,
)
from ramster.nbd.server import NbdServer
from ramster.store import LocalStore, PageStore
from zcache import Buffer, Cache, CacheConfig, GetFree, PoolKind

MIB = 1024 * 1024
TCP = "tcp://127.0.0.1:0"
U16 = Struct(">H")
U32 = Struct(">I")
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], timeout_s: float = 60) -> T:
    """Run a test's coroutine; a hang and an exception in a callback fail it."""
    lost: list[dict[str, Any]] = []

    async def bounded() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        async with asyncio.timeout(timeout_s):
            return await work

    result = asyncio.run(bounded())
    assert not lost, lost
    return result


async def until(condition: Any, timeout_s: float = 10) -> None:
    """Wait until ``condition()`` is true, letting the event loop turn."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  any state of the server may be waited for
            await asyncio.sleep(0)


def make_store(pool_bytes: int = 16 * MIB) -> tuple[LocalStore, int]:
    """A store of its own and a persistent pool."""
    store = LocalStore(Cache(CacheConfig(pool_bytes_max=pool_bytes)))
    return store, store.create_pool(PoolKind.PERSISTENT)


class GatedStore:
    """A real store whose operations can be held at a gate, before they take effect."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting: list[str] = []
        """Operations at the gate, by name."""
        self.failure: Exception | None = None
        """Raised instead of the next operation that passes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def _pass(self, name: str) -> None:
        if not self.gate.is_set():
            self.waiting.append(name)
            try:
                await self.gate.wait()
            finally:
                self.waiting.remove(name)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    async def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        await self._pass("put_many")
        await self._store.put_many(pool_id, object_id, indexes, payload, keep_old=keep_old)

    async def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> bytes:
        await self._pass("get_many")
        return await self._store.get_many(pool_id, object_id, indexes, into, free=free)

    async def flush_range(self, pool_id: int, object_id: int, start: int, stop: int) -> int:
        await self._pass("flush_range")
        return await self._store.flush_range(pool_id, object_id, start, stop)


@dataclass
class Served:
    """A running server and what it serves."""

    server: NbdServer
    store: GatedStore
    url: str
    pool: int


@asynccontextmanager
async def serving(
    size: int = MIB,
    *,
    url: str = TCP,
    limits: NbdLimits | None = None,
    pool_bytes: int = 16 * MIB,
) -> AsyncIterator[Served]:
    """Exports "disk" (of ``size``) and "fixed" (read-only); the cache is verified at the end."""
    local, pool = make_store(pool_bytes)
    store = GatedStore(local)
    exports = [
        Export("disk", size, pool, 1, "a disk for tests"),
        Export("fixed", MIB, pool, 2, read_only=True),
    ]
    server = NbdServer(store, exports, limits=limits or NbdLimits(close_timeout_s=5))
    bound = await server.start(url)
    try:
        yield Served(server, store, bound, pool)
    finally:
        store.gate.set()
        await server.close()
    assert server.snapshot().connections_open == 0
    local.cache.verify()


class RawClient:
    """A client that says exactly what it is told to, and returns what it hears."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, url: str) -> Self:
        place = split_url(url)
        if isinstance(place, str):
            return cls(*await asyncio.open_unix_connection(place))
        return cls(*await asyncio.open_connection(*place))

    @classmethod
    async def transmitting(
        cls, url: str, export: str = "disk", *, structured: bool = False
    ) -> Self:
        """Connected, and through the handshake."""
        client = await cls.connect(url)
        await client.greet()
        if structured:
            assert (await client.option(Option.STRUCTURED_REPLY))[-1][0] == OptionReply.ACK
            query = string(export) + U32.pack(1) + string("base:allocation")
            assert (await client.option(Option.SET_META_CONTEXT, query))[-1][0] == OptionReply.ACK
        replies = await client.option(Option.GO, string(export) + U16.pack(0))
        assert replies[-1][0] == OptionReply.ACK
        return client

    async def greet(self, flags: int = 3) -> None:
        await self.reader.readexactly(GREETING.size)
        self.writer.write(U32.pack(flags))

    async def option(self, option: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        """(reply type, data) of every reply, the last one included."""
        self.writer.write(OPTION_HEADER.pack(IHAVEOPT, option, len(data)) + data)
        replies: list[tuple[int, bytes]] = []
        while not replies or replies[-1][0] in (2, 3, 4):
            _, about, reply, length = OPTION_REPLY.unpack(
                await self.reader.readexactly(OPTION_REPLY.size)
            )
            assert about == option
            replies.append((reply, await self.reader.readexactly(length)))
        return replies

    def send(
        self,
        command: int,
        offset: int = 0,
        length: int = 0,
        *,
        cookie: int = 1,
        flags: int = 0,
        payload: Buffer = b"",
    ) -> None:
        head = REQUEST.pack(REQUEST_MAGIC, flags, command, cookie, offset, length)
        self.writer.write(head + bytes(payload))

    def write(self, offset: int, payload: Buffer, cookie: int = 1) -> None:
        self.send(Command.WRITE, offset, len(payload), cookie=cookie, payload=payload)

    async def reply(self, length: int = 0) -> tuple[int, int, bytes]:
        """(cookie, error, data) of one simple reply; ``length`` of data follow a success."""
        magic, error, cookie = SIMPLE_REPLY.unpack(await self.reader.readexactly(SIMPLE_REPLY.size))
        assert magic == SIMPLE_REPLY_MAGIC
        return cookie, error, b"" if error else await self.reader.readexactly(length)

    async def chunks(self) -> list[tuple[int, int, bytes]]:
        """(cookie, type, payload) of one structured reply."""
        found: list[tuple[int, int, bytes]] = []
        flags = 0
        while not flags & CHUNK_DONE:
            magic, flags, kind, cookie, length = CHUNK.unpack(
                await self.reader.readexactly(CHUNK.size)
            )
            assert magic == CHUNK_MAGIC
            found.append((cookie, kind, await self.reader.readexactly(length)))
        return found

    async def ended(self) -> bytes:
        """What comes before the server closes; a reset counts as closing."""
        try:
            return await self.reader.read(-1)
        except ConnectionError:
            return b""

    def stop_sending(self) -> None:
        """Close one direction, unless the server has closed both."""
        with suppress(OSError):
            self.writer.write_eof()

    def abort(self) -> None:
        """Vanish."""
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):  # the server was faster
            await self.writer.wait_closed()


def string(text: str) -> bytes:
    """A length and a text, as options have them."""
    raw = text.encode()
    return U32.pack(len(raw)) + raw


@contextmanager
def serving_in_thread(
    size: int, *urls: str, pool_bytes: int = 256 * MIB
) -> Iterator[tuple[list[str], LocalStore]]:
    """The server on an event loop of its own, for client programs that block."""
    local, pool = make_store(pool_bytes)
    loop = asyncio.new_event_loop()
    store: PageStore = local
    server: NbdServer | None = None

    async def start() -> list[str]:
        nonlocal server
        exports = [
            Export("disk", size, pool, 1, "a disk for tests"),
            Export("odd size", 5 * MIB + 12345, pool, 2),
            Export("fixed", MIB, pool, 3, read_only=True),
        ]
        server = NbdServer(store, exports)
        return [await server.start(url) for url in urls]

    async def stop() -> None:
        assert server is not None
        await server.close()

    thread = threading.Thread(target=loop.run_forever, name="nbd server")
    thread.start()
    try:
        bound = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        try:
            yield bound, local
        finally:
            asyncio.run_coroutine_threadsafe(stop(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
    local.cache.verify()


def assert_each_byte_was_written_by_one_of(
    found: bytes, changes: list[tuple[int, int, int]]
) -> None:
    """``changes``: (offset, length, byte written) of requests in flight together, over zeros.

    Every byte must be what some change that covers it wrote; where there is none, zero.
    """
    edges = {0, len(found)}
    for offset, length, _ in changes:
        edges |= {offset, offset + length}
    for start, stop in pairwise(sorted(edges)):
        allowed = {byte for at, length, byte in changes if at <= start and stop <= at + length}
        assert set(found[start:stop]) <= (allowed or {0}), f"bytes {start}..{stop}"
