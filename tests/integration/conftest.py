"""Fixtures of the container tests: an engine, an image of this tree, clusters that clean up."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.support.containers import ContainerCluster

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine; without one a test is skipped, or fails where containers are required."""
    client, reason = _connect()
    if client is None:
        if os.environ.get("RAMSTER_REQUIRE_CONTAINERS") == "1":
            pytest.fail(f"containers are required and there is no Docker engine: {reason}")
        pytest.skip(f"no Docker engine: {reason}")
    yield client
    client.close()


def _connect() -> tuple[docker.DockerClient | None, str]:
    try:
        client = docker.from_env()
        client.ping()
        return client, ""
    except docker.errors.DockerException as error:
        reason = str(error)
    # The half-made client leaves its socket to the collector, which would complain later.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return None, reason


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> str:
    """The tag of an image built from this tree, or of the one that RAMSTER_TEST_IMAGE names."""
    given = os.environ.get("RAMSTER_TEST_IMAGE")
    if given:
        return given
    if missing := [name for name in ("bash", "docker") if shutil.which(name) is None]:
        reason = f"no image can be built: there is no {' and no '.join(missing)} on the PATH"
        if os.environ.get("RAMSTER_REQUIRE_CONTAINERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    tag = "ramster:test"
    built = subprocess.run(
        ["bash", str(ROOT / "deploy" / "build-image.sh"), tag],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,  # Rust compiles in it
    )
    if built.returncode != 0:
        pytest.fail(f"the image does not build:\n{built.stderr[-4000:]}")
    return tag


@pytest.fixture
def containers(engine: docker.DockerClient, image: str) -> Iterator[ContainerCluster]:
    """An empty cluster on a network of its own."""
    cluster = ContainerCluster(engine, image)
    yield cluster
    cluster.close()
