"""What happens to requests under way on a stream: ids, deadlines, cancellation, its end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from array import array

import pytest

from ramster.errors import (
    BadMessageError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from ramster.rpc import methods
from ramster.rpc.convert import encode_fetch_reply, encode_spill_reply, parse
from ramster.transport import FetchReply, SpillReply
from ramster.wire.v1 import peer_pb2
from tests.support.grpc_peers import (
    PATIENCE_S,
    SOON_S,
    blobs,
    fetch_of,
    linked,
    proxied,
    rogue,
    run,
    spill_of,
    until,
)
from zcache import BLOB_ABSENT

KEYS = array("Q", [1])


_SILENT_SERVER = """
import asyncio
from grpc import aio
import grpc

async def swallow(_, context):
    while await context.read() is not aio.EOF:
        print("request", flush=True)

async def main():
    server = aio.server()
    methods = {name: grpc.stream_stream_rpc_method_handler(swallow) for name in ("Spill", "Fetch")}
    service = grpc.method_handlers_generic_handler("ramster.wire.v1.DataPlane", methods)
    server.add_generic_rpc_handlers((service,))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()

asyncio.run(main())
"""


def _found_nothing(data: bytes) -> bytes:
    request = parse(peer_pb2.FetchRequest, data)
    return encode_fetch_reply(request.request_id, FetchReply(found=bytes([BLOB_ABSENT])), 1)


def test_a_reply_over_the_limit_fails_the_call_and_the_connection_stays_up() -> None:
    """Checklist 58, the other way."""

    async def answer(data: bytes) -> list[bytes]:
        nonlocal huge
        reply, huge = (bytes(3 * 2**20) if huge else _found_nothing(data)), False
        return [reply]

    huge = True

    async def work() -> None:
        async with rogue(methods.FETCH, answer) as address, proxied(address) as (proxy, front):
            async with linked(front) as link:
                with pytest.raises(BadMessageError, match="RESOURCE_EXHAUSTED"):
                    await link.fetch(fetch_of(1, KEYS), PATIENCE_S)
                assert (await link.fetch(fetch_of(1, KEYS), PATIENCE_S)).found == b"\0"
            assert proxy.connections == 1

    run(work())


def test_a_reply_with_an_unknown_id_is_dropped_and_counted() -> None:
    """Checklist 62: requests carry an id; a reply with unknown id is dropped."""

    async def answer(data: bytes) -> list[bytes]:
        good = _found_nothing(data)
        stray = encode_fetch_reply(999, FetchReply(found=b"\0"), 1)
        return [stray, good, good, stray]

    async def work() -> None:
        async with rogue(methods.FETCH, answer) as address, linked(address) as link:
            for round_ in range(1, 4):
                assert (await link.fetch(fetch_of(1, KEYS), PATIENCE_S)).found == b"\0"
                await until(lambda round_=round_: link.stats.replies_dropped == 3 * round_)
            assert link.stats.streams_opened == 1

    run(work())


def test_replies_out_of_order_reach_their_callers() -> None:
    async def work() -> None:
        held: list[bytes] = []

        async def answer(data: bytes) -> list[bytes]:
            held.append(data)
            return [_answer_key(data) for data in reversed(held)] if len(held) == 5 else []

        async with rogue(methods.FETCH, answer) as address, linked(address) as link:
            replies = await asyncio.gather(
                *(link.fetch(fetch_of(1, array("Q", [key])), PATIENCE_S) for key in range(5))
            )
        assert [reply.blobs.keys[0] for reply in replies] == list(range(5))

    run(work())


def _answer_key(data: bytes) -> bytes:
    request = parse(peer_pb2.FetchRequest, data)
    key = int.from_bytes(request.keys, "little")
    reply = FetchReply(found=b"\1", blobs=blobs(1, first=key))
    return encode_fetch_reply(request.request_id, reply, 1)


def test_a_peer_that_never_answers_costs_the_deadline_and_no_more() -> None:
    """Checklist 60: in-flight requests are resolved by timeout."""

    async def work() -> None:
        answering = asyncio.Event()

        async def answer(data: bytes) -> list[bytes]:
            await answering.wait()
            return [_found_nothing(data)]

        async with rogue(methods.FETCH, answer) as address, linked(address) as link:
            calls = (link.fetch(fetch_of(1, KEYS), SOON_S) for _ in range(20))
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(result) for result in results} == {PeerTimeoutError}
            assert link.stats.calls_timed_out == 20
            answering.set()
            # Late replies are dropped; the stream was never given up and serves on.
            assert (await link.fetch(fetch_of(1, KEYS), PATIENCE_S)).found == b"\0"
            assert link.stats.streams_opened == 1
            assert link.stats.replies_dropped == 20

    run(work())


def test_a_spill_that_times_out_takes_its_stream_with_it() -> None:
    async def work() -> None:
        seen: list[int] = []
        answering = asyncio.Event()

        async def answer(data: bytes) -> list[bytes]:
            request = parse(peer_pb2.SpillRequest, data)
            seen.append(request.request_id)
            await answering.wait()
            return [
                encode_spill_reply(request.request_id, SpillReply(statuses=b"\0", room_bytes=1))
            ]

        async with rogue(methods.SPILL, answer) as address, linked(address) as link:
            first = asyncio.create_task(link.spill(spill_of(1, blobs(1)), 2 * PATIENCE_S))
            await until(lambda: seen)
            with pytest.raises(PeerTimeoutError):
                await link.spill(spill_of(1, blobs(1)), SOON_S)
            with pytest.raises(PeerUnreachableError, match="given up after a timeout"):
                await first
            answering.set()
            assert (await link.spill(spill_of(1, blobs(1)), PATIENCE_S)).statuses == b"\0"
            # The second spill, which timed out before the peer took it up, was never processed.
            assert seen == [1, 3]
            assert link.stats.streams_opened == 2

    run(work())


def test_a_cancelled_call_leaves_no_trace() -> None:
    async def work() -> None:
        answering = asyncio.Event()
        seen: list[bytes] = []

        async def answer(data: bytes) -> list[bytes]:
            seen.append(data)
            await answering.wait()
            return [_found_nothing(data)]

        async with rogue(methods.FETCH, answer) as address, linked(address) as link:
            sent = asyncio.create_task(link.fetch(fetch_of(1, KEYS), PATIENCE_S))
            await until(lambda: seen)
            # Cancelled before its turn to be sent, and after.
            unsent = asyncio.create_task(link.fetch(fetch_of(1, KEYS), PATIENCE_S))
            await asyncio.sleep(0)
            for task in (unsent, sent):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            answering.set()
            assert (await link.fetch(fetch_of(1, KEYS), PATIENCE_S)).found == b"\0"
            assert link.stats.streams_opened == 1
            assert link.stats.replies_dropped == len(seen) - 1

    run(work())


def test_a_peer_killed_in_the_middle_of_a_call_fails_it_at_once() -> None:
    async def work() -> None:
        command = (sys.executable, "-c", _SILENT_SERVER)
        peer = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert peer.stdout is not None
        address = f"127.0.0.1:{int(await peer.stdout.readline())}"
        async with linked(address) as link:
            fetching = asyncio.create_task(link.fetch(fetch_of(1, KEYS), 3600))
            spilling = asyncio.create_task(link.spill(spill_of(1, blobs(1)), 3600))
            for _ in range(2):
                assert await peer.stdout.readline() == b"request\n"
            peer.kill()
            await peer.wait()
            for task in (fetching, spilling):
                with pytest.raises(PeerUnreachableError):
                    await asyncio.wait_for(task, PATIENCE_S)

    run(work())
