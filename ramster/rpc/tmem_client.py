"""A small synchronous client of the Tmem API.

    with TmemClient("127.0.0.1:7777") as client:
        pool = client.pool("notes", PoolKind.PERSISTENT)
        pool.put(1, 0, page)
        assert pool.get(1, 0) == page

Covers: pools by name, batches of any size, statuses as exceptions of ramster and zcache. Safe to
use from several threads. Does not cover: the service (``tmem_service.py``, ``tmem.proto``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from ramster.addresses import PEER_PORT, parse_address
from ramster.errors import (
    ConfigurationError,
    PageLostError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    StoreFullError,
)
from ramster.rpc.options import ConnectionSettings
from ramster.rpc.tmem_service import (
    CALL_PAGES_MAX,
    FLUSH_PAGES_MAX,
    OBJECT_ID_BYTES,
    POOL_KINDS,
    tmem_path,
)
from ramster.wire.v1 import tmem_pb2
from zcache import (
    PAGE_SIZE,
    BadHandleError,
    Buffer,
    GetFree,
    NoSuchPoolError,
    PoolKind,
)
from zcache.page import check_handle

__all__ = ["TmemClient", "TmemPool"]

M = TypeVar("M", bound=Message)

_FREE = {
    GetFree.BY_KIND: tmem_pb2.GetRequest.FREE_BY_POOL,
    GetFree.ALWAYS: tmem_pb2.GetRequest.FREE_ALWAYS,
    GetFree.NEVER: tmem_pb2.GetRequest.FREE_NEVER,
}


class TmemClient:
    """A connection to one node, made by the first call.

    Every call raises PeerTimeoutError (no answer within ``deadline_s``; it may have taken effect)
    or PeerUnreachableError (no connection, or the node is stopping).
    """

    def __init__(self, address: str, *, deadline_s: float = 10.0) -> None:
        try:
            target = f"dns:///{parse_address(address, PEER_PORT)}"
        except ValueError:
            raise ConfigurationError("address", address, "the program", "HOST:PORT") from None
        self._address = address
        self._deadline_s = deadline_s
        self._channel = grpc.insecure_channel(target, ConnectionSettings().channel_options())

    def __enter__(self) -> TmemClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection. Pools and pages stay at the node."""
        self._channel.close()

    def pool(
        self,
        name: str,
        kind: PoolKind,
        *,
        exclusive_gets: bool = False,
        codec: str | None = None,
    ) -> TmemPool:
        """The pool of this name, made if there is none.

        ``codec``: how its pages are compressed; None: as the node is configured.
        Raises PeerRefusedError (a pool of this name has other properties), StoreFullError (too many
        pools), BadHandleError (a name that is no name, a codec that the node has not).
        """
        properties = tmem_pb2.TmemPool(
            name=name, kind=POOL_KINDS[kind], exclusive_gets=exclusive_gets, codec=codec or ""
        )
        request = tmem_pb2.CreatePoolRequest(pool=properties)
        reply = self._call("CreatePool", request, tmem_pb2.CreatePoolReply)
        return TmemPool(self, name, kind, exclusive_gets, reply.pool_id, codec)

    def pools(self) -> list[TmemPool]:
        """All pools of programs at the node, oldest first."""
        kinds = {wire: kind for kind, wire in POOL_KINDS.items()}
        reply = self._call("ListPools", tmem_pb2.ListPoolsRequest(), tmem_pb2.ListPoolsReply)
        return [
            TmemPool(
                self,
                entry.pool.name,
                kinds[entry.pool.kind],
                entry.pool.exclusive_gets,
                entry.pool_id,
                entry.pool.codec or None,
            )
            for entry in reply.pools
        ]

    def _call(
        self, method: str, request: Message, kind: type[M], *, indexes: Sequence[int] = ()
    ) -> M:
        """One call; ``indexes`` are the pages it is about."""
        call = self._channel.unary_unary(
            tmem_path(method),
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind.FromString,
        )
        try:
            reply: M = call(request, timeout=self._deadline_s)
        except grpc.RpcError as error:
            raise self._error(error.code(), error.details() or "", indexes) from error
        return reply

    def _error(self, code: grpc.StatusCode, details: str, indexes: Sequence[int]) -> Exception:
        text = f"{self._address}: {details}"
        if code is grpc.StatusCode.DATA_LOSS:
            return PageLostError(list(indexes), text)
        kinds: dict[grpc.StatusCode, type[Exception]] = {
            grpc.StatusCode.INVALID_ARGUMENT: BadHandleError,
            grpc.StatusCode.NOT_FOUND: LookupError,
            grpc.StatusCode.RESOURCE_EXHAUSTED: StoreFullError,
            grpc.StatusCode.DEADLINE_EXCEEDED: PeerTimeoutError,
            grpc.StatusCode.UNAVAILABLE: PeerUnreachableError,
            grpc.StatusCode.ALREADY_EXISTS: PeerRefusedError,
            grpc.StatusCode.FAILED_PRECONDITION: PeerRefusedError,
            grpc.StatusCode.UNIMPLEMENTED: PeerRefusedError,
        }
        return kinds.get(code, PeerError)(f"{text} ({code.name})")


