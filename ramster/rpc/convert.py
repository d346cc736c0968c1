"""Messages of the wire <-> the plain values of ``ramster.transport``.

Covers: both directions of every message of the data and the control plane, and every check of what
a peer sent: nothing reaches the cluster unless counts, sizes, sums, numbers and texts are in range.
Every failure is a BadMessageError that names the field, its value and what is accepted; nothing
else is raised. Does not cover: whether a lease, an epoch or a checksum is right (``foreign.py``,
zcache). Read next: ``columns.py`` for batches, ``status.py`` for refusals.
"""

from __future__ import annotations

from array import array
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from ramster.errors import BadMessageError
from ramster.limits import FETCH_KEYS_MAX, FLUSH_KEYS_MAX, NAME_CHARS_MAX, SPILL_PAGES_MAX
from ramster.rpc.columns import check_blobs, check_same_rows, column_bytes, halves, words
from ramster.transport import (
    FIGURES_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    FetchReply,
    FetchRequest,
    FiguresRequest,
    FlushRequest,
    Heartbeat,
    HeartbeatReply,
    Hello,
    HelloReply,
    SpillReply,
    SpillRequest,
)
from ramster.wire.v1 import control_pb2, peer_pb2
from zcache import BLOB_ABSENT, BLOB_FOUND, AdoptStatus, PackedBlobs, PoolKind

__all__ = [
    "FOUND_LEFT_OUT",
    "encode_fetch_reply",
    "encode_fetch_request",
    "encode_figures_reply",
    "encode_figures_request",
    "encode_flush_reply",
    "encode_flush_request",
    "encode_heartbeat",
    "encode_heartbeat_reply",
    "encode_hello",
    "encode_hello_reply",
    "encode_spill_reply",
    "encode_spill_request",
    "fetch_reply_of",
    "fetch_request_of",
    "figures_of",
    "figures_request_of",
    "flush_request_of",
    "heartbeat_of",
    "heartbeat_reply_of",
    "hello_of",
    "hello_reply_of",
    "parse",
    "spill_reply_of",
    "spill_request_of",
]

FOUND_LEFT_OUT = 2
"""In ``FetchReply.found``: the page did not fit; ask again."""

CODEC_CHARACTERS_MAX = 32
CODECS_MAX = 16
LEASE_S_MAX = 1e9
COUNT_MAX = 2**63 - 1
"""No number that rises by one with every message, and no count of bytes, gets there."""

_FOUND = bytes((BLOB_ABSENT, BLOB_FOUND, FOUND_LEFT_OUT))
_STATUSES = bytes(AdoptStatus)
_KIND_TO_WIRE = {
    PoolKind.EPHEMERAL: peer_pb2.POOL_KIND_EPHEMERAL,
    PoolKind.PERSISTENT: peer_pb2.POOL_KIND_PERSISTENT,
}
_KIND_FROM_WIRE = {wire: kind for kind, wire in _KIND_TO_WIRE.items()}

M = TypeVar("M", bound=Message)


def parse(kind: type[M], data: bytes) -> M:
    """A message from its bytes; says nothing about its fields yet."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise BadMessageError(
            f"{len(data)} bytes, accepted is a {kind.DESCRIPTOR.full_name} ({error})"
        ) from error


def _encoded(message: type[Message], /, **fields: object) -> bytes:
    """A message's bytes, within the limit (checklist 58: refused before sending)."""
    try:
        data = message(**fields).SerializeToString()
    except (
        ValueError,
        TypeError,
    ) as error:  # numbers outside their type, texts that are not Unicode
        raise BadMessageError(f"{message.DESCRIPTOR.full_name}: {error}") from error
    if len(data) > MESSAGE_BYTES_MAX:
        raise BadMessageError(
            f"{message.DESCRIPTOR.full_name}: {len(data)} bytes, accepted is {MESSAGE_BYTES_MAX}"
        )
    return data


# -- control plane ---------------------------------------------------------------------------------


