"""A server that this project did not write, started for one measurement and stopped after it.

Covers: finding the program, starting it as a child, waiting until it is ready, ending it; the
memory that it holds. Does not cover: which servers (``block_rivals.py``,
``key_value_servers.py``).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ramster.bench.model import WorkloadUnavailable
from ramster.errors import RamsterError

__all__ = [
    "ServerError",
    "accepts",
    "file_bytes",
    "find_program",
    "free_port",
    "held_bytes",
    "serve",
    "socket_folder",
]

_READY_S = 15.0
_WATCH_S = 0.005
_STOP_S = 10.0
_LAST_WORDS = 5
_SYSTEM_PATHS = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_SOCKET_PATH_BYTES_MAX = 90
_HELD = re.compile(r"^Rss(?:Anon|Shmem):\s+(\d+) kB$", re.MULTILINE)


class ServerError(RamsterError):
    """A server did not start; the text has its last words."""


def find_program(name: str, package: str) -> str:
    """Its path. Raises WorkloadUnavailable, which names Debian's package."""
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_PATHS)
    if found is None:
        raise WorkloadUnavailable(f"there is no {name}: apt-get install {package}")
    return found


@contextlib.contextmanager
def serve(
    words: Sequence[str],
    ready: Callable[[], bool],
    variables: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """The pid of a program that runs in the foreground, once ``ready`` says so.

    It is of this process's group, and ended with SIGTERM (then SIGKILL) by its pid. Raises
    ServerError if it ends before it is ready, or is not ready in time.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(variables or {})},
        )
        try:
            deadline = time.monotonic() + _READY_S
            while not ready():
                ended = process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log.seek(0)
                    said = log.read().decode(errors="replace").splitlines()[-_LAST_WORDS:]
                    what = "ended" if ended else "is not ready in time"
                    raise ServerError(f"{words[0]} {what}: " + " / ".join(said))
                time.sleep(_WATCH_S)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def accepts(address: str | tuple[str, int]) -> bool:
    """Whether something accepts connections at the path of a Unix socket, or at a TCP port."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        try:
            client.connect(address)
        except OSError:
            return False
    return True


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def socket_folder(scratch: Path) -> Iterator[Path]:
    """``scratch``, or where its path is too long for a Unix socket, a folder with a shorter one."""
    if len(os.fsencode(scratch)) <= _SOCKET_PATH_BYTES_MAX - len("/memcached.sock"):
        yield scratch
        return
    with tempfile.TemporaryDirectory(prefix="ramster-bench-") as name:
        yield Path(name)


def held_bytes(pid: int) -> int:
    """Resident memory of a process that is of no file: anonymous and shared, in bytes.

    Raises FileNotFoundError: no such process.
    """
    status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    return sum(int(kib) * 1024 for kib in _HELD.findall(status))


def file_bytes(folder: Path) -> int:
    """What a file, or all files below a folder, take where they lie: memory, on a tmpfs."""
    files = [folder] if folder.is_file() else folder.rglob("*")
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())
