"""A sample of the pages of files.

Covers: finding regular files below folders, choosing pages by size, reading them. Does not cover:
what the pages come to (``prediction.py``).

Below a folder no symbolic link is followed and no other file system is entered; a file with several
names counts once. The last page of a file is filled up with zeros, as in the page cache. Holes of
sparse files are counted and not sampled.
"""

from __future__ import annotations

import errno
import os
import random
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ramster.errors import ConfigurationError
from ramster.estimate.sampling import EstimateError, PageReservoir, Sample
from zcache import PAGE_SIZE

__all__ = ["sample_files", "sample_folder"]

_EXTENTS_MAX = 10_000
"""Runs of data that are told apart in one sparse file; behind the last, all counts as data."""


class _Place(NamedTuple):
    path: str
    page: int


@dataclass(slots=True)
class _Walk:
    """What was found on the way."""

    deadline: float
    files: int = 0
    bytes: int = 0
    hole_bytes: int = 0
    unreadable: int = 0
    symbolic_links: int = 0
    other_file_systems: int = 0
    special_files: int = 0
    late: bool = False
    seen: set[tuple[int, int]] = field(default_factory=set)
    """Files with several names."""

    def in_time(self) -> bool:
        """Whether to go on."""
        self.late = self.late or time.monotonic() > self.deadline
        return not self.late

    def facts(self) -> dict[str, int]:
        """The counts."""
        names = ("files", "bytes", "hole_bytes", "unreadable", "symbolic_links")
        more = ("other_file_systems", "special_files")
        return {name: getattr(self, name) for name in names + more}


def sample_files(
    paths: Sequence[str], count: int, rng: random.Random, *, seconds_max: float = 30
) -> Sample:
    """Up to ``count`` pages of the named files, symbolic links followed.

    Raises ConfigurationError for one that is no readable regular file, EstimateError where there
    is no page.
    """
    walk = _Walk(time.monotonic() + seconds_max)
    reservoir: PageReservoir[_Place] = PageReservoir(count, rng)
    paths = list(dict.fromkeys(paths))
    for path in paths:
        try:
            with open(path, "rb", opener=_opener) as stream:
                found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                folder = stat.S_ISDIR(found.st_mode)
                raise _refused("file", path, "a folder" if folder else "a special file")
        except OSError as error:
            if error.errno == errno.EISDIR:
                raise _refused("file", path, "a folder") from None
            raise _refused("file", path, error.strerror or str(error)) from None
        _offer(path, found, reservoir, walk)
    source = _shown(paths[0]) if len(paths) == 1 else f"{len(paths)} files"
    return _finish(source, reservoir, walk, seconds_max, rng)


def sample_folder(
    folder: str, count: int, rng: random.Random, *, seconds_max: float = 30
) -> Sample:
    """Up to ``count`` pages of the regular files below a folder; walks and
    reads for ``seconds_max`` each at most.

    Raises ConfigurationError for what is no readable folder, EstimateError where there is no page.
    """
    walk = _Walk(time.monotonic() + seconds_max)
    reservoir: PageReservoir[_Place] = PageReservoir(count, rng)
    try:
        with os.scandir(folder):
            device = os.stat(folder).st_dev
    except OSError as error:
        raise _refused("dir", folder, error.strerror or str(error)) from None
    for path, found in _walk(folder, device, walk, rng):
        _offer(path, found, reservoir, walk)
    return _finish(_shown(folder), reservoir, walk, seconds_max, rng)


def _shown(path: str) -> str:
    """A path that a terminal takes, whatever bytes are in it."""
    text = os.fsencode(path).decode(errors="replace")
    return "".join(char if char.isprintable() else "?" for char in text)


def _refused(key: str, path: str, reason: str) -> ConfigurationError:
    accepted = {"file": "a regular file that can be read", "dir": "a folder that can be read"}
    return ConfigurationError(key, path, f"--{key}", f"{accepted[key]} ({reason})")


