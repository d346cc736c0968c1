"""Marks of containers, and filters of system calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.doctor.containment import check_container, check_filter, container_of
from ramster.doctor.findings import Status
from tests.support.machine_tree import make_machine


@pytest.mark.parametrize(
    ("files", "environ", "kind"),
    [
        ({}, {}, None),
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": ""}, {}, "podman"),
        ({"run/systemd/container": "lxc"}, {}, "lxc"),
        ({}, {"container": "oci"}, "oci"),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"proc/1/cgroup": "0::/kubepods/x"}, {}, "kubepods"),
        ({"proc/1/cgroup": "0::/init.scope"}, {}, None),
    ],
)
def test_marks(
    tmp_path: Path, files: dict[str, str], environ: dict[str, str], kind: str | None
) -> None:
    machine = make_machine(tmp_path, files)
    assert container_of(machine, environ) == kind
    status = Status.OK if kind is None else Status.NOTE
    assert check_container(machine, environ).status is status


@pytest.mark.parametrize(
    ("mode", "status"), [("0", Status.OK), ("2", Status.NOTE), (None, Status.UNKNOWN)]
)
def test_filters(tmp_path: Path, mode: str | None, status: Status) -> None:
    files = {} if mode is None else {"proc/self/status": f"Name:\tx\nSeccomp:\t{mode}\nSec: 1"}
    assert check_filter(make_machine(tmp_path, files)).status is status
