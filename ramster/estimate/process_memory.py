"""A sample of the private anonymous memory of a process.

Covers: which of its pages are in RAM (/proc/PID/smaps, pagemap), reading some of them
(/proc/PID/mem), what is said where that is not allowed. Does not cover: what the pages come to
(``prediction.py``).

The process runs on: nothing is attached to it, no signal is sent, and no bit of its page tables is
changed (so nothing is said of idle pages, which would take /proc/PID/clear_refs). Pages that are
swapped out are counted and not read, because reading would bring them in.

Who may read: its owner, as far as kernel.yama.ptrace_scope allows, and root (CAP_SYS_PTRACE).
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ramster.estimate.sampling import EstimateError, PageReservoir, Sample
from zcache import PAGE_SIZE

__all__ = ["sample_process"]

_CHUNK_PAGES = 65536
"""Entries of pagemap that are read at a time."""

_RESIDENT, _SWAPPED = 1, 2


def _category(top: int) -> int:
    """Of the highest byte of an entry: bit 63 present, 62 swapped, 61 of a file or shared.

    Linux Documentation/admin-guide/mm/pagemap.rst; these bits are shown without any capability.
    """
    if top & 0x80:
        return 0 if top & 0x20 else _RESIDENT
    return _SWAPPED if top & 0x40 else 0


_CATEGORIES = bytes(_category(top) for top in range(256))

_RESIDENT_BYTE = re.compile(re.escape(bytes([_RESIDENT])))

_HEAD = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ")


def sample_process(pid: int, count: int, rng: random.Random, *, seconds_max: float = 30) -> Sample:
    """Up to ``count`` pages, chosen at random; looks for pages for ``seconds_max`` at most.

    Raises EstimateError: no such process, not allowed, no such memory, not with this kernel.
    """
    if mmap.PAGESIZE != PAGE_SIZE:
        raise EstimateError(
            f"process {pid}: this kernel's pages have {mmap.PAGESIZE} bytes; memory can be sampled "
            f"where they have {PAGE_SIZE} (--file and --dir work here)"
        )
    try:
        return _sample(pid, count, rng, time.monotonic() + seconds_max)
    except OSError as error:
        raise _failure(pid, error) from error


def _failure(pid: int, error: OSError) -> EstimateError:
    if error.errno in (errno.ENOENT, errno.ESRCH):
        if os.path.isdir(f"/proc/{pid}"):
            return EstimateError(f"process {pid}: {error.filename} is not there (CONFIG_PROC_*)")
        return EstimateError(f"process {pid}: there is none (any more)")
    if error.errno not in (errno.EACCES, errno.EPERM):
        return EstimateError(f"process {pid}: {error.strerror or error}")
    return EstimateError(f"process {pid}: this user may not read its memory; {_permission(pid)}")


def _permission(pid: int) -> str:
    """What would be allowed."""
    if os.geteuid() == 0:
        if _may_trace():
            return "not even as root: it is in another user namespace, or the system protects it"
        return "root lacks CAP_SYS_PTRACE here (docker run --cap-add SYS_PTRACE gives it)"
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        owner = os.geteuid()
    try:
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
    except OSError:
        scope = "0"  # a kernel without Yama
    if owner != os.geteuid():
        return f"run this as root, or as the user with the id {owner} whose process it is"
    if scope == "3":
        return "kernel.yama.ptrace_scope is 3, which forbids it to everybody until the next boot"
    if scope != "0":
        return (
            f"kernel.yama.ptrace_scope is {scope}: run this as root, or allow it for now with "
            "sudo sysctl kernel.yama.ptrace_scope=0"
        )
    return "run this as root (CAP_SYS_PTRACE): the process has other rights, or is not dumpable"


def _may_trace() -> bool:
    """Whether this process has CAP_SYS_PTRACE, number 19 (<linux/capability.h>)."""
    try:
        found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.M)
    except OSError:
        return False
    return found is not None and bool(int(found[1], 16) >> 19 & 1)


def _sample(pid: int, count: int, rng: random.Random, deadline: float) -> Sample:
    mappings, kernel_says = _mappings(pid)
    if not mappings:
        raise _without(pid)
    reservoir: PageReservoir[int] = PageReservoir(count, rng)
    swapped = 0
    complete = True
    pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for start, categories in _chunks(pagemap, mappings):
                swapped += categories.count(_SWAPPED)
                resident = categories.count(_RESIDENT)
                reservoir.offer(resident, _address_of(start, categories))
                if time.monotonic() > deadline:
                    complete = False
                    break
            pages, vanished = _read(memory, pagemap, sorted(reservoir.items))
        finally:
            os.close(memory)
    finally:
        os.close(pagemap)
    if not reservoir.offered:
        raise _without(pid)
    if not pages:
        raise EstimateError(f"process {pid}: it ended, or gave up its memory, while it was read")
    return Sample(
        source=f"process {pid} ({_name(pid)})",
        pages_total=reservoir.offered,
        pages=pages,
        vanished=vanished,
        complete=complete,
        facts={"swapped_pages": swapped, "anonymous_bytes_by_kernel": kernel_says},
    )


def _without(pid: int) -> EstimateError:
    return EstimateError(f"process {pid}: it has no private anonymous memory in RAM")


def _mappings(pid: int) -> tuple[list[tuple[int, int]], int]:
    """Private mappings with anonymous pages, as (start, end), and the bytes of such pages by smaps.

    Those of huge pages of hugetlbfs are left out: they cannot leave RAM.
    """
    found: list[tuple[int, int]] = []
    total = 0
    place: tuple[int, int] | None = None
    sizes = {b"Anonymous:": 0, b"Swap:": 0}
    with open(f"/proc/{pid}/smaps", "rb") as lines:
        for line in lines:
            if head := _HEAD.match(line):
                place = (int(head[1], 16), int(head[2], 16)) if head[3].endswith(b"p") else None
                sizes = dict.fromkeys(sizes, 0)
                continue
            key, *values = line.split() or [b""]
            if key in sizes:
                sizes[key] = int(values[0]) * 1024
            elif key == b"VmFlags:" and place and any(sizes.values()) and b"ht" not in values:
                found.append(place)
                total += sizes[b"Anonymous:"]
    return found, total


def _chunks(pagemap: int, mappings: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """(address, a category of each page from there) of everything that is mapped."""
    for start, end in mappings:
        for address in range(start, end, _CHUNK_PAGES * PAGE_SIZE):
            pages = min(_CHUNK_PAGES, (end - address) // PAGE_SIZE)
            entries = os.pread(pagemap, pages * 8, address // PAGE_SIZE * 8)
            yield address, entries[7::8].translate(_CATEGORIES)


def _address_of(start: int, categories: bytes) -> Callable[[int], int]:
    """The address of the nth resident page of a chunk."""
    resident: list[int] = []

    def address(number: int) -> int:
        if not resident:  # not every chunk of a large process has a page in the sample
            resident.extend(match.start() for match in _RESIDENT_BYTE.finditer(categories))
        return start + resident[number] * PAGE_SIZE

    return address


def _read(memory: int, pagemap: int, addresses: list[int]) -> tuple[bytearray, int]:
    """The pages that are still there, and how many are not."""
    pages = bytearray()
    vanished = 0
    for address in addresses:
        try:
            entry = os.pread(pagemap, 8, address // PAGE_SIZE * 8)
            # A page that was given back reads as zeros, one that was swapped out would come in.
            there = len(entry) == 8 and _CATEGORIES[entry[7]] == _RESIDENT
            page = os.pread(memory, PAGE_SIZE, address) if there else b""
        except OSError:
            page = b""
        if len(page) == PAGE_SIZE:
            pages += page
        else:
            vanished += 1
    return pages, vanished


def _name(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
    return "".join(char if char.isprintable() else "?" for char in name)
