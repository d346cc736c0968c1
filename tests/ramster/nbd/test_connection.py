"""Connections over real sockets: order, bounds, broken and vanishing clients."""

from __future__ import annotations

import asyncio
import random
import socket
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ramster.nbd import connection as connection_module
from ramster.nbd.limits import NbdLimits
from ramster.nbd.protocol import (
    IHAVEOPT,
    OPTION_HEADER,
    REQUEST,
    REQUEST_MAGIC,
    ChunkType,
    Command,
    NbdError,
    Option,
    OptionReply,
)
from tests.ramster.nbd.serving import MIB, TCP, U32, RawClient, run, serving, until


def test_replies_overtake_a_request_that_is_stuck_in_the_store() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            client.send(Command.READ, 0, 4096, cookie=1)
            await until(lambda: served.store.waiting == ["get_many"])
            client.send(Command.FLUSH, cookie=2)
            assert await client.reply() == (2, 0, b"")
            served.store.gate.set()
            assert await client.reply(4096) == (1, 0, bytes(4096))
            await client.close()

    run(scenario())


def test_replies_that_are_ready_do_not_wait_for_a_later_request_of_the_same_packet() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            flush = REQUEST.pack(REQUEST_MAGIC, 0, Command.FLUSH, 1, 0, 0)
            read = REQUEST.pack(REQUEST_MAGIC, 0, Command.READ, 2, 0, 4096)
            client.writer.write(flush + read)
            assert await client.reply() == (1, 0, b"")
            await until(lambda: served.store.waiting == ["get_many"])
            client.writer.write(read.replace(b"\2", b"\3") + flush)
            assert await client.reply() == (1, 0, b"")
            served.store.gate.set()
            cookies = {(await client.reply(4096))[0] for _ in range(2)}
            assert cookies == {2, 3}
            await client.close()

    run(scenario())


def test_many_requests_in_one_packet_are_all_answered() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            for cookie in range(1000):
                client.write(cookie % 200 * 4096, bytes([cookie % 256]) * 4096, cookie)
            found = {(await client.reply())[:2] for _ in range(1000)}
            assert found == {(cookie, 0) for cookie in range(1000)}
            await client.close()

    run(scenario())


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 300_000), max_size=12), st.integers(0, 2**32))
def test_requests_are_understood_however_their_bytes_are_cut(cuts: list[int], seed: int) -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            noise = random.Random(seed)
            model = bytearray(MIB)
            stream = bytearray()
            for cookie in range(8):
                length = noise.choice([1, 4096, 65536, 300_000])
                offset = cookie * 131_072 % (MIB - length)
                payload = noise.randbytes(length)
                head = (REQUEST_MAGIC, 0, Command.WRITE, cookie, offset, length)
                stream += REQUEST.pack(*head) + payload
                # One after the other, so that the end result is known.
                stream += REQUEST.pack(REQUEST_MAGIC, 0, Command.FLUSH, 100 + cookie, 0, 0)
                model[offset : offset + length] = payload
            at = 0
            for cut in [*cuts, len(stream)]:
                client.writer.write(stream[at : at + cut])
                at += cut
                await asyncio.sleep(0)
            await client.writer.drain()
            for _ in range(16):
                assert (await client.reply())[1] == 0
            client.send(Command.READ, 0, MIB)
            assert (await client.reply(MIB))[2] == model
            await client.close()

    run(scenario())


def test_a_client_that_vanishes_in_the_middle_of_a_write_has_written_nothing() -> None:
    async def scenario() -> None:
        async with serving() as served:
            for length in (8192, 600_000):
                client = await RawClient.transmitting(served.url)
                head = REQUEST.pack(REQUEST_MAGIC, 0, Command.WRITE, 1, 0, length)
                client.writer.write(head + b"x" * (length - 1))
                await client.writer.drain()
                client.abort()
                await until(lambda: not served.server.snapshot().connections_open)
            assert served.store.cache.stats().puts == 0

    run(scenario())


