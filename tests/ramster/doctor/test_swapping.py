"""Swap, double compression, and a node that would swap to itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.doctor.findings import Status
from ramster.doctor.swapping import (
    check_double_compression,
    check_huge_pages,
    check_node_memory,
    check_oom_score,
    check_swap_areas,
    check_swap_settings,
    swap_areas,
    swaps_to_nbd,
)
from tests.support.machine_tree import make_machine

HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
NBD = HEAD + "/dev/nbd0                               partition\t1024\t\t512\t\t-2"
DISK = HEAD + "/swap\\040file file 2048 0 -3"
ZRAM = HEAD + "/dev/zram0 partition 1024 0 100\n/dev/nbd0 partition 1024 0 -2"


def test_areas_are_read(tmp_path: Path) -> None:
    machine = make_machine(tmp_path, {"proc/swaps": NBD})
    (area,) = swap_areas(machine) or []
    assert (area.name, area.bytes, area.used_bytes, area.priority) == (
        "/dev/nbd0",
        2**20,
        2**19,
        -2,
    )
    assert swaps_to_nbd(machine)
    assert "/dev/nbd0 512.0 KiB of 1.0 MiB" in check_swap_areas(machine).found


def test_no_swap_is_in_order(tmp_path: Path) -> None:
    machine = make_machine(tmp_path, {"proc/swaps": HEAD})
    assert swap_areas(machine) == []
    assert check_swap_areas(machine).status is Status.OK
    assert check_node_memory(machine, "self", "a node").status is Status.OK


def test_without_proc_nothing_is_known(tmp_path: Path) -> None:
    machine = make_machine(tmp_path)
    assert swap_areas(machine) is None
    assert not swaps_to_nbd(machine)
    for found in (
        check_swap_areas(machine),
        check_swap_settings(machine),
        check_node_memory(machine, "self", "a node"),
        check_oom_score(machine, "self", "a node"),
    ):
        assert found.status is Status.UNKNOWN


@pytest.mark.parametrize(("swappiness", "status"), [(60, Status.OK), (0, Status.NOTE)])
def test_swappiness_of_zero_is_noted(tmp_path: Path, swappiness: int, status: Status) -> None:
    files = {"proc/sys/vm/swappiness": str(swappiness), "proc/sys/vm/page-cluster": "3"}
    found = check_swap_settings(make_machine(tmp_path, files))
    assert found.status is status
    assert "8 pages" in found.found


@pytest.mark.parametrize(
    ("swaps", "zswap", "status", "said"),
    [
        (NBD, "N", Status.OK, "neither"),
        (NBD, "Y", Status.NOTE, "zswap compresses pages before /dev/nbd0 gets them"),
        (DISK, "Y", Status.OK, "zswap active, and no swap on a network block device"),
        (ZRAM, "N", Status.NOTE, "/dev/zram0 and /dev/nbd0"),
    ],
)
def test_compressing_twice_is_noted(
    tmp_path: Path, swaps: str, zswap: str, status: Status, said: str
) -> None:
    files = {"proc/swaps": swaps, "sys/module/zswap/parameters/enabled": zswap}
    found = check_double_compression(make_machine(tmp_path, files))
    assert found.status is status
    assert said in found.found


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({}, Status.BAD),
        ({"sys/fs/cgroup/s/memory.swap.max": "0"}, Status.OK),
        (
            {"sys/fs/cgroup/memory.swap.max": "0", "sys/fs/cgroup/s/memory.swap.max": "max"},
            Status.OK,
        ),
        ({"sys/fs/cgroup/s/memory.swap.max": "max"}, Status.BAD),
        ({"proc/7/status": "VmLck: 1000 kB\nVmRSS: 1000 kB"}, Status.OK),
        ({"proc/7/status": "VmLck: 10 kB\nVmRSS: 1000 kB\nVmSwap: 4 kB"}, Status.BAD),
        ({"proc/swaps": DISK}, Status.NOTE),
    ],
)
def test_a_node_must_not_be_swapped_to_itself(
    tmp_path: Path, files: dict[str, str], status: Status
) -> None:
    machine = make_machine(tmp_path, {"proc/swaps": NBD, "proc/7/cgroup": "0::/s", **files})
    found = check_node_memory(machine, "7", "the running node")
    assert found.status is status
    assert ("for ever" in found.found) == (status is Status.BAD)
    if "VmSwap" in files.get("proc/7/status", ""):
        assert "4.0 KiB of it are" in found.found


def test_swappiness_of_a_group_of_the_first_version_counts(tmp_path: Path) -> None:
    files = {"proc/swaps": NBD, "proc/7/cgroup": "4:memory:/s"}
    files["sys/fs/cgroup/memory/s/memory.swappiness"] = "0"
    assert check_node_memory(make_machine(tmp_path, files), "7", "x").status is Status.OK


@pytest.mark.parametrize(
    ("score", "swaps", "status"),
    [(0, DISK, Status.OK), (0, NBD, Status.NOTE), (-900, NBD, Status.OK)],
)
def test_the_score_matters_where_swap_goes_with_the_node(
    tmp_path: Path, score: int, swaps: str, status: Status
) -> None:
    files = {"proc/swaps": swaps, "proc/7/oom_score_adj": str(score)}
    assert check_oom_score(make_machine(tmp_path, files), "7", "x").status is status


def test_huge_pages_are_named(tmp_path: Path) -> None:
    place = "sys/kernel/mm/transparent_hugepage/enabled"
    machine = make_machine(tmp_path, {place: "always [madvise] never"})
    assert "transparent ones: madvise;" in check_huge_pages(machine).found
    assert "no transparent ones" in check_huge_pages(make_machine(tmp_path / "x")).found
