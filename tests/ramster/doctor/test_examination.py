"""All checks together: on this machine, on one that shows nothing, and beside a running node."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ramster.addresses import Address
from ramster.config import NodeConfig
from ramster.doctor import examination
from ramster.doctor.examination import examine
from ramster.doctor.findings import FEATURES, Feature, Finding, Status
from ramster.embed import EmbeddedNode
from tests.support.machine_tree import make_machine


def test_this_machine_is_looked_at_and_no_check_fails() -> None:
    found = examine(NodeConfig(name="n", http=None))
    features = {one.feature for one in found}
    assert features >= set(FEATURES) - {Feature.EXTRAS, Feature.WRITEBACK, Feature.FIGURES}
    assert not [one for one in found if "the check failed" in one.found]
    assert not [one for one in found if "\n" in one.found + one.fix]
    assert all(one.fix for one in found if one.status in (Status.MISSING, Status.BAD))


def test_a_machine_that_shows_nothing_is_unknown_and_no_traceback(tmp_path: Path) -> None:
    found = examine(NodeConfig(name="n", http=None), machine=make_machine(tmp_path), environ={})
    assert not [one for one in found if "the check failed" in one.found]
    unknown = {one.check for one in found if one.status is Status.UNKNOWN}
    assert unknown >= {"memory", "mappings", "overcommit", "areas", "steal", "source", "seccomp"}


def test_a_tree_of_nonsense_is_no_traceback(tmp_path: Path) -> None:
    files = [
        "proc/meminfo",
        "proc/swaps",
        "proc/stat",
        "proc/self/cgroup",
        "proc/self/status",
        "proc/self/oom_score_adj",
        "proc/sys/vm/max_map_count",
        "proc/sys/vm/swappiness",
        "proc/sys/vm/page-cluster",
        "proc/sys/vm/overcommit_memory",
        "sys/fs/cgroup/memory.max",
        "sys/fs/cgroup/cpu.max",
    ]
    for nonsense in ("", ":", "a:b:c\nd\n\n1 2 3 4 5 6", "-1", "9" * 400, "\0\ufffd"):
        machine = make_machine(tmp_path, dict.fromkeys(files, nonsense))
        found = examine(NodeConfig(name="n", http=None), machine=machine)
        assert not [one for one in found if "the check failed" in one.found], nonsense


def test_a_running_node_is_the_one_whose_memory_is_judged(tmp_path: Path) -> None:
    pid = str(os.getpid())
    files = {
        "proc/swaps": "head\n/dev/sda1 partition 1024 0 -2",
        f"proc/{pid}/cgroup": "0::/",
        f"proc/{pid}/oom_score_adj": "0",
        "sys/fs/cgroup/memory.swap.max": "0",
    }
    machine = make_machine(tmp_path, files)
    with EmbeddedNode(NodeConfig(name="n", http=Address("127.0.0.1", 0))) as node:
        port = int(node.node.endpoints["http"].rpartition(":")[2])
        same = NodeConfig(name="n", http=Address("127.0.0.1", port))
        found = {one.check: one for one in examine(same, machine=machine)}
    assert found["the node's memory"].found == f"the running node (pid {pid}) stays in RAM"
    assert found["http"].status is Status.OK


def test_peers_that_hang_do_not_keep_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()

    def hanging(peer: Address) -> Finding:
        hang.wait(60)
        raise AssertionError(peer)

    monkeypatch.setattr(examination.reachability, "check_peer", hanging)
    monkeypatch.setattr(examination, "SECONDS_MAX", 1.5)
    config = NodeConfig(name="n", mode="ramster", http=None, peer=("b:1", "c:1"))  # type: ignore[arg-type]
    try:
        found = {one.check: one for one in examine(config)}
    finally:
        hang.set()
    assert found["peer b:1"].status is Status.UNKNOWN
    assert found["peer c:1"].status is Status.UNKNOWN
    assert found["memory"].status is not Status.UNKNOWN


def test_peers_are_looked_at_in_mode_ramster_alone() -> None:
    peers = ("127.0.0.1:1",)
    alone = examine(NodeConfig(name="n", http=None, peer=peers))  # type: ignore[arg-type]
    assert not [one for one in alone if one.check.startswith("peer ")]
    config = NodeConfig(name="n", mode="ramster", http=None, peer=peers)  # type: ignore[arg-type]
    (peer,) = [one for one in examine(config) if one.check == "peer 127.0.0.1:1"]
    assert peer.status is Status.MISSING