def encode_hello(hello: Hello) -> bytes:
    """A ``HelloRequest``."""
    _check_hello(hello)
    return _encoded(
        control_pb2.HelloRequest,
        cluster=hello.cluster,
        node=hello.node,
        incarnation=hello.incarnation,
        protocol_version=hello.protocol_version,
        page_size=hello.page_size,
        codecs=hello.codecs,
    )


def hello_of(message: control_pb2.HelloRequest) -> Hello:
    """What an owner says; whether it fits is for the handler to judge."""
    hello = Hello(
        cluster=message.cluster,
        node=message.node,
        incarnation=message.incarnation,
        protocol_version=message.protocol_version,
        page_size=message.page_size,
        codecs=tuple(message.codecs),
    )
    _check_hello(hello)
    return hello


def _check_hello(hello: Hello) -> None:
    _check_text("cluster", hello.cluster, NAME_CHARS_MAX)
    _check_text("node", hello.node, NAME_CHARS_MAX)
    if len(hello.codecs) > CODECS_MAX:
        raise BadMessageError(f"codecs: {len(hello.codecs)} names, accepted is {CODECS_MAX}")
    for codec in hello.codecs:
        _check_text("codecs", codec, CODEC_CHARACTERS_MAX)


def encode_hello_reply(reply: HelloReply, data_endpoint: str = "") -> bytes:
    """A ``HelloReply`` that accepts."""
    _check_hello_reply(reply)
    return _encoded(
        control_pb2.HelloReply,
        node=reply.node,
        incarnation=reply.incarnation,
        lease=reply.lease,
        room_bytes=reply.room_bytes,
        lease_s=reply.lease_s,
        data_endpoint=data_endpoint,
        draining=reply.draining,
    )


def hello_reply_of(message: control_pb2.HelloReply) -> HelloReply:
    """What a lender says; its data endpoint is not used by this transport."""
    reply = HelloReply(
        node=message.node,
        incarnation=message.incarnation,
        lease=message.lease,
        room_bytes=message.room_bytes,
        lease_s=message.lease_s,
        draining=message.draining,
    )
    _check_hello_reply(reply)
    if message.data_endpoint:
        _check_text("data_endpoint", message.data_endpoint, NAME_CHARS_MAX)
    return reply


def _check_hello_reply(reply: HelloReply) -> None:
    _check_text("node", reply.node, NAME_CHARS_MAX)
    if not 0 < reply.lease_s <= LEASE_S_MAX:  # false for a NaN, too
        raise BadMessageError(
            f"lease_s: {reply.lease_s}, accepted is above 0, at most {LEASE_S_MAX}"
        )


def encode_heartbeat(beat: Heartbeat) -> bytes:
    """A ``HeartbeatRequest``."""
    return _encoded(
        control_pb2.HeartbeatRequest,
        lease=beat.lease,
        incarnation=beat.incarnation,
        leaving=beat.leaving,
    )


def heartbeat_of(message: control_pb2.HeartbeatRequest) -> Heartbeat:
    """An owner's sign of life."""
    return Heartbeat(lease=message.lease, incarnation=message.incarnation, leaving=message.leaving)


def encode_heartbeat_reply(reply: HeartbeatReply) -> bytes:
    """A ``HeartbeatReply`` that renews."""
    _check_count("wanted_bytes", reply.wanted_bytes, 0)
    return _encoded(
        control_pb2.HeartbeatReply,
        incarnation=reply.incarnation,
        room_bytes=reply.room_bytes,
        foreign_pages=reply.foreign_pages,
        wanted_bytes=reply.wanted_bytes,
        draining=reply.draining,
    )


def heartbeat_reply_of(message: control_pb2.HeartbeatReply) -> HeartbeatReply:
    """A lender's sign of life."""
    _check_count("wanted_bytes", message.wanted_bytes, 0)
    return HeartbeatReply(
        incarnation=message.incarnation,
        room_bytes=message.room_bytes,
        foreign_pages=message.foreign_pages,
        wanted_bytes=message.wanted_bytes,
        draining=message.draining,
    )


def encode_figures_request(request: FiguresRequest) -> bytes:
    """A ``FiguresRequest``."""
    _check_text("cluster", request.cluster, NAME_CHARS_MAX)
    return _encoded(control_pb2.FiguresRequest, cluster=request.cluster)


