from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ramster.errors import ConfigurationError
from ramster.nbd.client import NbdClient
from ramster.nbd.protocol import GREETING, IHAVEOPT, NBDMAGIC, TransmissionFlag
from tests.ramster.nbd.serving import (
    MIB,
    assert_each_byte_was_written_by_one_of,
    run,
    serving,
    until,
)

SIZE = 20 * 4096 + 77


def test_size_and_flags_are_the_export_s() -> None:
    async def scenario() -> None:
        async with serving(SIZE) as served, await NbdClient.connect(served.url, "fixed") as fixed:
            assert fixed.size == MIB
            assert fixed.flags & TransmissionFlag.READ_ONLY
            async with await NbdClient.connect(served.url) as disk:
                assert disk.size == SIZE
                assert not disk.flags & TransmissionFlag.READ_ONLY

    run(scenario())


def test_an_unknown_export_is_not_found() -> None:
    async def scenario() -> None:
        async with serving() as served:
            with pytest.raises(FileNotFoundError, match="nosuch"):
                await NbdClient.connect(served.url, "nosuch")

    run(scenario())


def test_server_errors_carry_the_number_and_the_server_s_words() -> None:
    async def scenario() -> None:
        async with serving(SIZE) as served:
            async with await NbdClient.connect(served.url) as client:
                with pytest.raises(OSError, match="beyond the end") as caught:
                    await client.write(SIZE - 1, b"xy")
                assert caught.value.errno == errno.ENOSPC
                with pytest.raises(OSError, match="length 0"):
                    await client.read(0, 0)
                assert await client.read(0, 10) == bytes(10)
            async with await NbdClient.connect(served.url, "fixed") as client:
                with pytest.raises(PermissionError):
                    await client.trim(0, 4096)

    run(scenario())


def test_requests_after_close_or_a_lost_connection_are_connection_errors() -> None:
    async def scenario() -> None:
        async with serving() as served:
            closed = await NbdClient.connect(served.url)
            await closed.close()
            await closed.close()
            with pytest.raises(ConnectionError, match="closed"):
                await closed.read(0, 1)
            client = await NbdClient.connect(served.url)
            served.store.gate.clear()
            reading = asyncio.ensure_future(client.read(0, 4096))
            await until(lambda: served.store.waiting)
            await client.close()
            with pytest.raises(ConnectionError):
                await reading
            served.store.gate.set()
            other = await NbdClient.connect(served.url)
            await served.server.close()
            with pytest.raises(ConnectionError):
                await other.read(0, 1)
            await other.close()

    run(scenario())


def test_a_cancelled_request_does_not_disturb_the_others() -> None:
    async def scenario() -> None:
        async with serving() as served, await NbdClient.connect(served.url) as client:
            served.store.gate.clear()
            reads = [asyncio.ensure_future(client.read(n * 4096, 4096)) for n in range(3)]
            await until(lambda: len(served.store.waiting) == 3)
            reads[1].cancel()
            served.store.gate.set()
            assert await reads[0] == await reads[2] == bytes(4096)
            assert await client.read(0, 5) == bytes(5)

    run(scenario())


async def _greeted_by(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    """Connect to a server that says what ``answer`` makes it say, then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await (await NbdClient.connect(f"tcp://127.0.0.1:{port}")).close()
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "greeting",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        GREETING.pack(NBDMAGIC, 0x420281861253, 1),  # oldstyle
        GREETING.pack(NBDMAGIC, IHAVEOPT, 0),  # newstyle, not fixed
        GREETING.pack(NBDMAGIC, IHAVEOPT, 1) + bytes(20),
    ],
)
def test_a_server_of_another_kind_is_a_connection_error(greeting: bytes) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()

    with pytest.raises(ConnectionError, match="no NBD handshake"):
        run(_greeted_by(answer))


def test_no_server_and_no_url_are_errors() -> None:
    with pytest.raises(ConnectionRefusedError):
        run(NbdClient.connect("tcp://127.0.0.1:1"))
    with pytest.raises(FileNotFoundError):
        run(NbdClient.connect("unix:///nonexistent/nbd.sock"))
    with pytest.raises(ConfigurationError):
        run(NbdClient.connect("nbd://127.0.0.1"))


OPERATIONS = st.tuples(
    st.sampled_from(["write", "trim", "write_zeroes", "no_hole", "read", "cache"]),
    st.one_of(st.sampled_from([0, 1, 4095, 4096, SIZE - 1]), st.integers(0, SIZE - 1)),
    st.one_of(st.sampled_from([1, 4096, 8192, SIZE]), st.integers(1, SIZE)),
    st.integers(1, 255),
    st.integers(0, 2),
)


async def _send(client: NbdClient, kind: str, offset: int, length: int, fill: int) -> None:
    match kind:
        case "write":
            await client.write(offset, bytes([fill]) * length, fua=bool(fill & 1))
        case "trim":
            await client.trim(offset, length)
        case "write_zeroes" | "no_hole":
            await client.write_zeroes(offset, length, no_hole=kind == "no_hole")
        case "cache":
            await client.cache(offset, length)
        case "read":
            await client.read(offset, length)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, max_size=25))
def test_several_connections_see_one_device(steps: list[tuple[str, int, int, int, int]]) -> None:
    async def scenario() -> None:
        async with serving(SIZE) as served:
            clients = [await NbdClient.connect(served.url, "disk") for _ in range(3)]
            model = bytearray(SIZE)
            for kind, offset, length, fill, who in steps:
                length = min(length, SIZE - offset)
                await _send(clients[who], kind, offset, length, fill)
                if kind not in ("read", "cache"):
                    model[offset : offset + length] = (
                        bytes([fill if kind == "write" else 0]) * length
                    )
                reader = clients[(who + 1) % 3]
                assert await reader.read(offset, length) == model[offset : offset + length]
            assert await clients[0].read(0, SIZE) == model
            extents = await clients[1].block_status(0, SIZE)
            assert sum(length for length, _ in extents) == SIZE
            at = 0
            for length, state in extents:
                assert not state or not any(model[at : at + length])
                at += length
            for client in clients:
                await client.close()

    run(scenario())


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, min_size=2, max_size=25))
def test_overlapping_requests_of_several_connections_end_as_one_of_them_wrote(
    steps: list[tuple[str, int, int, int, int]],
) -> None:
    async def scenario() -> None:
        async with serving(SIZE) as served:
            clients = [await NbdClient.connect(served.url, "disk") for _ in range(3)]
            changes: list[tuple[int, int, int]] = []
            work = []
            for kind, offset, length, fill, who in steps:
                length = min(length, SIZE - offset)
                work.append(_send(clients[who], kind, offset, length, fill))
                if kind not in ("read", "cache"):
                    changes.append((offset, length, fill if kind == "write" else 0))
            await asyncio.gather(*work)
            assert_each_byte_was_written_by_one_of(await clients[0].read(0, SIZE), changes)
            for client in clients:
                await client.close()

    run(scenario())
