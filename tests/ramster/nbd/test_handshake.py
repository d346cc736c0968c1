"""Negotiation by bytes, without sockets."""

from __future__ import annotations

from itertools import pairwise
from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.nbd import handshake as handshake_module
from ramster.nbd.export import Export, ExportTable
from ramster.nbd.handshake import Handshake, Phase
from ramster.nbd.protocol import (
    IHAVEOPT,
    OPTION_HEADER,
    OPTION_REPLY,
    Info,
    Option,
    OptionReply,
    ProtocolError,
    TransmissionFlag,
)
from tests.ramster.nbd.serving import U16, U32, string

DISK = Export("disk", 5 * 2**30, 0, 1, "the first")
FIXED = Export("größe", 12345, 0, 2, read_only=True)
EXPORTS = ExportTable([DISK, FIXED])


def begin(flags: int | None = 3) -> Handshake:
    handshake = Handshake(EXPORTS, 32 * 2**20)
    assert handshake.greeting() == b"NBDMAGICIHAVEOPT\0\3"
    if flags is not None:
        assert handshake.receive(U32.pack(flags)) == b""
    return handshake


def option(number: int, data: bytes = b"") -> bytes:
    return OPTION_HEADER.pack(IHAVEOPT, number, len(data)) + data


def replies(raw: bytes) -> list[tuple[int, int, bytes]]:
    """(option, reply type, data) of each reply."""
    found = []
    while raw:
        magic, about, kind, length = OPTION_REPLY.unpack_from(raw)
        assert magic == 0x3E889045565A9
        found.append((about, kind, raw[20 : 20 + length]))
        raw = raw[20 + length :]
    return found


def kinds(raw: bytes) -> list[int]:
    return [kind for _, kind, _ in replies(raw)]


def go(name: str, *infos: int) -> bytes:
    return string(name) + U16.pack(len(infos)) + b"".join(U16.pack(info) for info in infos)


def query(name: str, *queries: str) -> bytes:
    return string(name) + U32.pack(len(queries)) + b"".join(string(each) for each in queries)


def test_list_names_and_describes_every_export() -> None:
    found = replies(begin().receive(option(Option.LIST)))
    assert found == [
        (3, OptionReply.SERVER, string("disk") + b"the first"),
        (3, OptionReply.SERVER, string("größe")),
        (3, OptionReply.ACK, b""),
    ]


def test_list_with_data_is_invalid_and_the_haggling_goes_on() -> None:
    handshake = begin()
    assert kinds(handshake.receive(option(Option.LIST, b"x"))) == [OptionReply.ERR_INVALID]
    assert kinds(handshake.receive(option(Option.LIST)))[-1] == OptionReply.ACK


def test_go_tells_size_and_flags_and_begins_transmission() -> None:
    handshake = begin()
    found = replies(handshake.receive(option(Option.GO, go("disk"))))
    assert [kind for _, kind, _ in found] == [OptionReply.INFO, OptionReply.ACK]
    info, size, flags = Struct(">HQH").unpack(found[0][2])
    assert (info, size) == (Info.EXPORT, DISK.size_bytes)
    assert TransmissionFlag(flags) == (
        TransmissionFlag.HAS_FLAGS
        | TransmissionFlag.SEND_FLUSH
        | TransmissionFlag.SEND_FUA
        | TransmissionFlag.SEND_TRIM
        | TransmissionFlag.SEND_WRITE_ZEROES
        | TransmissionFlag.CAN_MULTI_CONN
        | TransmissionFlag.SEND_CACHE
        | TransmissionFlag.SEND_FAST_ZERO
    )
    assert handshake.phase is Phase.TRANSMISSION
    assert handshake.export is DISK
    assert not handshake.structured
    assert not handshake.block_status


def test_info_answers_like_go_and_stays_in_the_haggling() -> None:
    handshake = begin()
    wanted = go("größe", Info.NAME, Info.DESCRIPTION, Info.BLOCK_SIZE, 77)
    found = [data for _, _, data in replies(handshake.receive(option(Option.INFO, wanted)))]
    assert U16.pack(Info.NAME) + "größe".encode() in found
    assert Struct(">HIII").pack(Info.BLOCK_SIZE, 1, 4096, 32 * 2**20) in found
    assert not any(data[:2] == U16.pack(Info.DESCRIPTION) for data in found)  # it has none
    flags = TransmissionFlag(U16.unpack(found[0][-2:])[0])
    assert flags & TransmissionFlag.READ_ONLY
    assert not flags & (TransmissionFlag.SEND_TRIM | TransmissionFlag.SEND_WRITE_ZEROES)
    assert handshake.phase is Phase.OPTIONS


def test_the_empty_name_is_the_first_export_and_its_real_name_is_told() -> None:
    handshake = begin()
    found = replies(handshake.receive(option(Option.GO, go("", Info.NAME, Info.DESCRIPTION))))
    data = [payload for _, _, payload in found]
    assert U16.pack(Info.NAME) + b"disk" in data
    assert U16.pack(Info.DESCRIPTION) + b"the first" in data
    assert handshake.export is DISK