def figures_request_of(message: control_pb2.FiguresRequest) -> FiguresRequest:
    """Who wants to see this node's figures."""
    _check_text("cluster", message.cluster, NAME_CHARS_MAX)
    return FiguresRequest(cluster=message.cluster)


def encode_figures_reply(figures: bytes) -> bytes:
    """A ``FiguresReply`` with figures."""
    _check_figures(figures)
    return _encoded(control_pb2.FiguresReply, figures=figures)


def figures_of(message: control_pb2.FiguresReply) -> bytes:
    """A peer's figures; what is in them is for ``peer_figures.py`` to judge."""
    _check_figures(message.figures)
    return message.figures


def _check_figures(figures: bytes) -> None:
    if len(figures) > FIGURES_BYTES_MAX:
        raise BadMessageError(f"figures: {len(figures)} bytes, accepted is {FIGURES_BYTES_MAX}")


# -- data plane ------------------------------------------------------------------------------------


def encode_spill_request(request_id: int, request: SpillRequest) -> bytes:
    """A ``SpillRequest``; its columns are checked."""
    check_blobs(request.blobs, SPILL_PAGES_MAX)
    _check_count("batch", request.batch, 1)
    return _encoded(
        peer_pb2.SpillRequest,
        request_id=request_id,
        lease=request.lease,
        epoch=request.epoch,
        batch=request.batch,
        kind=_KIND_TO_WIRE[request.kind],
        **_blob_fields(request.blobs),
    )


def spill_request_of(message: peer_pb2.SpillRequest) -> SpillRequest:
    """A batch of an owner, every column checked."""
    _check_count("batch", message.batch, 1)
    return SpillRequest(
        lease=message.lease,
        epoch=message.epoch,
        batch=message.batch,
        kind=_kind_of(message.kind),
        blobs=_blobs_of(message, SPILL_PAGES_MAX),
    )


def encode_spill_reply(request_id: int, reply: SpillReply) -> bytes:
    """A ``SpillReply`` of a processed batch."""
    return _encoded(
        peer_pb2.SpillReply,
        request_id=request_id,
        statuses=reply.statuses,
        room_bytes=reply.room_bytes,
    )


def spill_reply_of(message: peer_pb2.SpillReply, pages: int) -> SpillReply:
    """What became of a batch of so many pages."""
    _check_codes("statuses", message.statuses, _STATUSES, pages)
    return SpillReply(statuses=message.statuses, room_bytes=message.room_bytes)


def encode_fetch_request(request_id: int, request: FetchRequest) -> bytes:
    """A ``FetchRequest``."""
    _check_asked(request.keys, request.generations, FETCH_KEYS_MAX)
    return _encoded(
        peer_pb2.FetchRequest,
        request_id=request_id,
        lease=request.lease,
        kind=_KIND_TO_WIRE[request.kind],
        keys=column_bytes(request.keys),
        generations=column_bytes(request.generations),
    )


def fetch_request_of(message: peer_pb2.FetchRequest) -> FetchRequest:
    """Pages an owner asks for."""
    keys, generations = _asked_of(message, FETCH_KEYS_MAX)
    return FetchRequest(
        lease=message.lease, kind=_kind_of(message.kind), keys=keys, generations=generations
    )


def encode_fetch_reply(request_id: int, reply: FetchReply, pages: int) -> bytes:
    """A ``FetchReply`` to a request of so many pages."""
    _check_found(reply, pages)
    check_blobs(reply.blobs, FETCH_KEYS_MAX)
    return _encoded(
        peer_pb2.FetchReply, request_id=request_id, found=reply.found, **_blob_fields(reply.blobs)
    )


def fetch_reply_of(message: peer_pb2.FetchReply, pages: int) -> FetchReply:
    """What a lender gives of so many pages; whether they are the right ones is not checked."""
    reply = FetchReply(found=message.found, blobs=_blobs_of(message, FETCH_KEYS_MAX))
    _check_found(reply, pages)
    return reply


def _check_found(reply: FetchReply, pages: int) -> None:
    _check_codes("found", reply.found, _FOUND, pages)
    found = reply.found.count(BLOB_FOUND)
    if len(reply.blobs) != found:
        raise BadMessageError(f"keys: {len(reply.blobs)} pages, accepted is {found} as in found")


