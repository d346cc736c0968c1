"""Every switch of gRPC that the peer layer sets, in one place. grpc itself is not imported here.

Covers: environment variables that gRPC reads when it is imported, options of channels and servers.
Does not cover: what travels (``convert.py``). Figures behind the choices: ``docs/wire.md``.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from importlib import metadata

from ramster.grpc_experiments import EXPERIMENTS, EXPERIMENTS_GRPCIO, EXPERIMENTS_VALUE
from ramster.transport import MESSAGE_BYTES_MAX

__all__ = ["ConnectionSettings", "prepare_environment"]

ENVIRONMENT = {
    # Failures reach us as statuses; gRPC's own lines about them would only clutter the console.
    "GRPC_VERBOSITY": "NONE",
    # Nodes do not fork; the handlers would only cost time and warnings.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}
"""Other variables and what they are set to, unless the user has set them."""

Option = tuple[str, int | str]


def prepare_environment(environment: MutableMapping[str, str] | None = None) -> None:
    """Set what gRPC reads at its first import; a variable that is set already stays as it is."""
    target = os.environ if environment is None else environment
    for name, value in ENVIRONMENT.items():
        target.setdefault(name, value)
    first, last = EXPERIMENTS_GRPCIO
    if first <= _grpcio_release() <= last:
        target.setdefault(EXPERIMENTS, EXPERIMENTS_VALUE)


def _grpcio_release() -> tuple[int, ...]:
    """Major and minor version of the installed grpcio, not importing it; (0,) if none is."""
    try:
        version = metadata.version("grpcio")
    except metadata.PackageNotFoundError:
        return (0,)
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How connections between nodes behave; seconds.

    A connection that was cut in silence is noticed after at most ``keepalive_s +
    keepalive_timeout_s``; then, and after every other failure, connecting is tried again at least
    every ``reconnect_s_max``. Calls do not wait for any of this: they end within their own
    deadlines.
    """

    keepalive_s: float = 5.0
    """A connection over which nothing came for this long is asked for a sign of life."""
    keepalive_timeout_s: float = 3.0
    """A connection that gave no sign of life for this long after being asked is closed."""
    reconnect_s_min: float = 0.1
    """Pause before the second attempt to connect."""
    reconnect_s_max: float = 1.0
    """Longest pause between attempts, and how long one attempt may take."""

    def __post_init__(self) -> None:
        for name in ("keepalive_s", "keepalive_timeout_s", "reconnect_s_min", "reconnect_s_max"):
            if not 0.01 <= getattr(self, name) <= 3600:
                raise ValueError(
                    f"{name} = {getattr(self, name)}: accepted is 0.01 to 3600 seconds"
                )
        if self.reconnect_s_min > self.reconnect_s_max:
            raise ValueError("reconnect_s_min: accepted is at most reconnect_s_max")

    def channel_options(self) -> list[Option]:
        """For the calling side."""
        return [
            *self._shared_options(),
            # A TCP connection of its own for every channel: fetches must not queue behind spills.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", _milliseconds(self.reconnect_s_min)),
            ("grpc.max_reconnect_backoff_ms", _milliseconds(self.reconnect_s_max)),
            # Despite its name: how long one attempt to connect may take (20 s unless set).
            ("grpc.min_reconnect_backoff_ms", _milliseconds(self.reconnect_s_max)),
            # A peer may come back under another IP address.
            ("grpc.dns_min_time_between_resolutions_ms", _milliseconds(self.reconnect_s_max)),
            # Peers are on the local network: no proxy of the environment, no TXT records, no hidden
            # retries.
            ("grpc.enable_http_proxy", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.enable_retries", 0),
        ]

    def server_options(self) -> list[Option]:
        """For the serving side."""
        return [
            *self._shared_options(),
            # A second server on the port must fail, not take half of the connections.
            ("grpc.so_reuseport", 0),
            # Callers may ask for signs of life as often as their own settings say.
            ("grpc.http2.min_ping_interval_without_data_ms", 10),
            ("grpc.http2.max_ping_strikes", 0),
        ]

    def _shared_options(self) -> list[Option]:
        return [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.keepalive_time_ms", _milliseconds(self.keepalive_s)),
            ("grpc.keepalive_timeout_ms", _milliseconds(self.keepalive_timeout_s)),
            # gRPC's own pings (for its estimate of the window) defer those of keepalive, and one
            # without an answer would else be waited for a minute.
            ("grpc.http2.ping_timeout_ms", _milliseconds(self.keepalive_timeout_s)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
