"""Which requests are refused with what, and what replies look like; no sockets."""

from __future__ import annotations

import logging
from struct import Struct

import pytest

from ramster.errors import PageLostError, StoreClosedError, StoreFullError
from ramster.nbd.counters import Traffic
from ramster.nbd.device import BlockDevice
from ramster.nbd.export import Export
from ramster.nbd.protocol import CHUNK, CHUNK_DONE, ChunkType, Command, CommandFlag, NbdError
from ramster.nbd.requests import Refusal, Request, Responder, buffer_bytes
from ramster.timings import Timings
from tests.ramster.nbd.serving import GatedStore, make_store, run
from zcache import CacheFullError, CorruptPageError, PoorCompressionError

SIZE = 100 * 4096
PAYLOAD_MAX = 65536


def make(
    *, structured: bool = True, block_status: bool = True, read_only: bool = False
) -> tuple[Responder, GatedStore, Traffic]:
    local, pool = make_store()
    store = GatedStore(local)
    traffic = Traffic()
    device = BlockDevice(store, Export("disk", SIZE, pool, 1, read_only=read_only))
    responder = Responder(
        device,
        traffic,
        Timings().nbd,
        structured=structured,
        block_status=block_status,
        payload_bytes_max=PAYLOAD_MAX,
    )
    return responder, store, traffic


READ, WRITE, TRIM, ZEROES = Command.READ, Command.WRITE, Command.TRIM, Command.WRITE_ZEROES
FUA, DF, NO_HOLE = CommandFlag.FUA, CommandFlag.DF, CommandFlag.NO_HOLE
ONE, FAST = CommandFlag.REQ_ONE, CommandFlag.FAST_ZERO


@pytest.mark.parametrize(
    ("command", "flags", "offset", "length"),
    [
        (READ, 0, 0, 1),
        (READ, DF | FUA, SIZE - 1, 1),
        (READ, 0, 1, PAYLOAD_MAX),
        (WRITE, FUA, 0, PAYLOAD_MAX),
        (TRIM, FUA, 0, SIZE),
        (ZEROES, NO_HOLE | FAST | FUA, 0, SIZE),
        (Command.CACHE, 0, 0, SIZE),
        (Command.FLUSH, FUA, 0, 0),
        (Command.BLOCK_STATUS, ONE, 0, SIZE),
    ],
)
def test_valid_requests_pass(command: int, flags: int, offset: int, length: int) -> None:
    assert make()[0].check(command, flags, offset, length) is None


@pytest.mark.parametrize(
    ("command", "flags", "offset", "length", "error"),
    [
        (8, 0, 0, 1, NbdError.EINVAL),
        (65535, 0, 0, 1, NbdError.EINVAL),
        (READ, NO_HOLE, 0, 1, NbdError.EINVAL),
        (WRITE, DF, 0, 1, NbdError.EINVAL),
        (WRITE, CommandFlag.PAYLOAD_LEN, 0, 1, NbdError.EINVAL),
        (TRIM, 0x8000, 0, 1, NbdError.EINVAL),
        (ZEROES, ONE, 0, 1, NbdError.EINVAL),
        (Command.FLUSH, 0, 1, 0, NbdError.EINVAL),
        (Command.FLUSH, 0, 0, 1, NbdError.EINVAL),
        (READ, 0, 0, 0, NbdError.EINVAL),
        (WRITE, 0, 0, 0, NbdError.EINVAL),
        (READ, 0, SIZE, 1, NbdError.EINVAL),
        (READ, 0, 2**64 - 1, 2**32 - 1, NbdError.EINVAL),
        (TRIM, 0, SIZE - 1, 2, NbdError.EINVAL),
        (Command.CACHE, 0, SIZE - 1, 2, NbdError.EINVAL),
        (Command.BLOCK_STATUS, 0, SIZE - 1, 2, NbdError.EINVAL),
        (WRITE, 0, SIZE - 1, 2, NbdError.ENOSPC),
        (ZEROES, 0, SIZE, 1, NbdError.ENOSPC),
        (READ, 0, 0, PAYLOAD_MAX + 1, NbdError.EINVAL),
        (WRITE, 0, 0, PAYLOAD_MAX + 1, NbdError.EINVAL),
    ],
)
def test_invalid_requests_are_refused_with_the_protocol_s_error(
    command: int, flags: int, offset: int, length: int, error: NbdError
) -> None:
    refusal = make()[0].check(command, flags, offset, length)
    assert refusal is not None
    assert refusal.error == error
    assert refusal.message


