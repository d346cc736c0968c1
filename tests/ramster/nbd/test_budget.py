"""The budget by itself, and shared by connections over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import struct

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ramster.nbd import connection as connection_module
from ramster.nbd.budget import FlightBudget, Share
from ramster.nbd.client import NbdClient
from ramster.nbd.limits import NbdLimits
from ramster.nbd.protocol import REQUEST, REQUEST_MAGIC, Command, NbdError
from tests.ramster.nbd.serving import MIB, RawClient, Served, run, serving, until

KIB = 1024
BYTES_MAX = 100
OWN_MAX = 10
SHARES = 5


class Client:
    """What one share is expected to hold."""

    def __init__(self, budget: FlightBudget, machine: BudgetMachine, number: int) -> None:
        self.number = number
        self.machine = machine
        self.share: Share = budget.share(self.granted)
        self.requests: list[int] = []
        self.wanted = 0
        """What it waits with."""
        self.unclaimed = 0

    def granted(self) -> None:
        line = self.machine.line
        assert self in line, "granted without waiting"
        if line[0] is not self:
            assert self.wanted <= OWN_MAX, "a request that needs the budget passed another"
        line.remove(self)
        self.unclaimed, self.wanted = self.wanted, 0


class BudgetMachine(RuleBasedStateMachine):
    """Connections that take, wait, give back and vanish in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = FlightBudget(BYTES_MAX, OWN_MAX)
        self.line: list[Client] = []
        self.clients = [Client(self.budget, self, number) for number in range(SHARES)]

    @rule(number=st.integers(0, SHARES - 1), wanted=st.integers(1, BYTES_MAX + 20))
    def take(self, number: int, wanted: int) -> None:
        client = self.clients[number]
        if client.wanted or client.unclaimed:
            return
        line_before = bool(self.line)
        taken = self.budget.bytes_taken
        own_before = self.budget.bytes_own
        if client.share.take(wanted):
            client.requests.append(wanted)
            from_own = self.budget.bytes_own > own_before
            assert from_own or not line_before, "passed the line"
        else:
            assert line_before or taken + wanted > BYTES_MAX
            assert wanted + client.share.held > OWN_MAX
            client.wanted = wanted
            self.line.append(client)

    @rule(number=st.integers(0, SHARES - 1))
    def go_on(self, number: int) -> None:
        client = self.clients[number]
        if client.unclaimed:
            assert client.share.take(client.unclaimed)
            client.requests.append(client.unclaimed)
            client.unclaimed = 0

    @precondition(lambda self: any(client.requests for client in self.clients))
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from([one for one in self.clients if one.requests]))
        place = data.draw(st.integers(0, len(client.requests) - 1))
        client.share.give_back(client.requests.pop(place))

    @rule(number=st.integers(0, SHARES - 1))
    def leave(self, number: int) -> None:
        client = self.clients[number]
        if client.wanted:
            self.line.remove(client)
        client.wanted = client.unclaimed = 0
        client.share.leave()
        assert not client.share.waiting

    @rule(number=st.integers(0, SHARES - 1))
    def vanish(self, number: int) -> None:
        self.leave(number)
        client = self.clients[number]
        while client.requests:
            client.share.give_back(client.requests.pop())
        assert client.share.held == 0

    @invariant()
    def every_byte_is_counted_once(self) -> None:
        for client in self.clients:
            assert client.share.held == sum(client.requests) + client.unclaimed
            assert client.share.waiting == bool(client.wanted)
        held = sum(client.share.held for client in self.clients)
        assert self.budget.bytes_taken + self.budget.bytes_own == held
        assert held <= self.budget.bytes_peak
        assert self.budget.shares_waiting == len(self.line)

    @invariant()
    def never_more_than_the_rule_says(self) -> None:
        assert 0 <= self.budget.bytes_own <= OWN_MAX * SHARES
        if self.budget.bytes_taken > BYTES_MAX:
            # One request that is larger than all of the budget, and alone in it.
            holders = [client for client in self.clients if client.share.held > OWN_MAX]
            assert len(holders) == 1
            assert any(size > BYTES_MAX for size in [*holders[0].requests, holders[0].unclaimed])

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if self.line:
            taken = self.budget.bytes_taken
            assert taken
            assert taken + self.line[0].wanted > BYTES_MAX
        for client in self.line:
            assert client.share.held + client.wanted > OWN_MAX

    def teardown(self) -> None:
        while any(client.requests or client.unclaimed for client in self.clients):
            for number in range(SHARES):
                self.go_on(number)
                client = self.clients[number]
                while client.requests:
                    client.share.give_back(client.requests.pop())
        assert not self.line, "a wake-up was lost"
        assert (self.budget.bytes_taken, self.budget.bytes_own) == (0, 0)


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)


