"""A program in a terminal of its own, for tests: what it drew, keys for it, its end.

Covers: a pseudo-terminal and a process in it. Does not cover: what the bytes look like on a screen
(escape sequences stay in the text).
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from types import TracebackType
from typing import Self

from tests.support.serving import ROOT, clean_environment

__all__ = ["TerminalProcess"]

_MAIN = "import sys; from ramster.cli import main; sys.exit(main())"
_READ_BYTES = 1 << 16


class TerminalProcess:
    """``ramster`` with these words in a terminal; killed at the end of the ``with`` block."""

    def __init__(self, *words: str, columns: int = 100, rows: int = 40) -> None:
        self.drawn = ""
        """All that it wrote, as far as it was read."""
        self._screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *words],
            cwd=ROOT,
            env=clean_environment(PYTHONPATH=str(ROOT), TERM="xterm-256color"),
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._screen)

    def wait_drawn(self, part: str, limit_s: float = 60.0) -> None:
        """Read until it has written ``part``; fails when it ends before, or in time."""
        deadline = time.monotonic() + limit_s
        while part not in self.drawn:
            if not self._read(deadline):
                raise AssertionError(f"{part!r} was not drawn:\n{self.drawn!r}")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._screen, keys.encode())

    def wait(self, limit_s: float = 60.0) -> int:
        """Its exit code, once it ends."""
        deadline = time.monotonic() + limit_s
        while self._read(deadline):
            pass
        return self._process.wait(max(0.0, deadline - time.monotonic()) + 1)

    def _read(self, deadline: float) -> bool:
        """Take what comes next; False at its end, or when time is up."""
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self._screen], [], [], left)[0]:
            return False
        try:
            data = os.read(self._screen, _READ_BYTES)
        except OSError:  # how Linux tells that nobody has the other side open
            return False
        self.drawn += data.decode(errors="replace")
        return bool(data)
