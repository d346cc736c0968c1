"""``ramster`` as a process, for tests: its output, its ready line, its end.

Covers: one process at a time. Does not cover: containers (``containers.py``), what nodes do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["BLOCK_GRPC", "ServeProcess", "clean_environment", "run_ramster"]

ROOT = Path(__file__).parents[2]

BLOCK_GRPC = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('grpc', 'google'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Blocker())
"""
"""Python that makes its process one where the extra [cluster] is not installed."""

_MAIN = "import sys; from ramster.cli import main; sys.exit(main())"


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of ramster, and with ``variables``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAMSTER_")}
    return {**kept, **variables}


def run_ramster(
    *words: str, before: str = "", cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``ramster`` to its end; ``before`` is Python to run first in its process."""
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{_MAIN}", *words],
        cwd=cwd,
        env=clean_environment(PYTHONPATH=str(ROOT), **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


class ServeProcess:
    """``ramster serve`` with figures on a free port; killed at the end of the ``with`` block."""

    def __init__(self, *flags: str, before: str = "", **variables: str) -> None:
        words = ["serve", "--name", "n", "--http", "127.0.0.1:0", *flags]
        self.lines: list[str] = []
        """What it logged, as far as it was read."""
        self.ready: dict[str, str] = {}
        """What its ready line said, once it was waited for."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{_MAIN}", *words],
            cwd=ROOT,
            env=clean_environment(**variables),
            stderr=subprocess.PIPE,
            text=True,
        )

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
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_line(self, part: str) -> str:
        """The next line of its log that holds ``part``; fails when the log ends before."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if part in line:
                return line
        raise AssertionError(f"no line with {part!r}:\n{''.join(self.lines)}")

    def wait_ready(self) -> dict[str, str]:
        """What its ready line says, as key and value."""
        words = self.wait_line(": ready ").split(": ready ")[1].split()
        self.ready = dict(word.split("=", 1) for word in words)
        return self.ready

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it ends; what it logged is in ``lines``."""
        assert self._process.stderr is not None
        self.lines += self._process.stderr.readlines()
        return self._process.wait(60)
