"""What an NBD server counts, and the snapshot it shows.

Covers: names and meanings. Counters only rise; an export's are the sums over its connections, past
ones too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from ramster.nbd.protocol import Command, NbdError

__all__ = ["ConnectionFigures", "ExportFigures", "NbdSnapshot", "Traffic", "TrafficFigures"]


class Traffic:
    """Requests of one connection (or of the past ones of an export), as they are counted."""

    __slots__ = ("bytes_read", "bytes_written", "errors", "requests")

    def __init__(self) -> None:
        self.requests: list[int] = [0] * (max(Command) + 1)
        """By command, those that succeeded."""
        self.bytes_read = 0
        self.bytes_written = 0
        self.errors: Counter[int] = Counter()
        """By error number."""

    def add(self, other: Traffic) -> None:
        """Add the counts of another."""
        self.requests = [a + b for a, b in zip(self.requests, other.requests, strict=True)]
        self.bytes_read += other.bytes_read
        self.bytes_written += other.bytes_written
        self.errors.update(other.errors)

    def figures(self) -> TrafficFigures:
        """The counts by name."""
        done = self.requests
        return TrafficFigures(
            reads=done[Command.READ],
            writes=done[Command.WRITE],
            flushes=done[Command.FLUSH],
            trims=done[Command.TRIM],
            caches=done[Command.CACHE],
            write_zeroes=done[Command.WRITE_ZEROES],
            block_statuses=done[Command.BLOCK_STATUS],
            bytes_read=self.bytes_read,
            bytes_written=self.bytes_written,
            errors={NbdError(number).name: count for number, count in self.errors.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFigures:
    """Requests that succeeded, by kind; the bytes of reads and writes; failures, by error."""

    reads: int = 0
    writes: int = 0
    flushes: int = 0
    trims: int = 0
    caches: int = 0
    write_zeroes: int = 0
    block_statuses: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    errors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFigures:
    """One export."""

    name: str
    size_bytes: int
    read_only: bool
    connections: int
    """Connections in transmission now."""
    traffic: TrafficFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFigures:
    """One connection of this moment."""

    peer: str
    export: str | None
    """None during the handshake."""
    requests_in_flight: int
    bytes_in_flight: int
    traffic: TrafficFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class NbdSnapshot:
    """One server."""

    endpoints: list[str]
    connections_open: int
    connections_total: int
    connections_refused: int
    """Closed at once, for too many were open."""
    connections_waiting: int
    """In line for a share of the bytes in flight."""
    requests_in_flight: int
    bytes_in_flight: int
    """What requests hold of the budget and of their connections' own bytes; ..."""
    bytes_in_flight_peak: int
    """... the most of it; ..."""
    bytes_in_flight_limit: int
    """... and the budget."""
    handshake_timeouts: int
    protocol_errors: int
    """Connections closed because the client broke the protocol."""
    exports: list[ExportFigures]
    connections: list[ConnectionFigures]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)
