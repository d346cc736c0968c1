"""Many runs on several processes, with a line of progress and a report of each failure.

Covers: which seeds and profiles, processes, what is printed. Does not cover: a single run
(``history.py``).
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from tests.simulation.history import Outcome, run_seed

MOVED = (
    "spill_pages",
    "pages_fetched",
    "pages_rebuilt",
    "pages_evacuated",
    "pages_repatriated",
    "file_pages_written",
)
"""Counters that are summed up at the end."""

Job = tuple[int, str]
"""(seed, profile)"""


def jobs(first: int, seeds: int, profiles: Sequence[str]) -> list[Job]:
    """Each seed once, its profile in turn; with ``any`` for every second one where there are
    several.
    """
    others = [name for name in profiles if name != "any"]
    if not others or "any" not in profiles:
        turn = list(profiles)
    else:
        turn = [name for other in others for name in ("any", other)]
    return [(seed, turn[seed % len(turn)]) for seed in range(first, first + seeds)]


def quiet() -> None:
    """What nodes log of faults is of no interest in a simulation."""
    logging.disable(logging.CRITICAL)


def _run(job: Job, backend: str = "python") -> Outcome:
    return run_seed(*job, backend=backend)


def outcomes(work: Sequence[Job], processes: int, backend: str = "python") -> Iterator[Outcome]:
    """Run the jobs; their outcomes in the order in which they end."""
    run = partial(_run, backend=backend)
    if processes == 1:
        quiet()
        yield from map(run, work)
        return
    with multiprocessing.get_context("spawn").Pool(processes, initializer=quiet) as pool:
        yield from pool.imap_unordered(run, work, chunksize=1)


class Report:
    """What many runs came to."""

    def __init__(self, total: int) -> None:
        self.failures: list[Outcome] = []
        self.done = self.messages = self.losses = self.refusals = 0
        self.longest_s: dict[str, float] = {}
        self.counted: Counter[str] = Counter()
        self._total = total
        self._began = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def add(self, outcome: Outcome) -> None:
        """One run has ended."""
        self.done += 1
        self.messages += outcome.messages
        self.losses += outcome.losses
        self.refusals += outcome.refusals
        self.counted.update(outcome.counted)
        for what, took_s in outcome.longest_s.items():
            self.longest_s[what] = max(took_s, self.longest_s.get(what, 0.0))
        if outcome.failure is not None:
            self.failures.append(outcome)
            print(outcome.report(), flush=True)
        if self._terminal or self.done % 100 == 0:
            self._progress()

    def _progress(self) -> None:
        took = time.monotonic() - self._began
        line = f"{self.done} of {self._total} seeds, {len(self.failures)} failed, {took:.0f} s"
        print(line, end="\r" if self._terminal else "\n", file=sys.stderr, flush=True)

    def summary(self) -> str:
        """All of it in a few lines."""
        took = time.monotonic() - self._began
        longest = ", ".join(
            f"{what} {self.longest_s[what]:.3f} s"
            for what in ("put", "get", "read")
            if what in self.longest_s
        )
        moved = ", ".join(f"{self.counted[name]} {name}" for name in MOVED)
        return (
            f"{self.done} seeds in {took:.0f} s: {len(self.failures)} failed; "
            f"{self.messages} messages, {self.losses} pages lost and {self.refusals} puts refused "
            f"with a reason; longest (virtual time): {longest}\n"
            f"pages moved: {moved}"
        )


def run_all(
    work: Sequence[Job], processes: int, failures_max: int, backend: str = "python"
) -> Report:
    """Run the jobs until ``failures_max`` have failed."""
    report = Report(len(work))
    for outcome in outcomes(work, processes, backend):
        report.add(outcome)
        if len(report.failures) >= failures_max:
            break
    return report


def first_failure(work: Iterable[Job]) -> Outcome | None:
    """Run jobs in this process until one fails."""
    return next((outcome for job in work if (outcome := _run(job)).failure is not None), None)
