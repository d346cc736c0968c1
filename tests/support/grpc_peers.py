"""Peers for tests of the transport: real lenders, a proxy that cuts wires, rogue servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from random import Random
from typing import Any, TypeVar

import xxhash

from ramster.clock import LoopClock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.foreign import ForeignPages
from ramster.rpc import ConnectionSettings, GrpcLink, GrpcTransport, PeerServer
from ramster.transport import FetchRequest, FlushRequest, Hello, PeerHandler, SpillRequest
from zcache import Cache, CacheConfig, Encoding, PackedBlobs, PoolKind

import grpc  # isort: skip
from grpc import aio  # isort: skip

T = TypeVar("T")

FAST = ConnectionSettings(
    keepalive_s=0.2, keepalive_timeout_s=0.2, reconnect_s_min=0.01, reconnect_s_max=0.05
)
PATIENCE_S = 30.0
"""Deadline of calls that are expected to be answered, and of conditions."""
SOON_S = 0.05
"""Deadline of calls that are expected to run into it."""

_NUMBERS = itertools.count(1)
"""Of batches and flushes: each call is a new one unless a test says otherwise."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine on a loop of its own."""
    return asyncio.run(asyncio.wait_for(work, 60))


async def until(condition: Callable[[], object]) -> None:
    """Let others run until a condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - conditions are of many kinds
            await asyncio.sleep(0.001)


async def until_answered(call: Callable[[], Awaitable[T]], error: type[Exception]) -> T:
    """Call again after failures of one kind until there is an answer."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await call()
            except error:
                await asyncio.sleep(0.001)


LENDER_INCARNATION = 77


def lender(
    name: str = "lender",
    *,
    pool_bytes: int = 8 * 2**20,
    wanted: int = 0,
    figures: Callable[[], bytes] | None = None,
) -> ForeignPages:
    """The real thing: a node's side as a lender, over a real cache."""
    cache = Cache(CacheConfig(pool_bytes_max=pool_bytes, foreign_bytes_max=pool_bytes // 2))
    return ForeignPages(
        cache,
        ClusterConfig(node=name),
        LoopClock(),
        Random(name),
        ClusterCounters(),
        incarnation=LENDER_INCARNATION,
        wanted=lambda: wanted,
        figures=figures,
    )


@contextlib.asynccontextmanager
async def serving(
    handler: PeerHandler | None = None, listen: str = "127.0.0.1:0", **options: Any
) -> AsyncIterator[str]:
    """A real server; yields its address."""
    server = PeerServer(handler or lender(), **options)
    try:
        yield await server.start(listen)
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def linked(
    address: str, settings: ConnectionSettings | None = None
) -> AsyncIterator[GrpcLink]:
    """A link of a transport of its own."""
    transport = GrpcTransport(settings=settings)
    try:
        yield transport.link(address)
    finally:
        await transport.close()


def hello(node: str = "owner", **changes: Any) -> Hello:
    """What an owner says first."""
    fields: dict[str, Any] = {"cluster": "ramster", "node": node, "incarnation": 5} | changes
    return Hello(**fields)


def blobs(pages: int, *, size: int = 100, first: int = 0, seed: int = 0) -> PackedBlobs:
    """Pages as a spill carries them, with checksums that are right."""
    payloads = [Random(seed * 1_000_003 + first + page).randbytes(size) for page in range(pages)]
    return PackedBlobs(
        keys=array("Q", range(first, first + pages)),
        generations=array("Q", [1]) * pages,
        lengths=array("H", [size]) * pages,
        encodings=bytearray([Encoding.LZ4]) * pages,
        checksums=array("Q", map(xxhash.xxh3_64_intdigest, payloads)),
        payload=b"".join(payloads),
    )


def spill_of(
    lease: int, packed: PackedBlobs, epoch: int = 0, batch: int | None = None
) -> SpillRequest:
    return SpillRequest(
        lease=lease,
        epoch=epoch,
        batch=next(_NUMBERS) if batch is None else batch,
        kind=PoolKind.PERSISTENT,
        blobs=packed,
    )


def fetch_of(lease: int, keys: array[int]) -> FetchRequest:
    return FetchRequest(
        lease=lease, kind=PoolKind.PERSISTENT, keys=keys, generations=array("Q", [1]) * len(keys)
    )


def flush_of(
    lease: int, keys: array[int], epoch: int = 0, sequence: int | None = None
) -> FlushRequest:
    return FlushRequest(
        lease=lease,
        epoch=epoch,
        sequence=next(_NUMBERS) if sequence is None else sequence,
        kind=PoolKind.PERSISTENT,
        keys=keys,
        generations=array("Q", [1]) * len(keys),
    )


class CutProxy:
    """A TCP proxy that can stop forwarding without closing anything, as a cut wire does."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0

    @property
    def open_connections(self) -> int:
        return len(self._writers) // 2

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Forward nothing more, on present connections and new ones."""
        self._flowing.clear()

    def heal(self) -> None:
        self._flowing.set()

    def reset(self) -> None:
        """Close every connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def stop(self) -> None:
        self._server.close()
        self.heal()
        self.reset()
        await until(lambda: not self._writers)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._forward(reader, far_writer), self._forward(far_reader, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the other side has gone
        finally:
            writer.transport.abort()
            self._writers.discard(writer)


@contextlib.asynccontextmanager
async def proxied(target: str) -> AsyncIterator[tuple[CutProxy, str]]:
    proxy = CutProxy(target)
    try:
        yield proxy, await proxy.start()
    finally:
        await proxy.stop()


Rogue = Callable[[bytes], Awaitable[list[bytes]]]
"""What a rogue server answers to the bytes of one request."""


@contextlib.asynccontextmanager
async def rogue(path: str, answer: Rogue) -> AsyncIterator[str]:
    """A gRPC server whose one stream answers whatever it likes; yields its address."""

    async def serve(_: Any, context: Any) -> None:
        while (data := await context.read()) is not aio.EOF:
            for reply in await answer(data):
                await context.write(reply)

    _, service, method = path.split("/")
    server = aio.server(options=[("grpc.max_send_message_length", -1)])
    handlers = {method: grpc.stream_stream_rpc_method_handler(serve)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