@pytest.mark.parametrize("command", [WRITE, TRIM, ZEROES])
def test_changes_to_a_read_only_export_are_not_permitted(command: Command) -> None:
    refusal = make(read_only=True)[0].check(command, 0, 0, 1)
    assert refusal is not None
    assert refusal.error == NbdError.EPERM
    assert make(read_only=True)[0].check(READ, 0, 0, 1) is None


def test_df_and_block_status_need_their_negotiation() -> None:
    plain = make(structured=False, block_status=False)[0]
    for command, flags in ((READ, DF), (Command.BLOCK_STATUS, 0)):
        refusal = plain.check(command, flags, 0, 1)
        assert refusal is not None
        assert refusal.error == NbdError.EINVAL


def answer(responder: Responder, request: Request) -> bytes:
    return b"".join(run(responder.answer(request)))


def chunks(raw: bytes) -> list[tuple[int, int, bytes]]:
    """(flags, type, payload) of each chunk."""
    found = []
    while raw:
        _, flags, kind, cookie, length = CHUNK.unpack_from(raw)
        assert cookie == 77
        found.append((flags, kind, raw[20 : 20 + length]))
        raw = raw[20 + length :]
    return found


def read(offset: int, length: int, flags: int = 0) -> Request:
    return Request(READ, flags, 77, offset, length)


def write(offset: int, payload: bytes) -> Request:
    return Request(WRITE, 0, 77, offset, len(payload), payload)


def test_a_simple_read_is_a_header_and_the_data() -> None:
    responder, _, traffic = make(structured=False)
    answer(responder, write(5000, b"hello"))
    raw = answer(responder, read(4990, 20))
    assert raw == bytes.fromhex("67446698 00000000 000000000000004d") + (
        bytes(10) + b"hello" + bytes(5)
    )
    assert (traffic.bytes_read, traffic.bytes_written) == (20, 5)


def test_a_read_of_stored_pages_is_one_chunk() -> None:
    responder, _, _ = make()
    answer(responder, write(0, b"\1" * 8192))
    ((flags, kind, payload),) = chunks(answer(responder, read(1, 8190)))
    assert (flags, kind) == (CHUNK_DONE, ChunkType.OFFSET_DATA)
    assert payload == (1).to_bytes(8, "big") + b"\1" * 8190


def test_a_sparse_read_sends_holes_instead_of_zeros() -> None:
    responder, _, _ = make()
    answer(responder, write(2 * 4096, b"\1" * 4096))
    answer(responder, write(5 * 4096, b"\2" * 4096))
    found = chunks(answer(responder, read(100, 5 * 4096 + 10)))
    hole = Struct(">QI")
    assert [(kind, flags) for flags, kind, _ in found] == [
        (ChunkType.OFFSET_HOLE, 0),
        (ChunkType.OFFSET_DATA, 0),
        (ChunkType.OFFSET_HOLE, 0),
        (ChunkType.OFFSET_DATA, CHUNK_DONE),
    ]
    assert hole.unpack(found[0][2]) == (100, 2 * 4096 - 100)
    assert found[1][2] == (2 * 4096).to_bytes(8, "big") + b"\1" * 4096
    assert hole.unpack(found[2][2]) == (3 * 4096, 2 * 4096)
    assert found[3][2] == (5 * 4096).to_bytes(8, "big") + b"\2" * 110


def test_a_read_of_nothing_but_absent_pages_is_one_hole() -> None:
    responder, _, _ = make()
    ((flags, kind, payload),) = chunks(answer(responder, read(7, PAYLOAD_MAX)))
    assert (flags, kind) == (CHUNK_DONE, ChunkType.OFFSET_HOLE)
    assert Struct(">QI").unpack(payload) == (7, PAYLOAD_MAX)


