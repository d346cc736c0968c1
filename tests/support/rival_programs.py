"""Programs that benchmarks measure beside this project, for tests that run them for real.

Covers: skipping a test without one, or failing it where RAMSTER_REQUIRE_NBD_CLIENTS=1. Does not
cover: installing them (``install_nbd_clients.sh``), running them.
"""

from __future__ import annotations

import importlib.util
import os

import pytest

from ramster.bench.model import Subject, WorkloadUnavailable
from ramster.bench.server_process import find_program

__all__ = ["need", "need_for"]

_PROGRAMS = {
    Subject.NBDKIT: "nbdkit",
    Subject.NBDKIT_ZSTD: "nbdkit",
    Subject.QEMU_NBD: "qemu-nbd",
    Subject.REDIS: "redis-server",
    Subject.MEMCACHED: "memcached",
}
_MODULES = {
    Subject.REDIS: "redis",
    Subject.MEMCACHED: "pymemcache",
    Subject.DISKCACHE: "diskcache",
}


def need(*programs: str) -> None:
    """Skip the test, or fail it, when one is not installed."""
    for program in programs:
        try:
            find_program(program, program)
        except WorkloadUnavailable as reason:
            _without(str(reason))


def need_for(subject: Subject) -> None:
    """The same for what a subject needs, its Python client included."""
    if subject in _PROGRAMS:
        need(_PROGRAMS[subject])
    if subject in _MODULES and importlib.util.find_spec(_MODULES[subject]) is None:
        _without(f"there is no {_MODULES[subject]}")


def _without(reason: str) -> None:
    if os.environ.get("RAMSTER_REQUIRE_NBD_CLIENTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
