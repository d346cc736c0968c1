"""A zram device of one measurement: the kernel's compressed pages, as a block device of memory.

Covers: adding a device, reading and writing pages past the page cache, what they take, removing it.
Does not cover: swap on it, other file systems. Needs root and a kernel with zram; nothing that was
there before is touched.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ramster.bench.model import WorkloadUnavailable
from zcache import PAGE_SIZE

__all__ = ["ZramDevice", "open_zram"]

_CONTROL = Path("/sys/class/zram-control")
_BLOCK = Path("/sys/block")

# Removes the device at the end of standard input: when this process closes it, or however it dies.
# The kernel refuses while the device is still open.
_GUARD = """
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do
    echo 1 >"$1/reset" && echo "$2" >"$3/hot_remove" && exit 0
    sleep 0.2
done 2>/dev/null
exit 1
"""


class ZramDevice:
    """Pages 0, 1, ... of a device, read and written directly."""

    def __init__(self, file: int, state: Path) -> None:
        self._file = file
        self._state = state
        self._buffer = mmap.mmap(-1, PAGE_SIZE)  # direct I/O wants pages that begin at one

    def write(self, number: int, page: bytes) -> None:
        """Write one page. Raises OSError: the kernel has no memory for it."""
        self._buffer[:] = page
        os.pwrite(self._file, self._buffer, number * PAGE_SIZE)

    def read(self, number: int) -> bytes:
        """Read one page."""
        os.preadv(self._file, [self._buffer], number * PAGE_SIZE)
        return self._buffer[:]

    def frame_bytes(self) -> int:
        """Memory of zsmalloc's frames (mm_stat's mem_used_total); the table of slots is not in."""
        return int((self._state / "mm_stat").read_text().split()[2])


@contextlib.contextmanager
def open_zram(size_bytes: int, codec: str = "lz4") -> Iterator[ZramDevice]:
    """An empty device, removed afterwards.

    Raises WorkloadUnavailable: not root, no zram in the kernel, no such codec there.
    """
    if os.geteuid() != 0:
        raise WorkloadUnavailable("a zram device needs root")
    if not (_CONTROL / "hot_add").exists():
        raise WorkloadUnavailable(f"this kernel has no zram ({_CONTROL}): modprobe zram")
    try:
        number = (_CONTROL / "hot_add").read_text().strip()
    except OSError as error:
        raise WorkloadUnavailable(f"the kernel adds no zram device: {error.strerror}") from error
    state = _BLOCK / f"zram{number}"
    with _removed_afterwards(number, state):
        offered = (state / "comp_algorithm").read_text().replace("[", "").replace("]", "").split()
        if codec not in offered:
            raise WorkloadUnavailable(f"zram has no {codec} here, but {', '.join(offered)}")
        (state / "comp_algorithm").write_text(codec)
        (state / "disksize").write_text(str(size_bytes))
        device = Path(f"/dev/zram{number}")
        if not device.exists():
            raise WorkloadUnavailable(f"there is no {device}: is /dev a devtmpfs?")
        file = os.open(device, os.O_RDWR | os.O_DIRECT)
        try:
            yield ZramDevice(file, state)
        finally:
            os.close(file)


@contextlib.contextmanager
def _removed_afterwards(number: str, state: Path) -> Iterator[None]:
    """Raises OSError if the device cannot be removed."""
    # A session of its own: what kills this process's group leaves it alone.
    try:
        guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", state, number, _CONTROL],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError:
        (_CONTROL / "hot_remove").write_text(number)
        raise
    try:
        yield
    finally:
        guard.communicate()
        if guard.returncode != 0:
            raise OSError(f"zram{number} cannot be removed: is it open elsewhere?")
