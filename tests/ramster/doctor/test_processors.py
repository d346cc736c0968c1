"""Quotas of control groups, how often they held a group up, and stolen time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.doctor.findings import Status
from ramster.doctor.processors import check_quota, check_steal, check_throttling, quota_of
from tests.support.machine_tree import make_machine


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/a"}, None),
        ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "max 100000"}, None),
        (
            {
                "proc/self/cgroup": "0::/a",
                "sys/fs/cgroup/a/cpu.max": "150000 100000",
                "sys/fs/cgroup/cpu.max": "50000 100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu,cpuacct:/a",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2.0,
        ),
        ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "nonsense"}, None),
    ],
)
def test_the_least_quota_of_all_groups_counts(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    assert quota_of(make_machine(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("quota", "status"), [(400000, Status.OK), (100000, Status.OK), (99000, Status.NOTE)]
)
def test_less_than_one_processor_is_noted(tmp_path: Path, quota: int, status: Status) -> None:
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": f"{quota} 100000"}
    assert check_quota(make_machine(tmp_path, files), 2).status is status


@pytest.mark.parametrize(("held", "status"), [(1, Status.OK), (2, Status.NOTE)])
def test_being_held_up_is_noted(tmp_path: Path, held: int, status: Status) -> None:
    files = {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/cpu.max": "50000 100000",
        "sys/fs/cgroup/cpu.stat": f"usage_usec 5\nnr_periods 100\nnr_throttled {held}",
    }
    (found,) = check_throttling(make_machine(tmp_path, files))
    assert found.status is status


def test_without_a_quota_nobody_is_held_up(tmp_path: Path) -> None:
    assert check_throttling(make_machine(tmp_path)) == []


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("cpu  50 0 45 1000 900 0 0 4 0 0", Status.OK),
        ("cpu  50 0 40 1000 900 0 0 10 0 0", Status.NOTE),
        ("cpu  0 0 0 0 0 0 0 0 0 0", Status.OK),
        ("cpu  1 2", Status.UNKNOWN),
        ("nonsense", Status.UNKNOWN),
    ],
)
def test_stolen_time_is_a_share_of_what_was_wanted(
    tmp_path: Path, line: str, status: Status
) -> None:
    assert check_steal(make_machine(tmp_path, {"proc/stat": line})).status is status
