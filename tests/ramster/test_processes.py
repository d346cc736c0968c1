"""Start times and namespaces of real processes."""

from __future__ import annotations

import os
import subprocess
import sys

from ramster.processes import pid_namespace, start_time

WAITS = [sys.executable, "-c", "input()"]


def test_a_process_has_a_start_time_until_it_ends() -> None:
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE) as process:
        started = start_time(process.pid)
        assert started is not None
        assert started >= (start_time() or 0)
        assert start_time(process.pid) == started
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        # Ended, and not yet known to its parent: it is a zombie, and no process to talk to.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert start_time(process.pid) is None
    assert start_time(process.pid) is None


def test_this_process_is_the_one_of_its_pid() -> None:
    assert start_time() == start_time(os.getpid()) is not None


def test_processes_that_see_each_other_have_one_namespace() -> None:
    code = "from ramster.processes import pid_namespace; print(pid_namespace())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == pid_namespace()
