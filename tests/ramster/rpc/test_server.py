"""Calls between a real link and a real lender over loopback."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from array import array
from random import Random

import grpc
import pytest
from grpc import aio

from ramster.config import Mode
from ramster.errors import (
    BadMessageError,
    ConfigurationError,
    ListenError,
    PeerRefusedError,
    PeerUnreachableError,
    UnknownLeaseError,
)
from ramster.peer_figures import encode_figures
from ramster.rpc import PeerServer, methods
from ramster.rpc.convert import encode_fetch_request, encode_heartbeat, encode_spill_request, parse
from ramster.transport import (
    FIGURES_BYTES_MAX,
    PROTOCOL_VERSION,
    FetchReply,
    FetchRequest,
    FiguresRequest,
    Heartbeat,
    SpillReply,
    SpillRequest,
)
from ramster.wire.v1 import control_pb2, peer_pb2
from tests.ramster.test_figures import CLUSTER, collected
from tests.support.grpc_peers import (
    PATIENCE_S,
    blobs,
    fetch_of,
    flush_of,
    hello,
    lender,
    linked,
    proxied,
    run,
    serving,
    spill_of,
    until,
)
from zcache import BLOB_FOUND, AdoptStatus, PackedBlobs


def test_pages_go_out_come_back_and_are_let_go() -> None:
    async def work() -> None:
        async with serving() as address, linked(address) as link:
            greeting = await link.hello(hello(), PATIENCE_S)
            assert (greeting.node, greeting.incarnation) == ("lender", 77)
            assert greeting.room_bytes > 0
            packed = blobs(128, size=2000)
            reply = await link.spill(spill_of(greeting.lease, packed), PATIENCE_S)
            assert reply.statuses == bytes([AdoptStatus.STORED]) * 128
            beat = Heartbeat(lease=greeting.lease, incarnation=5)
            assert (await link.heartbeat(beat, PATIENCE_S)).foreign_pages == 128
            back = await link.fetch(fetch_of(greeting.lease, packed.keys), PATIENCE_S)
            assert back.found == bytes([BLOB_FOUND]) * 128
            assert back.blobs == packed
            await link.flush(flush_of(greeting.lease, packed.keys[:100]), PATIENCE_S)
            assert (await link.heartbeat(beat, PATIENCE_S)).foreign_pages == 28

    run(work())


def test_a_hello_that_does_not_fit_is_refused_with_the_reason_and_disconnected() -> None:
    """Checklist 59: bad magic or version mismatch closes the connection with a clear reason."""

    async def work() -> None:
        async with serving() as address, proxied(address) as (proxy, front), linked(front) as link:
            with pytest.raises(PeerRefusedError, match="protocol version 1 offered: accepted is 3"):
                await link.hello(hello(protocol_version=1), PATIENCE_S)
            await until(lambda: proxy.open_connections == 0)
            with pytest.raises(PeerRefusedError, match=r"cluster 'other' .* accepted is 'ramster'"):
                await link.hello(hello(cluster="other"), PATIENCE_S)
            with pytest.raises(PeerRefusedError, match="page size 16384"):
                await link.hello(hello(page_size=16384), PATIENCE_S)
            with pytest.raises(PeerRefusedError, match="codecs lzo"):
                await link.hello(hello(codecs=("lzo",)), PATIENCE_S)
            assert (await link.hello(hello(), PATIENCE_S)).lease

    run(work())


def test_a_wrong_lease_is_told_as_what_it_is_on_every_call_and_ends_no_stream() -> None:
    async def work() -> None:
        async with serving() as address, linked(address) as link:
            for _ in range(2):
                with pytest.raises(UnknownLeaseError, match=address):
                    await link.heartbeat(Heartbeat(lease=9, incarnation=5), PATIENCE_S)
                with pytest.raises(UnknownLeaseError):
                    await link.spill(spill_of(9, blobs(1)), PATIENCE_S)
                with pytest.raises(UnknownLeaseError):
                    await link.fetch(fetch_of(9, array("Q", [1])), PATIENCE_S)
                with pytest.raises(UnknownLeaseError):
                    await link.flush(flush_of(9, array("Q", [1])), PATIENCE_S)
            assert (link.stats.streams_opened, link.stats.streams_ended) == (3, 0)

    run(work())


def test_an_old_epoch_is_a_bad_message_and_ends_no_stream() -> None:
    async def work() -> None:
        async with serving() as address, linked(address) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            await link.flush(flush_of(lease, array("Q"), epoch=3), PATIENCE_S)
            with pytest.raises(BadMessageError, match="epoch"):
                await link.spill(spill_of(lease, blobs(1), epoch=2), PATIENCE_S)
            reply = await link.spill(spill_of(lease, blobs(1), epoch=3), PATIENCE_S)
            assert reply.statuses == bytes([AdoptStatus.STORED])
            assert link.stats.streams_ended == 0

    run(work())


def test_a_batch_and_a_flush_that_come_twice_are_told_by_their_numbers() -> None:
    async def work() -> None:
        async with serving() as address, linked(address) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            packed = blobs(4)
            await link.spill(spill_of(lease, packed, batch=2**40), PATIENCE_S)
            with pytest.raises(BadMessageError, match=f"batch {2**40} was delivered before"):
                await link.spill(spill_of(lease, packed, batch=2**40), PATIENCE_S)
            await link.flush(flush_of(lease, packed.keys, sequence=2**40), PATIENCE_S)
            again = await link.spill(spill_of(lease, packed, batch=2**40 + 1), PATIENCE_S)
            assert again.statuses == bytes([AdoptStatus.STORED]) * 4
            await link.flush(flush_of(lease, packed.keys, sequence=2**40), PATIENCE_S)
            back = await link.fetch(fetch_of(lease, packed.keys), PATIENCE_S)
            assert back.found == bytes([BLOB_FOUND]) * 4
            await link.flush(flush_of(lease, packed.keys, sequence=2**40 + 1), PATIENCE_S)
            back = await link.fetch(fetch_of(lease, packed.keys), PATIENCE_S)
            assert back.found == bytes(4)
            assert link.stats.streams_ended == 0

    run(work())


def test_notice_draining_and_leaving_reach_the_other_side() -> None:
    async def work() -> None:
        handler = lender(wanted=3000)
        async with serving(handler) as address, linked(address) as link:
            greeting = await link.hello(hello(), PATIENCE_S)
            assert not greeting.draining
            beat = Heartbeat(lease=greeting.lease, incarnation=5)
            await link.spill(spill_of(greeting.lease, blobs(128)), PATIENCE_S)
            reply = await link.heartbeat(beat, PATIENCE_S)
            assert (reply.wanted_bytes, reply.draining) == (3000, False)
            handler.drain()
            reply = await link.heartbeat(beat, PATIENCE_S)
            assert reply.draining
            assert reply.wanted_bytes > 3000
            assert (await link.hello(hello(), PATIENCE_S)).draining
            refused = await link.spill(spill_of(greeting.lease, blobs(2, first=900)), PATIENCE_S)
            assert refused.statuses == bytes([AdoptStatus.FULL]) * 2
            leaving = Heartbeat(lease=greeting.lease, incarnation=5, leaving=True)
            assert (await link.heartbeat(leaving, PATIENCE_S)).foreign_pages == 0
            assert handler.leases == []
            with pytest.raises(UnknownLeaseError):
                await link.heartbeat(beat, PATIENCE_S)

    run(work())


def test_figures_are_told_to_nodes_of_the_cluster_and_no_longer_than_they_may_be() -> None:
    said = b'{"name": "lender"}'

    async def work() -> None:
        handler = lender(figures=lambda: said)
        async with serving(handler) as address, linked(address) as link:
            assert await link.figures(FiguresRequest(cluster="ramster"), PATIENCE_S) == said
            assert handler.leases == []  # asking is no hello
            with pytest.raises(PeerRefusedError, match="cluster 'other' offered"):
                await link.figures(FiguresRequest(cluster="other"), PATIENCE_S)
        long = lender(figures=lambda: bytes(FIGURES_BYTES_MAX + 1))
        async with serving(long) as address, linked(address) as link:
            with pytest.raises(PeerUnreachableError, match="failed inside with RuntimeError"):
                await link.figures(FiguresRequest(cluster="ramster"), PATIENCE_S)
        # So are figures of the node itself that cannot be told: the peer's message was good.
        figures = {**collected(Mode.RAMSTER, CLUSTER), "more": "x" * FIGURES_BYTES_MAX}
        server = PeerServer(lender(figures=lambda: encode_figures(figures)))
        try:
            async with linked(await server.start("127.0.0.1:0")) as link:
                with pytest.raises(PeerUnreachableError, match="failed inside with RuntimeError"):
                    await link.figures(FiguresRequest(cluster="ramster"), PATIENCE_S)
            assert (server.stats.failures_inside, server.stats.bad_messages) == (1, 0)
        finally:
            await server.stop(0)
        async with serving() as address, linked(address) as link:
            with pytest.raises(PeerRefusedError, match="tells no figures"):
                await link.figures(FiguresRequest(cluster="ramster"), PATIENCE_S)

    run(work())


class _Broken:
    """A handler with bugs."""

    def on_hello(self, _: object) -> None:
        raise KeyError("secret of this node")

    def on_heartbeat(self, _: object) -> str:
        return "no reply"

    def on_spill(self, request: SpillRequest) -> SpillReply:
        return SpillReply(statuses=b"", room_bytes=-1)

    def on_fetch(self, request: FetchRequest) -> FetchReply:
        if request.keys[0] == 0:
            raise ZeroDivisionError
        return FetchReply(found=bytes([BLOB_FOUND]), blobs=blobs(1, first=request.keys[0]))

    def on_flush(self, _: object) -> None:
        raise ValueError("no")


def test_a_bug_of_the_lender_fails_one_call_leaves_the_outcome_open_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        server = PeerServer(_Broken())  # type: ignore[arg-type]
        address = await server.start("127.0.0.1:0")
        async with linked(address) as link:
            with pytest.raises(PeerUnreachableError, match="failed inside with KeyError") as raised:
                await link.hello(hello(), PATIENCE_S)
            assert "secret" not in str(raised.value)
            with pytest.raises(PeerUnreachableError):
                await link.heartbeat(Heartbeat(lease=1, incarnation=5), PATIENCE_S)
            # Its own answer breaks the protocol: that must not read as "nothing was done".
            with pytest.raises(PeerUnreachableError):
                await link.spill(spill_of(1, blobs(1)), PATIENCE_S)
            with pytest.raises(PeerUnreachableError):
                await link.flush(flush_of(1, array("Q", [1])), PATIENCE_S)
            with pytest.raises(PeerUnreachableError):
                await link.fetch(fetch_of(1, array("Q", [0])), PATIENCE_S)
            assert len((await link.fetch(fetch_of(1, array("Q", [4])), PATIENCE_S)).blobs) == 1
            assert link.stats.streams_ended == 0
        assert server.stats.failures_inside == 5
        await server.stop(0)

    with caplog.at_level(logging.ERROR, "ramster.rpc.server"):
        run(work())
    assert "secret of this node" in caplog.text


def test_messages_that_do_not_parse_end_their_stream_and_no_other() -> None:
    """Checklist 57: corruption is refused at receipt."""

    async def work() -> None:
        server = PeerServer(lender())
        address = await server.start("127.0.0.1:0")
        async with linked(address) as link, aio.insecure_channel(address) as channel:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            for path in (methods.SPILL, methods.FETCH, methods.FLUSH):
                call = channel.stream_stream(path)()
                await call.write(b"\xff\xff\xff")
                with pytest.raises(aio.AioRpcError) as raised:
                    await call.read()
                assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert "3 bytes, accepted is a ramster.wire.v1." in str(raised.value.details())
            reply = await channel.unary_unary(methods.HELLO)(b"\xff")
            failure = control_pb2.HelloReply.FromString(reply).failure
            assert failure.kind == peer_pb2.Failure.KIND_BAD_MESSAGE
            assert server.stats.bad_messages == 4
            await link.spill(spill_of(lease, blobs(4)), PATIENCE_S)
            assert link.stats.streams_ended == 0
        await server.stop(0)

    run(work())


def test_random_and_damaged_messages_never_take_the_server_down() -> None:
    random = Random(7)
    samples = [
        encode_spill_request(1, spill_of(1, blobs(3))),
        encode_fetch_request(2, fetch_of(1, array("Q", range(3)))),
        encode_heartbeat(Heartbeat(lease=1, incarnation=5)),
    ]

    def message() -> bytes:
        if random.random() < 0.2:
            return random.randbytes(random.randrange(64))
        data = bytearray(random.choice(samples))
        for _ in range(random.randrange(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        return bytes(data)

    async def work() -> None:
        server = PeerServer(lender())
        address = await server.start("127.0.0.1:0")
        async with linked(address) as link, aio.insecure_channel(address) as channel:
            codes = set()
            for round_ in range(150):
                path = (methods.SPILL, methods.FETCH, methods.FLUSH)[round_ % 3]
                call = channel.stream_stream(path)()
                await call.write(message())
                try:
                    await call.read()
                except aio.AioRpcError as error:
                    codes.add(error.code())
                call.cancel()
                await channel.unary_unary(methods.HELLO)(message())
            assert codes == {grpc.StatusCode.INVALID_ARGUMENT}
            assert (await link.hello(hello(), PATIENCE_S)).lease
        assert server.stats.failures_inside == 0
        assert server.stats.bad_messages > 50
        await server.stop(0)

    run(work())


def test_bytes_that_are_no_grpc_close_their_connection_and_no_other() -> None:
    """Checklist 59: bad magic closes the connection."""

    async def work() -> None:
        async with serving() as address, linked(address) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            host, _, port = address.rpartition(":")
            for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Random(3).randbytes(4096)):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(noise)
                try:
                    while await asyncio.wait_for(reader.read(65536), PATIENCE_S):
                        pass
                except ConnectionResetError:
                    pass
                writer.close()
            await link.spill(spill_of(lease, blobs(4)), PATIENCE_S)
            assert link.stats.streams_ended == 0

    run(work())


def test_a_request_over_the_limit_is_refused_and_its_connection_stays_up() -> None:
    """Checklist 58, at receipt."""

    async def work() -> None:
        async with serving() as address, proxied(address) as (proxy, front):
            async with aio.insecure_channel(front) as channel:
                call = channel.stream_stream(methods.SPILL)()
                await call.write(bytes(3 * 2**20))
                with pytest.raises(aio.AioRpcError) as raised:
                    await call.read()
                assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                data = encode_heartbeat(Heartbeat(lease=1, incarnation=5))
                reply = parse(
                    control_pb2.HeartbeatReply, await channel.unary_unary(methods.HEARTBEAT)(data)
                )
                assert reply.failure.kind == peer_pb2.Failure.KIND_UNKNOWN_LEASE
            assert proxy.connections == 1

    run(work())


def test_requests_with_one_id_are_answered_one_by_one() -> None:
    async def work() -> None:
        async with serving() as address, aio.insecure_channel(address) as channel:
            call = channel.stream_stream(methods.FETCH)()
            data = encode_fetch_request(6, fetch_of(1, array("Q", [1])))
            for _ in range(3):
                await call.write(data)
            for _ in range(3):
                reply = parse(peer_pb2.FetchReply, await call.read())
                assert reply.request_id == 6
                assert reply.failure.kind == peer_pb2.Failure.KIND_UNKNOWN_LEASE
            await call.done_writing()
            assert await call.read() is aio.EOF
            assert await call.code() is grpc.StatusCode.OK

    run(work())


def test_a_port_in_use_is_told_as_such_and_leaves_nothing_behind() -> None:
    async def work() -> None:
        async with serving() as address:
            other = PeerServer(lender())
            with pytest.raises(ListenError, match="Address already in use") as raised:
                await other.start(address)
            assert raised.value.errno == errno.EADDRINUSE
            await other.stop(0)
        other = PeerServer(lender())
        assert await other.start(address) == address
        await other.stop(0)

    run(work())


@pytest.mark.parametrize("listen", ["", "nowhere:port", "127.0.0.1:99999", "[::1", "unix:/x"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises(ConfigurationError, match="accepted is HOST:PORT"):
        run(PeerServer(lender()).start(listen))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:7777"):
        run(PeerServer(lender()).start("192.0.2.1:7777"))


def test_stopping_waits_for_no_peer_and_fails_what_its_callers_ask_then() -> None:
    async def work() -> None:
        server = PeerServer(lender())
        address = await server.start("127.0.0.1:0")
        async with linked(address) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            await link.spill(spill_of(lease, blobs(4)), PATIENCE_S)
            await link.fetch(fetch_of(lease, array("Q", [1])), PATIENCE_S)
            # Two streams are open and stay so: nobody on the other side ends them.
            async with asyncio.timeout(PATIENCE_S):
                await server.stop(10 * PATIENCE_S)
            with pytest.raises(PeerUnreachableError):
                await link.fetch(fetch_of(lease, array("Q", [1])), PATIENCE_S)
            await until(lambda: link.stats.streams_ended == link.stats.streams_opened >= 2)

    run(work())


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "[::1]:0", "0.0.0.0:0", "[::]:0"])
def test_peers_listen_where_they_are_told_and_are_reached_there(listen: str) -> None:
    host = listen.rpartition(":")[0]
    if "[" in listen and not _ipv6_works():
        pytest.skip("this machine has no IPv6")

    async def work() -> None:
        async with serving(listen=listen) as address:
            assert address.rpartition(":")[0] == host
            reached = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
            async with linked(reached) as link:
                assert (await link.hello(hello(), PATIENCE_S)).lease

    run(work())


def test_a_name_may_have_an_address_of_a_family_that_is_not_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0))
    present = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [absent, present])

    async def work() -> None:
        async with serving(listen="localhost:0") as address, linked(address) as link:
            assert (await link.hello(hello(), PATIENCE_S)).lease

    run(work())


def test_a_name_with_no_address_of_this_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [absent])

    async def work() -> None:
        with pytest.raises(ListenError, match="cannot listen on elsewhere:0"):
            async with serving(listen="elsewhere:0"):
                pass

    run(work())


def _ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_server_that_was_stopped_can_be_started_again() -> None:
    async def work() -> None:
        server = PeerServer(lender())
        for _ in range(2):
            address = await server.start("127.0.0.1:0")
            async with linked(address) as link:
                lease = (await link.hello(hello(), PATIENCE_S)).lease
                await link.fetch(fetch_of(lease, array("Q", [1])), PATIENCE_S)
            await server.stop(0)

    run(work())


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    run(PeerServer(lender()).stop(1))


def test_the_data_endpoint_is_told_and_may_be_ignored() -> None:
    async def work() -> None:
        async with serving(data_endpoint="10.0.0.1:7778") as address, linked(address) as link:
            assert (await link.hello(hello(), PATIENCE_S)).lease
            async with aio.insecure_channel(address) as channel:
                request = control_pb2.HelloRequest(
                    cluster="ramster",
                    node="o",
                    incarnation=1,
                    protocol_version=PROTOCOL_VERSION,
                    page_size=4096,
                    codecs=["lz4"],
                )
                data = await channel.unary_unary(methods.HELLO)(request.SerializeToString())
                reply = control_pb2.HelloReply.FromString(data)
                assert reply.data_endpoint == "10.0.0.1:7778"

    run(work())


def test_ten_links_to_one_lender_work_at_once() -> None:
    """Checklist 68, as far as the transport is concerned."""

    async def owner(address: str, number: int) -> None:
        async with linked(address) as link:
            lease = (await link.hello(hello(f"owner{number}"), PATIENCE_S)).lease
            for turn in range(5):
                packed = blobs(32, size=500, first=turn * 32, seed=number)
                await link.spill(spill_of(lease, packed), PATIENCE_S)
                back = await asyncio.gather(
                    *(
                        link.fetch(fetch_of(lease, packed.keys[i : i + 1]), PATIENCE_S)
                        for i in range(32)
                    )
                )
                assert b"".join(bytes(reply.blobs.payload) for reply in back) == packed.payload
                await link.flush(flush_of(lease, packed.keys), PATIENCE_S)

    async def work() -> None:
        handler = lender(pool_bytes=32 * 2**20)
        async with serving(handler) as address:
            await asyncio.gather(*(owner(address, number) for number in range(10)))
        assert [handler.pages_of(lease) for lease in handler.leases] == [0] * 10

    run(work())


def test_an_empty_batch_is_a_batch() -> None:
    async def work() -> None:
        async with serving() as address, linked(address) as link:
            lease = (await link.hello(hello(), PATIENCE_S)).lease
            assert (await link.fetch(fetch_of(lease, array("Q")), PATIENCE_S)).found == b""
            assert (await link.spill(spill_of(lease, PackedBlobs()), PATIENCE_S)).statuses == b""

    run(work())