def test_a_read_that_must_not_be_fragmented_is_one_chunk_with_zeros() -> None:
    responder, _, _ = make()
    answer(responder, write(4096, b"\1" * 4096))
    ((_, kind, payload),) = chunks(answer(responder, read(0, 3 * 4096, DF)))
    assert kind == ChunkType.OFFSET_DATA
    assert payload[8:] == bytes(4096) + b"\1" * 4096 + bytes(4096)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (StoreFullError("full"), NbdError.ENOSPC),
        (CacheFullError("full"), NbdError.ENOSPC),
        (PoorCompressionError("poor"), NbdError.ENOSPC),
        (PageLostError([3], "gone"), NbdError.EIO),
        (CorruptPageError("bad"), NbdError.EIO),
        (StoreClosedError("stopping"), NbdError.ESHUTDOWN),
    ],
)
@pytest.mark.parametrize("structured", [True, False])
def test_store_errors_travel_as_the_error_that_fits(
    failure: Exception, error: NbdError, structured: bool, caplog: pytest.LogCaptureFixture
) -> None:
    responder, store, traffic = make(structured=structured)
    store.failure = failure
    raw = answer(responder, read(0, 4096))
    if structured:
        ((flags, kind, payload),) = chunks(raw)
        assert (flags, kind) == (CHUNK_DONE, ChunkType.ERROR)
        number, length = Struct(">IH").unpack_from(payload)
        assert payload[6:] == str(failure).encode()
        assert length == len(payload) - 6
    else:
        number = Struct(">IIQ").unpack(raw)[1]
    assert number == error
    assert traffic.errors == {error: 1}
    assert traffic.requests[READ] == 0
    assert not caplog.records


def test_an_unexpected_exception_is_eio_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    responder, store, _ = make(structured=False)
    store.failure = ZeroDivisionError("a bug")
    with caplog.at_level(logging.ERROR):
        raw = answer(responder, write(0, bytes(4096)))
    assert Struct(">IIQ").unpack(raw)[1] == NbdError.EIO
    assert caplog.records[0].exc_info is not None
    assert answer(responder, write(0, bytes(4096)))[4:8] == bytes(4)


def test_a_refused_request_is_answered_and_not_tried() -> None:
    responder, store, traffic = make(structured=False)
    store.failure = ZeroDivisionError("it was tried")
    refused = write(0, b"x")._replace(refusal=Refusal(NbdError.EPERM, "no"))
    assert Struct(">IIQ").unpack(answer(responder, refused))[1] == NbdError.EPERM
    assert store.failure is not None
    assert traffic.errors == {NbdError.EPERM: 1}


def test_commands_without_data_succeed_with_a_simple_reply() -> None:
    responder, _, traffic = make()
    for command in (Command.FLUSH, TRIM, ZEROES, Command.CACHE):
        length = 0 if command == Command.FLUSH else 8192
        raw = answer(responder, Request(command, 0, 77, 0, length))
        assert raw == bytes.fromhex("67446698 00000000 000000000000004d")
        assert traffic.requests[command] == 1


def test_no_hole_zeroes_are_allocated_and_trimmed_ones_are_not() -> None:
    responder, _, _ = make()
    status = Request(Command.BLOCK_STATUS, 0, 77, 0, SIZE)
    answer(responder, Request(ZEROES, NO_HOLE, 77, 0, 3 * 4096))
    ((_, _, payload),) = chunks(answer(responder, status))
    extents = list(Struct(">II").iter_unpack(payload[4:]))
    assert extents == [(3 * 4096, 0), (SIZE - 3 * 4096, 3)]
    answer(responder, Request(ZEROES, 0, 77, 0, 3 * 4096))
    ((_, _, payload),) = chunks(answer(responder, status))
    assert list(Struct(">II").iter_unpack(payload[4:])) == [(SIZE, 3)]


@pytest.mark.parametrize(
    ("command", "offset", "length", "pages"),
    [
        (READ, 0, 4096, 1),
        (READ, 4095, 2, 2),
        (WRITE, 1, 8192, 3),
        (WRITE, 8192, 8192, 2),
        (Command.CACHE, 0, 4096, 1),
        (Command.CACHE, 0, 2**31, 64),
        (TRIM, 0, 2**31, 0),
        (ZEROES, 0, 2**31, 0),
        (Command.BLOCK_STATUS, 0, 2**31, 0),
        (Command.FLUSH, 0, 0, 0),
    ],
)
def test_the_memory_a_request_takes_is_whole_pages(
    command: Command, offset: int, length: int, pages: int
) -> None:
    assert buffer_bytes(command, offset, length) == pages * 4096
