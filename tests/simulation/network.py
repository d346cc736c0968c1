"""The network between simulated nodes: what happens to each message, decided by a seeded generator.

Covers: for every directed link delay, loss, duplicates and cuts; nodes that are gone with or
without a word to their callers; nodes that are slow. Does not cover: what a message means, lies
(``liars.py``), pauses (``loop.py``: a paused node takes and sends nothing, by itself).

Messages travel on their own: a caller that gives up does not stop its request on the way, nor does
its death; a request can arrive at the next life of the node it was sent to. Independent delays let
messages overtake each other. A lost message shows as a timeout at the caller, a dead process as a
connection that is refused or reset, a dead machine as silence.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from ramster.errors import PeerTimeoutError, PeerUnreachableError
from ramster.transport import PeerHandler, PeerLink
from tests.simulation.loop import LIFE, Life, simulation_loop
from tests.simulation.trace import Trace
from tests.support.fake_network import FakeLink, wire_copy

READ_S = 0.001
"""A life that stood still comes to read its sockets after this time."""

QUICK_S = (0.0001, 0.001)
"""Way of a message where nothing is wrong."""


@dataclass(slots=True)
class Link:
    """One direction between two nodes."""

    delay_s: tuple[float, float] = QUICK_S
    loss: float = 0.0
    duplicate: float = 0.0
    """Share of requests that arrive a second time."""
    late_s: float = 3.0
    """How much later at most."""
    cut: bool = False
    bytes_per_s: float = float("inf")
    """How fast pages pass: on a thin link a batch takes long while short messages do not."""


def _bytes_of(message: Any) -> int:
    """Bytes of a message, as far as they depend on what is in it."""
    blobs = getattr(message, "blobs", None)
    return 0 if blobs is None else memoryview(blobs.payload).nbytes


class Endpoint:
    """One life of a node on the network: its own calls go out here, its peers' come in."""

    def __init__(self, network: SimulatedNetwork, life: Life, handler: PeerHandler) -> None:
        self.network = network
        self.life = life
        self.handler = handler
        self.open = True
        self.slow_s = 0.0
        """How long each call waits before it is looked at, by the node's own clock."""
        self.calls: dict[_Exchange, None] = {}
        """Requests on their way here or being answered."""

    async def call(self, source: str, address: str, call: str, message: Any, limit_s: float) -> Any:
        """Carry a request and its answer; runs in the caller's time. See ``FakeNetwork.call``."""
        if not self.open:
            raise PeerUnreachableError(f"{source} is off the network")
        exchange = _Exchange(self.network, source, address, call)
        try:
            async with asyncio.timeout(limit_s):
                exchange.send(wire_copy(message))
                return await exchange.answer
        except TimeoutError:
            self.network.trace.add(source, address, call, "timeout")
            raise PeerTimeoutError(f"{call} to {address}: no answer in {limit_s:g} s") from None
        finally:
            if not exchange.answer.cancel() and not exchange.answer.cancelled():
                exchange.answer.exception()  # seen, should it have come in the last moment


class EndpointTransport:
    """``transport.Transport`` of one life; ``endpoint`` is set before the first call."""

    def __init__(self, name: str) -> None:
        self.endpoint: Endpoint | None = None
        self._name = name

    def link(self, address: str) -> PeerLink:
        return FakeLink(self, self._name, address)  # type: ignore[arg-type]

    async def call(self, source: str, address: str, call: str, message: Any, limit_s: float) -> Any:
        if self.endpoint is None:
            raise PeerUnreachableError(f"{source} is not on the network yet")
        return await self.endpoint.call(source, address, call, message, limit_s)


