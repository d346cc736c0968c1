"""Whether this machine gives a node what its settings may take: memory, files, mappings, disk.

Covers: comparing limits with the configuration. Does not cover: swapping (``swapping.py``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from ramster.config import Mode, NodeConfig
from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.machine import Machine
from ramster.nbd.limits import NbdLimits
from ramster.quantities import format_size, show_size

__all__ = [
    "ADDRESS_SPACE_BESIDE_POOL_BYTES",
    "BESIDE_POOL_BYTES",
    "ResourceLimits",
    "check_address_space",
    "check_group_memory",
    "check_locked_memory",
    "check_mappings",
    "check_open_files",
    "check_overcommit",
    "check_physical_memory",
    "check_writeback",
    "open_files_needed",
]

BESIDE_POOL_BYTES = 128 * 2**20
"""Allowed for beside the pool's frames: interpreter, index, buffers of NBD and of the peers."""

ADDRESS_SPACE_BESIDE_POOL_BYTES = {Mode.ZCACHE: 128 * 2**20, Mode.RAMSTER: 650 * 2**20}
"""Address space of a node before its first page: 110 and 648 MiB, measured with Python 3.11 and
grpcio 1.85 (threads reserve stacks that they do not use)."""

_SEGMENTS_BYTES = 512 * 2**20
"""Address space of segments that are partly used: with pages of every length a pool of 42 MiB
reserved 305 MiB (native core, measured)."""

_BASE_FILES = 64
_FILES_A_PEER = 8
"""Connections to a peer (each kind of call has its own) and from it, with one of each to spare."""

_MAPPINGS_BASE = 4096
_SEGMENT_BYTES = 8 * 2**20
"""The smallest piece of address space that a pool takes at a time (2048 zspages of one frame)."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Soft limits of this process (getrlimit); None: none, or not known."""

    open_files: int | None
    open_files_hard: int | None
    address_space: int | None
    locked_memory: int | None


def open_files_needed(config: NodeConfig) -> int:
    """Files and sockets that a node may have open at once."""
    clients = NbdLimits().connections_max if config.nbd else 0
    peers = len(config.peer) * _FILES_A_PEER if config.mode is Mode.RAMSTER else 0
    return _BASE_FILES + clients + peers


def check_open_files(limits: ResourceLimits, config: NodeConfig) -> Finding:
    """RLIMIT_NOFILE against clients and peers."""
    needed = open_files_needed(config)
    soft, hard = limits.open_files, limits.open_files_hard
    if soft is None or soft >= needed:
        shown = "no limit" if soft is None else str(soft)
        found = f"{shown}, this configuration takes up to {needed}"
        return Finding(Feature.POOL, "open files", Status.OK, found)
    wanted = max(1024, needed)
    fix = f"ulimit -n {wanted} before it starts (systemd: LimitNOFILE={wanted})"
    if hard is not None and hard < wanted:
        fix += f"; the hard limit is {hard}, raising it takes root"
    found = f"{soft}, this configuration takes up to {needed}"
    return Finding(Feature.POOL, "open files", Status.BAD, found, fix)


def _wanted(config: NodeConfig) -> int:
    return config.pool_limit + BESIDE_POOL_BYTES


def _against(config: NodeConfig) -> str:
    return f"the pool may take {show_size(config.pool_limit)} and the node 128 MiB more"


def check_address_space(limits: ResourceLimits, config: NodeConfig) -> Finding:
    """RLIMIT_AS: address space is more than memory, so less than that is certainly too little."""
    limit = limits.address_space
    if limit is None:
        return Finding(Feature.POOL, "address space", Status.OK, "no limit")
    least = config.pool_limit + ADDRESS_SPACE_BESIDE_POOL_BYTES[config.mode]
    found = (
        f"{show_size(limit)}; the pool may take {show_size(config.pool_limit)}, a node of mode "
        f"{config.mode} {show_size(least - config.pool_limit)} and more"
    )
    if limit >= least + _SEGMENTS_BYTES:
        return Finding(Feature.POOL, "address space", Status.OK, found)
    status = Status.BAD if limit < least else Status.NOTE
    fix = "ulimit -v unlimited before it starts (systemd: LimitAS=infinity), or a lower pool_limit"
    return Finding(Feature.POOL, "address space", status, found, fix)


def check_group_memory(machine: Machine, config: NodeConfig) -> Finding:
    """memory.max of the control group, and of those above it."""
    group = machine.control_group("memory")
    if group is None:
        return Finding(Feature.POOL, "memory of the group", Status.UNKNOWN, "no control group seen")
    limit = group.memory_max()
    if limit is None:
        return Finding(Feature.POOL, "memory of the group", Status.OK, "no limit")
    found = f"{show_size(limit)}; {_against(config)}"
    if limit >= _wanted(config):
        return Finding(Feature.POOL, "memory of the group", Status.OK, found)
    fix = (
        f"at least {format_size(_wanted(config))} (docker run --memory; systemd: MemoryMax=), or "
        "a lower pool_limit: the kernel kills what exceeds it"
    )
    return Finding(Feature.POOL, "memory of the group", Status.BAD, found, fix)


