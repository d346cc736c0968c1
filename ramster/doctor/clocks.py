"""The clocks: which source, whether the time of day is kept in step, whether it jumps.

Covers: a short sample, and the kernel's word. Does not cover: how a node uses time.

A node decides nothing by the time of day: deadlines, leases and heartbeats are on the monotonic
clock of each machine, and no time of day is sent to peers. It is in the lines of the log.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.machine import Machine

__all__ = ["check_jumps", "check_source", "check_synchronised", "jump_of", "kernel_says_unsynced"]

JUMP_S = 0.005
"""A change of the time of day against the monotonic clock that is more than slewing, which is at
most 500 parts in a million."""

_STA_UNSYNC = 0x40
"""<linux/timex.h>"""


def check_source(machine: Machine) -> Finding:
    """What the kernel tells time by."""
    folder = "sys/devices/system/clocksource/clocksource0"
    source = machine.text(f"{folder}/current_clocksource")
    if source is None:
        return Finding(Feature.CLOCK, "source", Status.UNKNOWN, "the kernel does not show it")
    others = machine.text(f"{folder}/available_clocksource") or source
    found = f"{source} (of: {others})"
    if source in ("hpet", "acpi_pm", "jiffies", "refined-jiffies"):
        fix = "a faster one, such as tsc or kvm-clock, if this machine can: each look takes a µs"
        return Finding(Feature.CLOCK, "source", Status.NOTE, found, fix)
    return Finding(Feature.CLOCK, "source", Status.OK, found)


def kernel_says_unsynced() -> bool | None:
    """Whether adjtimex reports an unsynchronised clock; reads only. None where it cannot."""
    if sys.platform != "linux":
        return None
    buffer = ctypes.create_string_buffer(512)  # struct timex, 208 bytes; modes = 0 asks
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex") or libc.adjtimex(buffer) < 0:
        return None
    # modes (int), then four longs, of which the C compiler aligns the first: offset, freq,
    # maxerror, esterror; then status (int).
    word = ctypes.sizeof(ctypes.c_long)
    status = ctypes.c_int.from_buffer(buffer, 5 * word).value
    return bool(status & _STA_UNSYNC)


def check_synchronised(unsynced: bool | None) -> Finding:
    """By the kernel's flag, which NTP and PTP daemons clear."""
    if unsynced is None:
        return Finding(Feature.CLOCK, "time of day", Status.UNKNOWN, "adjtimex does not say")
    if not unsynced:
        return Finding(Feature.CLOCK, "time of day", Status.OK, "kept in step (adjtimex)")
    found = "nothing keeps it in step (adjtimex): times in the logs of several machines may differ"
    fix = "sudo apt install systemd-timesyncd (or chrony), on the host where this is a container"
    return Finding(Feature.CLOCK, "time of day", Status.NOTE, found, fix)


def jump_of(
    seconds: float,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    realtime: Callable[[], float] = time.time,
    wait: Callable[[float], None] = time.sleep,
) -> float:
    """The largest change, in seconds, of the time of day against the monotonic clock."""
    first = previous = _offset(monotonic, realtime)
    largest = 0.0
    end = monotonic() + seconds
    while monotonic() < end:
        wait(0.01)
        now = _offset(monotonic, realtime)
        for change in (now - previous, now - first):
            if abs(change) > abs(largest):
                largest = change
        previous = now
    return largest


def _offset(monotonic: Callable[[], float], realtime: Callable[[], float]) -> float:
    """Of three looks the quickest, so that a pause between the two clocks is no jump."""
    looks = []
    for _ in range(3):
        before = monotonic()
        now = realtime()
        after = monotonic()
        looks.append((after - before, now - (before + after) / 2))
    return min(looks)[1]


def check_jumps(jump_s: float) -> Finding:
    """What ``jump_of`` gave."""
    if abs(jump_s) <= JUMP_S:
        found = "the time of day went along with the monotonic clock for a moment"
        return Finding(Feature.CLOCK, "jumps", Status.OK, found)
    found = (
        f"the time of day jumped by {jump_s:+.3f} s: times in logs lie; a node goes by the "
        "monotonic clock, nothing else suffers"
    )
    fix = "one that keeps the time (systemd-timesyncd, chrony), not several, and no setting by hand"
    return Finding(Feature.CLOCK, "jumps", Status.NOTE, found, fix)
