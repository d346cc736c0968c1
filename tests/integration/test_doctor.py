"""``ramster doctor`` in a container: its limits, its user, its filter of system calls."""

from __future__ import annotations

import json
from typing import Any

import docker
import pytest

pytestmark = [pytest.mark.container, pytest.mark.timeout(300, func_only=True)]


def examined(engine: docker.DockerClient, image: str, *words: str, **options: Any) -> Any:
    """(exit code, findings by check, what it said on standard error)."""
    container = engine.containers.create(image, ["doctor", "--json", *words], **options)
    try:
        container.start()
        code = container.wait(timeout=60)["StatusCode"]
        found = json.loads(container.logs(stdout=True, stderr=False))
        said = container.logs(stdout=False, stderr=True).decode()
    finally:
        container.remove(force=True)
    return code, {one["check"]: one for one in found["findings"]}, said


def test_a_container_with_too_little_memory_is_told_so(
    engine: docker.DockerClient, image: str
) -> None:
    code, found, said = examined(
        engine, image, "--pool-limit", "128MiB", mem_limit="200m", memswap_limit="200m"
    )
    assert (code, said) == (1, "")
    assert found["memory of the group"]["status"] == "bad"
    assert "at least 256MiB" in found["memory of the group"]["fix"]
    assert found["container"]["found"].startswith("docker")
    assert found["native core"]["status"] == "ok"


def test_a_container_with_enough_is_in_order_without_a_network_or_a_writable_root(
    engine: docker.DockerClient, image: str
) -> None:
    code, found, said = examined(
        engine,
        image,
        "--pool-limit",
        "64MiB",
        mem_limit="400m",
        nano_cpus=500_000_000,
        network_mode="none",
        read_only=True,
    )
    assert (code, said) == (0, "")
    assert found["memory of the group"]["status"] == "ok"
    assert "quota of 0.50" in found["processors"]["found"]
    assert not [one for one in found.values() if "the check failed" in one["found"]]