def encode_flush_request(request_id: int, request: FlushRequest) -> bytes:
    """A ``FlushRequest``."""
    _check_asked(request.keys, request.generations, FLUSH_KEYS_MAX)
    _check_count("sequence", request.sequence, 1)
    return _encoded(
        peer_pb2.FlushRequest,
        request_id=request_id,
        lease=request.lease,
        epoch=request.epoch,
        sequence=request.sequence,
        kind=_KIND_TO_WIRE[request.kind],
        keys=column_bytes(request.keys),
        generations=column_bytes(request.generations),
    )


def flush_request_of(message: peer_pb2.FlushRequest) -> FlushRequest:
    """Pages an owner lets go."""
    keys, generations = _asked_of(message, FLUSH_KEYS_MAX)
    _check_count("sequence", message.sequence, 1)
    return FlushRequest(
        lease=message.lease,
        epoch=message.epoch,
        sequence=message.sequence,
        kind=_kind_of(message.kind),
        keys=keys,
        generations=generations,
    )


def encode_flush_reply(request_id: int) -> bytes:
    """A ``FlushReply``: the pages are gone."""
    return _encoded(peer_pb2.FlushReply, request_id=request_id)


# -- fields ----------------------------------------------------------------------------------------


def _blob_fields(blobs: PackedBlobs) -> dict[str, bytes]:
    return {
        "keys": column_bytes(blobs.keys),
        "generations": column_bytes(blobs.generations),
        "lengths": column_bytes(blobs.lengths),
        "encodings": bytes(blobs.encodings),
        "checksums": column_bytes(blobs.checksums),
        "payload": bytes(blobs.payload),
    }


def _blobs_of(message: peer_pb2.SpillRequest | peer_pb2.FetchReply, rows_max: int) -> PackedBlobs:
    blobs = PackedBlobs(
        keys=words(message.keys, "keys", rows_max),
        generations=words(message.generations, "generations", rows_max),
        lengths=halves(message.lengths, "lengths", rows_max),
        encodings=bytearray(message.encodings),
        checksums=words(message.checksums, "checksums", rows_max),
        payload=message.payload,
    )
    check_blobs(blobs, rows_max)
    return blobs


def _asked_of(
    message: peer_pb2.FetchRequest | peer_pb2.FlushRequest, rows_max: int
) -> tuple[array[int], array[int]]:
    keys = words(message.keys, "keys", rows_max)
    generations = words(message.generations, "generations", rows_max)
    check_same_rows(keys, generations)
    return keys, generations


def _check_asked(keys: array[int], generations: array[int], rows_max: int) -> None:
    check_same_rows(keys, generations)
    if len(keys) > rows_max:
        raise BadMessageError(f"keys: {len(keys)} rows, accepted is up to {rows_max}")


def _kind_of(kind: int) -> PoolKind:
    try:
        return _KIND_FROM_WIRE[kind]  # type: ignore[index]
    except KeyError:
        accepted = sorted(_KIND_FROM_WIRE)
        raise BadMessageError(f"kind: {kind}, accepted is one of {accepted}") from None


def _check_codes(name: str, codes: bytes, accepted: bytes, pages: int) -> None:
    if len(codes) != pages:
        raise BadMessageError(f"{name}: {len(codes)} bytes, accepted is {pages}, one a page")
    unknown = codes.translate(None, accepted)
    if unknown:
        raise BadMessageError(f"{name}: {unknown[0]}, accepted is one of {list(accepted)}")


def _check_count(name: str, count: int, count_min: int) -> None:
    if not count_min <= count <= COUNT_MAX:
        raise BadMessageError(f"{name}: {count}, accepted is {count_min} to {COUNT_MAX}")


def _check_text(name: str, text: str, characters_max: int) -> None:
    if not (1 <= len(text) <= characters_max and text.isprintable()):
        shown = text[:64]
        raise BadMessageError(
            f"{name}: {shown!r} ({len(text)} characters), "
            f"accepted is 1 to {characters_max} printable ones"
        )