def test_a_client_that_vanishes_with_requests_under_way_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            for cookie in range(50):
                client.write(cookie * 100, b"x" * 50, cookie)
            await until(lambda: len(served.store.waiting) > 0)
            client.abort()
            served.store.gate.set()
            await until(lambda: not served.server.snapshot().connections_open)
            other = await RawClient.transmitting(served.url)
            other.send(Command.READ, 0, 4096)
            assert (await other.reply(4096))[1] == 0
            await other.close()

    run(scenario())


def test_goodbye_waits_for_the_requests_before_it() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            client.send(Command.READ, 0, 4096, cookie=1)
            client.write(4096, b"y" * 4096, cookie=2)
            client.send(Command.DISC)
            client.send(Command.FLUSH, cookie=3)  # after goodbye nothing counts
            await until(lambda: len(served.store.waiting) == 2)
            served.store.gate.set()
            assert {(await client.reply(4096 * (n == 0)))[0] for n in range(2)} == {1, 2}
            assert await client.ended() == b""
            await client.close()

    run(scenario())


def test_a_client_that_talks_on_after_goodbye_still_gets_its_replies() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            client.send(Command.READ, 0, 4096, cookie=1)
            client.send(Command.DISC)
            client.writer.write(b"and another thing " * 60_000)
            await until(lambda: served.store.waiting == ["get_many"])
            for _ in range(100):
                await asyncio.sleep(0)
            served.store.gate.set()
            assert (await client.reply(4096))[0] == 1
            client.abort()

    run(scenario())


def test_a_client_that_only_stops_sending_still_gets_its_replies() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            for cookie in range(3):
                client.send(Command.FLUSH, cookie=cookie)
            client.stop_sending()
            assert {(await client.reply())[0] for _ in range(3)} == {0, 1, 2}
            assert await client.ended() == b""
            await client.close()

    run(scenario())


def test_no_more_than_the_limit_of_requests_are_under_way() -> None:
    async def scenario() -> None:
        limits = NbdLimits(requests_in_flight_max=5)
        async with serving(limits=limits) as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            for cookie in range(40):
                client.send(Command.READ, 0, 4096, cookie=cookie)
            await until(lambda: len(served.store.waiting) == 5)
            for _ in range(50):
                await asyncio.sleep(0)
                (figures,) = served.server.snapshot().connections
                assert figures.requests_in_flight <= 5
                assert len(served.store.waiting) <= 5
            served.store.gate.set()
            assert len({(await client.reply(4096))[0] for _ in range(40)}) == 40
            await client.close()

    run(scenario())


def test_bytes_under_way_are_bounded_by_not_reading_the_socket() -> None:
    async def scenario() -> None:
        limits = NbdLimits(bytes_in_flight_max=256 * 1024, payload_bytes_max=128 * 1024)
        async with serving(8 * MIB, limits=limits) as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            payload = bytes(128 * 1024)
            for cookie in range(60):
                client.write(cookie * len(payload), payload, cookie)
            await until(lambda: len(served.store.waiting) == 2)
            for _ in range(50):
                await asyncio.sleep(0)
                (figures,) = served.server.snapshot().connections
                assert figures.bytes_in_flight <= 256 * 1024
            served.store.gate.set()
            assert len({(await client.reply())[0] for _ in range(60)}) == 60
            await client.close()

    run(scenario())


def test_a_connection_keeps_no_payload_that_was_answered() -> None:
    async def scenario() -> None:
        async with serving(8 * MIB) as served:
            payload = b"x" * 8 * MIB
            client = await RawClient.transmitting(served.url)
            client.send(Command.WRITE, 0, len(payload))
            tracemalloc.start()
            try:
                client.writer.write(payload)
                assert (await client.reply())[1] == 0
                await client.writer.drain()
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert kept < MIB
            await client.close()

    run(scenario())