def test_a_small_request_does_not_slip_past_a_large_one_that_waits() -> None:
    order: list[str] = []
    budget = FlightBudget(100, 10)
    first = budget.share(lambda: None)
    large = budget.share(lambda: order.append("large"))
    small = budget.share(lambda: order.append("small"))
    assert first.take(60)
    assert not large.take(90)
    assert not small.take(20), "there is room for it, but not its turn"
    assert small.waiting
    first.give_back(60)
    assert order == ["large"]
    assert large.take(90)
    large.give_back(90)
    assert order == ["large", "small"]


def test_a_connection_s_own_bytes_are_granted_whatever_others_hold() -> None:
    woken: list[int] = []
    budget = FlightBudget(100, 10)
    hog, waiting = budget.share(lambda: None), budget.share(lambda: None)
    small = budget.share(lambda: woken.append(1))
    assert hog.take(100)
    assert not waiting.take(50)
    assert small.take(6)
    assert small.take(4)
    assert not small.take(1)
    small.give_back(6)
    assert woken == [1]
    assert small.take(1)
    assert (budget.bytes_taken, budget.bytes_own, budget.bytes_peak) == (100, 5, 110)
    assert budget.shares_waiting == 1


def test_who_leaves_the_line_lets_the_next_one_through() -> None:
    budget = FlightBudget(100, 10)
    hog, large, next_one = (budget.share(lambda: None) for _ in range(3))
    assert hog.take(60)
    assert not large.take(90)
    assert not next_one.take(40)
    large.leave()
    assert next_one.take(40)
    assert budget.bytes_taken == 100


def test_who_goes_on_with_its_own_bytes_lets_the_next_one_through() -> None:
    budget = FlightBudget(100, 10)
    hog, first, second = (budget.share(lambda: None) for _ in range(3))
    assert hog.take(98)
    for share, wanted in ((first, 5), (second, 2)):
        assert share.take(10)
        assert not share.take(wanted)
    first.give_back(10)
    assert not first.waiting
    assert not second.waiting
    assert (budget.bytes_taken, budget.bytes_own) == (100, 15)


# -- over real sockets -----------------------------------------------------------------------------

SMALL = NbdLimits(
    server_bytes_in_flight_max=MIB,
    payload_bytes_max=MIB,
    own_bytes_in_flight_max=64 * KIB,
    close_timeout_s=5,
)


def header(command: int, offset: int, length: int, cookie: int = 1) -> bytes:
    return REQUEST.pack(REQUEST_MAGIC, 0, command, cookie, offset, length)


async def stalled(served: Served, length: int = MIB) -> RawClient:
    """A client that has sent a write's header and a bit, and sends no more."""
    client = await RawClient.transmitting(served.url)
    before = served.server.budget.bytes_taken
    client.writer.write(header(Command.WRITE, 0, length) + b"x" * 5000)
    await until(lambda: served.server.budget.bytes_taken == before + length)
    return client


def nothing_held(served: Served) -> bool:
    budget = served.server.budget
    return (budget.bytes_taken, budget.bytes_own, budget.shares_waiting) == (0, 0, 0)


def test_many_connections_with_large_requests_stay_within_the_budget() -> None:
    connections, rounds = 12, 3

    async def scenario() -> None:
        size = connections * MIB
        async with serving(size, limits=SMALL, pool_bytes=64 * MIB) as served:
            clients = [await NbdClient.connect(served.url) for _ in range(connections)]

            async def work(number: int, client: NbdClient) -> None:
                noise = random.Random(number)
                for _ in range(rounds):
                    # Four requests at once, of all sizes, none aligned.
                    data = noise.randbytes(MIB)
                    cuts = [0, *sorted(noise.randrange(1, MIB) for _ in range(3)), MIB]
                    pairs = list(itertools.pairwise(cuts))
                    at = number * MIB
                    await asyncio.gather(
                        *(client.write(at + a, data[a:b]) for a, b in pairs if b > a)
                    )
                    parts = await asyncio.gather(
                        *(client.read(at + a, b - a) for a, b in pairs if b > a)
                    )
                    assert b"".join(parts) == data

            await asyncio.gather(*(work(*one) for one in enumerate(clients)))
            budget = served.server.budget
            bound = SMALL.server_bytes_in_flight_max + connections * SMALL.own_bytes_in_flight_max
            assert MIB // 2 < budget.bytes_peak <= bound
            for client in clients:
                await client.close()
            await until(lambda: nothing_held(served))

    run(scenario())


