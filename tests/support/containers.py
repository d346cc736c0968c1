"""Nodes as containers, for tests: one bridge network, one container a node, faults at will.

Covers: starting and breaking nodes, reading their figures.
Does not cover: workloads (``nbd_workload``).
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
from docker.models.containers import Container
from docker.models.networks import Network

__all__ = ["ContainerCluster", "ContainerNode", "MemoryPeaks", "wait_until"]

_STATS = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:7780/stats", timeout=5).read().decode())
"""


def wait_until(holds: Callable[[], bool], what: str, within_s: float = 30.0) -> float:
    """Poll until ``holds()``; returns the seconds it took. Fails the test after ``within_s``."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > within_s:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - start


@dataclass(frozen=True, slots=True)
class MemoryPeaks:
    """The most memory of a node's present life, in bytes; None where it cannot be read."""

    resident: int | None
    """VmHWM of the node's process."""
    container: int | None
    """What the kernel charged to the container at most, its page cache included."""

    @classmethod
    def of(cls, pid: int) -> MemoryPeaks:
        """Of a container's first process (``state()["Pid"]``; 0 where there is none).

        Read from outside of the container: a program run inside would count as well.
        """
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            return cls(None, None)
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        resident = int(found[1]) * 1024 if found else None
        for group in groups:
            _, controllers, path = group.split(":", 2)
            if controllers == "memory":
                peak = Path(f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes")
            elif not controllers:
                peak = Path(f"/sys/fs/cgroup{path}/memory.peak")
            else:
                continue
            try:
                return cls(resident, int(peak.read_text()))
            except OSError:
                continue  # the other hierarchy, or a kernel that does not keep the peak
        return cls(resident, None)


@dataclass
class ContainerNode:
    """One node in its container."""

    name: str
    container: Container
    network: Network

    def stats(self) -> dict[str, Any]:
        """``/stats``, asked for inside the container, so that it works while its network is cut."""
        code, output = self.container.exec_run(["python3", "-c", _STATS])
        if code != 0:
            raise AssertionError(
                f"node {self.name}: /stats: {output.decode()[-500:]}\n{self.logs()}"
            )
        figures: dict[str, Any] = json.loads(output)
        return figures

    def _published(self, port: int) -> str:
        self.container.reload()
        bound = self.container.ports.get(f"{port}/tcp")
        if not bound:
            raise AssertionError(f"node {self.name}: port {port} is not published\n{self.logs()}")
        return f"127.0.0.1:{bound[0]['HostPort']}"

    @property
    def nbd_url(self) -> str:
        """Where the host reaches the node's NBD server; changes when the container restarts."""
        return f"tcp://{self._published(10809)}"

    def healthy(self) -> bool:
        """Whether ``/healthz`` answers 200 to the host."""
        try:
            with urllib.request.urlopen(
                f"http://{self._published(7780)}/healthz", timeout=2
            ) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError, AssertionError):
            return False

    def stats_from_host(self, timeout_s: float = 3.0) -> dict[str, Any]:
        """``/stats`` through the published port, which costs the container nothing.

        Raises OSError or ValueError where the node does not answer.
        """
        try:
            url = f"http://{self._published(7780)}/stats"
        except AssertionError as error:
            raise OSError(f"node {self.name}: no published port") from error
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                figures: dict[str, Any] = json.load(answer)
        except http.client.HTTPException as error:
            raise OSError(f"node {self.name}: half an answer: {error!r}") from error
        return figures

    def state(self) -> dict[str, Any]:
        """The engine's account of the container: ``Running``, ``ExitCode``, ``OOMKilled``, ..."""
        self.container.reload()
        state: dict[str, Any] = self.container.attrs["State"]
        return state

    def logs(self) -> str:
        """The last lines that the node logged."""
        return str(self.container.logs(tail=40).decode(errors="replace"))

    def wait_healthy(self) -> None:
        """Wait until the node serves."""
        wait_until(self.healthy, f"node {self.name} is healthy; its log:\n{self.logs()}", 60)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.container.kill()
        self.container.wait()

    def stop(self, within_s: int) -> int:
        """SIGTERM, and SIGKILL if that took too long; returns the exit code."""
        self.container.stop(timeout=within_s)
        return int(self.state()["ExitCode"])

    def pause(self) -> None:
        """Stop every thread of it where it is."""
        self.container.pause()

    def unpause(self) -> None:
        """Let it go on as if nothing had been."""
        self.container.unpause()

    def start_again(self) -> None:
        """A second life of the same node."""
        self.container.start()
        self.wait_healthy()

    def cut(self) -> None:
        """Take the node off the network; its connections stay open and silent."""
        self.network.disconnect(self.container)

    def heal(self) -> None:
        """Back on the network, under its old name."""
        self.network.connect(self.container, aliases=[self.name])

    def run_python(self, code: str) -> str:
        """Run a line of Python inside the container."""
        status, output = self.container.exec_run(["python3", "-c", code])
        if status != 0:
            raise AssertionError(f"node {self.name}: {output.decode()}")
        return str(output.decode())


@dataclass
class ContainerCluster:
    """Containers and the network between them; ``close`` removes all of it."""

    engine: docker.DockerClient
    image: str
    nodes: dict[str, ContainerNode] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._mark = uuid4().hex[:8]
        self.network = self.engine.networks.create(f"ramster-test-{self._mark}", driver="bridge")

    def start(
        self, name: str, *, memory: str | None = None, healthcheck: bool = True, **settings: str
    ) -> ContainerNode:
        """Start a node; settings become RAMSTER_* variables (``pool_limit="64MiB"``).

        ``healthcheck``: whether the engine runs the image's check every few seconds, a program
        whose memory and time count as the container's.
        """
        values = {"http": "0.0.0.0:7780", "listen": "0.0.0.0:7777", **settings}
        environment = {f"RAMSTER_{key.upper()}": value for key, value in values.items()}
        container = self.engine.containers.create(
            self.image,
            name=f"ramster-test-{self._mark}-{name}",
            hostname=name,
            environment={"RAMSTER_NAME": name, **environment},
            ports={"7780/tcp": ("127.0.0.1", None), "10809/tcp": ("127.0.0.1", None)},
            mem_limit=memory,
            memswap_limit=memory,
            healthcheck=None if healthcheck else {"test": ["NONE"]},
            detach=True,
        )
        node = ContainerNode(name, container, self.network)
        self.nodes[name] = node
        # The default bridge carries the published ports, so that the host still reaches a node
        # that is cut from its peers.
        self.network.connect(container, aliases=[name])
        container.start()
        return node

    def wait_healthy(self) -> None:
        """Wait until every node serves."""
        for node in self.nodes.values():
            node.wait_healthy()

    def close(self) -> None:
        """Remove containers and network, as many as can be; raises what went wrong first."""
        failures: list[docker.errors.APIError] = []
        for node in self.nodes.values():
            try:
                if node.state()["Paused"]:
                    node.unpause()
                node.container.remove(force=True)
            except docker.errors.APIError as error:
                failures.append(error)
        try:
            self.network.remove()
        except docker.errors.APIError as error:
            failures.append(error)
        if failures:
            raise failures[0]
