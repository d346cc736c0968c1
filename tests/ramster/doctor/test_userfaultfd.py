"""Trying on the real kernel: an answer of each way, and nothing left open."""

from __future__ import annotations

import errno
import os
import platform

import pytest

from ramster.doctor.userfaultfd import try_userfaultfd


def test_each_way_works_or_has_an_errno_and_nothing_stays_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    attempts = try_userfaultfd()
    assert len(os.listdir("/proc/self/fd")) == before
    for outcome in (attempts.everything, attempts.user_mode, attempts.device):
        assert outcome is None or outcome in errno.errorcode
    if attempts.everything is None:
        assert attempts.user_mode is None, "who may have all may have less"


def test_an_unknown_processor_has_no_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    attempts = try_userfaultfd()
    assert (attempts.everything, attempts.user_mode) == (errno.ENOSYS, errno.ENOSYS)
