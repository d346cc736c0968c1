"""Processor time: how many, a quota of the control group, time that the host gave to others.

Covers: judging. Does not cover: speed, for which there are benchmarks.
"""

from __future__ import annotations

from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.machine import Machine

__all__ = ["check_quota", "check_steal", "check_throttling", "quota_of"]

_STEAL_NOTED = 0.05


def quota_of(machine: Machine) -> float | None:
    """Processors that the control group, or one above it, may use; None without a limit."""
    group = machine.control_group("cpu")
    if group is None:
        return None
    quotas = []
    if group.version == 2:
        for text in group.values("cpu.max"):
            quota, _, period = text.partition(" ")
            if quota.isdigit() and period.isdigit() and int(period):
                quotas.append(int(quota) / int(period))
    else:
        pairs = zip(
            group.values("cpu.cfs_quota_us"), group.values("cpu.cfs_period_us"), strict=False
        )
        for quota, period in pairs:
            if quota.isdigit() and period.isdigit() and int(period):
                quotas.append(int(quota) / int(period))
    return min(quotas) if quotas else None


def check_quota(machine: Machine, processors: int) -> Finding:
    """``processors``: those that this process may run on."""
    quota = quota_of(machine)
    if quota is None or quota >= processors:
        return Finding(Feature.PROCESSORS, "processors", Status.OK, f"{processors}, no quota")
    found = f"{processors}, and a quota of {quota:.2f} of them"
    if quota >= 1:
        return Finding(Feature.PROCESSORS, "processors", Status.OK, found)
    found += ": a node stands still for part of each period, and peers may suspect it"
    fix = "at least 1 (docker run --cpus 1; systemd: CPUQuota=100%)"
    return Finding(Feature.PROCESSORS, "processors", Status.NOTE, found, fix)


def check_throttling(machine: Machine) -> list[Finding]:
    """How often the group was held up, where there is a quota."""
    group = machine.control_group("cpu")
    if group is None or quota_of(machine) is None:
        return []
    lines = (group.values("cpu.stat") or [""])[0].splitlines()
    counts = dict(line.split(" ", 1) for line in lines if " " in line)
    periods, held = counts.get("nr_periods", "0"), counts.get("nr_throttled", "0")
    if not (periods.isdigit() and held.isdigit() and int(periods)):
        return []
    found = f"held up in {held} of {periods} periods so far"
    if int(held) <= 0.01 * int(periods):
        return [Finding(Feature.PROCESSORS, "quota", Status.OK, found)]
    return [Finding(Feature.PROCESSORS, "quota", Status.NOTE, found, "a higher quota")]


def check_steal(machine: Machine) -> Finding:
    """Time that a host gave to other machines, since this one was started."""
    line = (machine.text("proc/stat") or "").partition("\n")[0].split()
    if len(line) < 9 or line[0] != "cpu" or not all(field.isdigit() for field in line[1:]):
        return Finding(Feature.PROCESSORS, "steal", Status.UNKNOWN, "/proc/stat does not say")
    times = [int(field) for field in line[1:9]]
    # user, nice, system, idle, iowait, irq, softirq, steal: of the time that was wanted.
    wanted = sum(times) - times[3] - times[4]
    share = times[7] / wanted if wanted else 0.0
    found = f"{share:.1%} of the time that was wanted went to other machines, since the start"
    if share < _STEAL_NOTED:
        return Finding(Feature.PROCESSORS, "steal", Status.OK, found)
    fix = "figures of speed here are of this machine and its neighbours; a less busy host"
    return Finding(Feature.PROCESSORS, "steal", Status.NOTE, found, fix)
