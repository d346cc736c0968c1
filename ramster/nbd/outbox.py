"""Replies of one connection on their way into its socket.

Covers: few writes for many small replies, no copies of large ones, and what a reply took of the
server's budget, which is given back when the socket has taken the reply. Does not cover: what is in
a reply (``requests.py``).

The transport is given a chunk at a time, and the next one when the socket has taken the last: what
a client does not take stays here, where it is counted, and not in the transport, which copies it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from zcache import Buffer

__all__ = ["CHUNK_BYTES_MAX", "Outbox"]

CHUNK_BYTES_MAX: Final = 132 * 1024
"""The most that is given to the transport at a time: a read of 128 KiB goes in one piece."""


class Outbox:
    """Replies that the socket has not taken, in order. ``give_back``: gets what a reply took."""

    __slots__ = ("_added", "_costs", "_give_back", "_pieces", "bytes_waiting", "writable")

    def __init__(self, give_back: Callable[[int], None]) -> None:
        self.writable = True
        """The socket takes what it is given. Set by ``pause`` and ``resume``."""
        self.bytes_waiting = 0
        """Bytes that were not given to the transport yet."""
        self._give_back = give_back
        self._pieces: deque[Buffer] = deque()
        self._added = 0
        """Bytes of all replies ever added."""
        self._costs: deque[tuple[int, int]] = deque()
        """(where a reply ends in the stream of them, what it took) of each that took something."""

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, pieces: list[Buffer], cost: int) -> None:
        """Add a reply."""
        self._pieces += pieces
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        self.bytes_waiting += size
        self._added += size
        if cost:
            self._costs.append((self._added, cost))

    def send(self, transport: asyncio.Transport) -> None:
        """Give the transport what the socket takes; its protocol calls ``pause`` when it is full.

        The transport's limit must be 0, so that it says so as soon as anything is left.
        """
        while self._pieces and self.writable and not transport.is_closing():
            transport.write(self._next_chunk())
        if self.writable and self._costs:
            self._pay_back()

    def pause(self) -> None:
        """The socket is full."""
        self.writable = False

    def resume(self) -> None:
        """The socket has taken everything that the transport was given."""
        self.writable = True
        self._pay_back()

    def clear(self) -> None:
        """The socket is gone, and so are the replies."""
        self._pieces.clear()
        self.bytes_waiting = 0
        self._pay_back()

    def _next_chunk(self) -> Buffer:
        pieces = self._pieces
        if self.bytes_waiting <= CHUNK_BYTES_MAX:
            chunk = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self.bytes_waiting = 0
            return chunk
        gathered: list[Buffer] = []
        room = CHUNK_BYTES_MAX
        while room:
            piece = pieces.popleft()
            if len(piece) > room:
                view = memoryview(piece)
                pieces.appendleft(view[room:])
                piece = view[:room]
            gathered.append(piece)
            room -= len(piece)
        self.bytes_waiting -= CHUNK_BYTES_MAX
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    def _pay_back(self) -> None:
        taken = self._added - self.bytes_waiting
        cost = 0
        while self._costs and self._costs[0][0] <= taken:
            cost += self._costs.popleft()[1]
        if cost:
            self._give_back(cost)
