"""Block devices over NBD that a user may pick from, each served by a process of its own.

Covers: a node with LZ4 and with Zstandard, nbdkit's memory disk plain and with Zstandard, qemu-nbd
over a file on a tmpfs; how much memory each holds. Does not cover: the load (``block_load.py``).

All listen on a Unix socket and have room for everything.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ramster.bench.model import Subject, WorkloadUnavailable
from ramster.bench.server_process import (
    accepts,
    file_bytes,
    find_program,
    held_bytes,
    serve,
    socket_folder,
)
from ramster.demo.nodes import NodeProcess
from zcache import zstd
from zcache.backend import BACKEND

__all__ = ["EXPORT", "RIVALS", "BlockServer", "open_block_server"]

EXPORT = "disk"

RIVALS = (
    Subject.ZCACHE,
    Subject.ZCACHE_ZSTD,
    Subject.NBDKIT,
    Subject.NBDKIT_ZSTD,
    Subject.QEMU_NBD,
)
"""Those that can be opened here."""

_TMPFS_MAGIC = "tmpfs"


@dataclass(frozen=True, slots=True)
class BlockServer:
    """A served device; its export is called ``EXPORT``."""

    url: str
    held: Callable[[], int]
    """Bytes of memory: of the process (no files), and of files on the tmpfs that hold the data."""


@asynccontextmanager
async def open_block_server(
    subject: Subject, size_bytes: int, scratch: Path
) -> AsyncIterator[BlockServer]:
    """An empty device of ``size_bytes``.

    Raises WorkloadUnavailable (the program is missing, or the scratch folder is on no tmpfs for
    qemu-nbd), NodeProcessError and ServerError (it does not start).
    """
    with socket_folder(scratch) as folder:
        url = f"unix://{folder / 'nbd.sock'}"
        if subject in (Subject.ZCACHE, Subject.ZCACHE_ZSTD):
            if subject is Subject.ZCACHE_ZSTD and BACKEND != "native" and not zstd.INSTALLED:
                raise WorkloadUnavailable(f"there is no Zstandard: {zstd.TO_INSTALL}")
            codec = "lz4" if subject is Subject.ZCACHE else "zstd"
            flags = ["--mode", "zcache", "--http", "off", "--nbd", url]
            flags += ["--pool-limit", str(2 * size_bytes)]
            flags += ["--export", f"{EXPORT}={size_bytes},codec={codec}"]
            async with NodeProcess("node", *flags) as node:
                yield BlockServer(url, lambda: held_bytes(node.pid))
            return
        words, file = _words(subject, size_bytes, folder / "nbd.sock", scratch)
        with serve(words, lambda: accepts(str(folder / "nbd.sock"))) as pid:
            yield BlockServer(
                url, lambda: held_bytes(pid) + (0 if file is None else file_bytes(file))
            )


def _words(
    subject: Subject, size_bytes: int, socket: Path, scratch: Path
) -> tuple[list[str], Path | None]:
    """The command line of a server, and the file that has its data."""
    if subject in (Subject.NBDKIT, Subject.NBDKIT_ZSTD):
        words = [find_program("nbdkit", "nbdkit"), "--foreground", "--unix", str(socket)]
        words += ["memory", str(size_bytes)]
        return words + (["allocator=zstd"] if subject is Subject.NBDKIT_ZSTD else []), None
    if subject is Subject.QEMU_NBD:
        program = find_program("qemu-nbd", "qemu-utils")
        if _file_system(scratch) != _TMPFS_MAGIC:
            raise WorkloadUnavailable(
                f"{scratch} is on no tmpfs: unset TMPDIR, or point it at one, for qemu-nbd"
            )
        file = scratch / "disk"
        file.touch()
        os.truncate(file, size_bytes)
        words = [program, "--persistent", "--shared=16", "--format=raw", f"--socket={socket}"]
        words += [f"--export-name={EXPORT}", "--cache=writeback", "--discard=unmap", str(file)]
        return words, file
    raise WorkloadUnavailable(f"{subject} is no block device: accepted is {', '.join(RIVALS)}")


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder is on, as /proc/self/mounts calls it."""
    best, kind = "", ""
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        _, place, type_, *_ = line.split(" ")
        below = place == "/" or f"{folder.resolve()}/".startswith(f"{place}/")
        if below and len(place) >= len(best):
            best, kind = place, type_
    return kind