def test_an_unknown_export_is_an_error_that_names_it() -> None:
    handshake = begin()
    ((_, kind, text),) = replies(handshake.receive(option(Option.GO, go("nosuch"))))
    assert kind == OptionReply.ERR_UNKNOWN
    assert b"nosuch" in text
    assert handshake.phase is Phase.OPTIONS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        U32.pack(100) + b"disk",
        go("disk")[:-1],
        go("disk", 1, 2)[:-1],
        go("disk") + b"x",
        U32.pack(3) + b"\xff\xfe\xfd" + U16.pack(0),
        string("di\0sk") + U16.pack(0),
        U32.pack(4097) + b"x" * 4097 + U16.pack(0),
    ],
)
def test_malformed_data_of_go_are_invalid_and_the_haggling_goes_on(data: bytes) -> None:
    handshake = begin()
    assert kinds(handshake.receive(option(Option.GO, data))) == [OptionReply.ERR_INVALID]
    assert kinds(handshake.receive(option(Option.GO, go("disk"))))[-1] == OptionReply.ACK


@pytest.mark.parametrize(
    "number", [Option.STARTTLS, Option.PEEK_EXPORT, Option.EXTENDED_HEADERS, 12, 2**32 - 1]
)
def test_options_that_are_not_supported_are_refused_as_such(number: int) -> None:
    handshake = begin()
    assert kinds(handshake.receive(option(number, b"whatever"))) == [OptionReply.ERR_UNSUP]
    assert handshake.phase is Phase.OPTIONS


@pytest.mark.parametrize(("flags", "zeroes"), [(1, 124), (3, 0), (0, 124), (2, 0)])
def test_export_name_answers_with_size_flags_and_maybe_zeroes(flags: int, zeroes: int) -> None:
    handshake = begin(flags)
    raw = handshake.receive(option(Option.EXPORT_NAME, "größe".encode()))
    assert len(raw) == 10 + zeroes
    assert raw[:8] == (12345).to_bytes(8, "big")
    assert raw[10:] == bytes(zeroes)
    assert handshake.phase is Phase.TRANSMISSION
    assert handshake.export is FIXED


@pytest.mark.parametrize("name", [b"nosuch", b"\xff", b"x" * 70_000])
def test_export_name_has_no_way_to_answer_an_error(name: bytes) -> None:
    with pytest.raises(ProtocolError):
        begin().receive(option(Option.EXPORT_NAME, name))


def test_abort_is_acknowledged_and_ends() -> None:
    handshake = begin()
    assert kinds(handshake.receive(option(Option.ABORT))) == [OptionReply.ACK]
    assert handshake.phase is Phase.ENDED


def test_structured_replies_bring_the_df_flag() -> None:
    handshake = begin()
    assert kinds(handshake.receive(option(Option.STRUCTURED_REPLY, b"x"))) == [
        OptionReply.ERR_INVALID
    ]
    assert kinds(handshake.receive(option(Option.STRUCTURED_REPLY))) == [OptionReply.ACK]
    found = replies(handshake.receive(option(Option.GO, go("disk"))))
    assert U16.unpack(found[0][2][-2:])[0] & TransmissionFlag.SEND_DF
    assert handshake.structured


def structured() -> Handshake:
    handshake = begin()
    handshake.receive(option(Option.STRUCTURED_REPLY))
    return handshake


@pytest.mark.parametrize("number", [Option.SET_META_CONTEXT, Option.LIST_META_CONTEXT])
def test_metadata_need_structured_replies_first(number: Option) -> None:
    raw = begin().receive(option(number, query("disk", "base:allocation")))
    assert kinds(raw) == [OptionReply.ERR_INVALID]


@pytest.mark.parametrize(
    ("queries", "listed", "selected"),
    [
        ((), True, False),
        (("base:",), True, False),
        (("base:allocation",), True, True),
        (("qemu:dirty-bitmap:x", "base:allocation"), True, True),
        (("qemu:dirty-bitmap:x",), False, False),
        (("base:alloc",), False, False),
    ],
)
def test_queries_find_base_allocation(
    queries: tuple[str, ...], listed: bool, selected: bool
) -> None:
    raw = structured().receive(option(Option.LIST_META_CONTEXT, query("disk", *queries)))
    assert (OptionReply.META_CONTEXT in kinds(raw)) is listed
    handshake = structured()
    raw = handshake.receive(option(Option.SET_META_CONTEXT, query("disk", *queries)))
    assert (OptionReply.META_CONTEXT in kinds(raw)) is selected
    handshake.receive(option(Option.GO, go("disk")))
    assert handshake.block_status is selected


def test_a_selected_context_has_a_number_and_a_listed_one_has_none() -> None:
    data = query("disk", "base:allocation")
    selected = replies(structured().receive(option(Option.SET_META_CONTEXT, data)))
    listed = replies(structured().receive(option(Option.LIST_META_CONTEXT, data)))
    assert selected[0][2] == U32.pack(1) + b"base:allocation"
    assert listed[0][2] == U32.pack(0) + b"base:allocation"