def test_small_requests_get_through_while_a_client_stalls_in_a_payload() -> None:
    async def scenario() -> None:
        async with serving(4 * MIB, limits=SMALL) as served:
            staller = await stalled(served)
            async with await NbdClient.connect(served.url) as small:
                for number in range(20):
                    data = bytes([number]) * 16 * KIB
                    await asyncio.gather(*(small.write(MIB + n * 16 * KIB, data) for n in range(8)))
                    assert await small.read(MIB, 64 * KIB) == data * 4
                await small.trim(MIB, 4096)
            large = await RawClient.transmitting(served.url)
            large.send(Command.FLUSH, cookie=1)
            large.send(Command.READ, 0, 128 * KIB, cookie=2)
            large.send(Command.FLUSH, cookie=3)
            assert await large.reply() == (1, 0, b"")
            await until(lambda: served.server.budget.shares_waiting == 1)
            staller.writer.write(b"x" * (MIB - 5000))
            assert await staller.reply() == (1, 0, b"")
            replies = [await large.reply(128 * KIB), await large.reply()]
            assert [reply[0] for reply in replies] == [2, 3], "flush keeps its place"
            assert replies[0][2] == b"x" * 128 * KIB
            await staller.close()
            await large.close()
            await until(lambda: nothing_held(served))

    run(scenario())


def test_a_client_that_takes_no_replies_holds_its_share_and_no_more() -> None:
    async def scenario() -> None:
        async with serving(4 * MIB, limits=SMALL, pool_bytes=64 * MIB) as served:
            deaf = await RawClient.transmitting(served.url)
            sock = deaf.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
            deaf.writer.transport.pause_reading()
            for cookie in range(64):
                deaf.send(Command.READ, 0, MIB, cookie=cookie)
            budget = served.server.budget

            def held_up() -> bool:
                (figures, *_) = served.server.snapshot().connections
                return budget.bytes_taken == MIB and figures.requests_in_flight == 0

            await until(held_up)
            async with await NbdClient.connect(served.url) as other:
                assert await other.read(0, 64 * KIB) == bytes(64 * KIB)
            assert budget.bytes_peak <= MIB + 2 * 64 * KIB
            deaf.writer.transport.resume_reading()
            assert {(await deaf.reply(MIB))[0] for _ in range(64)} == set(range(64))
            await deaf.close()
            await until(lambda: nothing_held(served))

    run(scenario())


def test_a_client_that_breaks_off_while_it_waits_leaves_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "HANGUP_LOOK_S", 0.01)

    async def scenario() -> None:
        async with serving(4 * MIB, limits=SMALL) as served:
            staller = await stalled(served)
            waiting = await RawClient.transmitting(served.url)
            waiting.write(0, bytes(MIB))
            await until(lambda: served.server.budget.shares_waiting == 1)
            reset = struct.pack("ii", 1, 0)
            sock = waiting.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            waiting.abort()
            await until(lambda: served.server.snapshot().connections_open == 1)
            assert served.server.budget.shares_waiting == 0
            staller.abort()
            await until(lambda: nothing_held(served))
            assert served.store.cache.stats().puts == 0

    run(scenario())


def test_a_client_that_said_all_before_it_waited_is_answered_in_its_turn() -> None:
    async def scenario() -> None:
        async with serving(4 * MIB, limits=SMALL) as served:
            staller = await stalled(served)
            waiting = await RawClient.transmitting(served.url)
            waiting.send(Command.READ, 0, MIB, cookie=7)
            waiting.send(Command.DISC)
            waiting.stop_sending()
            await until(lambda: served.server.budget.shares_waiting == 1)
            staller.abort()
            assert await waiting.reply(MIB) == (7, 0, bytes(MIB))
            assert await waiting.ended() == b""
            await waiting.close()
            await until(lambda: nothing_held(served))

    run(scenario())


