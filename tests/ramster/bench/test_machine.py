"""Facts about the machine."""

from __future__ import annotations

import os

from ramster.bench.machine import (
    describe_machine,
    load_average,
    peak_rss_bytes,
    restart_peak,
    steal_s,
)


def test_it_says_what_the_machine_is_and_not_whose() -> None:
    found = describe_machine()
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert int(found["memory_bytes"] or 0) > 2**28
    assert found["model"]
    assert os.uname().nodename not in map(str, found.values())


def test_the_peak_of_memory_starts_anew() -> None:
    big = bytearray(64 * 2**20)
    big[:] = bytes(len(big))
    with_it = peak_rss_bytes()
    del big
    restart_peak()
    without = peak_rss_bytes()
    assert with_it > 64 * 2**20
    assert without <= with_it
    if os.access("/proc/self/clear_refs", os.W_OK):
        assert without < with_it - 32 * 2**20


def test_load_and_steal_are_numbers_where_the_system_has_them() -> None:
    assert (load_average() or 0) >= 0
    assert (steal_s() or 0) >= 0
