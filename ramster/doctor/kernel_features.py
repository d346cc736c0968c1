"""What the kernel offers: userfaultfd, the NBD client, FUSE.

Covers: judging what was seen and tried. Does not cover: trying (``userfaultfd.py``).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.machine import Machine
from ramster.doctor.userfaultfd import Attempts

__all__ = ["check_fuse", "check_nbd_client", "check_nbd_module", "check_userfaultfd"]


def check_userfaultfd(attempts: Attempts, machine: Machine) -> Finding:
    """By what the kernel answered, and why."""
    check = "userfaultfd"
    unprivileged = machine.number("proc/sys/vm/unprivileged_userfaultfd")
    if attempts.everything is None:
        found = "the system call works, for faults of programs and of the kernel"
        return Finding(Feature.USERFAULTFD, check, Status.OK, found)
    if attempts.device is None:
        found = "/dev/userfaultfd works, for faults of programs and of the kernel"
        return Finding(Feature.USERFAULTFD, check, Status.OK, found)
    code = errno.errorcode.get(attempts.everything, str(attempts.everything))
    if attempts.user_mode is None:
        found = (
            f"for faults of programs only (UFFD_USER_MODE_ONLY), for all of them {code}: a read() "
            "into such memory fails"
        )
        fix = (
            "CAP_SYS_PTRACE, or sudo sysctl vm.unprivileged_userfaultfd=1 "
            f"(now {'not there' if unprivileged is None else unprivileged}), or rights on "
            "/dev/userfaultfd"
        )
        return Finding(Feature.USERFAULTFD, check, Status.NOTE, found, fix)
    if attempts.everything == errno.ENOSYS:
        found = "ENOSYS: this kernel has none, or a filter (seccomp) hides it"
        fix = "a kernel with CONFIG_USERFAULTFD; in a container, a seccomp profile that allows it"
        return Finding(Feature.USERFAULTFD, check, Status.MISSING, found, fix)
    found = f"{code}, also for faults of programs only"
    fix = "docker run --security-opt seccomp=PROFILE, with userfaultfd in the profile"
    if machine.field("proc/self/status", "Seccomp") != "2":
        fix = "what forbids it is no seccomp filter; CAP_SYS_PTRACE is enough elsewhere"
    return Finding(Feature.USERFAULTFD, check, Status.MISSING, found, fix)


def check_nbd_module(machine: Machine, release: str) -> Finding:
    """The kernel's NBD client; ``release``: the running kernel's (uname -r)."""
    check = "nbd module"
    if machine.exists("sys/module/nbd") or machine.exists("sys/block/nbd0"):
        devices = [name for name in machine.names("sys/block") if name.startswith("nbd")]
        if devices and not machine.exists(f"dev/{devices[0]}"):
            found = "loaded, and its devices are not in this /dev"
            fix = "in a container: docker run --device /dev/nbd0"
            return Finding(Feature.KERNEL_NBD, check, Status.MISSING, found, fix)
        found = f"there, {len(devices)} devices"
        return Finding(Feature.KERNEL_NBD, check, Status.OK, found)
    folder = f"lib/modules/{release}"
    if "/nbd.ko" in (machine.text(f"{folder}/modules.dep") or ""):
        found, fix = "not loaded", "sudo modprobe nbd"
        return Finding(Feature.KERNEL_NBD, check, Status.MISSING, found, fix)
    found = f"not loaded, not among the modules of {release} here; clients in user space do without"
    fix = "sudo modprobe nbd on the host, with a kernel that has it (CONFIG_BLK_DEV_NBD)"
    return Finding(Feature.KERNEL_NBD, check, Status.MISSING, found, fix)


def check_nbd_client(which: Callable[[str], str | None]) -> Finding:
    """The program that hands a connection to the kernel."""
    place = which("nbd-client")
    if place:
        return Finding(Feature.KERNEL_NBD, "nbd-client", Status.OK, place)
    found, fix = "not on the PATH or in /usr/sbin", "sudo apt install nbd-client"
    return Finding(Feature.KERNEL_NBD, "nbd-client", Status.MISSING, found, fix)


def check_fuse(
    machine: Machine, which: Callable[[str], str | None], may_use: Callable[[str], bool]
) -> Finding:
    """/dev/fuse and fusermount3."""
    if not machine.exists("dev/fuse"):
        found = "/dev/fuse is not there"
        fix = "sudo modprobe fuse; in a container: docker run --device /dev/fuse"
        return Finding(Feature.FUSE, "fuse", Status.MISSING, found, fix)
    if not may_use(os.fspath(machine.root / "dev/fuse")):
        found, fix = "/dev/fuse is not for this user", "sudo chmod 666 /dev/fuse (what udev does)"
        return Finding(Feature.FUSE, "fuse", Status.MISSING, found, fix)
    if which("fusermount3") is None and which("fusermount") is None:
        found, fix = "/dev/fuse is there, fusermount3 is not", "sudo apt install fuse3"
        return Finding(Feature.FUSE, "fuse", Status.NOTE, found, fix)
    return Finding(Feature.FUSE, "fuse", Status.OK, "/dev/fuse and fusermount3 are there")
