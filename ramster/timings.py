"""How long a node's work takes, and how many pages it does at once: its histograms.

Covers: which there are, what each measures, their sections of the figures. Does not cover:
counting (``histograms.py``), the moments at which something begins and ends (the page stores,
``fetch_calls.py``, ``deliveries.py``, ``nbd/requests.py``).

Times are by the clock of whoever measures, so that a simulated node measures simulated time.
Whatever ends is measured, be it done, failed or cancelled: a store that fails slowly must show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ramster.histograms import (
    DEVICE_SECONDS,
    NETWORK_SECONDS,
    STORE_SECONDS,
    BatchHistogram,
    Histogram,
)

__all__ = ["NBD_KINDS", "Timings"]

NBD_KINDS = {
    0: "read",
    1: "write",
    3: "flush",
    4: "trim",
    5: "cache",
    6: "write_zeroes",
    7: "block_status",
}
"""Commands of the NBD protocol that are requests, by number (``nbd.protocol.Command``)."""


class Timings:
    """The histograms of one node."""

    __slots__ = ("fetch", "get_local", "get_remote", "nbd", "put", "spill")

    def __init__(self) -> None:
        self.put = BatchHistogram(STORE_SECONDS)
        """Batches put, with waiting for room."""
        self.get_local = BatchHistogram(STORE_SECONDS)
        """Batches of which no page was away, ..."""
        self.get_remote = BatchHistogram(STORE_SECONDS)
        """... and those of which at least one was at a peer or in the write-back file."""
        self.fetch = BatchHistogram(NETWORK_SECONDS)
        """Fetch messages, each attempt."""
        self.spill = BatchHistogram(NETWORK_SECONDS)
        """Spill messages; a batch with two copies is two."""
        self.nbd = [Histogram(DEVICE_SECONDS) for _ in range(max(NBD_KINDS) + 1)]
        """By command: requests that passed their checks, from their begin until their reply is
        ready."""

    def latency(self, *, peers: bool, nbd: bool) -> dict[str, Any]:
        """Durations by name, in seconds; null for parts that do not run."""
        return {
            **{
                name: None if batches is None else batches.durations.as_dict()
                for name, batches in self._batches(peers)
            },
            "nbd": (
                {kind: self.nbd[number].as_dict() for number, kind in NBD_KINDS.items()}
                if nbd
                else None
            ),
        }

    def batches(self, *, peers: bool) -> dict[str, Any]:
        """Pages at once, by name; null for parts that do not run."""
        return {
            name: None if batches is None else batches.sizes.as_dict()
            for name, batches in self._batches(peers)
        }

    def _batches(self, peers: bool) -> Iterator[tuple[str, BatchHistogram | None]]:
        yield "put", self.put
        yield "get_local", self.get_local
        yield "get_remote", self.get_remote if peers else None
        yield "fetch", self.fetch if peers else None
        yield "spill", self.spill if peers else None
