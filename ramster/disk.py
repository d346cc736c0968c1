"""The file of the write-back tier.

Covers: the interface through which pages reach a disk, and the real file behind it: opened so that
nothing of anyone else's is overwritten, read and written by two threads of its own, so that the
event loop never waits for a disk. Does not cover: what is where in it (``slot_table.py``), what a
failure means (``writeback.py``).

The file means nothing without the process that wrote it: it has a header, by which it is known as
ours, and everything behind is cut off at opening and at closing. Space within it is used again, and
not handed back to the file system before the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import queue
import stat
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from ramster.errors import WritebackFileError
from ramster.slot_table import HEADER_BYTES
from zcache import Buffer

__all__ = ["CLOSE_WAIT_S", "MAGIC", "Disk", "FileDisk"]

T = TypeVar("T")

MAGIC: Final = b"RAMster write-back file\n"
_HEADER: Final = (
    MAGIC + b"Compressed pages of a running node. It means nothing once that node has stopped.\n"
).ljust(HEADER_BYTES, b"\0")

CLOSE_WAIT_S: Final = 1.0
"""How long closing waits for a disk that does not answer."""

_THREADS: Final = 2
"""One may be stuck in a slow write while the other reads."""

_ACCEPTED: Final = "a path of a regular file: new, empty, or a write-back file that no node uses"


class Disk(Protocol):
    """Bytes at offsets. A call that is cancelled may still be carried out, at any later time."""

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises OSError."""

    async def write(self, offset: int, data: Buffer) -> None:
        """Write all of it; ``data`` must not change before the end of the call, nor after its
        cancellation. Raises OSError, also where only a part could be written.
        """

    async def close(self) -> None:
        """End within a bound; calls under way and later ones raise OSError."""


class _Job(NamedTuple):
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    call: Callable[[], Any]


class FileDisk:
    """A regular file, by us alone.

    Raises WritebackFileError where the path is anything but a new, an empty or a write-back file
    that no node uses. A symbolic link is followed. Block devices are refused too: nothing tells one
    that may be overwritten from one that may not.
    """

    def __init__(self, path: str | os.PathLike[str], *, source: str = "NodeConfig") -> None:
        self.path = os.fspath(path)
        self._fd = _open(self.path, source)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting: dict[asyncio.Future[Any], None] = {}
        """Calls that have not been answered."""
        self._closing: _Job | None = None
        """Whom the last thread tells its end."""
        self._threads_left = _THREADS
        self._lock = threading.Lock()
        """Guards ``_threads_left``."""
        for number in range(_THREADS):
            # Daemons: Python waits for all others when the process ends, and a disk may be stuck.
            name = f"ramster-writeback-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    async def read(self, offset: int, length: int) -> bytes:
        """See ``Disk``."""
        return await self._run(lambda: _read(self._fd, offset, length))

    async def write(self, offset: int, data: Buffer) -> None:
        """See ``Disk``."""
        await self._run(lambda: _write(self._fd, offset, data))

    async def close(self) -> None:
        """See ``Disk``. A call in which the disk is stuck is left to its thread; the file is cut
        off and closed when that ends.
        """
        if self._closing is not None:
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._closing = _Job(loop, ended, lambda: None)
        with contextlib.suppress(queue.Empty):
            while (job := self._jobs.get_nowait()) is not None:
                _settle(job.future, None, _closed_error())
        for _ in range(_THREADS):
            self._jobs.put(None)
        await asyncio.wait({ended}, timeout=CLOSE_WAIT_S)
        for future in self._waiting:
            _settle(future, None, _closed_error())

    async def _run(self, call: Callable[[], T]) -> T:
        """Carry out a call in a thread."""
        if self._closing is not None:
            raise _closed_error()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting[future] = None
        try:
            self._jobs.put(_Job(loop, future, call))
            return await future
        finally:
            del self._waiting[future]

    def _work(self) -> None:
        """A thread's life."""
        while (job := self._jobs.get()) is not None:
            if not job.future.cancelled():
                _carry_out(job)
            del job  # and the data in it: the next one may be long in coming
        with self._lock:
            self._threads_left -= 1
            last = self._threads_left == 0
        if last:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, HEADER_BYTES)
            os.close(self._fd)
            assert self._closing is not None
            _carry_out(self._closing)


def _carry_out(job: _Job) -> None:
    result: object = None
    error: Exception | None = None
    try:
        result = job.call()
    except Exception as raised:  # noqa: BLE001 - whatever it is belongs to who waits for it
        error = raised
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        job.loop.call_soon_threadsafe(_settle, job.future, result, error)


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _closed_error() -> OSError:
    return OSError(errno.EBADF, "the write-back file is closed")


def _read(fd: int, offset: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.pread(fd, length, offset)
        if not part:
            raise OSError(errno.EIO, f"the write-back file ends at {offset}")
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write(fd: int, offset: int, data: Buffer) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(fd, left, offset)
        if not written:
            raise OSError(errno.EIO, f"nothing was written at {offset}")
        offset += written
        left = left[written:]


def _open(path: str, source: str) -> int:
    """A descriptor of the file, locked and empty behind its header."""
    try:
        if not stat.S_ISREG(_mode(path)):
            raise WritebackFileError("writeback", path, source, f"{_ACCEPTED} (it is none)")
        # NONBLOCK, NOCTTY: should it have become something else by now.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        fd = os.open(path, flags, 0o600)
        try:
            _claim(fd, path, source)
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise WritebackFileError("writeback", path, source, f"{_ACCEPTED} ({reason})") from None
    except WritebackFileError:
        raise
    except ValueError as error:  # a null byte in the path
        raise WritebackFileError("writeback", path, source, f"{_ACCEPTED} ({error})") from None
    return fd


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return stat.S_IFREG


def _claim(fd: int, path: str, source: str) -> None:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise WritebackFileError("writeback", path, source, f"{_ACCEPTED} (it is none)")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        reason = "another node uses this one"
        raise WritebackFileError("writeback", path, source, f"{_ACCEPTED} ({reason})") from None
    if os.fstat(fd).st_size and os.pread(fd, len(MAGIC), 0) != MAGIC:
        reason = "this one has other data in it"
        raise WritebackFileError("writeback", path, source, f"{_ACCEPTED} ({reason})")
    os.fchmod(fd, 0o600)
    os.ftruncate(fd, 0)
    _write(fd, 0, _HEADER)