def _walk(
    folder: str, device: int, walk: _Walk, rng: random.Random
) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files with pages. Folders in random order: where time ends it, no name decides."""
    folders = [folder]
    while folders and walk.in_time():
        at = rng.randrange(len(folders))
        folders[at], folders[-1] = folders[-1], folders[at]
        for entry in _entries(folders.pop(), walk):
            found = _look_at(entry, device, walk)
            if found is None:
                continue
            if stat.S_ISDIR(found.st_mode):
                folders.append(entry.path)
            else:
                yield entry.path, found


def _entries(folder: str, walk: _Walk) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not walk.in_time():
                    return
                yield entry
    except OSError:
        walk.unreadable += 1  # all of it, or the rest


def _look_at(entry: os.DirEntry[str], device: int, walk: _Walk) -> os.stat_result | None:
    """A folder to enter or a file to sample; None, and counted, for everything else."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        walk.unreadable += 1
        return None
    if stat.S_ISLNK(found.st_mode):
        walk.symbolic_links += 1
    elif found.st_dev != device:
        walk.other_file_systems += 1
    elif stat.S_ISDIR(found.st_mode):
        return found
    elif not stat.S_ISREG(found.st_mode):
        walk.special_files += 1
    elif found.st_size and not os.access(entry.path, os.R_OK):
        walk.unreadable += 1
    elif found.st_nlink == 1:
        return found
    elif (found.st_dev, found.st_ino) not in walk.seen:
        walk.seen.add((found.st_dev, found.st_ino))
        return found
    return None


def _offer(path: str, found: os.stat_result, reservoir: PageReservoir[_Place], walk: _Walk) -> None:
    walk.files += 1
    walk.bytes += found.st_size
    # Few blocks are a hole, a compressing file system, or data inside of the inode.
    whole = found.st_blocks * 512 >= found.st_size
    runs = [(0, found.st_size)] if whole else _data_runs(path, found.st_size)
    done = data = 0
    for start, end in runs:
        first = max(done, start // PAGE_SIZE)
        done = -(-end // PAGE_SIZE)
        reservoir.offer(done - first, lambda page, first=first: _Place(path, first + page))  # type: ignore[misc]
        data += end - start
    walk.hole_bytes += max(0, found.st_size - data)


def _data_runs(path: str, size: int) -> list[tuple[int, int]]:
    """(start, end) of what is no hole."""
    runs: list[tuple[int, int]] = []
    end = 0
    try:
        with open(path, "rb", opener=_opener) as stream:
            while end < size and len(runs) < _EXTENTS_MAX:
                start = os.lseek(stream.fileno(), end, os.SEEK_DATA)
                end = min(os.lseek(stream.fileno(), start, os.SEEK_HOLE), size)
                if start >= end:
                    return runs
                runs.append((start, end))
    except OSError as error:
        # ENXIO: no data behind here. Otherwise it is gone, or the system knows nothing of holes.
        return runs if error.errno == errno.ENXIO else [(0, size)]
    return [*runs, (end, size)] if end < size else runs


def _opener(path: str, flags: int) -> int:
    """Open without waiting (for a named pipe) and, where the file is ours, without a new atime."""
    flags |= os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:
        return os.open(path, flags)


def _finish(
    source: str,
    reservoir: PageReservoir[_Place],
    walk: _Walk,
    seconds_max: float,
    rng: random.Random,
) -> Sample:
    if not reservoir.offered:
        raise EstimateError(f"{source}: no page to sample ({_found(walk)})")
    wanted: dict[str, list[int]] = {}
    for path, page in sorted(reservoir.items):
        wanted.setdefault(path, []).append(page)
    order = list(wanted)
    rng.shuffle(order)  # so that those that time leaves are a random choice as well
    deadline = time.monotonic() + seconds_max
    pages = bytearray()
    vanished = late = 0
    for path in order:
        if pages and time.monotonic() > deadline:
            late += len(wanted[path])
            continue
        read = _read(path, wanted[path])
        vanished += len(wanted[path]) - len(read) // PAGE_SIZE
        pages += read
    if not pages:
        raise EstimateError(f"{source}: none of the {vanished} chosen pages could be read")
    return Sample(
        source=source,
        pages_total=reservoir.offered,
        pages=pages,
        vanished=vanished,
        complete=not walk.late,
        facts={**walk.facts(), "pages_not_read_in_time": late},
    )


def _found(walk: _Walk) -> str:
    said = f"{walk.files} regular files"
    if walk.hole_bytes:
        said += f", {walk.hole_bytes} bytes of holes"
    if walk.unreadable:
        said += f", {walk.unreadable} unreadable"
    return said


def _read(path: str, wanted: list[int]) -> bytearray:
    pages = bytearray()
    try:
        with open(path, "rb", buffering=0, opener=_opener) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return pages  # another file has its name since
            for page in wanted:
                data = os.pread(stream.fileno(), PAGE_SIZE, page * PAGE_SIZE)
                if data:
                    pages += data.ljust(PAGE_SIZE, b"\0")
    except OSError:
        return pages  # gone, or cut short: those that were read count, the others vanished
    return pages