def check_physical_memory(machine: Machine, config: NodeConfig) -> Finding:
    """The machine's RAM: what there is, and what is free now."""
    total = machine.kib("proc/meminfo", "MemTotal")
    free = machine.kib("proc/meminfo", "MemAvailable")
    if total is None:
        return Finding(Feature.POOL, "memory", Status.UNKNOWN, "/proc/meminfo does not say")
    found = f"{show_size(total)}"
    if free is not None:
        found += f", {show_size(free)} available"
    found += f"; {_against(config)}"
    if total < _wanted(config):
        fix = "a lower pool_limit: zcache is for RAM that is there"
        return Finding(Feature.POOL, "memory", Status.BAD, found, fix)
    if free is not None and free < _wanted(config):
        fix = "a lower pool_limit, unless what takes the rest is to go (or is this node already)"
        return Finding(Feature.POOL, "memory", Status.NOTE, found, fix)
    return Finding(Feature.POOL, "memory", Status.OK, found)


def check_locked_memory(
    limits: ResourceLimits, config: NodeConfig, *, nbd_swap: bool = False
) -> Finding:
    """RLIMIT_MEMLOCK. A node locks nothing by itself; whoever wants it locked, because the machine
    swaps to its device (``nbd_swap``), needs the room."""
    limit = limits.locked_memory
    if limit is None or limit >= _wanted(config):
        shown = "no limit" if limit is None else show_size(limit)
        found = f"{shown}, enough for all of a node"
        return Finding(Feature.SWAP, "locked memory", Status.OK, found)
    found = f"{show_size(limit)}: a node could not be locked into RAM"
    if not nbd_swap:
        found += ", and locks nothing by itself"
        return Finding(Feature.SWAP, "locked memory", Status.OK, found)
    fix = "systemd: LimitMEMLOCK=infinity; a group with memory.swap.max 0 serves as well"
    return Finding(Feature.SWAP, "locked memory", Status.NOTE, found, fix)


def check_mappings(machine: Machine, config: NodeConfig) -> Finding:
    """vm.max_map_count against the pool's segments."""
    limit = machine.number("proc/sys/vm/max_map_count")
    if limit is None:
        return Finding(Feature.POOL, "mappings", Status.UNKNOWN, "vm.max_map_count cannot be read")
    needed = _MAPPINGS_BASE + config.pool_limit // _SEGMENT_BYTES
    found = f"vm.max_map_count is {limit}, such a pool takes at most {needed}"
    if limit >= needed:
        return Finding(Feature.POOL, "mappings", Status.OK, found)
    fix = f"sudo sysctl vm.max_map_count={needed} (and a line in /etc/sysctl.d)"
    return Finding(Feature.POOL, "mappings", Status.BAD, found, fix)


def check_overcommit(machine: Machine, config: NodeConfig) -> Finding:
    """vm.overcommit_memory: with 2, address space of the pool counts before it is used."""
    mode = machine.number("proc/sys/vm/overcommit_memory")
    if mode is None:
        found = "vm.overcommit_memory cannot be read"
        return Finding(Feature.POOL, "overcommit", Status.UNKNOWN, found)
    if mode != 2:
        found = f"vm.overcommit_memory is {mode}: address space costs nothing"
        return Finding(Feature.POOL, "overcommit", Status.OK, found)
    limit = machine.kib("proc/meminfo", "CommitLimit")
    taken = machine.kib("proc/meminfo", "Committed_AS")
    left = None if limit is None or taken is None else max(0, limit - taken)
    room = "an unknown rest" if left is None else show_size(left)
    found = f"vm.overcommit_memory is 2 (strict), {room} is left; {_against(config)}"
    fix = "sudo sysctl vm.overcommit_memory=0, or more swap, or a lower pool_limit"
    short = left is not None and left < _wanted(config)
    status = Status.BAD if short else Status.NOTE
    return Finding(Feature.POOL, "overcommit", status, found, fix)


def check_writeback(
    config: NodeConfig,
    may_write: Callable[[str], bool],
    free_bytes: Callable[[str], int | None],
) -> list[Finding]:
    """The folder of the write-back file: there, ours, with room."""
    if config.writeback is None or config.writeback_limit is None:
        return []
    folder = os.path.dirname(os.path.abspath(config.writeback))
    free = free_bytes(folder)
    if free is None:
        found, fix = f"{folder} is not there", f"mkdir -p {folder}"
        return [Finding(Feature.WRITEBACK, "folder", Status.MISSING, found, fix)]
    place = config.writeback if os.path.exists(config.writeback) else folder
    if not may_write(place):
        found, fix = f"{place} is not writable for this user", f"sudo chown $(id -u) {place}"
        return [Finding(Feature.WRITEBACK, "folder", Status.BAD, found, fix)]
    limit = config.writeback_limit
    found = f"{show_size(free)} free at {folder}, writeback_limit is {show_size(limit)}"
    if free >= limit:
        return [Finding(Feature.WRITEBACK, "disk", Status.OK, found)]
    fix = "a lower writeback_limit, or free room (what the file has already counts towards it)"
    return [Finding(Feature.WRITEBACK, "disk", Status.NOTE, found, fix)]