def test_a_client_that_takes_no_replies_is_not_served_without_end() -> None:
    async def scenario() -> None:
        async with serving(MIB) as served:
            client = await RawClient.transmitting(served.url)
            client.writer.transport.pause_reading()
            client.write(0, random.Random(1).randbytes(MIB))
            for cookie in range(2, 300):
                client.send(Command.READ, 0, MIB, cookie=cookie)

            def served_reads() -> int:
                return served.server.snapshot().exports[0].traffic.reads

            # Socket buffers take some MiB; then the server stops, far from the end.
            seen, still = -1, 0
            while still < 200:
                await asyncio.sleep(0)
                still = still + 1 if served_reads() == seen and seen > 0 else 0
                seen = served_reads()
            assert seen < 100
            other = await RawClient.transmitting(served.url)
            other.send(Command.READ, 0, 4096)
            assert (await other.reply(4096))[1] == 0
            await other.close()
            client.writer.transport.resume_reading()
            await client.reply()
            assert len([await client.reply(MIB) for _ in range(2, 300)]) == 298
            await client.close()

    run(scenario())


def test_a_client_that_takes_no_last_replies_does_not_stay() -> None:
    async def scenario() -> None:
        limits = NbdLimits(close_timeout_s=0.05)
        async with serving(32 * MIB, limits=limits, pool_bytes=64 * MIB) as served:
            client = await RawClient.transmitting(served.url)
            client.writer.transport.pause_reading()
            client.send(Command.READ, 0, 32 * MIB)
            client.send(Command.DISC)
            await until(lambda: not served.server.snapshot().connections_open)
            client.abort()

    run(scenario())


@pytest.mark.parametrize("length", [64 * 1024 + 1, 128 * 1024, 256 * 1024])
def test_the_payload_of_a_refused_write_is_skipped(length: int) -> None:
    async def scenario() -> None:
        limits = NbdLimits(payload_bytes_max=64 * 1024)
        async with serving(MIB, limits=limits) as served:
            client = await RawClient.transmitting(served.url)
            client.write(0, b"\xff" * length, cookie=1)
            client.write(MIB - 1, b"ab", cookie=2)
            client.send(Command.FLUSH, cookie=3)
            assert [await client.reply() for _ in range(3)] == [
                (1, NbdError.EINVAL, b""),
                (2, NbdError.ENOSPC, b""),
                (3, 0, b""),
            ]
            assert served.store.cache.stats().puts == 0
            await client.close()

    run(scenario())


def test_a_write_of_absurd_length_closes_its_connection() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            client.send(Command.WRITE, 0, 2**32 - 1)
            assert await client.ended() == b""
            assert served.server.snapshot().protocol_errors == 1
            await client.close()

    run(scenario())


def test_writes_to_a_read_only_export_are_refused_and_the_connection_lives() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url, "fixed", structured=True)
            client.write(0, b"x" * 5000)
            ((_, kind, payload),) = await client.chunks()
            assert kind == ChunkType.ERROR
            assert payload[:4] == U32.pack(NbdError.EPERM)
            client.send(Command.READ, 0, 512)
            assert [kind for _, kind, _ in await client.chunks()] == [ChunkType.OFFSET_HOLE]
            await client.close()

    run(scenario())


def test_a_full_store_is_no_space_and_the_connection_lives() -> None:
    async def scenario() -> None:
        async with serving(MIB, pool_bytes=64 * 4096) as served:
            client = await RawClient.transmitting(served.url)
            noise = random.Random(2).randbytes(MIB)
            client.write(0, noise[: 32 * 4096])
            assert (await client.reply())[1] == 0
            client.write(0, noise)
            assert (await client.reply())[1] == NbdError.ENOSPC
            client.send(Command.READ, 0, 32 * 4096)
            assert (await client.reply(32 * 4096))[2] == noise[: 32 * 4096]
            client.send(Command.TRIM, 0, MIB)
            assert (await client.reply())[1] == 0
            client.write(0, noise[: 32 * 4096])
            assert (await client.reply())[1] == 0
            await client.close()

    run(scenario())


