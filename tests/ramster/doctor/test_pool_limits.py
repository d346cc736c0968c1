"""Limits of a machine against a configuration: from what number on, and what is advised."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.config import Mode, NodeConfig
from ramster.doctor.findings import Status
from ramster.doctor.pool_limits import (
    ADDRESS_SPACE_BESIDE_POOL_BYTES,
    BESIDE_POOL_BYTES,
    ResourceLimits,
    check_address_space,
    check_group_memory,
    check_locked_memory,
    check_mappings,
    check_open_files,
    check_overcommit,
    check_physical_memory,
    check_writeback,
    open_files_needed,
)
from tests.support.machine_tree import make_machine

GIB = 2**30
CONFIG = NodeConfig(name="n", pool_limit=GIB)
WANTED = GIB + BESIDE_POOL_BYTES


def limits(**values: int) -> ResourceLimits:
    names = ("open_files", "open_files_hard", "address_space", "locked_memory")
    return ResourceLimits(**{name: values.get(name) for name in names})


def test_open_files_are_for_clients_and_peers() -> None:
    devices = NodeConfig(name="n", nbd=("unix:///x",), export=("a=1M",))  # type: ignore[arg-type]
    peers = NodeConfig(name="n", mode="ramster", peer=("b", "c"))  # type: ignore[arg-type]
    unused = NodeConfig(name="n", peer=("b", "c"))  # type: ignore[arg-type]
    alone = open_files_needed(CONFIG)
    assert open_files_needed(unused) == alone
    assert open_files_needed(devices) == alone + 128
    assert open_files_needed(peers) == alone + 16


def test_too_few_open_files_are_bad_and_the_hard_limit_is_said() -> None:
    needed = open_files_needed(CONFIG)
    assert check_open_files(limits(open_files=needed), CONFIG).status is Status.OK
    assert check_open_files(limits(), CONFIG).status is Status.OK
    few = check_open_files(limits(open_files=needed - 1, open_files_hard=2000), CONFIG)
    assert (few.status, "hard limit" in few.fix) == (Status.BAD, False)
    assert "ulimit -n 1024" in few.fix
    hard = check_open_files(limits(open_files=8, open_files_hard=16), CONFIG)
    assert "the hard limit is 16" in hard.fix


@pytest.mark.parametrize("mode", Mode)
def test_address_space_under_the_pool_and_the_node_is_bad(mode: Mode) -> None:
    config = NodeConfig(name="n", pool_limit=GIB, mode=mode)
    least = GIB + ADDRESS_SPACE_BESIDE_POOL_BYTES[mode]
    expected = {
        least - 1: Status.BAD,
        least: Status.NOTE,
        least + 2**29 - 1: Status.NOTE,
        least + 2**29: Status.OK,
    }
    for limit, status in expected.items():
        assert check_address_space(limits(address_space=limit), config).status is status, limit
    assert check_address_space(limits(), config).status is Status.OK


@pytest.mark.parametrize(
    ("shown", "status"),
    [("max", Status.OK), (str(WANTED), Status.OK), (str(WANTED - 1), Status.BAD)],
)
def test_a_groups_memory_is_for_pool_and_node(tmp_path: Path, shown: str, status: Status) -> None:
    files = {"proc/self/cgroup": "0::/x", "sys/fs/cgroup/x/memory.max": shown}
    found = check_group_memory(make_machine(tmp_path, files), CONFIG)
    assert found.status is status
    assert ("at least 1152MiB" in found.fix) == (status is Status.BAD)


@pytest.mark.parametrize(
    ("total", "available", "status"),
    [
        (WANTED, WANTED, Status.OK),
        (WANTED, WANTED - 1024, Status.NOTE),
        (WANTED - 1024, 0, Status.BAD),
    ],
)
def test_ram_is_there_and_free(tmp_path: Path, total: int, available: int, status: Status) -> None:
    meminfo = f"MemTotal: {total // 1024} kB\nMemAvailable: {available // 1024} kB"
    machine = make_machine(tmp_path, {"proc/meminfo": meminfo})
    assert check_physical_memory(machine, CONFIG).status is status


def test_locked_memory_matters_where_the_machine_swaps_to_a_node() -> None:
    assert check_locked_memory(limits(), CONFIG, nbd_swap=True).status is Status.OK
    enough = limits(locked_memory=WANTED)
    assert check_locked_memory(enough, CONFIG, nbd_swap=True).status is Status.OK
    little = limits(locked_memory=WANTED - 1)
    assert check_locked_memory(little, CONFIG, nbd_swap=True).status is Status.NOTE
    assert check_locked_memory(little, CONFIG).status is Status.OK


@pytest.mark.parametrize(("limit", "status"), [(65530, Status.OK), (4223, Status.BAD)])
def test_mappings_are_for_the_pools_segments(tmp_path: Path, limit: int, status: Status) -> None:
    machine = make_machine(tmp_path, {"proc/sys/vm/max_map_count": str(limit)})
    found = check_mappings(machine, CONFIG)
    assert found.status is status
    assert ("sysctl vm.max_map_count=4224" in found.fix) == (status is Status.BAD)


@pytest.mark.parametrize(
    ("mode", "left", "status"),
    [
        (0, 0, Status.OK),
        (1, 0, Status.OK),
        (2, WANTED, Status.NOTE),
        (2, WANTED - 1024, Status.BAD),
    ],
)
def test_strict_overcommit_counts_what_is_left(
    tmp_path: Path, mode: int, left: int, status: Status
) -> None:
    meminfo = f"CommitLimit: {GIB // 1024 + left // 1024} kB\nCommitted_AS: {GIB // 1024} kB"
    files = {"proc/sys/vm/overcommit_memory": str(mode), "proc/meminfo": meminfo}
    assert check_overcommit(make_machine(tmp_path, files), CONFIG).status is status


@pytest.mark.parametrize(
    "check", [check_group_memory, check_physical_memory, check_mappings, check_overcommit]
)
def test_what_cannot_be_seen_is_unknown(tmp_path: Path, check) -> None:  # type: ignore[no-untyped-def]
    assert check(make_machine(tmp_path), CONFIG).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("free", "ours", "status"),
    [
        (None, True, Status.MISSING),
        (GIB, False, Status.BAD),
        (GIB - 1, True, Status.NOTE),
        (GIB, True, Status.OK),
    ],
)
def test_the_write_back_file_has_a_folder_and_room(
    free: int | None, ours: bool, status: Status
) -> None:
    config = NodeConfig(name="n", writeback="/nonexistent/f", writeback_limit=GIB)
    (found,) = check_writeback(config, lambda path: ours, lambda folder: free)
    assert found.status is status
    assert check_writeback(CONFIG, lambda path: ours, lambda folder: free) == []