def test_the_last_selection_replaces_the_earlier_ones() -> None:
    handshake = structured()
    handshake.receive(option(Option.SET_META_CONTEXT, query("disk", "base:allocation")))
    handshake.receive(option(Option.SET_META_CONTEXT, query("disk", "x-none:here")))
    handshake.receive(option(Option.GO, go("disk")))
    assert not handshake.block_status


def test_a_context_selected_for_another_export_does_not_hold() -> None:
    handshake = structured()
    handshake.receive(option(Option.SET_META_CONTEXT, query("größe", "base:allocation")))
    handshake.receive(option(Option.GO, go("disk")))
    assert not handshake.block_status


@pytest.mark.parametrize(
    "data",
    [
        b"",
        query("disk", "nocolon"),
        query("disk", "base:allocation")[:-1],
        query("disk", "base:allocation") + b"x",
        string("disk") + U32.pack(2**32 - 1),
    ],
)
def test_malformed_queries_are_invalid(data: bytes) -> None:
    raw = structured().receive(option(Option.SET_META_CONTEXT, data))
    assert kinds(raw) == [OptionReply.ERR_INVALID]


def test_queries_about_an_unknown_export_say_so() -> None:
    raw = structured().receive(option(Option.SET_META_CONTEXT, query("no", "base:allocation")))
    assert kinds(raw) == [OptionReply.ERR_UNKNOWN]


def test_a_long_option_is_skipped_refused_and_survived() -> None:
    handshake = begin()
    raw = option(Option.GO, bytes(handshake_module.OPTION_BYTES_MAX + 1))
    assert handshake.receive(raw[:-1]) == b""
    assert kinds(handshake.receive(raw[-1:])) == [OptionReply.ERR_TOO_BIG]
    assert kinds(handshake.receive(option(Option.LIST)))[-1] == OptionReply.ACK


def test_an_absurdly_long_option_ends_the_connection() -> None:
    header = OPTION_HEADER.pack(IHAVEOPT, Option.GO, handshake_module.OPTION_BYTES_SKIPPED_MAX + 1)
    with pytest.raises(ProtocolError, match="bytes"):
        begin().receive(header)


def test_endless_haggling_ends_the_connection() -> None:
    handshake = begin()
    for _ in range(handshake_module.OPTIONS_MAX):
        handshake.receive(option(99))
    with pytest.raises(ProtocolError, match="options"):
        handshake.receive(option(99))


@pytest.mark.parametrize("flags", [4, 2**31, 2**32 - 1])
def test_unknown_client_flags_end_the_connection(flags: int) -> None:
    with pytest.raises(ProtocolError, match="flags"):
        begin(None).receive(U32.pack(flags))


def test_other_options_without_fixed_newstyle_end_the_connection() -> None:
    with pytest.raises(ProtocolError, match="fixed newstyle"):
        begin(0).receive(option(Option.LIST))


def test_wrong_magic_ends_the_connection() -> None:
    with pytest.raises(ProtocolError, match="magic"):
        begin().receive(b"GET / HTTP/1.1\r\n\r\n")


def test_a_stopping_server_answers_options_with_shutdown_but_lets_go() -> None:
    handshake = begin()
    handshake.shutting_down = True
    assert kinds(handshake.receive(option(Option.LIST))) == [OptionReply.ERR_SHUTDOWN]
    assert kinds(handshake.receive(option(Option.ABORT))) == [OptionReply.ACK]


SESSION = U32.pack(3) + b"".join(
    [
        option(Option.STARTTLS),
        option(Option.STRUCTURED_REPLY),
        option(Option.LIST),
        option(Option.GO, bytes(70_000)),
        option(Option.SET_META_CONTEXT, query("disk", "base:allocation")),
        option(Option.GO, go("disk", Info.BLOCK_SIZE)),
    ]
)


@given(st.lists(st.integers(0, len(SESSION)), max_size=30))
def test_the_answers_do_not_depend_on_how_bytes_arrive(cuts: list[int]) -> None:
    whole = begin(None)
    answer = whole.receive(SESSION + b"first request")
    pieces = begin(None)
    edges = [0, *sorted(cuts), len(SESSION) + 13]
    data = SESSION + b"first request"
    parts = [pieces.receive(data[a:b]) for a, b in pairwise(edges)]
    # Bytes that arrive after the handshake was done are not its business.
    assert b"".join(parts) == answer
    assert pieces.export is whole.export is DISK
    assert pieces.block_status
    assert whole.leftover == b"first request"
    assert pieces.leftover == whole.leftover


@given(st.binary(max_size=300), st.integers(0, 12), st.booleans())
def test_garbage_is_answered_or_ends_the_connection_and_nothing_else(
    data: bytes, number: int, as_option: bool
) -> None:
    handshake = structured()
    try:
        raw = handshake.receive(option(number, data) if as_option else data)
    except ProtocolError:
        return
    if handshake.phase is not Phase.TRANSMISSION or number == Option.GO:
        replies(raw)  # well-formed, whatever it says
