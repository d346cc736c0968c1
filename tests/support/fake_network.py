"""A network of nodes in one process, behind the real transport interface, with faults on request.

Messages are copied on their way, as a wire would; delays, losses and duplicates come from a seeded
generator, so a run can be repeated. Losing a request or an answer shows as a timeout at the
caller, as it does where a connection stalls; a node that is down shows as unreachable at once, as
a refused connection does.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from random import Random
from typing import Any

from ramster.errors import PeerTimeoutError, PeerUnreachableError
from ramster.transport import (
    FetchReply,
    FetchRequest,
    FiguresRequest,
    FlushRequest,
    Heartbeat,
    HeartbeatReply,
    Hello,
    HelloReply,
    PeerHandler,
    PeerLink,
    SpillReply,
    SpillRequest,
)

Tamper = Callable[[str, str, str, Any], Any]
"""(source, destination, call, message) -> message, or None to lose it."""


def wire_copy(message: Any) -> Any:
    """The message as the other side would get it: equal, and sharing nothing that can change."""
    if is_dataclass(message) and not isinstance(message, type):
        changed = {field.name: wire_copy(getattr(message, field.name)) for field in fields(message)}
        return replace(message, **changed)
    if isinstance(message, array):
        return message[:]
    if isinstance(message, bytearray | memoryview):
        return bytearray(message)
    return message


class FakeNetwork:
    """Addresses with handlers behind them, and what happens to messages between them."""

    def __init__(self, seed: int = 0) -> None:
        self.random = Random(f"network {seed}")
        self.delay_s = (0.0001, 0.001)
        """Range of one message's way."""
        self.loss = 0.0
        """Share of messages lost, each way."""
        self.duplicate = 0.0
        """Share of requests that are delivered a second time, later."""
        self.late_s = 0.5
        """How much later at most."""
        self.tamper_request: Tamper | None = None
        self.tamper_reply: Tamper | None = None
        self.calls: list[tuple[str, str, str]] = []
        """(source, destination, call) of every request sent."""
        self._handlers: dict[str, PeerHandler] = {}
        self._cut: set[frozenset[str]] = set()
        self._late: dict[asyncio.Task[None], None] = {}

    def transport(self, source: str) -> FakeTransport:
        """The transport of one node."""
        return FakeTransport(self, source)

    def up(self, address: str, handler: PeerHandler) -> None:
        """A node answers at an address."""
        self._handlers[address] = handler

    def down(self, address: str) -> None:
        """Nobody answers there any more; what is on its way to it or from it is lost."""
        self._handlers.pop(address, None)

    def cut(self, one: str, other: str) -> None:
        """Lose everything between two nodes, silently."""
        self._cut.add(frozenset((one, other)))

    def heal(self, one: str | None = None, other: str | None = None) -> None:
        """Undo one cut, or all."""
        if one is None or other is None:
            self._cut.clear()
        else:
            self._cut.discard(frozenset((one, other)))

    async def settle(self) -> None:
        """Wait for every late duplicate."""
        while self._late:
            await asyncio.gather(*self._late)

    async def call(self, source: str, address: str, call: str, message: Any, limit_s: float) -> Any:
        """Carry a request and its answer."""
        self.calls.append((source, address, call))
        try:
            async with asyncio.timeout(limit_s):
                return await self._carry(source, address, call, wire_copy(message))
        except TimeoutError:
            raise PeerTimeoutError(f"{call} to {address}: no answer in {limit_s:g} s") from None

    async def _carry(self, source: str, address: str, call: str, message: Any) -> Any:
        if self.tamper_request is not None:
            message = self.tamper_request(source, address, call, message)
        lost = message is None or self._loses(source, address)
        if not lost and self.random.random() < self.duplicate:
            task = asyncio.get_running_loop().create_task(
                self._deliver_late(source, address, call, wire_copy(message))
            )
            self._late[task] = None
            task.add_done_callback(self._late.pop)
        await asyncio.sleep(self._delay())
        handler = self._handlers.get(address)
        if handler is None:
            raise PeerUnreachableError(f"{address}: connection refused")
        if lost:
            await asyncio.Event().wait()
        reply: Any = None
        error: Exception | None = None
        try:
            reply = wire_copy(getattr(handler, f"on_{call}")(message))
        except Exception as raised:  # noqa: BLE001 - carried to the caller, whatever it is
            error = raised
        if self.tamper_reply is not None and error is None and call != "flush":
            reply = self.tamper_reply(source, address, call, reply)
            if reply is None:
                await asyncio.Event().wait()
        if self._loses(source, address):
            await asyncio.Event().wait()
        await asyncio.sleep(self._delay())
        if self._handlers.get(address) is not handler:
            raise PeerUnreachableError(f"{address}: connection reset")
        if error is not None:
            raise error
        return reply

    async def _deliver_late(self, source: str, address: str, call: str, message: Any) -> None:
        handler = self._handlers.get(address)
        await asyncio.sleep(self.random.uniform(0, self.late_s))
        if handler is None or self._handlers.get(address) is not handler:
            return
        try:
            getattr(handler, f"on_{call}")(message)
        except Exception:  # noqa: BLE001 - nobody waits for this answer
            return

    def _delay(self) -> float:
        return self.random.uniform(*self.delay_s)

    def _loses(self, source: str, address: str) -> bool:
        return frozenset((source, address)) in self._cut or self.random.random() < self.loss


class FakeTransport:
    """``transport.Transport`` over a FakeNetwork."""

    def __init__(self, network: FakeNetwork, source: str) -> None:
        self._network = network
        self._source = source

    def link(self, address: str) -> PeerLink:
        return FakeLink(self._network, self._source, address)


class FakeLink:
    """``transport.PeerLink`` over a FakeNetwork."""

    def __init__(self, network: FakeNetwork, source: str, address: str) -> None:
        self._network = network
        self._source = source
        self._address = address

    @property
    def address(self) -> str:
        return self._address

    async def _call(self, call: str, message: Any, deadline_s: float) -> Any:
        return await self._network.call(self._source, self._address, call, message, deadline_s)

    async def hello(self, hello: Hello, deadline_s: float) -> HelloReply:
        reply: HelloReply = await self._call("hello", hello, deadline_s)
        return reply

    async def heartbeat(self, beat: Heartbeat, deadline_s: float) -> HeartbeatReply:
        reply: HeartbeatReply = await self._call("heartbeat", beat, deadline_s)
        return reply

    async def spill(self, request: SpillRequest, deadline_s: float) -> SpillReply:
        reply: SpillReply = await self._call("spill", request, deadline_s)
        return reply

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchReply:
        reply: FetchReply = await self._call("fetch", request, deadline_s)
        return reply

    async def flush(self, request: FlushRequest, deadline_s: float) -> None:
        await self._call("flush", request, deadline_s)

    async def figures(self, request: FiguresRequest, deadline_s: float) -> bytes:
        reply: bytes = await self._call("figures", request, deadline_s)
        return reply

    async def close(self) -> None:
        return None
