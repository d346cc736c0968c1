"""What a link does when peers are slow, gone, cut off or rogue."""

from __future__ import annotations

import asyncio
from array import array

import pytest

from ramster.errors import (
    BadMessageError,
    ConfigurationError,
    PeerMethodMissingError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from ramster.rpc import GrpcTransport, PeerServer, methods
from ramster.rpc.convert import encode_fetch_reply, parse
from ramster.transport import FIGURES_BYTES_MAX, FetchReply, FiguresRequest, Heartbeat
from ramster.wire.v1 import control_pb2, peer_pb2
from tests.support.grpc_peers import (
    FAST,
    PATIENCE_S,
    SOON_S,
    blobs,
    fetch_of,
    flush_of,
    hello,
    lender,
    linked,
    proxied,
    rogue,
    run,
    serving,
    spill_of,
    until,
    until_answered,
)
from zcache import BLOB_ABSENT, PoolKind

KEYS = array("Q", [1])


BEAT = Heartbeat(lease=1, incarnation=5)


def _found_nothing(data: bytes) -> bytes:
    request = parse(peer_pb2.FetchRequest, data)
    return encode_fetch_reply(request.request_id, FetchReply(found=bytes([BLOB_ABSENT])), 1)


@pytest.mark.parametrize("address", ["", "host:port", "unix:///tmp/x", "127.0.0.1:70000", "[::1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="accepted is HOST:PORT"):
        GrpcTransport().link(address)


def test_nothing_is_sent_until_a_link_is_used() -> None:
    async def work() -> None:
        async with serving() as address, proxied(address) as (proxy, front), linked(front) as link:
            assert link.address == front
            assert proxy.connections == 0
            await link.hello(hello(), PATIENCE_S)
            assert proxy.connections == 1

    run(work())


def test_nobody_there_is_unreachable_on_every_call() -> None:
    async def work() -> None:
        async with serving() as address:
            pass  # a port that was free a moment ago
        async with linked(address) as link:
            calls = (
                lambda: link.hello(hello(), PATIENCE_S),
                lambda: link.heartbeat(BEAT, PATIENCE_S),
                lambda: link.spill(spill_of(1, blobs(1)), PATIENCE_S),
                lambda: link.fetch(fetch_of(1, KEYS), PATIENCE_S),
                lambda: link.flush(flush_of(1, KEYS), PATIENCE_S),
                lambda: link.figures(FiguresRequest(cluster="ramster"), PATIENCE_S),
            )
            for call in calls:
                with pytest.raises(PeerUnreachableError, match=address):
                    await call()

    run(work())


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    async def work() -> None:
        async with linked("no-such-host.invalid:7777") as link:
            with pytest.raises((PeerUnreachableError, PeerTimeoutError)):
                await link.fetch(fetch_of(1, KEYS), 5)

    run(work())


def test_a_server_of_something_else_is_a_refusal() -> None:
    async def answer(data: bytes) -> list[bytes]:
        return []

    async def work() -> None:
        async with rogue("/other.Service/Method", answer) as address, linked(address) as link:
            with pytest.raises(PeerRefusedError, match="UNIMPLEMENTED"):
                await link.hello(hello(), PATIENCE_S)
            with pytest.raises(PeerRefusedError, match="UNIMPLEMENTED"):
                await link.fetch(fetch_of(1, KEYS), PATIENCE_S)
            with pytest.raises(PeerMethodMissingError, match="UNIMPLEMENTED"):
                await link.figures(FiguresRequest(cluster="ramster"), PATIENCE_S)

    run(work())


def test_figures_that_are_too_long_are_a_bad_message() -> None:
    long = control_pb2.FiguresReply(figures=bytes(FIGURES_BYTES_MAX + 1)).SerializeToString()

    class Boaster:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    async def work() -> None:
        server = PeerServer(Boaster())  # type: ignore[arg-type]
        server._figures = lambda _: long  # type: ignore[method-assign]
        address = await server.start("127.0.0.1:0")
        async with linked(address) as link:
            with pytest.raises(BadMessageError, match="accepted is 262144"):
                await link.figures(FiguresRequest(cluster="ramster"), PATIENCE_S)
        await server.stop(0)

    run(work())


def test_oversized_requests_are_refused_before_anything_is_sent() -> None:
    """Checklist 58: refused before sending; the connection stays up."""

    async def work() -> None:
        async with serving() as address, linked(address) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            with pytest.raises(BadMessageError, match="accepted is up to 524288"):
                await link.spill(spill_of(lease, blobs(129, size=4096)), PATIENCE_S)
            with pytest.raises(BadMessageError, match="accepted is up to 4096"):
                await link.spill(spill_of(lease, blobs(4097, size=1)), PATIENCE_S)
            with pytest.raises(BadMessageError, match="accepted is up to 4096"):
                await link.fetch(fetch_of(lease, array("Q", range(4097))), PATIENCE_S)
            with pytest.raises(BadMessageError, match="accepted is up to 65536"):
                await link.flush(flush_of(lease, array("Q", range(65537))), PATIENCE_S)
            assert link.stats.streams_opened == 0
            await link.spill(spill_of(lease, blobs(128, size=4096)), PATIENCE_S)
            await link.flush(flush_of(lease, array("Q", range(65536))), PATIENCE_S)

    run(work())


@pytest.mark.parametrize(
    "reply",
    [
        b"\xff\xff",
        peer_pb2.FetchReply(request_id=1, found=b"\7").SerializeToString(),
        peer_pb2.FetchReply(request_id=1, found=b"\0\0").SerializeToString(),
        peer_pb2.FetchReply(request_id=1, found=b"\1").SerializeToString(),
        peer_pb2.FetchReply(request_id=1, found=b"\0", keys=b"odd").SerializeToString(),
    ],
    ids=["no message", "unknown code", "too many", "found but not sent", "torn column"],
)
def test_a_broken_fetch_reply_is_a_bad_message(reply: bytes) -> None:
    async def answer(data: bytes) -> list[bytes]:
        return [reply]

    async def work() -> None:
        async with rogue(methods.FETCH, answer) as address, linked(address) as link:
            with pytest.raises(BadMessageError, match=address):
                await link.fetch(fetch_of(1, KEYS), PATIENCE_S)

    run(work())


@pytest.mark.parametrize(
    "reply",
    [
        b"\xff\xff",
        bytes(3 * 2**20),
        peer_pb2.SpillReply(request_id=1, statuses=b"\0\0").SerializeToString(),
        peer_pb2.SpillReply(request_id=1, statuses=b"\x09").SerializeToString(),
    ],
    ids=["no message", "over the limit", "too many", "unknown code"],
)
def test_a_broken_spill_reply_leaves_the_outcome_unknown(reply: bytes) -> None:
    async def answer(data: bytes) -> list[bytes]:
        return [reply]

    async def work() -> None:
        async with rogue(methods.SPILL, answer) as address, linked(address) as link:
            with pytest.raises(PeerUnreachableError):
                await link.spill(spill_of(1, blobs(1)), PATIENCE_S)

    run(work())


def test_calls_beyond_the_bound_wait_for_a_slot_within_their_deadline() -> None:
    async def work() -> None:
        async def answer(data: bytes) -> list[bytes]:
            return []

        async with rogue(methods.SPILL, answer) as address, linked(address) as link:
            held = [
                asyncio.create_task(link.spill(spill_of(1, blobs(1)), PATIENCE_S)) for _ in range(8)
            ]
            await until(lambda: link.stats.streams_opened == 1)
            with pytest.raises(PeerTimeoutError, match="before the request could be sent"):
                await link.spill(spill_of(1, blobs(1)), SOON_S)
            assert link.stats.streams_ended == 0
            await link.close()
            results = await asyncio.gather(*held, return_exceptions=True)
            assert {type(result) for result in results} == {PeerUnreachableError}

    run(work())


def test_cancelling_every_kind_of_call_at_any_moment_keeps_the_link_usable() -> None:
    async def work() -> None:
        async with serving() as address, linked(address) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            packed = blobs(16)
            for turns in range(40):
                calls = (
                    link.spill(spill_of(lease, packed), PATIENCE_S),
                    link.fetch(fetch_of(lease, packed.keys), PATIENCE_S),
                    link.flush(flush_of(lease, packed.keys), PATIENCE_S),
                    link.heartbeat(Heartbeat(lease=lease, incarnation=5), PATIENCE_S),
                )
                tasks = [asyncio.create_task(call) for call in calls]  # type: ignore[arg-type]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await link.flush(flush_of(lease, packed.keys), PATIENCE_S)
            await link.spill(spill_of(lease, blobs(16, first=100)), PATIENCE_S)
            back = await link.fetch(fetch_of(lease, array("Q", [100])), PATIENCE_S)
            assert len(back.blobs) == 1
            assert link.stats.streams_ended == 0

    run(work())


def test_a_link_finds_a_peer_that_restarted_on_its_port() -> None:
    """Checklist 60: a lost connection is re-established."""

    async def work() -> None:
        async with serving() as address, linked(address, FAST) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            await link.spill(spill_of(lease, blobs(2)), PATIENCE_S)
        async with linked(address, FAST) as link:
            for life in range(3):
                async with serving(lender(f"life{life}"), listen=address):
                    greeting = await until_answered(
                        lambda: link.hello(hello(), PATIENCE_S), PeerUnreachableError
                    )
                    assert greeting.node == f"life{life}"
                    request = spill_of(greeting.lease, blobs(2))
                    await until_answered(
                        lambda request=request: link.spill(request, PATIENCE_S),
                        PeerUnreachableError,
                    )
                with pytest.raises(PeerUnreachableError):
                    await link.spill(request, PATIENCE_S)

    run(work())


def test_a_connection_cut_in_silence_is_noticed_and_replaced() -> None:
    """Checklist 61: detected within the configured time without manual action."""

    async def work() -> None:
        async with (
            serving() as address,
            proxied(address) as (proxy, front),
            linked(front, FAST) as link,
        ):
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            await link.spill(spill_of(lease, blobs(2)), PATIENCE_S)
            before = proxy.connections
            proxy.cut()
            # Not the deadline ends these calls, the missing sign of life does.
            for call in (
                link.fetch(fetch_of(lease, KEYS), 3600),
                link.flush(flush_of(lease, KEYS), 3600),
            ):
                with pytest.raises(PeerUnreachableError):
                    await asyncio.wait_for(call, PATIENCE_S)
            with pytest.raises((PeerTimeoutError, PeerUnreachableError)):
                await link.heartbeat(BEAT, SOON_S)
            proxy.heal()
            back = await until_answered(
                lambda: link.fetch(fetch_of(lease, array("Q", [0])), PATIENCE_S),
                PeerUnreachableError,
            )
            assert len(back.blobs) == 1
            assert proxy.connections > before

    run(work())


def test_a_connection_that_is_reset_again_and_again_never_hangs_a_call() -> None:
    async def work() -> None:
        async with (
            serving() as address,
            proxied(address) as (proxy, front),
            linked(front, FAST) as link,
        ):
            lease = (await link.hello(hello(), PATIENCE_S)).lease

            async def call(number: int) -> bool:
                request = spill_of(lease, blobs(4, first=4 * number))
                try:
                    await link.spill(request, PATIENCE_S)
                    await link.fetch(fetch_of(lease, request.blobs.keys), PATIENCE_S)
                except PeerUnreachableError:
                    return False
                return True

            for round_ in range(20):
                calls = [asyncio.create_task(call(round_ * 4 + i)) for i in range(4)]
                for _ in range(round_):
                    await asyncio.sleep(0)
                proxy.reset()
                await asyncio.gather(*calls)
            await until_answered(
                lambda: link.heartbeat(Heartbeat(lease=lease, incarnation=5), PATIENCE_S),
                PeerUnreachableError,
            )

    run(work())


def test_a_closed_link_fails_calls_in_flight_and_later_ones() -> None:
    async def work() -> None:
        seen: list[bytes] = []

        async def answer(data: bytes) -> list[bytes]:
            seen.append(data)
            return []

        async with rogue(methods.FETCH, answer) as address, proxied(address) as (proxy, front):
            transport = GrpcTransport()
            link = transport.link(front)
            fetching = asyncio.create_task(link.fetch(fetch_of(1, KEYS), 3600))
            await until(lambda: seen)
            proxy.cut()
            greeting = asyncio.create_task(link.hello(hello(), 3600))
            await asyncio.sleep(0)
            await asyncio.wait_for(transport.close(), PATIENCE_S)
            for call in (fetching, greeting, link.fetch(fetch_of(1, KEYS), 1)):
                with pytest.raises(PeerUnreachableError):
                    await asyncio.wait_for(call, PATIENCE_S)
            with pytest.raises(PeerUnreachableError, match="closed"):
                await link.heartbeat(BEAT, 1)
            await link.close()

    run(work())


def test_fetches_do_not_travel_on_the_connection_of_spills() -> None:
    async def work() -> None:
        async with serving() as address, proxied(address) as (proxy, front), linked(front) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            await link.fetch(fetch_of(lease, KEYS), PATIENCE_S)
            await link.heartbeat(Heartbeat(lease=lease, incarnation=5), PATIENCE_S)
            assert proxy.connections == 1
            await link.spill(spill_of(lease, blobs(1)), PATIENCE_S)
            await link.flush(flush_of(lease, KEYS), PATIENCE_S)
            assert proxy.connections == 2

    run(work())


def test_values_that_no_message_holds_are_refused_here() -> None:
    async def work() -> None:
        async with linked("127.0.0.1:1") as link:
            with pytest.raises(BadMessageError, match="HeartbeatRequest"):
                await link.heartbeat(Heartbeat(lease=2**64, incarnation=1), 1)
            with pytest.raises(BadMessageError, match="node: ''"):
                await link.hello(hello(node=""), 1)
            unknown = blobs(1)
            unknown.encodings[0] = 4
            with pytest.raises(BadMessageError, match="encodings: 4"):
                await link.spill(spill_of(1, unknown), 1)
            assert link.stats.streams_opened == 0

    run(work())


def test_ephemeral_and_persistent_pages_of_one_name_are_two() -> None:
    async def work() -> None:
        server = PeerServer(lender())
        address = await server.start("127.0.0.1:0")
        async with linked(address) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            request = spill_of(lease, blobs(1))
            request.kind = PoolKind.EPHEMERAL
            await link.spill(request, PATIENCE_S)
            keys = request.blobs.keys
            assert (await link.fetch(fetch_of(lease, keys), PATIENCE_S)).found == b"\0"
        await server.stop(0)

    run(work())
