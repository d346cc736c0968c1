"""Child processes: answers, crashes, limits; and nothing is left of them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ramster.bench.children import ChildFailed, ask, scratch_folder
from ramster.bench.variants import Variant
from ramster.processes import start_time
from tests.support.bench_workloads import ROOT, variant


def request(workload: str, folder: Path, **parameters: str) -> dict[str, Any]:
    return {
        "workload": workload,
        "subject": "zcache",
        "parameters": parameters,
        "scale": 1.0,
        "seed": 3,
        "scratch": str(folder),
    }


def test_an_answer_comes_with_the_last_words(tmp_path: Path) -> None:
    told = ask(variant(tmp_path), request("behaves", tmp_path), 60)
    assert told["samples"]["seed"] == [3]
    assert told["last_words"] == "a workload may print what it likes"


def test_a_crash_says_the_signal_and_the_last_words(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match=r"^killed by SIGSEGV$") as failure:
        ask(variant(tmp_path), request("dies", tmp_path), 60)
    assert failure.value.last_words == "about to die"


def test_at_the_limit_the_child_and_what_it_started_are_killed(tmp_path: Path) -> None:
    found = stopped_at_the_limit(tmp_path, "hangs")
    assert len(found) == 2
    assert all(ends(pid) for pid in found)


@pytest.mark.parametrize("then", ["hangs", "dies"])
def test_nodes_of_a_child_are_gone_when_it_is(tmp_path: Path, then: str) -> None:
    if then == "hangs":
        found = stopped_at_the_limit(tmp_path, "has-nodes", then=then)
    else:
        pids = tmp_path / "pids"
        asked = request("has-nodes", tmp_path, pids=str(pids), then=then)
        with pytest.raises(ChildFailed, match=r"^killed by SIGSEGV$"):
            ask(variant(tmp_path), asked, 60)
        found = [int(pid) for pid in pids.read_text().split()]
    assert len(found) == 2
    # Gone already, or nobody has asked yet how it ended.
    assert [start_time(pid) for pid in found] == [None, None]


def stopped_at_the_limit(folder: Path, workload: str, **parameters: str) -> list[int]:
    """The pids that a child wrote before it was stopped; busy processors may take long for that."""
    pids = folder / "pids"
    for limit_s in (3, 10, 30, 90):
        with pytest.raises(ChildFailed, match=rf"^no answer within {limit_s} s$"):
            ask(variant(folder), request(workload, folder, pids=str(pids), **parameters), limit_s)
        if pids.exists():
            break
    return [int(pid) for pid in pids.read_text().split()]


def test_an_interpreter_that_is_none_has_failed(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="No such file"):
        ask(Variant("x", "/nonexistent/python"), request("behaves", tmp_path), 60)


def test_a_build_without_benchmarks_has_failed(tmp_path: Path) -> None:
    (tmp_path / "ramster.py").write_text("")
    old = Variant("old", variables={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(ChildFailed, match="exit code 1 and no answer") as failure:
        ask(old, request("behaves", tmp_path), 60)
    assert "ramster.bench" in failure.value.last_words


PARENT = """
import sys
from pathlib import Path
from ramster.bench.children import ask
from tests.ramster.bench.test_children import request, variant
folder = Path(sys.argv[1])
ask(variant(folder), request("hangs", folder / "scratch", pids=sys.argv[2]), 100)
"""


def test_a_parent_that_is_killed_takes_the_child_and_what_it_started_along(tmp_path: Path) -> None:
    pids, scratch = tmp_path / "pids", tmp_path / "scratch"
    os.mkfifo(pids)
    scratch.mkdir()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path, pids], cwd=ROOT)
    handles = []
    try:
        found = [int(pid) for pid in pids.read_text().split()]
        handles = [os.pidfd_open(pid) for pid in found]
        parent.kill()
        parent.wait()
        for handle in handles:
            # Readable when its process has ended.
            assert wait_readable(handle, 30)
        # What the parent could not remove any more, the child did.
        assert not scratch.exists()
    finally:
        parent.kill()
        parent.wait()
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)


def wait_readable(descriptor: int, within_s: float) -> bool:
    return bool(select.select([descriptor], [], [], within_s)[0])


def ends(pid: int) -> bool:
    """Whether there is no such process, or it ends soon."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(handle, "rb"):
        return wait_readable(handle, 30)


def test_the_scratch_folder_is_gone_afterwards() -> None:
    with scratch_folder() as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("x")
    assert not folder.exists()


def test_the_scratch_folder_is_where_tmpdir_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with scratch_folder() as folder:
        assert folder.parent == tmp_path
