"""The Tmem API for programs in any language: ``tmem.proto`` <-> a ``PageStore``.

Covers: checks of what programs send, statuses of what fails. Does not cover: pools' names and ids
(``tmem_pools.py``), a client (``tmem_client.py``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

from ramster.errors import (
    BadMessageError,
    ConfigurationError,
    PageLostError,
    StoreClosedError,
    StoreFullError,
)
from ramster.event_log import EventLog
from ramster.rpc.convert import parse
from ramster.rpc.methods import method_path
from ramster.rpc.tmem_pools import PoolExistsError, ProgramPools
from ramster.store import PageStore
from ramster.wire.v1 import tmem_pb2
from zcache import (
    PAGE_SIZE,
    BadHandleError,
    CorruptPageError,
    GetFree,
    NoSuchPoolError,
    PoolKind,
    PoolTableFullError,
    PoorCompressionError,
    PutRefusedError,
)

__all__ = [
    "CALL_PAGES_MAX",
    "FLUSH_PAGES_MAX",
    "OBJECT_ID_BYTES",
    "POOL_KINDS",
    "TmemService",
    "tmem_path",
]

CALL_PAGES_MAX = 256
"""Pages a put or get may carry: 1 MiB."""
FLUSH_PAGES_MAX = 4096
OBJECT_ID_BYTES = 24
NAME_CHARACTERS_MAX = 255

POOL_KINDS = {
    PoolKind.EPHEMERAL: tmem_pb2.TmemPool.KIND_EPHEMERAL,
    PoolKind.PERSISTENT: tmem_pb2.TmemPool.KIND_PERSISTENT,
}
_KINDS_OF_WIRE = {wire: kind for kind, wire in POOL_KINDS.items()}
_FREE_OF_WIRE = {
    tmem_pb2.GetRequest.FREE_BY_POOL: GetFree.BY_KIND,
    tmem_pb2.GetRequest.FREE_ALWAYS: GetFree.ALWAYS,
    tmem_pb2.GetRequest.FREE_NEVER: GetFree.NEVER,
}

_STATUSES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    # the first that fits; narrower kinds stand before wider ones
    (BadMessageError, grpc.StatusCode.INVALID_ARGUMENT),
    (BadHandleError, grpc.StatusCode.INVALID_ARGUMENT),
    (NoSuchPoolError, grpc.StatusCode.NOT_FOUND),
    (PoolExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (PoolTableFullError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (StoreFullError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (PoorCompressionError, grpc.StatusCode.FAILED_PRECONDITION),
    (PutRefusedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (PageLostError, grpc.StatusCode.DATA_LOSS),
    (CorruptPageError, grpc.StatusCode.DATA_LOSS),
    (StoreClosedError, grpc.StatusCode.UNAVAILABLE),
)

M = TypeVar("M", bound=Message)
Context = aio.ServicerContext[bytes, bytes]

_log = EventLog(__name__)


def tmem_path(method: str) -> str:
    """The full name of a method of the Tmem service."""
    return method_path(tmem_pb2.DESCRIPTOR, "Tmem", method)


class TmemService:
    """Answers programs from one store."""

    def __init__(self, store: PageStore) -> None:
        self._store = store
        self._pools = ProgramPools(store)

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The service's methods by path."""
        return {
            tmem_path("CreatePool"): _unary(tmem_pb2.CreatePoolRequest, self._create_pool),
            tmem_path("DestroyPool"): _unary(tmem_pb2.DestroyPoolRequest, self._destroy_pool),
            tmem_path("ListPools"): _unary(tmem_pb2.ListPoolsRequest, self._list_pools),
            tmem_path("Put"): _unary(tmem_pb2.PutRequest, self._put),
            tmem_path("Get"): _unary(tmem_pb2.GetRequest, self._get),
            tmem_path("FlushPages"): _unary(tmem_pb2.FlushPagesRequest, self._flush_pages),
            tmem_path("FlushRange"): _unary(tmem_pb2.FlushRangeRequest, self._flush_range),
            tmem_path("FlushObject"): _unary(tmem_pb2.FlushObjectRequest, self._flush_object),
        }

    async def _create_pool(self, request: tmem_pb2.CreatePoolRequest) -> Message:
        name = request.pool.name
        if not (1 <= len(name) <= NAME_CHARACTERS_MAX and name.isprintable()):
            raise BadMessageError(
                f"pool.name: {name[:64]!r}, "
                f"accepted is 1 to {NAME_CHARACTERS_MAX} printable characters"
            )
        kind = _KINDS_OF_WIRE.get(request.pool.kind)
        if kind is None:
            raise BadMessageError(
                f"pool.kind: {request.pool.kind}, accepted is KIND_EPHEMERAL or KIND_PERSISTENT"
            )
        try:
            pool, created = self._pools.obtain(
                name, kind, request.pool.exclusive_gets, request.pool.codec or None
            )
        except ConfigurationError as error:
            raise BadMessageError(
                f"pool.codec: {request.pool.codec[:64]!r}, accepted is {error.accepted}"
            ) from error
        return tmem_pb2.CreatePoolReply(pool_id=pool.pool_id, created=created)

    async def _destroy_pool(self, request: tmem_pb2.DestroyPoolRequest) -> Message:
        return tmem_pb2.DestroyPoolReply(pages=await self._pools.destroy(request.pool_id))

    async def _list_pools(self, _: tmem_pb2.ListPoolsRequest) -> Message:
        reply = tmem_pb2.ListPoolsReply()
        for pool in self._pools:
            properties = tmem_pb2.TmemPool(
                name=pool.name,
                kind=POOL_KINDS[pool.kind],
                exclusive_gets=pool.exclusive_gets,
                codec=pool.codec or "",
            )
            reply.pools.add(pool_id=pool.pool_id, pool=properties)
        return reply

    async def _put(self, request: tmem_pb2.PutRequest) -> Message:
        pool = self._pools.find(request.pool_id)
        object_id = _object_id(request.object_id)
        indexes = _indexes(request.indexes, CALL_PAGES_MAX)
        if len(request.payload) != len(indexes) * PAGE_SIZE:
            raise BadMessageError(
                f"payload: {len(request.payload)} bytes, accepted is {PAGE_SIZE} for each of "
                f"{len(indexes)} indexes"
            )
        await self._store.put_many(
            pool.store_pool_id, object_id, indexes, request.payload, keep_old=request.keep_old
        )
        return tmem_pb2.PutReply()

    async def _get(self, request: tmem_pb2.GetRequest) -> Message:
        pool = self._pools.find(request.pool_id)
        object_id = _object_id(request.object_id)
        indexes = _indexes(request.indexes, CALL_PAGES_MAX)
        if len(set(indexes)) != len(indexes):
            raise BadMessageError("indexes: some stand twice, accepted is each once")
        free = _FREE_OF_WIRE.get(request.free)
        if free is None:
            raise BadMessageError(
                f"free: {request.free}, accepted is FREE_BY_POOL, FREE_ALWAYS or FREE_NEVER"
            )
        pages = bytearray(len(indexes) * PAGE_SIZE)
        present = await self._store.get_many(
            pool.store_pool_id, object_id, indexes, pages, free=free
        )
        for row in range(len(indexes) - 1, -1, -1):
            if not present[row]:
                del pages[row * PAGE_SIZE : (row + 1) * PAGE_SIZE]
        return tmem_pb2.GetReply(present=present, payload=bytes(pages))

    async def _flush_pages(self, request: tmem_pb2.FlushPagesRequest) -> Message:
        pool = self._pools.find(request.pool_id)
        object_id = _object_id(request.object_id)
        pages = 0
        for index in _indexes(request.indexes, FLUSH_PAGES_MAX):
            pages += await self._store.flush(pool.store_pool_id, object_id, index)
        return tmem_pb2.FlushPagesReply(pages=pages)

    async def _flush_range(self, request: tmem_pb2.FlushRangeRequest) -> Message:
        pool = self._pools.find(request.pool_id)
        object_id = _object_id(request.object_id)
        if request.start > request.stop:
            raise BadMessageError(
                f"start: {request.start}, accepted is at most stop ({request.stop})"
            )
        pages = await self._store.flush_range(
            pool.store_pool_id, object_id, request.start, request.stop
        )
        return tmem_pb2.FlushRangeReply(pages=pages)

    async def _flush_object(self, request: tmem_pb2.FlushObjectRequest) -> Message:
        pool = self._pools.find(request.pool_id)
        object_id = _object_id(request.object_id)
        pages = await self._store.flush_object(pool.store_pool_id, object_id)
        return tmem_pb2.FlushObjectReply(pages=pages)


