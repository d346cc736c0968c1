"""Whether this is a container, and what a filter of system calls may hide.

Covers: the usual marks. Does not cover: what the filter forbids; what matters is tried
(``userfaultfd.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.machine import Machine

__all__ = ["check_container", "check_filter", "container_of"]


def container_of(machine: Machine, environ: Mapping[str, str]) -> str | None:
    """The kind of container, or None."""
    if machine.exists(".dockerenv"):
        return "docker"
    if machine.exists("run/.containerenv"):
        return "podman"
    named = machine.text("run/systemd/container") or environ.get("container", "")
    if named and named.isprintable():
        return named[:40]
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "kubernetes"
    group = machine.text("proc/1/cgroup") or ""
    for mark in ("docker", "kubepods", "containerd", "lxc", "libpod"):
        if mark in group:
            return mark
    return None


def check_container(machine: Machine, environ: Mapping[str, str]) -> Finding:
    """What it means for the other findings."""
    kind = container_of(machine, environ)
    if kind is None:
        return Finding(Feature.CONTAINER, "container", Status.OK, "none seen")
    found = f"{kind}: modules, swap and the clock are the host's; look there for these"
    return Finding(Feature.CONTAINER, "container", Status.NOTE, found)


def check_filter(machine: Machine) -> Finding:
    """Seccomp."""
    mode = machine.field("proc/self/status", "Seccomp")
    if mode is None:
        return Finding(Feature.CONTAINER, "seccomp", Status.UNKNOWN, "/proc/self/status says none")
    if mode == "0":
        return Finding(Feature.CONTAINER, "seccomp", Status.OK, "no filter of system calls")
    found = "a filter of system calls is on; the usual ones forbid userfaultfd"
    fix = "nothing for what this version does; else docker run --security-opt seccomp=PROFILE"
    return Finding(Feature.CONTAINER, "seccomp", Status.NOTE, found, fix)
