"""Redis and memcached as servers of one measurement: over a Unix socket or TCP on the loopback.

Covers: starting them with nothing on disk, room for everything and no eviction. Does not cover:
their clients (``key_value.py``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ramster.bench.server_process import (
    accepts,
    find_program,
    free_port,
    held_bytes,
    serve,
    socket_folder,
)

__all__ = ["KeyValueServer", "memcached_server", "redis_server"]

_SLABS = 4
"""memcached takes memory by classes of sizes: its limit is so many times the data."""
_SLABS_MIB_MIN = 64


@dataclass(frozen=True, slots=True)
class KeyValueServer:
    """A running server."""

    address: str | tuple[str, int]
    """The path of its Unix socket, or its loopback address and port."""
    pid: int

    def held(self) -> int:
        """Bytes of its resident memory that are of no file."""
        return held_bytes(self.pid)


@contextlib.contextmanager
def redis_server(scratch: Path, *, tcp: bool = False) -> Iterator[KeyValueServer]:
    """redis-server, without snapshots and log. Raises WorkloadUnavailable, ServerError."""
    program = find_program("redis-server", "redis-server")
    with socket_folder(scratch) as folder:
        words = [program, "--save", "", "--appendonly", "no", "--daemonize", "no"]
        words += ["--dir", str(scratch), "--bind", "127.0.0.1"]
        address: str | tuple[str, int]
        if tcp:
            address = ("127.0.0.1", free_port())
            words += ["--port", str(address[1])]
        else:
            address = str(folder / "redis.sock")
            words += ["--port", "0", "--unixsocket", address]
        with serve(words, lambda: accepts(address)) as pid:
            yield KeyValueServer(address, pid)


@contextlib.contextmanager
def memcached_server(
    scratch: Path, data_bytes: int, *, tcp: bool = False
) -> Iterator[KeyValueServer]:
    """memcached, which refuses when it is full. Raises WorkloadUnavailable, ServerError."""
    program = find_program("memcached", "memcached")
    mib = max(_SLABS_MIB_MIN, _SLABS * data_bytes >> 20)
    words = [program, "-m", str(mib), "-M"]
    if os.getuid() == 0:  # it wants to be told so
        words += ["-u", "root"]
    with socket_folder(scratch) as folder:
        address: str | tuple[str, int]
        if tcp:
            address = ("127.0.0.1", free_port())
            words += ["-l", address[0], "-p", str(address[1]), "-U", "0"]
        else:
            address = str(folder / "memcached.sock")
            words += ["-s", address]
        with serve(words, lambda: accepts(address)) as pid:
            yield KeyValueServer(address, pid)
