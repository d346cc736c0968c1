"""Messages of the wire and plain values: both directions, and everything that is not believed."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.errors import BadMessageError
from ramster.limits import FETCH_KEYS_MAX, FLUSH_KEYS_MAX, SPILL_PAGES_MAX
from ramster.rpc import convert
from ramster.transport import (
    SPILL_PAYLOAD_BYTES_MAX,
    FetchReply,
    FetchRequest,
    FlushRequest,
    Heartbeat,
    HeartbeatReply,
    Hello,
    HelloReply,
    SpillReply,
    SpillRequest,
)
from ramster.wire.v1 import control_pb2, peer_pb2
from zcache import BLOB_FOUND, AdoptStatus, Encoding, PackedBlobs, PoolKind

WORD = st.integers(0, 2**64 - 1)
NAME = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=255)
KIND = st.sampled_from(PoolKind)
NUMBER = st.integers(1, 2**63 - 1)
BYTES = st.integers(0, 2**63 - 1)


@st.composite
def packed(draw: st.DrawFn) -> PackedBlobs:
    rows = draw(st.integers(0, 40))

    def column() -> array[int]:
        return array("Q", draw(st.lists(WORD, min_size=rows, max_size=rows)))

    lengths = draw(st.lists(st.integers(1, 4096), min_size=rows, max_size=rows))
    return PackedBlobs(
        keys=column(),
        generations=column(),
        lengths=array("H", lengths),
        encodings=bytearray(
            draw(st.lists(st.sampled_from(Encoding), min_size=rows, max_size=rows))
        ),
        checksums=column(),
        payload=bytes(sum(lengths)),
    )


@st.composite
def keys(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.lists(st.tuples(WORD, WORD), max_size=40))
    return {
        "keys": array("Q", [key for key, _ in rows]),
        "generations": array("Q", [generation for _, generation in rows]),
    }


SPILL = st.builds(SpillRequest, lease=WORD, epoch=WORD, batch=NUMBER, kind=KIND, blobs=packed())


# -- round trips


@given(WORD, SPILL)
def test_a_spill_request_survives_the_wire(request_id: int, request: SpillRequest) -> None:
    data = convert.encode_spill_request(request_id, request)
    message = convert.parse(peer_pb2.SpillRequest, data)
    assert message.request_id == request_id
    assert convert.spill_request_of(message) == request


@given(st.lists(st.sampled_from(AdoptStatus)), WORD)
def test_a_spill_reply_survives_the_wire(statuses: list[int], room: int) -> None:
    reply = SpillReply(statuses=bytes(statuses), room_bytes=room)
    message = convert.parse(peer_pb2.SpillReply, convert.encode_spill_reply(3, reply))
    assert convert.spill_reply_of(message, len(statuses)) == reply


@given(WORD, KIND, keys())
def test_a_fetch_request_survives_the_wire(lease: int, kind: PoolKind, asked: Any) -> None:
    request = FetchRequest(lease=lease, kind=kind, **asked)
    message = convert.parse(peer_pb2.FetchRequest, convert.encode_fetch_request(1, request))
    assert convert.fetch_request_of(message) == request


@given(packed(), st.lists(st.sampled_from([0, 2]), max_size=20), st.randoms())
def test_a_fetch_reply_survives_the_wire(
    blobs: PackedBlobs, others: list[int], random: Any
) -> None:
    found = [BLOB_FOUND] * len(blobs) + others
    random.shuffle(found)
    reply = FetchReply(found=bytes(found), blobs=blobs)
    data = convert.encode_fetch_reply(1, reply, len(found))
    message = convert.parse(peer_pb2.FetchReply, data)
    assert convert.fetch_reply_of(message, len(found)) == reply


@given(WORD, WORD, NUMBER, KIND, keys())
def test_a_flush_request_survives_the_wire(
    lease: int, epoch: int, sequence: int, kind: PoolKind, asked: Any
) -> None:
    request = FlushRequest(lease=lease, epoch=epoch, sequence=sequence, kind=kind, **asked)
    message = convert.parse(peer_pb2.FlushRequest, convert.encode_flush_request(1, request))
    assert convert.flush_request_of(message) == request


@given(
    st.builds(
        Hello,
        cluster=NAME,
        node=NAME,
        incarnation=WORD,
        protocol_version=st.integers(0, 2**32 - 1),
        page_size=st.integers(0, 2**32 - 1),
        codecs=st.lists(st.sampled_from(["lz4", "zstd", "none"]), max_size=16).map(tuple),
    )
)
def test_a_hello_survives_the_wire(hello: Hello) -> None:
    message = convert.parse(control_pb2.HelloRequest, convert.encode_hello(hello))
    assert convert.hello_of(message) == hello


@given(
    st.builds(
        HelloReply,
        node=NAME,
        incarnation=WORD,
        lease=WORD,
        room_bytes=WORD,
        lease_s=st.floats(1e-9, 1e9),
        draining=st.booleans(),
    )
)
def test_a_hello_reply_survives_the_wire(reply: HelloReply) -> None:
    message = convert.parse(control_pb2.HelloReply, convert.encode_hello_reply(reply, "h:1"))
    assert convert.hello_reply_of(message) == reply
    assert message.data_endpoint == "h:1"


@given(
    st.builds(Heartbeat, lease=WORD, incarnation=WORD, leaving=st.booleans()),
    st.builds(
        HeartbeatReply,
        incarnation=WORD,
        room_bytes=WORD,
        foreign_pages=WORD,
        wanted_bytes=BYTES,
        draining=st.booleans(),
    ),
)
def test_heartbeats_survive_the_wire(beat: Heartbeat, reply: HeartbeatReply) -> None:
    message = convert.parse(control_pb2.HeartbeatRequest, convert.encode_heartbeat(beat))
    assert convert.heartbeat_of(message) == beat
    data = convert.encode_heartbeat_reply(reply)
    assert convert.heartbeat_reply_of(convert.parse(control_pb2.HeartbeatReply, data)) == reply


# -- what is not believed

_PEER_MESSAGES: list[tuple[Any, Callable[[Any], object]]] = [
    (peer_pb2.SpillRequest, convert.spill_request_of),
    (peer_pb2.SpillReply, lambda message: convert.spill_reply_of(message, 2)),
    (peer_pb2.FetchRequest, convert.fetch_request_of),
    (peer_pb2.FetchReply, lambda message: convert.fetch_reply_of(message, 2)),
    (peer_pb2.FlushRequest, convert.flush_request_of),
    (control_pb2.HelloRequest, convert.hello_of),
    (control_pb2.HelloReply, convert.hello_reply_of),
    (control_pb2.HeartbeatRequest, convert.heartbeat_of),
    (control_pb2.HeartbeatReply, convert.heartbeat_reply_of),
]


@given(st.sampled_from(_PEER_MESSAGES), st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_bad_message(
    what: tuple[Any, Callable[[Any], object]], data: bytes
) -> None:
    kind, convert_it = what
    try:
        convert_it(convert.parse(kind, data))
    except BadMessageError:
        return  # whatever else is raised fails the test


@given(
    st.sampled_from(_PEER_MESSAGES),
    st.fixed_dictionaries(
        {
            name: st.binary(max_size=48)
            for name in ("keys", "generations", "lengths", "encodings", "checksums", "payload")
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.integers(-(2**31), 2**31 - 1),
            "lease": WORD,
            "epoch": WORD,
            "batch": WORD,
            "sequence": WORD,
            "wanted_bytes": WORD,
            "found": st.binary(max_size=4),
            "statuses": st.binary(max_size=4),
            "cluster": st.text(max_size=300),
            "node": st.text(max_size=300),
            "codecs": st.lists(st.text(max_size=40), max_size=20),
            "lease_s": st.floats(),
            "data_endpoint": st.text(max_size=300),
        }
    ),
)
def test_arbitrary_fields_raise_nothing_but_bad_message(
    what: tuple[Any, Callable[[Any], object]], data: dict[str, bytes], more: dict[str, Any]
) -> None:
    kind, convert_it = what
    known = kind.DESCRIPTOR.fields_by_name
    fields = {name: value for name, value in (data | more).items() if name in known}
    try:
        message = kind(**fields)
    except UnicodeEncodeError:
        return  # a text that no wire carries
    try:
        value = convert_it(message)
    except BadMessageError:
        return
    blobs = getattr(value, "blobs", None)
    if blobs is not None:
        assert sum(blobs.lengths) == len(blobs.payload)


def _spill(**changes: Any) -> peer_pb2.SpillRequest:
    fields: dict[str, Any] = {
        "request_id": 1,
        "lease": 1,
        "batch": 1,
        "kind": peer_pb2.POOL_KIND_PERSISTENT,
        "keys": bytes(16),
        "generations": bytes(16),
        "lengths": b"\x02\x00\x03\x00",
        "encodings": b"\x01\x00",
        "checksums": bytes(16),
        "payload": b"12345",
    }
    return peer_pb2.SpillRequest(**(fields | changes))


def test_the_spill_that_the_cases_below_damage_is_good() -> None:
    assert len(convert.spill_request_of(_spill()).blobs) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"keys": bytes(15)}, r"keys: 15 bytes, accepted is a multiple of 8"),
        ({"keys": bytes(8)}, r"2 generations for 1 keys"),
        ({"generations": bytes(24)}, r"3 generations for 2 keys"),
        ({"checksums": b""}, r"0 checksums for 2 keys"),
        ({"encodings": b"\1"}, r"1 encodings for 2 keys"),
        ({"lengths": b"\2\0\3"}, r"lengths: 3 bytes, accepted is a multiple of 2"),
        ({"lengths": b"\0\0\5\0"}, r"accepted is 1 to 4096"),
        ({"lengths": b"\1\x10\4\0"}, r"accepted is 1 to 4096"),
        ({"payload": b"1234"}, r"lengths make 5 bytes, the payload has 4"),
        ({"encodings": b"\1\4"}, r"encodings: 4, accepted is one of \[0, 1, 2, 3\]"),
        ({"batch": 0}, r"batch: 0, accepted is 1 to 9223372036854775807"),
        ({"batch": 2**63}, r"batch: 9223372036854775808, accepted is 1 to"),
        ({"kind": 0}, r"kind: 0, accepted is one of \[1, 2\]"),
        ({"kind": 77}, r"kind: 77, accepted is one of \[1, 2\]"),
        ({"keys": bytes(8 * (SPILL_PAGES_MAX + 1))}, r"keys: 4097 rows, accepted is up to 4096"),
        ({"payload": bytes(SPILL_PAYLOAD_BYTES_MAX + 1)}, r"524289 bytes: accepted is up to"),
    ],
)
def test_each_fault_of_a_batch_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadMessageError, match=named):
        convert.spill_request_of(_spill(**changes))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cluster": ""}, "cluster: ''"),
        ({"node": "x" * 256}, "256 characters"),
        ({"node": "two\nlines"}, r"node: 'two\\nlines'"),
        ({"codecs": ["lz4"] * 17}, "codecs: 17 names, accepted is 16"),
        ({"codecs": ["x" * 33]}, "codecs: 'x+'"),
    ],
)
def test_each_fault_of_a_hello_is_named(changes: dict[str, Any], named: str) -> None:
    fields: dict[str, Any] = {"cluster": "c", "node": "n"}
    with pytest.raises(BadMessageError, match=named):
        convert.hello_of(control_pb2.HelloRequest(**(fields | changes)))


@pytest.mark.parametrize("lease_s", [0.0, -1.0, float("nan"), float("inf"), 1e10])
def test_a_lease_time_that_is_none_is_named(lease_s: float) -> None:
    with pytest.raises(BadMessageError, match="lease_s"):
        convert.hello_reply_of(control_pb2.HelloReply(node="n", lease_s=lease_s))


def test_too_many_keys_are_refused_on_both_sides() -> None:
    many = FETCH_KEYS_MAX + 1
    column = array("Q", bytes(8 * many))
    request = FetchRequest(lease=1, kind=PoolKind.EPHEMERAL, keys=column, generations=column)
    with pytest.raises(BadMessageError, match="4097"):
        convert.encode_fetch_request(1, request)
    raw = peer_pb2.FetchRequest(kind=1, keys=bytes(8 * many), generations=bytes(8 * many))
    with pytest.raises(BadMessageError, match="4097"):
        convert.fetch_request_of(raw)
    full = array("Q", bytes(8 * FLUSH_KEYS_MAX))
    flush = FlushRequest(
        lease=1, epoch=0, sequence=1, kind=PoolKind.EPHEMERAL, keys=full, generations=full
    )
    data = convert.encode_flush_request(1, flush)
    assert convert.flush_request_of(convert.parse(peer_pb2.FlushRequest, data)) == flush


@pytest.mark.parametrize("sequence", [-1, 0, 2**63, 2**64])
def test_a_flush_without_a_number_that_makes_sense_is_refused_on_both_sides(sequence: int) -> None:
    """Number 0, or none, would be acknowledged and never carried out."""
    empty = array("Q")
    request = FlushRequest(
        lease=1, epoch=0, sequence=sequence, kind=PoolKind.EPHEMERAL, keys=empty, generations=empty
    )
    with pytest.raises(BadMessageError, match=f"sequence: {sequence}, accepted is 1 to"):
        convert.encode_flush_request(1, request)
    if 0 <= sequence < 2**64:
        with pytest.raises(BadMessageError, match=f"sequence: {sequence}, accepted is 1 to"):
            convert.flush_request_of(peer_pb2.FlushRequest(kind=1, sequence=sequence))


@pytest.mark.parametrize("batch", [-1, 0, 2**63, 2**64])
def test_a_spill_without_a_number_that_makes_sense_is_not_sent(batch: int) -> None:
    request = SpillRequest(
        lease=1, epoch=0, batch=batch, kind=PoolKind.EPHEMERAL, blobs=PackedBlobs()
    )
    with pytest.raises(BadMessageError, match=f"batch: {batch}, accepted is 1 to"):
        convert.encode_spill_request(1, request)


@pytest.mark.parametrize("wanted", [-1, 2**63, 2**64])
def test_a_notice_of_an_absurd_size_is_refused_on_both_sides(wanted: int) -> None:
    reply = HeartbeatReply(incarnation=1, room_bytes=0, foreign_pages=0, wanted_bytes=wanted)
    with pytest.raises(BadMessageError, match=f"wanted_bytes: {wanted}, accepted is 0 to"):
        convert.encode_heartbeat_reply(reply)
    if 0 <= wanted < 2**64:
        with pytest.raises(BadMessageError, match=f"wanted_bytes: {wanted}, accepted is 0 to"):
            convert.heartbeat_reply_of(control_pb2.HeartbeatReply(wanted_bytes=wanted))


def test_unknown_fields_of_a_newer_peer_are_ignored() -> None:
    data = convert.encode_heartbeat(Heartbeat(lease=1, incarnation=2)) + b"\xfa\x3f\x03new"
    message = convert.parse(control_pb2.HeartbeatRequest, data)
    assert convert.heartbeat_of(message) == Heartbeat(lease=1, incarnation=2)
