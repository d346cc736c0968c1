"""Tries whether this process may have a userfaultfd, in each of the three ways.

Covers: the system call and the device; what is opened is closed at once. Does not cover: judging
(``kernel_features.py``).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import sys
from dataclasses import dataclass

__all__ = ["Attempts", "try_userfaultfd"]

_NUMBERS = {
    "x86_64": 323,
    "aarch64": 282,
    "riscv64": 282,
    "loongarch64": 282,
    "ppc64le": 364,
    "s390x": 355,
    "armv7l": 388,
    "i686": 374,
}
"""Numbers of the system call, from the kernel's system call tables."""

_USER_MODE_ONLY = 1
"""UFFD_USER_MODE_ONLY, and below _IO(0xAA, 0x00): <linux/userfaultfd.h>."""
_IOC_NEW = 0xAA00


@dataclass(frozen=True, slots=True)
class Attempts:
    """The errno of each attempt; None where it worked."""

    everything: int | None
    """The system call, for faults of programs and of the kernel on their behalf."""
    user_mode: int | None
    """The system call with UFFD_USER_MODE_ONLY."""
    device: int | None
    """/dev/userfaultfd."""


def try_userfaultfd() -> Attempts:
    """Try all three."""
    return Attempts(_call(0), _call(_USER_MODE_ONLY), _device())


def _call(flags: int) -> int | None:
    number = _NUMBERS.get(platform.machine())
    if number is None or sys.platform != "linux" or sys.maxsize < 2**32:
        return errno.ENOSYS
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    descriptor = libc.syscall(ctypes.c_long(number), ctypes.c_int(flags | os.O_CLOEXEC))
    if descriptor < 0:
        return ctypes.get_errno()
    os.close(descriptor)
    return None


def _device() -> int | None:
    try:
        device = os.open("/dev/userfaultfd", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return error.errno
    try:
        os.close(fcntl.ioctl(device, _IOC_NEW, os.O_CLOEXEC))
    except OSError as error:
        return error.errno
    finally:
        os.close(device)
    return None