def _unary(
    kind: type[M], answer: Callable[[M], Awaitable[Message]]
) -> grpc.RpcMethodHandler[Any, Any]:
    async def serve(data: bytes, context: Context) -> bytes:
        try:
            return (await answer(parse(kind, data))).SerializeToString()
        except Exception as error:  # noqa: BLE001 - the program is told; a bug of ours is logged
            code = next((code for kind, code in _STATUSES if isinstance(error, kind)), None)
            text = str(error)
            if code is None:
                _log.error(
                    "tmem_call_failed",
                    "a call of {client} failed here",
                    cause=error,
                    client=context.peer(),
                )
                code, text = grpc.StatusCode.INTERNAL, f"failed inside with {type(error).__name__}"
        await context.abort(code, text)
        raise AssertionError("abort() returned")

    return grpc.unary_unary_rpc_method_handler(serve)


def _object_id(data: bytes) -> int:
    if len(data) != OBJECT_ID_BYTES:
        raise BadMessageError(
            f"object_id: {len(data)} bytes, accepted is {OBJECT_ID_BYTES}, big-endian"
        )
    return int.from_bytes(data, "big")


def _indexes(indexes: Sequence[int], pages_max: int) -> list[int]:
    if len(indexes) > pages_max:
        raise BadMessageError(f"indexes: {len(indexes)}, accepted is at most {pages_max}")
    return list(indexes)
