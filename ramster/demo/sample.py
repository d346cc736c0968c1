"""The demo's data: the machine's own files, one after the other.

Covers: finding files, reading them into one buffer, guessing how well they compress. Does not
cover: what is done with them (``workload.py``).

Python sources and shared objects are taken in turns, because text and code compress differently
and a real memory holds both.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

from ramster.errors import ConfigurationError
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind

__all__ = ["compression_of", "read_sample"]

_FILE_BYTES_MAX = 2**20
"""Taken of one file, so that a few large ones do not stand for all."""
_SAMPLED_PAGES = 2048


def read_sample(size_bytes: int, folder: Path | None = None) -> tuple[bytearray, int]:
    """The first ``size_bytes`` of the machine's files, or of the files under ``folder``.

    Returns the data, cut to whole pages, and how many files it comes from. Where there is
    less, the same files are taken again. Raises ConfigurationError without even one page.
    """
    data = bytearray()
    files = 0
    for path in _machine_files() if folder is None else _files(folder, ""):
        try:
            with path.open("rb") as stream:
                data += stream.read(min(_FILE_BYTES_MAX, size_bytes - len(data)))
        except OSError:
            continue  # not readable for this user, or gone meanwhile: another file will do
        files += 1
        if len(data) >= size_bytes:
            break
    if len(data) < PAGE_SIZE:
        where = "this machine" if folder is None else str(folder)
        raise ConfigurationError(
            "data", where, "--data", "a folder with readable files of 4096 bytes"
        )
    _repeat(data, size_bytes)
    del data[len(data) // PAGE_SIZE * PAGE_SIZE :]
    return data, files


def _repeat(data: bytearray, size_bytes: int) -> None:
    """Go on with the same bytes, cut differently into pages, so that no page comes twice."""
    once = len(data)
    shift = 0
    while len(data) < size_bytes:
        shift = (shift + 1000) % PAGE_SIZE
        data += data[shift : min(once, shift + size_bytes - len(data))]


def _machine_files() -> Iterator[Path]:
    library = Path(sysconfig.get_path("stdlib"))
    texts = _files(library, ".py")
    objects = chain(
        _files(Path("/usr/lib"), ".so"), _files(Path(sys.prefix), ".so"), _files(library, ".so")
    )
    paired = chain.from_iterable(zip_longest(texts, objects))
    others = (_files(Path(folder), "") for folder in ("/usr/bin", "/usr/share"))
    return (path for path in chain(paired, *others) if path is not None)


def _files(folder: Path, mark: str) -> Iterator[Path]:
    """Regular files below a folder whose names hold ``mark``, in the order of their names."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _files(entry, mark)
        elif mark in entry.name and entry.is_file():
            yield entry


def compression_of(data: bytearray) -> float:
    """Bytes of frames that a node needs for a byte of the data, from pages all over it.

    Measured with the node's own cache, so that it includes what compression and allocator lose.
    """
    pages = len(data) // PAGE_SIZE
    step = max(1, pages // _SAMPLED_PAGES)
    taken = range(0, pages, step)
    cache = Cache(CacheConfig(pool_bytes_max=(len(taken) + 1024) * PAGE_SIZE))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    view = memoryview(data)
    for page in taken:
        cache.put(pool, 1, page, view[page * PAGE_SIZE : (page + 1) * PAGE_SIZE])
    return cache.stats().frames_used / len(taken)
