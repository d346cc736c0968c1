"""How far the demo is: a bar on a terminal, a line a pass elsewhere; always on standard error."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import NoReturn, Self

from tqdm import tqdm

__all__ = ["Progress"]


class Progress:
    """Called by the workload with a pass's name, its bytes done and its bytes in all."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None
        self._name = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, name: str, done: int, total: int) -> None:
        """So far of a pass."""
        if not sys.stderr.isatty():
            if name != self._name:
                print(f"{name} ...", file=sys.stderr, flush=True)
            self._name = name
            return
        if name != self._name or self._bar is None:
            self._close()
            self._name = name
            self._bar = tqdm(
                total=total, desc=f"{name:15}", unit="B", unit_scale=True, leave=False, ncols=80
            )
        self._bar.update(done - self._bar.n)

    def say(self, text: str) -> None:
        """A line of its own."""
        self._close()
        print(text, file=sys.stderr, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
