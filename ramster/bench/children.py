"""One child process that measures one case, from its start to the end of its whole group.

Covers: the interpreter and environment of a variant, request and answer, the time limit, last
words. Does not cover: what the child does (``measure.py``), programs that are meant to outlive it
in a session of their own (``zram_device.py``).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ramster.bench.variants import Variant
from ramster.demo.nodes import open_nodes_of

__all__ = ["ChildFailed", "ask", "scratch_folder"]

_LAST_WORDS = 12
"""Lines of standard error that are kept of a child that failed."""

_DYING_S = 1.0
"""Where nothing reaps orphans, they stay in the group for ever."""
_STOPPING_S = 3.0
"""Nodes have sessions of their own; they learn that the child has died, and stop."""

_ROOM_FOR_SCRATCH = 2**30


class ChildFailed(Exception):  # noqa: N818  a fact about a measurement, which goes on
    """The child gave no answer. ``last_words``: what it printed at its end."""

    def __init__(self, reason: str, last_words: str) -> None:
        super().__init__(reason)
        self.last_words = last_words


def ask(variant: Variant, request: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
    """Start a child, hand it the request, return its answer with ``last_words`` added.

    Raises ChildFailed when it crashes, gives no answer, or none within ``limit_s`` seconds. The
    child, everything it started in its process group and its nodes are gone afterwards.
    """
    with contextlib.ExitStack() as stack:
        words = stack.enter_context(tempfile.TemporaryFile())
        answer = stack.enter_context(tempfile.TemporaryFile())
        try:
            child = subprocess.Popen(
                [variant.python, "-P", "-m", "ramster.bench.measure", str(answer.fileno())],
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=words,
                env=variant.environment(),
                pass_fds=(answer.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            raise ChildFailed(f"{variant.python}: {error.strerror}", "") from error
        try:
            code = _wait(child, request, limit_s)
        finally:
            _end(child)
        said = _last_words(words)
        if code is None:
            raise ChildFailed(f"no answer within {limit_s:g} s", said)
        answer.seek(0)
        text = answer.read()
    if code != 0 or not text:
        raise ChildFailed(_how_it_ended(code), said)
    return {**json.loads(text), "last_words": said}


def _wait(child: subprocess.Popen[bytes], request: Mapping[str, Any], limit_s: float) -> int | None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended at once; its exit code says how
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    try:
        return child.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child is its group's leader; the group is there as long as anything in it is."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    # What it started dies meanwhile, and gives its memory back, before anything else is measured.
    deadline = time.monotonic() + _DYING_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(child.pid, 0)
            time.sleep(0.002)
    _end_nodes(child.pid)
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()


def _end_nodes(pid: int) -> None:
    nodes = open_nodes_of(pid)
    try:
        _wait_all(nodes, _STOPPING_S)
        for node in nodes:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(node, signal.SIGKILL)
        _wait_all(nodes, _DYING_S)
    finally:
        for node in nodes:
            os.close(node)


def _wait_all(pidfds: Sequence[int], limit_s: float) -> None:
    """Until all these processes have ended, or for so long."""
    deadline = time.monotonic() + limit_s
    for pidfd in pidfds:
        select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))


def _last_words(words: IO[bytes]) -> str:
    words.seek(0)
    return "\n".join(words.read().decode(errors="replace").strip().splitlines()[-_LAST_WORDS:])


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code} and no answer"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder, on a tmpfs where there is one with a GiB of room; gone afterwards."""
    shared = Path("/dev/shm")
    roomy = os.access(shared, os.W_OK) and shutil.disk_usage(shared).free >= _ROOM_FOR_SCRATCH
    where = None if os.environ.get("TMPDIR") or not roomy else shared
    folder = Path(tempfile.mkdtemp(prefix="ramster-bench-", dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
