"""Byte layouts, written out by hand from the protocol's text."""

from __future__ import annotations

from ramster.nbd import protocol
from ramster.nbd.protocol import Option, OptionReply


def test_greeting_is_eighteen_bytes_with_both_magics() -> None:
    raw = protocol.GREETING.pack(protocol.NBDMAGIC, protocol.IHAVEOPT, 3)
    assert raw == b"NBDMAGICIHAVEOPT\x00\x03"


def test_option_reply_carries_the_option_the_type_and_the_length_of_its_data() -> None:
    raw = protocol.option_reply(Option.GO, OptionReply.ERR_UNKNOWN, b"no")
    assert raw == bytes.fromhex("0003e889045565a9 00000007 80000006 00000002") + b"no"


def test_simple_reply_is_sixteen_bytes() -> None:
    assert protocol.simple_reply(0x1122334455667788, 28) == bytes.fromhex(
        "67446698 0000001c 1122334455667788"
    )


def test_request_is_twenty_eight_bytes() -> None:
    raw = bytes.fromhex("25609513 0001 0006 00000000000000aa 0000000100000000 00001000")
    magic, flags, command, cookie, offset, length = protocol.REQUEST.unpack(raw)
    assert magic == protocol.REQUEST_MAGIC
    assert (flags, command, cookie, offset, length) == (1, 6, 0xAA, 2**32, 4096)


def test_hole_chunk_carries_offset_and_length() -> None:
    assert protocol.hole_chunk(5, 2**33, 65536, done=True) == bytes.fromhex(
        "668e33ef 0001 0002 0000000000000005 0000000c 0000000200000000 00010000"
    )
    assert protocol.hole_chunk(5, 0, 1, done=False)[4:6] == b"\0\0"


def test_error_chunk_carries_error_and_text() -> None:
    assert protocol.error_chunk(7, 5, "lost") == (
        bytes.fromhex("668e33ef 0001 8001 0000000000000007 0000000a 00000005 0004") + b"lost"
    )


def test_error_text_is_cut_to_the_protocol_s_bound() -> None:
    raw = protocol.error_chunk(7, 5, "x" * 10_000)
    assert len(raw) == 20 + 6 + protocol.NAME_BYTES_MAX


def test_block_status_chunk_carries_the_context_and_every_extent() -> None:
    assert protocol.block_status_chunk(9, [(4096, 0), (8192, 3)]) == bytes.fromhex(
        "668e33ef 0001 0005 0000000000000009 00000014 0000000100001000 00000000 00002000 00000003"
    )


def test_data_chunk_header_ends_with_the_offset() -> None:
    assert protocol.CHUNK_DATA.size == protocol.CHUNK.size + 8 == 28
