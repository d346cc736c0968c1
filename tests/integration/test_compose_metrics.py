"""The compose file's profile `metrics`: Prometheus sees all three nodes and has the rules.

Debian's Prometheus in an image made here stands in for the one that the file names. Grafana is not
started: there is nothing to make its image of.
"""

from __future__ import annotations

import io
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.deploy.expressions import RECORDED
from tests.deploy.test_prometheus import NAMES
from tests.integration.test_compose import compose_commands, free_port, run
from tests.support.containers import wait_until
from tests.support.prometheus_programs import program

pytestmark = [pytest.mark.container, pytest.mark.timeout(420, func_only=True)]

DOCKERFILE = """\
FROM {image}
USER root
COPY prometheus /bin/prometheus
RUN mkdir /prometheus && chown 65534:65534 /prometheus
USER 65534:65534
WORKDIR /prometheus
HEALTHCHECK NONE
ENTRYPOINT ["/bin/prometheus"]
CMD []
"""


@pytest.fixture(scope="module")
def prometheus_image(engine: docker.DockerClient, image: str) -> Iterator[str]:
    """The distribution's program on the node's image; it needs no more than the C library."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        text = DOCKERFILE.format(image=image).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
        tar.add(program("prometheus"), "prometheus")
    context.seek(0)
    tag = "ramster-prometheus:test"
    engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True)
    yield tag
    engine.images.remove(tag, force=True)


@pytest.fixture
def prometheus(image: str, prometheus_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of the profile's Prometheus beside the cluster; all of it is removed at the end."""
    commands = compose_commands()
    if not commands:
        pytest.skip("no Compose is installed")
    port = free_port()
    for key, value in {
        "RAMSTER_IMAGE": image,
        "RAMSTER_NBD_PORT": str(free_port()),
        "RAMSTER_HTTP_PORT": str(free_port()),
        "PROMETHEUS_IMAGE": prometheus_image,
        "PROMETHEUS_PORT": str(port),
        "COMPOSE_PROJECT_NAME": "ramster-metrics-test",
    }.items():
        monkeypatch.setenv(key, value)
    profile = [*commands[0], "--profile", "metrics"]
    try:
        run(profile, "up", "--detach", "--no-build", "a", "b", "c", "prometheus")
        yield f"http://127.0.0.1:{port}"
    finally:
        run(profile, "down", "--volumes", "--timeout", "10", check=False)


def ask(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]
    except (OSError, urllib.error.URLError):
        return None  # it starts


def test_prometheus_sees_every_node_and_has_the_rules(prometheus: str) -> None:
    def health() -> dict[str, str]:
        found = ask(f"{prometheus}/api/v1/targets") or {"activeTargets": []}
        return {one["labels"]["instance"]: one["health"] for one in found["activeTargets"]}

    everyone = {"a:7780": "up", "b:7780": "up", "c:7780": "up"}
    wait_until(lambda: health() == everyone, "every node is scraped", 120)
    rules = [
        rule for group in ask(f"{prometheus}/api/v1/rules")["groups"] for rule in group["rules"]
    ]
    assert {rule["name"] for rule in rules} == RECORDED | set(NAMES)
    query = f"{prometheus}/api/v1/query?query=instance:ramster_pool_used:ratio"
    wait_until(
        lambda: {one["metric"]["instance"] for one in ask(query)["result"]} == set(everyone),
        "rules are evaluated",
        120,
    )
    unhealthy = [
        rule["name"]
        for group in ask(f"{prometheus}/api/v1/rules")["groups"]
        for rule in group["rules"]
        if rule["health"] == "err"
    ]
    assert not unhealthy