@dataclass(frozen=True, slots=True)
class TmemPool:
    """A pool of pages of 4096 bytes at a node.

    Object ids are 0 to 2**192 - 2, indexes 0 to 2**64 - 1; others raise zcache's BadHandleError,
    nothing is truncated. Every operation raises zcache's NoSuchPoolError once the pool was
    destroyed or the node restarted.
    """

    client: TmemClient
    name: str
    kind: PoolKind
    exclusive_gets: bool
    pool_id: int
    codec: str | None = None

    def put(self, object_id: int, index: int, page: Buffer, *, keep_old: bool = False) -> None:
        """Store one page; see ``put_many``."""
        self.put_many(object_id, [index], page, keep_old=keep_old)

    def put_many(
        self, object_id: int, indexes: Sequence[int], payload: Buffer, *, keep_old: bool = False
    ) -> None:
        """Store pages, 4096 bytes an index, back to back.

        Raises StoreFullError or PeerRefusedError (the node refuses pages that do not compress):
        then each page is stored, or absent, or (``keep_old``) as it was.
        """
        if len(payload) != len(indexes) * PAGE_SIZE:
            raise BadHandleError(
                f"payload of {len(payload)} bytes: accepted is {PAGE_SIZE} for each index"
            )
        view = memoryview(payload).cast("B")
        for start in range(0, len(indexes), CALL_PAGES_MAX):
            part = indexes[start : start + CALL_PAGES_MAX]
            request = tmem_pb2.PutRequest(
                pool_id=self.pool_id,
                object_id=_object_bytes(object_id, part),
                indexes=part,
                payload=bytes(view[start * PAGE_SIZE : (start + len(part)) * PAGE_SIZE]),
                keep_old=keep_old,
            )
            self._call("Put", request, tmem_pb2.PutReply, indexes=part)

    def get(self, object_id: int, index: int, *, free: GetFree = GetFree.BY_KIND) -> bytes | None:
        """One page, or None; see ``get_many``."""
        return self.get_many(object_id, [index], free=free)[0]

    def get_many(
        self, object_id: int, indexes: Sequence[int], *, free: GetFree = GetFree.BY_KIND
    ) -> list[bytes | None]:
        """Pages in order, None for absent ones. No index may stand twice in a batch.

        Raises PageLostError. A page that a get frees is gone even if its reply is lost on the way.
        """
        pages: list[bytes | None] = []
        for start in range(0, len(indexes), CALL_PAGES_MAX):
            part = indexes[start : start + CALL_PAGES_MAX]
            request = tmem_pb2.GetRequest(
                pool_id=self.pool_id,
                object_id=_object_bytes(object_id, part),
                indexes=part,
                free=_FREE[free],
            )
            reply = self._call("Get", request, tmem_pb2.GetReply, indexes=part)
            pages += _pages(reply, len(part))
        return pages

    def flush(self, object_id: int, index: int) -> bool:
        """Remove one page; True if there was one."""
        return self.flush_many(object_id, [index]) == 1

    def flush_many(self, object_id: int, indexes: Sequence[int]) -> int:
        """Remove pages; returns how many there were."""
        pages = 0
        for start in range(0, len(indexes), FLUSH_PAGES_MAX):
            part = indexes[start : start + FLUSH_PAGES_MAX]
            request = tmem_pb2.FlushPagesRequest(
                pool_id=self.pool_id, object_id=_object_bytes(object_id, part), indexes=part
            )
            pages += self._call("FlushPages", request, tmem_pb2.FlushPagesReply).pages
        return pages

    def flush_range(self, object_id: int, start: int, stop: int) -> int:
        """Remove pages with start <= index < stop (at most 2**64 - 1); returns how many."""
        request = tmem_pb2.FlushRangeRequest(
            pool_id=self.pool_id,
            object_id=_object_bytes(object_id, (start, stop)),
            start=start,
            stop=stop,
        )
        return self._call("FlushRange", request, tmem_pb2.FlushRangeReply).pages

    def flush_object(self, object_id: int) -> int:
        """Remove an object; returns how many pages it had."""
        request = tmem_pb2.FlushObjectRequest(
            pool_id=self.pool_id, object_id=_object_bytes(object_id, ())
        )
        return self._call("FlushObject", request, tmem_pb2.FlushObjectReply).pages

    def destroy(self) -> int:
        """Remove the pool, whoever made it; returns how many pages it had."""
        request = tmem_pb2.DestroyPoolRequest(pool_id=self.pool_id)
        return self._call("DestroyPool", request, tmem_pb2.DestroyPoolReply).pages

    def _call(
        self, method: str, request: Message, kind: type[M], *, indexes: Sequence[int] = ()
    ) -> M:
        try:
            return self.client._call(method, request, kind, indexes=indexes)
        except LookupError as error:
            raise NoSuchPoolError(self.pool_id) from error


def _object_bytes(object_id: int, indexes: Iterable[int]) -> bytes:
    """An object id as it travels; checks the whole handle."""
    check_handle(object_id, 0)
    for index in indexes:
        check_handle(object_id, index)
    return object_id.to_bytes(OBJECT_ID_BYTES, "big")


def _pages(reply: tmem_pb2.GetReply, wanted: int) -> list[bytes | None]:
    """A reply's pages. Raises PeerError for a reply that does not fit the request."""
    if len(reply.present) != wanted or len(reply.payload) != sum(reply.present) * PAGE_SIZE:
        raise PeerError(
            f"a reply of {len(reply.present)} pages, {len(reply.payload)} bytes to {wanted} indexes"
        )
    pages: list[bytes | None] = []
    place = 0
    for present in reply.present:
        pages.append(reply.payload[place : place + PAGE_SIZE] if present else None)
        place += PAGE_SIZE if present else 0
    return pages