class SimulatedNetwork:
    """Endpoints by address, the links between them, and what is on its way."""

    def __init__(self, random: Random, trace: Trace) -> None:
        self.random = random
        self.trace = trace
        self.base = Link()
        """What a link is like that nothing was done to."""
        self.nobody = contextvars.Context()
        """The context of what happens between nodes: nobody's life."""
        self.under_way = 0
        """Messages on their way."""
        self.messages = 0
        self._links: dict[tuple[str, str], Link] = {}
        self._endpoints: dict[str, Endpoint] = {}

    def link(self, source: str, destination: str) -> Link:
        """One direction, to be changed."""
        link = self._links.get((source, destination))
        if link is None:
            base = self.base
            link = Link(base.delay_s, base.loss, base.duplicate, base.late_s)
            self._links[source, destination] = link
        return link

    def heal(self) -> None:
        """Every link is as it should be."""
        self.base = Link()
        self._links.clear()

    def up(self, name: str, endpoint: Endpoint) -> None:
        """A life begins to take calls."""
        self._endpoints[name] = endpoint

    def down(self, name: str, *, silent: bool) -> None:
        """A life is off the network. Its callers notice at once unless it went ``silent``-ly;
        what it sent before still arrives.
        """
        endpoint = self._endpoints.pop(name)
        endpoint.open = False
        for exchange in list(endpoint.calls):
            exchange.end(None if silent else "connection reset")

    def endpoint(self, address: str) -> Endpoint | None:
        """Who answers there now."""
        return self._endpoints.get(address)

    def carry(
        self,
        source: str,
        destination: str,
        size: int,
        arrive: Callable[[], None],
        extra_s: float = 0.0,
    ) -> None:
        """Send one message, which may get lost; ``extra_s`` is added to its way."""
        link = self.link(source, destination)
        random = self.random
        self.messages += 1
        if link.cut or (link.loss and random.random() < link.loss):
            self.trace.add(source, destination, "lost")
            return
        self.under_way += 1
        loop = simulation_loop()
        at = loop.true_time + random.uniform(*link.delay_s) + size / link.bytes_per_s + extra_s
        loop.call_at(at, self._arrive, source, destination, arrive, context=self.nobody)

    def _arrive(self, source: str, destination: str, arrive: Callable[[], None]) -> None:
        self.under_way -= 1
        if self.link(source, destination).cut:
            self.trace.add(source, destination, "lost on its way")
        else:
            arrive()


class _Exchange:
    """A request and its answer."""

    def __init__(self, network: SimulatedNetwork, source: str, address: str, call: str) -> None:
        self.answer: asyncio.Future[Any] = simulation_loop().create_future()
        self._caller = LIFE.get()
        self._network = network
        self._source = source
        self._address = address
        self._call = call

    def send(self, message: Any) -> None:
        """Let the request go, sometimes twice."""
        network, link = self._network, self._network.link(self._source, self._address)
        network.trace.add(self._source, self._address, self._call)
        size = _bytes_of(message)
        network.carry(self._source, self._address, size, lambda: self._arrived(message))
        if link.duplicate and network.random.random() < link.duplicate:
            again, late_s = wire_copy(message), network.random.uniform(0, link.late_s)
            network.carry(self._source, self._address, size, lambda: self._arrived(again), late_s)

    def _arrived(self, message: Any) -> None:
        """The request is there: its node looks at it when its turn comes."""
        endpoint = self._network.endpoint(self._address)
        if endpoint is None:
            self._fail(PeerUnreachableError(f"{self._address}: connection refused"))
            return
        endpoint.calls[self] = None
        loop = simulation_loop()
        context = endpoint.life.context
        if endpoint.slow_s:
            at = endpoint.life.now() + endpoint.slow_s
            loop.call_at(at, self._handle, endpoint, message, context=context)
        else:
            _read_by(endpoint.life, self._handle, endpoint, message)

    def _handle(self, endpoint: Endpoint, message: Any) -> None:
        """In the time of the node that is called."""
        if not endpoint.open:
            return
        endpoint.calls.pop(self, None)
        trace = self._network.trace
        try:
            reply = getattr(endpoint.handler, f"on_{self._call}")(message)
        except Exception as error:  # noqa: BLE001 - carried to the caller, whatever it is
            trace.add(self._address, self._source, self._call, type(error).__name__, str(error))
            failed = error
            self._reply(0, lambda: self._fail(failed))
        else:
            trace.add(self._address, self._source, self._call, "answered")
            sent = wire_copy(reply)
            self._reply(_bytes_of(reply), lambda: self._succeed(sent))

    def _reply(self, size: int, arrive: Callable[[], None]) -> None:
        self._network.carry(self._address, self._source, size, arrive)

    def end(self, reason: str | None) -> None:
        """The node that is called is gone, with a word or without one."""
        if reason is not None:
            error = PeerUnreachableError(f"{self._address}: {reason}")
            self._reply(0, lambda: self._fail(error))

    def _succeed(self, reply: Any) -> None:
        _read_by(self._caller, self._settle, reply, None)

    def _fail(self, error: Exception) -> None:
        _read_by(self._caller, self._settle, None, error)

    def _settle(self, reply: Any, error: Exception | None) -> None:
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(reply)
        else:
            self.answer.set_exception(error)


def _read_by(life: Life | None, callback: Callable[..., None], *arguments: Any) -> None:
    """A life reads a message. What came while it stood still it reads after all timers that came
    due meanwhile: they are on its loop, and the message is in a socket.
    """
    loop = simulation_loop()
    if life is None:
        callback(*arguments)
        return
    context = life.context
    if not life.paused:
        loop.call_soon(callback, *arguments, context=context)
        return

    def later() -> None:
        loop.call_at(life.now() + READ_S, callback, *arguments, context=context)

    loop.call_soon(later, context=context)
