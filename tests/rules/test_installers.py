"""The scripts that install programs for tests leave no service running, however they end.

Run with stand-ins for apt-get and systemctl; nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"
TOOLS = ("chmod", "mktemp", "rm", "sh", "tail")
SERVICES = {
    "install_nbd_clients.sh": ["redis-server", "memcached"],
    "install_prometheus.sh": ["prometheus"],
}


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with what the scripts use, and none of the programs that they install."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"there is no {name} on the PATH")
        (folder / name).symlink_to(found)
    program(folder, "id", "echo 0")
    # "cat" asks for a service that is there already.
    program(folder, "systemctl", f'[ "$1" != cat ] && echo "$@" >>{tmp_path / "asked"}')
    return folder


def run(script: str, programs: Path) -> subprocess.CompletedProcess[str]:
    policy = programs.parent / "policy-rc.d"
    text = (SUPPORT / script).read_text()
    assert "=/usr/sbin/policy-rc.d\n" in text
    copy = programs.parent / script
    copy.write_text(text.replace("=/usr/sbin/policy-rc.d\n", f"={policy}\n"))
    environment = {"PATH": str(programs), "TMPDIR": str(programs.parent)}
    return subprocess.run(
        ["/bin/sh", copy], env=environment, capture_output=True, text=True, check=False
    )


APT = {
    "succeeds": "exit 0",
    "fails": "echo no such package; exit 100",
    "is interrupted": "kill -TERM $PPID",
}


@pytest.mark.parametrize("ending", APT)
@pytest.mark.parametrize("script", SERVICES)
def test_services_are_stopped_and_disabled_however_apt_ends(
    script: str, ending: str, programs: Path, tmp_path: Path
) -> None:
    program(programs, "apt-get", f"[ -x {tmp_path / 'policy-rc.d'} ] || exit 7; {APT[ending]}")
    done = run(script, programs)
    assert done.returncode == (1 if ending == "is interrupted" else 0), done.stderr
    assert ("apt-get failed" in done.stderr) == (ending == "fails")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [f"disable --now {service}" for service in SERVICES[script]]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"bin", "asked", script}


@pytest.mark.parametrize("script", SERVICES)
def test_a_policy_of_the_machine_stays(script: str, programs: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    os.symlink("/nonexistent/policy", policy)
    program(programs, "apt-get", "exit 0")
    assert run(script, programs).returncode == 0
    assert os.readlink(policy) == "/nonexistent/policy"
