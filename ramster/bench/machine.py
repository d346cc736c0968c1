"""What a measurement ran on, and what it cost there.

Covers: facts for results, read from /proc and /sys. Does not cover: what was measured
(``build.py``).

Nothing here names the machine or its user: results are made to be shown to others.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
from pathlib import Path

__all__ = [
    "describe_machine",
    "load_average",
    "peak_rss_bytes",
    "restart_peak",
    "steal_s",
]


def describe_machine() -> dict[str, str | int | bool | None]:
    """Model, cores this process may use, memory in bytes, kernel, governor, whether virtual."""
    cpuinfo = _read("/proc/cpuinfo")
    return {
        "model": _field(cpuinfo, "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "virtual": "hypervisor" in _field(cpuinfo, "flags").split(),
    }


def load_average() -> float | None:
    """Processes that wanted a CPU during the last minute, on average."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def steal_s() -> float | None:
    """Seconds that the hypervisor gave this machine's CPUs to others, since it was started; None
    where the system does not say."""
    for line in _read("/proc/stat").splitlines():
        name, *fields = line.split()
        if name == "cpu" and len(fields) >= 8:
            return int(fields[7]) / os.sysconf("SC_CLK_TCK")
    return None


def restart_peak() -> None:
    """From now on ``peak_rss_bytes`` means what comes; without effect where the system does not
    let us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_rss_bytes() -> int:
    """The most memory that this process had resident.

    Linux says it in VmHWM; ``ru_maxrss`` would count what the parent had before the exec.
    """
    amount = _field(_read("/proc/self/status"), "VmHWM").removesuffix(" kB")
    if amount.isdigit():
        return int(amount) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _field(text: str, name: str) -> str:
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