def test_a_handshake_that_takes_too_long_is_ended() -> None:
    async def scenario() -> None:
        limits = NbdLimits(handshake_timeout_s=0.02)
        async with serving(limits=limits) as served:
            silent = await RawClient.connect(served.url)
            assert (await silent.ended())[:8] == b"NBDMAGIC"
            assert served.server.snapshot().handshake_timeouts == 1
            await silent.close()

    run(scenario())


def test_an_idle_connection_in_transmission_outlives_the_handshake_s_deadline() -> None:
    async def scenario() -> None:
        limits = NbdLimits(handshake_timeout_s=0.2)
        async with serving(limits=limits) as served:
            idle = await RawClient.transmitting(served.url)
            silent = await RawClient.connect(served.url)
            await silent.ended()
            idle.send(Command.FLUSH)
            assert (await idle.reply())[1] == 0
            await idle.close()
            await silent.close()

    run(scenario())


def test_abort_in_the_handshake_is_acknowledged_and_closed() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.connect(served.url)
            await client.greet()
            assert await client.option(Option.ABORT) == [(OptionReply.ACK, b"")]
            assert await client.ended() == b""
            await client.close()

    run(scenario())


def test_requests_sent_together_with_the_choice_of_an_export_are_answered() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.connect(served.url)
            await client.greet()
            name = OPTION_HEADER.pack(IHAVEOPT, Option.EXPORT_NAME, 4) + b"disk"
            client.writer.write(name + REQUEST.pack(REQUEST_MAGIC, 0, Command.FLUSH, 9, 0, 0))
            await client.reader.readexactly(10)
            assert await client.reply() == (9, 0, b"")
            await client.close()

    run(scenario())


def test_workers_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "IDLE_WORKERS_MAX", 2)

    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            for cookie in range(30):
                client.send(Command.READ, cookie * 4096, 4096, cookie=cookie)
            await until(lambda: len(served.store.waiting) == 30)
            served.store.gate.set()
            assert len({(await client.reply(4096))[0] for _ in range(30)}) == 30

            def workers() -> int:
                return sum(task.get_name().startswith("nbd ") for task in asyncio.all_tasks())

            await until(lambda: workers() <= 2)
            await client.close()

    run(scenario())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_garbage_harms_nobody_else(data: st.DataObject) -> None:
    """Noise in the handshake and in transmission: another client goes on undisturbed."""
    transmitting = data.draw(st.booleans())
    blobs = data.draw(
        st.lists(
            st.one_of(
                st.binary(max_size=200),
                st.builds(
                    REQUEST.pack,
                    st.sampled_from([REQUEST_MAGIC, REQUEST_MAGIC, 0]),
                    st.integers(0, 65535),
                    st.integers(0, 10),
                    st.integers(0, 2**64 - 1),
                    st.one_of(st.integers(0, MIB), st.integers(0, 2**64 - 1)),
                    st.one_of(st.integers(0, 9000), st.integers(0, 2**32 - 1)),
                ),
                st.builds(
                    lambda number, payload: (
                        OPTION_HEADER.pack(IHAVEOPT, number, len(payload)) + payload
                    ),
                    st.integers(0, 13),
                    st.binary(max_size=100),
                ),
            ),
            max_size=8,
        )
    )

    async def scenario() -> None:
        async with serving(url=TCP) as served:
            good = await RawClient.transmitting(served.url, "fixed")
            if transmitting:
                bad = await RawClient.transmitting(served.url)
            else:
                bad = await RawClient.connect(served.url)
                await bad.greet()
            for blob in blobs:
                bad.writer.write(blob)
                good.send(Command.READ, 4096, 4096)
                assert await good.reply(4096) == (1, 0, bytes(4096))
            bad.stop_sending()
            await bad.ended()
            good.send(Command.FLUSH)
            assert (await good.reply())[1] == 0
            await bad.close()
            await good.close()

    run(scenario())
