"""Fixtures of the container tests: an engine, an image of this tree, clusters that clean up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.support.containers import ContainerCluster

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine; without one a test is skipped, or fails where containers are required."""
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        if os.environ.get("RAMSTER_REQUIRE_CONTAINERS") == "1":
            pytest.fail(f"containers are required and there is no Docker engine: {error}")
        pytest.skip(f"no Docker engine: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> str:
    """The tag of an image built from this tree, or of the one that RAMSTER_TEST_IMAGE names."""
    given = os.environ.get("RAMSTER_TEST_IMAGE")
    if given:
        return given
    tag = "ramster:test"
    built = subprocess.run(
        ["bash", str(ROOT / "deploy" / "build-image.sh"), tag],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
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