def test_broken_framing_gives_everything_back() -> None:
    async def scenario() -> None:
        async with serving(4 * MIB, limits=SMALL) as served:
            client = await RawClient.transmitting(served.url)
            served.store.gate.clear()
            read = header(Command.READ, 0, 128 * KIB)
            client.writer.write(read * 4 + b"\0" * len(read))
            assert await client.ended() == b""
            await client.close()
            served.store.gate.set()
            await until(lambda: not served.server.snapshot().connections_open)
            assert nothing_held(served)

    run(scenario())


def test_a_request_that_fails_gives_back_what_it_took() -> None:
    async def scenario() -> None:
        async with serving(4 * MIB, limits=SMALL) as served:
            client = await RawClient.transmitting(served.url)
            served.store.failure = RuntimeError("out of order")
            client.send(Command.READ, 0, MIB)
            assert (await client.reply())[1] == NbdError.EIO
            client.write(0, b"x" * MIB)
            assert (await client.reply())[1] == 0
            await until(lambda: nothing_held(served))
            await client.close()

    run(scenario())


def test_a_worker_that_dies_gives_back_what_its_request_took() -> None:
    class Death(BaseException):
        """Nothing that a request may answer with."""

    async def scenario() -> None:
        async with serving(4 * MIB, limits=SMALL) as served:
            client = await RawClient.transmitting(served.url)
            served.store.failure = Death()  # type: ignore[assignment]
            client.send(Command.READ, 0, MIB)
            client.send(Command.READ, 0, 4096)
            assert await client.ended() == b""
            await until(lambda: not served.server.snapshot().connections_open)
            assert nothing_held(served)
            await client.close()

    run(scenario())


@pytest.mark.parametrize("state", ["payload", "line", "store", "queue", "reply", "granted"])
def test_closing_in_every_state_ends_in_time_and_gives_everything_back(state: str) -> None:
    limits = NbdLimits(
        server_bytes_in_flight_max=MIB,
        payload_bytes_max=MIB,
        own_bytes_in_flight_max=64 * KIB,
        close_timeout_s=0.05,
    )

    async def scenario() -> None:
        async with serving(4 * MIB, limits=limits, pool_bytes=64 * MIB) as served:
            budget = served.server.budget
            hog = budget.share(lambda: None)
            clients = [await stalled(served)] if state == "payload" else []
            if state in ("line", "granted"):
                assert hog.take(MIB)
                for _ in range(3):
                    clients.append(await RawClient.transmitting(served.url))
                    clients[-1].write(0, bytes(256 * KIB))
                await until(lambda: budget.shares_waiting == 3)
            if state == "granted":
                hog.give_back(MIB)
                assert budget.bytes_taken == 3 * 256 * KIB
            if state in ("store", "queue"):
                served.store.gate.clear()
                clients.append(await RawClient.transmitting(served.url))
                for _ in range(1 if state == "store" else 6):
                    clients[-1].send(Command.READ, 0, 160 * KIB)
                await until(lambda: len(served.store.waiting) > 0)
            if state == "reply":
                clients.append(await RawClient.transmitting(served.url))
                clients[0].writer.transport.pause_reading()
                for _ in range(64):
                    clients[0].send(Command.READ, 0, MIB)
                await until(lambda: budget.bytes_taken == MIB)
            await served.server.close()
            assert served.server.snapshot().connections_open == 0
            hog.give_back(hog.held)
            assert nothing_held(served)
            for client in clients:
                client.abort()

    run(scenario())


def test_what_waits_when_the_server_stops_is_refused() -> None:
    async def scenario() -> None:
        async with serving(4 * MIB, limits=SMALL) as served:
            staller = await stalled(served)
            reader = await RawClient.transmitting(served.url)
            reader.send(Command.READ, 0, MIB, cookie=5)
            writer = await RawClient.transmitting(served.url)
            writer.write(0, bytes(MIB), cookie=6)
            await until(lambda: served.server.budget.shares_waiting == 2)
            await served.server.close()
            assert await reader.reply() == (5, NbdError.ESHUTDOWN, b"")
            for client in (staller, reader, writer):
                client.abort()

    run(scenario())
