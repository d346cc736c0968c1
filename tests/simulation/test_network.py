"""What the simulated network does to messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from ramster.errors import PeerTimeoutError, PeerUnreachableError, UnknownLeaseError
from ramster.transport import Heartbeat, HeartbeatReply, PeerLink
from tests.simulation.loop import Life, simulate, simulation_loop
from tests.simulation.network import Endpoint, EndpointTransport, SimulatedNetwork
from tests.simulation.trace import Trace

BEAT = Heartbeat(lease=1, incarnation=2)
REPLY = HeartbeatReply(incarnation=3, room_bytes=4, foreign_pages=5)


class Answering:
    """A handler that counts heartbeats."""

    def __init__(self) -> None:
        self.beats = 0
        self.error: Exception | None = None

    def on_heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        self.beats += 1
        if self.error is not None:
            raise self.error
        return REPLY


class Pair:
    """Node a with a link to node b."""

    def __init__(self) -> None:
        loop = simulation_loop()
        self.network = SimulatedNetwork(Random(1), Trace(lambda: loop.true_time))
        self.a, self.b = self._node("a"), self._node("b")
        self.handler = self.b.handler
        transport = EndpointTransport("a")
        transport.endpoint = self.a
        self.link: PeerLink = transport.link("b")

    def _node(self, name: str) -> Endpoint:
        endpoint = Endpoint(self.network, Life(simulation_loop(), name), Answering())  # type: ignore[arg-type]
        self.network.up(name, endpoint)
        return endpoint

    async def beat(self, deadline_s: float = 1.0) -> HeartbeatReply:
        return await self.link.heartbeat(BEAT, deadline_s)


def simulated(test: Callable[[Pair], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test(Pair())

        simulate(main())

    run.__name__ = getattr(test, "__name__", "run")
    return run


async def _carried(pair: Pair) -> None:
    assert await pair.beat() == REPLY
    pair.handler.error = UnknownLeaseError("no lease")  # type: ignore[attr-defined]
    with pytest.raises(UnknownLeaseError):
        await pair.beat()


async def _cut_there(pair: Pair) -> None:
    pair.network.link("a", "b").cut = True
    with pytest.raises(PeerTimeoutError):
        await pair.beat()
    assert _beats(pair) == 0


async def _cut_back(pair: Pair) -> None:
    pair.network.link("b", "a").cut = True
    with pytest.raises(PeerTimeoutError):
        await pair.beat()
    assert _beats(pair) == 1


async def _late(pair: Pair) -> None:
    """A request whose caller gave up arrives all the same."""
    pair.network.link("a", "b").delay_s = (2.0, 2.0)
    with pytest.raises(PeerTimeoutError):
        await pair.beat()
    assert _beats(pair) == 0
    await asyncio.sleep(2.0)
    assert _beats(pair) == 1


async def _twice(pair: Pair) -> None:
    pair.network.link("a", "b").duplicate = 1.0
    assert await pair.beat() == REPLY
    await asyncio.sleep(5.0)
    assert _beats(pair) == 2


async def _paused(pair: Pair) -> None:
    pair.b.life.pause()
    with pytest.raises(PeerTimeoutError):
        await pair.beat()
    assert _beats(pair) == 0
    pair.b.life.resume()
    await asyncio.sleep(0.1)
    assert _beats(pair) == 1


async def _paused_with_timers(pair: Pair) -> None:
    """All that came due comes before all that came in, however late it was due."""
    life, seen = pair.b.life, []
    life.pause()
    call = asyncio.create_task(pair.beat(5.0))
    loop = simulation_loop()
    loop.call_at(life.now() + 1.0, lambda: seen.append(_beats(pair)), context=life.context)
    await asyncio.sleep(2.0)
    life.resume()
    assert await call == REPLY
    assert (seen, _beats(pair)) == ([0], 1)


async def _slow(pair: Pair) -> None:
    pair.b.slow_s = 0.5
    began = simulation_loop().true_time
    await pair.beat()
    assert simulation_loop().true_time - began == pytest.approx(0.5, abs=0.01)


async def _killed(pair: Pair) -> None:
    """A process that dies resets its connections; then nobody listens."""
    pair.b.slow_s = 0.5
    under_way = asyncio.ensure_future(pair.beat())
    await asyncio.sleep(0.1)
    pair.network.down("b", silent=False)
    with pytest.raises(PeerUnreachableError, match="reset"):
        await under_way
    with pytest.raises(PeerUnreachableError, match="refused"):
        await pair.beat()


async def _powered_off(pair: Pair) -> None:
    pair.b.slow_s = 0.5
    under_way = asyncio.ensure_future(pair.beat())
    await asyncio.sleep(0.1)
    pair.network.down("b", silent=True)
    with pytest.raises(PeerTimeoutError):
        await under_way


def _beats(pair: Pair) -> int:
    handler = pair.handler
    assert isinstance(handler, Answering)
    return handler.beats


CASES: list[Any] = [
    _carried, _cut_there, _cut_back, _late, _twice, _paused, _paused_with_timers, _slow, _killed,
    _powered_off,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.__name__).strip("_"))
def test_messages(case: Callable[[Pair], Awaitable[None]]) -> None:
    simulated(case)()
