"""The compose file: a cluster that comes up healthy and passes the demo's workload."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.container, pytest.mark.timeout(420, func_only=True)]


def compose_commands() -> list[list[str]]:
    """Every Compose on this machine: the plugin (2) and the stand-alone program (1.29 or 2)."""
    found = []
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            found.append(["docker", "compose"])
    if shutil.which("docker-compose"):
        found.append(["docker-compose"])
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(params=["docker compose", "docker-compose"])
def compose(request: pytest.FixtureRequest, image: str) -> Iterator[list[str]]:
    """A Compose command for this project, with everything it started removed at the end."""
    command = str(request.param).split()
    if command not in compose_commands():
        if os.environ.get("RAMSTER_REQUIRE_CONTAINERS") == "1" and not compose_commands():
            pytest.fail("containers are required and no Compose is installed")
        pytest.skip(f"{request.param} is not installed")
    environment = {
        "RAMSTER_IMAGE": image,
        "RAMSTER_NBD_PORT": str(free_port()),
        "RAMSTER_HTTP_PORT": str(free_port()),
        "COMPOSE_PROJECT_NAME": "ramster-compose-test",
    }
    saved = {key: os.environ.get(key) for key in environment}
    os.environ.update(environment)
    yield command
    run(command, "--profile", "demo", "down", "--volumes", "--timeout", "10", check=False)
    for key, value in saved.items():
        if value is None:
            del os.environ[key]
        else:
            os.environ[key] = value


def run(command: list[str], *arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def test_the_compose_cluster_comes_up_and_passes_the_demo(compose: list[str]) -> None:
    run(compose, "up", "--detach", "--no-build")
    report = json.loads(
        run(compose, "--profile", "demo", "run", "--rm", "-T", "demo", "demo", *DEMO)
    )
    assert report["wrong_pages"] == 0
    assert report["remote_hits"] > 0


DEMO = ["--connect", "tcp://a:10809/disk", "--stats", "http://a:7780", "--size", "160MiB", "--json"]
