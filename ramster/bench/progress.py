"""How far a run is: a bar on a terminal, a line a round elsewhere; always on standard error."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import NoReturn, Self

from tqdm import tqdm

from ramster.bench.plan import Step

__all__ = ["Progress"]


class Progress:
    """Called with each step before it is made."""

    def __init__(self, steps: int, rounds: int) -> None:
        self._steps = steps
        self._rounds = rounds
        self._round = 0
        self._bar: tqdm[NoReturn] | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._steps, leave=False, dynamic_ncols=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, step: Step) -> None:
        """The step begins, and the one before it is done."""
        where = f"round {step.round} of {self._rounds}"
        if self._bar is not None:
            self._bar.set_description(f"{where}: {step.case.workload} {step.case.subject}")
            self._bar.update(0 if self._round == 0 else 1)
        elif step.round != self._round:
            print(f"{where} ...", file=sys.stderr, flush=True)
        self._round = step.round
