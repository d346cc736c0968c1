"""Swap: where this machine swaps to, whether a node may be swapped out, double compression.

Covers: /proc/swaps, zswap, zram, vm.swappiness, huge pages, a node's control group and OOM score.
Does not cover: Linux' NBD client (``kernel_features.py``).

Memory that is swapped to a device of a node must not be the memory of that node: to take a page in,
the node would have to run, for which the kernel would have to take a page in.
"""

from __future__ import annotations

from dataclasses import dataclass

from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.machine import Machine
from ramster.quantities import show_size

__all__ = [
    "SwapArea",
    "check_double_compression",
    "check_huge_pages",
    "check_node_memory",
    "check_oom_score",
    "check_swap_areas",
    "check_swap_settings",
    "swap_areas",
    "swaps_to_nbd",
]


@dataclass(frozen=True, slots=True)
class SwapArea:
    """A line of /proc/swaps."""

    name: str
    bytes: int
    used_bytes: int
    priority: int


def swap_areas(machine: Machine) -> list[SwapArea] | None:
    """Where this machine swaps to; None where that cannot be seen."""
    text = machine.text("proc/swaps")
    if text is None:
        return None
    areas = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 5 and all(field.lstrip("-").isdigit() for field in fields[-3:]):
            size, used, priority = map(int, fields[-3:])
            areas.append(SwapArea(fields[0], size * 1024, used * 1024, priority))
    return areas


def swaps_to_nbd(machine: Machine) -> bool:
    """Whether one of them is a network block device."""
    return any(area.name.startswith("/dev/nbd") for area in swap_areas(machine) or [])


def check_swap_areas(machine: Machine) -> Finding:
    """What there is."""
    areas = swap_areas(machine)
    if areas is None:
        return Finding(Feature.SWAP, "areas", Status.UNKNOWN, "/proc/swaps cannot be read")
    if not areas:
        found = "this machine does not swap (to swap to a node: docs/nbd.md)"
        return Finding(Feature.SWAP, "areas", Status.OK, found)
    shown = ", ".join(
        f"{area.name} {show_size(area.used_bytes)} of {show_size(area.bytes)}, priority "
        f"{area.priority}"
        for area in areas
    )
    return Finding(Feature.SWAP, "areas", Status.OK, shown)


def check_swap_settings(machine: Machine) -> Finding:
    """vm.swappiness and vm.page-cluster."""
    swappiness = machine.number("proc/sys/vm/swappiness")
    cluster = machine.number("proc/sys/vm/page-cluster")
    if swappiness is None or cluster is None:
        return Finding(Feature.SWAP, "settings", Status.UNKNOWN, "vm.swappiness cannot be read")
    found = f"vm.swappiness {swappiness}, {2**cluster} pages are read at a time (vm.page-cluster)"
    if swappiness == 0:
        fix = "sudo sysctl vm.swappiness=60: with 0 Linux swaps only when memory is all but gone"
        return Finding(Feature.SWAP, "settings", Status.NOTE, found, fix)
    return Finding(Feature.SWAP, "settings", Status.OK, found)


def check_double_compression(machine: Machine) -> Finding:
    """zswap or zram before a node's device: pages would be compressed twice."""
    zswap = machine.text("sys/module/zswap/parameters/enabled") in ("Y", "1")
    areas = swap_areas(machine) or []
    zram = [area.name for area in areas if area.name.startswith("/dev/zram")]
    nbd = [area.name for area in areas if area.name.startswith("/dev/nbd")]
    active = [*(["zswap"] if zswap else []), *zram]
    if not active:
        found = "neither zswap nor swap on zram is active"
        return Finding(Feature.SWAP, "zswap, zram", Status.OK, found)
    if not nbd:
        found = f"{', '.join(active)} active, and no swap on a network block device beside it"
        return Finding(Feature.SWAP, "zswap, zram", Status.OK, found)
    if zswap:
        found = f"zswap compresses pages before {nbd[0]} gets them; zcache compresses them again"
        fix = "echo N | sudo tee /sys/module/zswap/parameters/enabled, if the node is to hold them"
        return Finding(Feature.SWAP, "zswap, zram", Status.NOTE, found, fix)
    found = f"{zram[0]} and {nbd[0]}: the one of the higher priority is filled first"
    fix = "swapon --priority, so that it is the one you want; no page is compressed twice"
    return Finding(Feature.SWAP, "zswap, zram", Status.NOTE, found, fix)


def check_node_memory(machine: Machine, pid: str, subject: str) -> Finding:
    """Whether the memory of a process can be swapped out."""
    areas = swap_areas(machine)
    check = "the node's memory"
    if not areas:
        status = Status.UNKNOWN if areas is None else Status.OK
        found = "/proc/swaps cannot be read" if areas is None else "cannot be swapped out: no swap"
        return Finding(Feature.SWAP, check, status, found)
    if _stays(machine, pid):
        found = f"{subject} stays in RAM"
        return Finding(Feature.SWAP, check, Status.OK, found)
    out = machine.kib(f"proc/{pid}/status", "VmSwap") or 0
    found = f"{subject} may be swapped out" + (f", {show_size(out)} of it are" if out else "")
    fix = "systemd: MemorySwapMax=0 for its service; else a group with memory.swap.max 0"
    if swaps_to_nbd(machine):
        found += "; swapped to a device of its own, it would wait for itself for ever"
        return Finding(Feature.SWAP, check, Status.BAD, found, fix)
    return Finding(Feature.SWAP, check, Status.NOTE, found, fix)


def _stays(machine: Machine, pid: str) -> bool:
    locked = machine.kib(f"proc/{pid}/status", "VmLck") or 0
    resident = machine.kib(f"proc/{pid}/status", "VmRSS") or 0
    if resident and locked >= 0.9 * resident:
        return True
    group = machine.control_group("memory", pid)
    if group is None:
        return False
    if group.version == 2:
        return group.least("memory.swap.max") == 0
    return group.values("memory.swappiness")[:1] == ["0"]


def check_oom_score(machine: Machine, pid: str, subject: str) -> Finding:
    """How soon the kernel kills it when memory runs out."""
    score = machine.number(f"proc/{pid}/oom_score_adj")
    if score is None:
        return Finding(Feature.SWAP, "out of memory", Status.UNKNOWN, "oom_score_adj is not shown")
    found = f"{subject}: oom_score_adj {score}"
    if score < 0 or not swaps_to_nbd(machine):
        return Finding(Feature.SWAP, "out of memory", Status.OK, found)
    found += ", and swap that the kernel needs would go with it"
    fix = "systemd: OOMScoreAdjust=-900 for its service"
    return Finding(Feature.SWAP, "out of memory", Status.NOTE, found, fix)


def check_huge_pages(machine: Machine) -> Finding:
    """Transparent huge pages."""
    text = machine.text("sys/kernel/mm/transparent_hugepage/enabled")
    if text is None:
        return Finding(Feature.POOL, "huge pages", Status.OK, "this kernel has no transparent ones")
    chosen = text.partition("[")[2].partition("]")[0] or text
    found = f"transparent ones: {chosen}; the pool declines them and gives back single frames"
    return Finding(Feature.POOL, "huge pages", Status.OK, found)
