"""Which process is which: enough to be sure that a pid from elsewhere means a process here.

Covers: a process's start time and this process's pid namespace, by Linux' /proc; whether a process
is still there. Does not cover: signals (their sender knows why), systems without /proc (there
nothing can be said, and every answer is None).

A pid alone is not enough: it may be of another container or machine, or given out again.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["pid_namespace", "start_time"]


def start_time(pid: int | None = None) -> int | None:
    """When a process (None: this one) was started, in clock ticks since the machine was; None if
    there is none, or it has ended and only its parent does not know yet.
    """
    try:
        text = Path(f"/proc/{'self' if pid is None else pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    # The second field is the name in brackets, which may hold anything.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in ("Z", "X") else int(fields[18])


def pid_namespace() -> str | None:
    """What this process's pids are counted in: the running machine, and the namespace there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        number = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return None
    return f"{boot}/{number}"
