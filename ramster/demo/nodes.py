"""The demo's nodes: real processes that end with it.

Covers: starting a node on free ports and learning where it listens; stopping it whatever happens;
finding what a process left behind. Does not cover: what the nodes are for (``commands/demo.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from ramster.errors import RamsterError
from ramster.settings import ENVIRONMENT_PREFIX

__all__ = ["NodeProcess", "NodeProcessError", "open_nodes_of"]

_READY_S = 30.0
_STOP_S = 10.0

_PARENT = "PARENT_OF_RAMSTER_NODE"
"""In the environment of a node, and of all that it starts: the pid of the process that started it.

No setting of a node, so not named like one."""

# The kernel ends the node when its parent dies, however that happens (Linux, PR_SET_PDEATHSIG = 1);
# a parent that died before has left the node to another one.
_ENDS_WITH_ITS_PARENT = (
    "import ctypes, os, signal, sys; "
    "ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    f"os.getppid() == int(os.environ['{_PARENT}']) or sys.exit('its parent is gone'); "
)


class NodeProcessError(RamsterError):
    """A node did not start, or ended when it should not have; the text has its last words."""


class NodeProcess:
    """``ramster serve`` with the given flags and variables; use with ``async with``."""

    program = "from ramster.cli import main; sys.exit(main(['serve', *sys.argv[1:]]))"
    """What the process runs: takes ``--name``, and logs ": ready KEY=VALUE ..." when it is."""

    def __init__(self, name: str, *flags: str, **variables: str) -> None:
        self.name = name
        self.endpoints: dict[str, str] = {}
        """Where it listens: "peers" (HOST:PORT), "nbd", "http" (URLs)."""
        self._flags = flags
        self._variables = variables
        self._last_words: deque[str] = deque(maxlen=20)
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT_PREFIX)}
        # Not in the demo's process group: Ctrl-C is for the demo, which stops its nodes in order.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", _ENDS_WITH_ITS_PARENT + self.program, "--name", self.name, *self._flags),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=kept | self._variables | {_PARENT: str(os.getpid())},
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read_log())
        try:
            async with asyncio.timeout(_READY_S):
                await self._ready.wait()
            self.check()
        except TimeoutError:
            await self._end()
            raise self._error("is not ready in time") from None
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    @property
    def pid(self) -> int:
        """Its process id, once it was started."""
        return self._process.pid

    def check(self) -> None:
        """Raise NodeProcessError if the process has ended."""
        if self._process.returncode is not None or self._reading.done():
            raise self._error("ended")

    def _error(self, what: str) -> NodeProcessError:
        words = "\n  ".join(self._last_words)
        return NodeProcessError(f"node {self.name} {what}; its last words:\n  {words}")

    async def _read_log(self) -> None:
        stream = self._process.stderr
        while stream is not None and (raw := await stream.readline()):
            line = raw.decode(errors="replace").rstrip()
            self._last_words.append(line)
            _, ready, rest = line.partition(": ready ")
            if ready:
                self.endpoints = dict(word.split("=", 1) for word in rest.split() if "=" in word)
                self._ready.set()
        self._ready.set()

    async def _end(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading


def open_nodes_of(pid: int) -> list[int]:
    """Pidfds of the nodes that a process started and of what these started; the caller closes them.

    The process need not be there any more. Those of other users cannot be told, and are not found.
    """
    mark = f"{_PARENT}={pid}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        # Opened first: what is read then is of this process, or of one that got its pid after it.
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(int(folder.name))
            with contextlib.ExitStack() as stack:
                stack.callback(os.close, handle)
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    stack.pop_all()
                    found.append(handle)
    return found
