"""What is said of what the kernel offers."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ramster.doctor.findings import Status
from ramster.doctor.kernel_features import (
    check_fuse,
    check_nbd_client,
    check_nbd_module,
    check_userfaultfd,
)
from ramster.doctor.userfaultfd import Attempts
from tests.support.machine_tree import make_machine

NO, NONE = errno.EPERM, errno.ENOSYS


@pytest.mark.parametrize(
    ("attempts", "seccomp", "status", "said"),
    [
        (Attempts(None, None, NO), "0", Status.OK, "the system call works"),
        (Attempts(NO, None, None), "0", Status.OK, "/dev/userfaultfd works"),
        (Attempts(NO, None, NO), "0", Status.NOTE, "of programs only (UFFD_USER_MODE_ONLY)"),
        (Attempts(NONE, NONE, errno.ENOENT), "0", Status.MISSING, "ENOSYS"),
        (Attempts(NO, NO, errno.ENOENT), "2", Status.MISSING, "EPERM"),
        (Attempts(NO, NO, errno.ENOENT), "0", Status.MISSING, "EPERM"),
    ],
)
def test_userfaultfd_by_what_the_kernel_answered(
    tmp_path: Path, attempts: Attempts, seccomp: str, status: Status, said: str
) -> None:
    files = {
        "proc/self/status": f"Seccomp:\t{seccomp}",
        "proc/sys/vm/unprivileged_userfaultfd": "0",
    }
    found = check_userfaultfd(attempts, make_machine(tmp_path, files))
    assert found.status is status
    assert said in found.found
    assert bool(found.fix) == (status is not Status.OK)
    assert ("docker run --security-opt seccomp" in found.fix) == (seccomp == "2")


@pytest.mark.parametrize(
    ("files", "status", "said"),
    [
        ({"sys/module/nbd/refcnt": "0"}, Status.OK, "there, 0 devices"),
        ({"sys/block/nbd0/size": "0", "dev/nbd0": ""}, Status.OK, "there, 1 devices"),
        ({"sys/block/nbd0/size": "0"}, Status.MISSING, "not in this /dev"),
        (
            {"lib/modules/6.1/modules.dep": "kernel/drivers/block/nbd.ko.xz:"},
            Status.MISSING,
            "not loaded",
        ),
        ({}, Status.MISSING, "not among the modules of 6.1"),
    ],
)
def test_the_nbd_module(tmp_path: Path, files: dict[str, str], status: Status, said: str) -> None:
    found = check_nbd_module(make_machine(tmp_path, files), "6.1")
    assert found.status is status
    assert said in found.found
    assert (found.fix == "sudo modprobe nbd") == ("lib/modules/6.1/modules.dep" in files)


def test_the_nbd_client() -> None:
    assert check_nbd_client(lambda name: "/usr/sbin/nbd-client").status is Status.OK
    assert check_nbd_client(lambda name: None).fix == "sudo apt install nbd-client"


@pytest.mark.parametrize(
    ("there", "ours", "program", "status"),
    [
        (False, True, True, Status.MISSING),
        (True, False, True, Status.MISSING),
        (True, True, False, Status.NOTE),
        (True, True, True, Status.OK),
    ],
)
def test_fuse(tmp_path: Path, there: bool, ours: bool, program: bool, status: Status) -> None:
    machine = make_machine(tmp_path, {"dev/fuse": ""} if there else {})
    found = check_fuse(machine, lambda name: "/x" if program else None, lambda path: ours)
    assert found.status is status
