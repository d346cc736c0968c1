"""Bounds on what clients may make the server hold or wait for.

Covers: the knobs and their ranges. Does not cover: bounds of the handshake's fields
(``handshake.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from ramster.errors import ConfigurationError

__all__ = ["NbdLimits"]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NbdLimits:
    """What one server grants. Raises ConfigurationError for a value outside its range.

    The worst that clients can make it hold in buffers, whatever they do or leave undone::

        server_bytes_in_flight_max + connections_max * (own_bytes_in_flight_max + SOCKET_BYTES)

    where SOCKET_BYTES, 260 KiB, is what a connection has beside requests: 128 KiB that were
    received and not looked at, and 132 KiB of a reply on their way into the socket. With the
    defaults that is 32 MiB and 388 KiB a connection: 35 MiB for 8 of them, 80.5 MiB for all 128,
    each with a client that stalls where it costs most. Beside that come small objects, about 1 KiB
    a request in flight, and what the kernel keeps in its socket buffers.
    """

    connections_max: int = 128
    """Clients at a time; further ones are closed at once."""
    requests_in_flight_max: int = 128
    """Requests of one connection that are read but not answered; beyond, its socket is not read."""
    bytes_in_flight_max: int = 8 * MIB
    """Bytes that these read or write; the request that crosses the line is still taken."""
    server_bytes_in_flight_max: int = 32 * MIB
    """Memory for requests in flight that all connections share; a request for which there is none
    left is not read until its connection's turn."""
    own_bytes_in_flight_max: int = 128 * 1024
    """Memory for requests that every connection has of its own: small requests go on, whatever
    other connections hold."""
    payload_bytes_max: int = 32 * MIB
    """Largest read or write; told to clients, which assume 32 MiB when they do not ask."""
    handshake_timeout_s: float = 30.0
    """How long a client may take from connecting to transmission."""
    close_timeout_s: float = 3.0
    """How long a connection that closes may take to finish requests and to send their replies."""

    def __post_init__(self) -> None:
        self._check("connections_max", 1, 65536)
        self._check("requests_in_flight_max", 1, 65536)
        self._check("bytes_in_flight_max", 4096, 2**40)
        self._check("payload_bytes_max", 65536, 2**30)  # DF reads of 64 KiB must work
        self._check("server_bytes_in_flight_max", self.payload_bytes_max, 2**40)
        self._check("own_bytes_in_flight_max", 4096, 2**30)
        self._check("handshake_timeout_s", 0.01, 3600)
        self._check("close_timeout_s", 0, 3600)

    def _check(self, key: str, low: float, high: float) -> None:
        value = getattr(self, key)
        if not low <= value <= high:
            raise ConfigurationError(key, value, "NBD server", f"{low} to {high}")
