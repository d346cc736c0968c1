from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from ramster.nbd.outbox import CHUNK_BYTES_MAX, Outbox
from tests.ramster.nbd.serving import MIB, run, until
from zcache import Buffer


class Sender(asyncio.Protocol):
    """The sending side of a connection, with nothing but an outbox."""

    def __init__(self) -> None:
        self.returned: list[int] = []
        self.outbox = Outbox(self.returned.append)
        self.most_in_transport = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)

    def pause_writing(self) -> None:
        self.most_in_transport = max(self.most_in_transport, self.transport.get_write_buffer_size())
        self.outbox.pause()

    def resume_writing(self) -> None:
        self.outbox.resume()
        self.outbox.send(self.transport)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Sender, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    _, sender = await loop.connect_accepted_socket(Sender, ours)
    try:
        yield sender, theirs
    finally:
        sender.transport.abort()
        theirs.close()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.integers(1, 400_000), min_size=1, max_size=4), max_size=8))
def test_replies_arrive_in_order_and_each_is_paid_back_once(sizes: list[list[int]]) -> None:
    async def scenario() -> None:
        async with connected() as (sender, theirs):
            noise = random.Random(1)
            replies: list[list[Buffer]] = [[noise.randbytes(size) for size in r] for r in sizes]
            for number, reply in enumerate(replies):
                sender.outbox.add(reply, number + 1)
                if number % 2:
                    sender.outbox.send(sender.transport)
            sender.outbox.send(sender.transport)
            expected = b"".join(piece for reply in replies for piece in reply)
            found = bytearray()
            loop = asyncio.get_running_loop()
            while len(found) < len(expected):
                found += await loop.sock_recv(theirs, MIB)
            assert found == expected
            await until(lambda: not sender.outbox and sender.outbox.writable)
            assert sum(sender.returned) == len(sizes) * (len(sizes) + 1) // 2
            assert sender.most_in_transport <= CHUNK_BYTES_MAX

    run(scenario())


def test_what_the_socket_has_not_taken_is_not_paid_back() -> None:
    async def scenario() -> None:
        async with connected() as (sender, theirs):
            sender.outbox.add([bytes(100)], 1)
            sender.outbox.add([bytes(8 * MIB)], 2)
            sender.outbox.add([bytes(8 * MIB)], 4)
            sender.outbox.send(sender.transport)
            assert not sender.outbox.writable
            assert sum(sender.returned) in (0, 1)
            assert sender.outbox.bytes_waiting > 12 * MIB
            loop = asyncio.get_running_loop()
            read = 0
            while read < 100 + 8 * MIB:
                assert sum(sender.returned) < 4
                read += len(await loop.sock_recv(theirs, 64 * 1024))
            while read < 100 + 12 * MIB:
                read += len(await loop.sock_recv(theirs, MIB))
            await until(lambda: sum(sender.returned) == 3)
            assert sender.outbox, "the second is still on its way"
            while read < 100 + 16 * MIB:
                read += len(await loop.sock_recv(theirs, MIB))
            await until(lambda: sum(sender.returned) == 7)

    run(scenario())


def test_a_socket_that_is_gone_pays_everything_back() -> None:
    async def scenario() -> None:
        async with connected() as (sender, _):
            sender.outbox.add([bytes(8 * MIB)], 3)
            sender.outbox.add([b"small"], 0)
            sender.outbox.send(sender.transport)
            sender.outbox.clear()
            sender.outbox.clear()
            assert sum(sender.returned) == 3
            assert not sender.outbox
            assert sender.outbox.bytes_waiting == 0

    run(scenario())
