from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from ramster.errors import ConfigurationError, ListenError
from ramster.nbd.client import NbdClient
from ramster.nbd.export import Export
from ramster.nbd.limits import NbdLimits
from ramster.nbd.protocol import Command, NbdError
from ramster.nbd.server import NbdServer
from tests.ramster.nbd.serving import MIB, TCP, RawClient, make_store, run, serving, until


def test_one_server_listens_in_several_places(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving() as served:
            path = tmp_path / "nbd.sock"
            unix = await served.server.start(f"unix://{path}")
            assert served.server.snapshot().endpoints == [served.url, unix]
            async with await NbdClient.connect(served.url, "disk") as one:
                await one.write(100, b"through tcp")
            async with await NbdClient.connect(unix, "disk") as other:
                assert await other.read(100, 11) == b"through tcp"
        assert not path.exists()

    run(scenario())


def test_ipv6_is_listened_on_in_brackets() -> None:
    async def scenario() -> None:
        local, pool = make_store()
        server = NbdServer(local, [Export("disk", MIB, pool, 1)])
        try:
            url = await server.start("tcp://[::1]:0")
        except ListenError as error:
            pytest.skip(str(error))
        assert url.startswith("tcp://[::1]:")
        async with await NbdClient.connect(url) as client:
            assert client.size == MIB
        await server.close()

    run(scenario())


def test_a_second_server_on_the_same_port_fails_and_the_first_lives() -> None:
    async def scenario() -> None:
        async with serving() as served:
            local, pool = make_store()
            second = NbdServer(local, [Export("disk", MIB, pool, 1)])
            with pytest.raises(ListenError, match="in use"):
                await second.start(served.url)
            await second.close()
            async with await NbdClient.connect(served.url) as client:
                assert client.size == MIB

    run(scenario())


def test_exports_that_cannot_be_served_together_are_refused() -> None:
    local, pool = make_store()
    with pytest.raises(ConfigurationError):
        NbdServer(local, [])
    with pytest.raises(ConfigurationError):
        NbdServer(local, [Export("a", MIB, pool, 1), Export("b", MIB, pool, 1)])


def test_one_client_too_many_is_closed_at_once_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with serving(limits=NbdLimits(connections_max=2)) as served:
            clients = [await RawClient.transmitting(served.url) for _ in range(2)]
            third = await RawClient.connect(served.url)
            assert await third.ended() == b""
            assert served.server.snapshot().connections_refused == 1
            await clients.pop().close()
            await until(lambda: served.server.snapshot().connections_open == 1)
            clients.append(await RawClient.transmitting(served.url))
            for client in (third, *clients):
                await client.close()

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert "too many" in caplog.text


def test_figures_add_up_and_outlive_their_connections() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await NbdClient.connect(served.url, "disk")
            await client.write(0, b"x" * 10_000)
            await client.read(5, 3000)
            await client.flush()
            await client.trim(0, 4096)
            await client.write_zeroes(4096, 4096)
            await client.cache(0, MIB)
            await client.block_status(0, MIB)
            for _ in range(3):
                with pytest.raises(OSError, match="beyond"):
                    await client.read(MIB, 1)
            (figures,) = served.server.snapshot().connections
            assert figures.export == "disk"
            assert figures.peer.startswith("127.0.0.1:")
            assert (figures.requests_in_flight, figures.bytes_in_flight) == (0, 0)
            live = served.server.snapshot().exports[0]
            assert live.connections == 1
            await client.close()
            await until(lambda: not served.server.snapshot().connections_open)
            snapshot = served.server.snapshot()
            disk, fixed = snapshot.exports
            assert disk.traffic == live.traffic == figures.traffic
            assert disk.connections == 0
            assert disk.traffic.errors == {"EINVAL": 3}
            assert (disk.traffic.bytes_written, disk.traffic.bytes_read) == (10_000, 3000)
            counts = disk.traffic
            assert (counts.reads, counts.writes, counts.flushes, counts.trims) == (1, 1, 1, 1)
            assert (counts.write_zeroes, counts.caches, counts.block_statuses) == (1, 1, 1)
            assert fixed.traffic.reads == 0
            assert (snapshot.connections_total, snapshot.protocol_errors) == (1, 0)
            json.dumps(snapshot.as_dict())

    run(scenario())


def test_closing_finishes_what_is_under_way_and_refuses_what_has_not_begun() -> None:
    async def scenario() -> None:
        limits = NbdLimits(requests_in_flight_max=4, close_timeout_s=30)
        async with serving(limits=limits) as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            client.write(0, b"x" * 4096, cookie=1)
            await until(lambda: served.store.waiting == ["put_many"])
            closing = asyncio.ensure_future(served.server.close())
            client.write(4096, b"y" * 4096, cookie=2)
            assert await client.reply() == (2, NbdError.ESHUTDOWN, b"")
            assert not closing.done()
            served.store.gate.set()
            assert await client.reply() == (1, 0, b"")
            assert await client.ended() == b""
            await closing
            assert served.store.cache.stats().puts_stored == 1
            with pytest.raises(ConnectionRefusedError):
                await RawClient.connect(served.url)
            await client.close()

    run(scenario())


def test_closing_does_not_wait_for_a_store_that_hangs() -> None:
    async def scenario() -> None:
        async with serving(limits=NbdLimits(close_timeout_s=0.05)) as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            for cookie in range(3):
                client.write(cookie, b"x", cookie)  # one in the store, two waiting for its page
            await until(lambda: served.store.waiting == ["get_many"])
            await served.server.close()
            assert served.server.snapshot().connections_open == 0
            assert not served.store.waiting
            await client.close()

    run(scenario())


def test_closing_does_not_wait_for_silent_half_open_or_deaf_clients() -> None:
    async def scenario() -> None:
        limits = NbdLimits(close_timeout_s=0.05)
        async with serving(32 * MIB, limits=limits, pool_bytes=64 * MIB) as served:
            silent = await RawClient.connect(served.url)
            idle = await RawClient.transmitting(served.url)
            half = await RawClient.transmitting(served.url)
            half.send(Command.WRITE, 0, 8192, payload=b"the rest never comes")
            deaf = await RawClient.transmitting(served.url)
            deaf.writer.transport.pause_reading()
            deaf.send(Command.READ, 0, 32 * MIB)
            await until(lambda: served.server.snapshot().exports[0].traffic.reads == 1)
            await served.server.close()
            assert served.server.snapshot().connections_open == 0
            for client in (silent, idle, half, deaf):
                client.abort()

    run(scenario())


def test_closing_without_any_patience_is_orderly() -> None:
    async def scenario() -> None:
        async with serving(limits=NbdLimits(close_timeout_s=0)) as served:
            clients = [await RawClient.transmitting(served.url) for _ in range(3)]
            for client in clients:
                client.send(Command.FLUSH)
                assert (await client.reply())[1] == 0
            await served.server.close()
            assert served.server.snapshot().connections_open == 0
            for client in clients:
                await client.close()

    run(scenario())


def test_closing_twice_and_before_anything_was_started_is_harmless() -> None:
    async def scenario() -> None:
        local, pool = make_store()
        server = NbdServer(local, [Export("disk", MIB, pool, 1)])
        await server.close()
        await server.start(TCP)
        await server.close()
        await server.close()

    run(scenario())


def test_a_store_that_is_closed_first_answers_shutdown() -> None:
    async def scenario() -> None:
        async with serving() as served:
            client = await RawClient.transmitting(served.url)
            served.store.close()
            client.send(Command.READ, 0, 4096)
            assert await client.reply() == (1, NbdError.ESHUTDOWN, b"")
            await client.close()

    run(scenario())


def test_nothing_is_left_of_a_server_that_was_closed() -> None:
    async def scenario() -> None:
        async with serving() as served:
            clients = [await NbdClient.connect(served.url) for _ in range(10)]
            await asyncio.gather(*(client.write(7, b"abc") for client in clients))
            for client in clients:
                await client.close()
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    run(scenario())
