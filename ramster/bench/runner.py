"""A run: every measurement in a process of its own, round by round, kept as it goes.

Covers: which measurements are made, skipped or given up, and what is kept of them. Does not cover:
the order (``plan.py``), the processes (``children.py``), what is printed (``commands/bench.py``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ramster.bench.children import ChildFailed, ask, scratch_folder
from ramster.bench.configurations import WORKLOADS
from ramster.bench.model import Configuration
from ramster.bench.plan import Step, order
from ramster.bench.results import Failure, Measurement, Result, Skip, save_result
from ramster.bench.typed_json import load
from ramster.bench.variants import Variant
from ramster.errors import BenchError

__all__ = ["Run", "describe"]

_FAILURES_IN_A_ROW = 2
"""A case that failed so often is not tried again in later rounds."""

_DESCRIBE_LIMIT_S = 60.0


def describe(variant: Variant) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts about the machine, and versions, as a process of the variant sees them. Raises
    BenchError when it cannot run benchmarks."""
    try:
        told = ask(variant, {"describe": True}, _DESCRIBE_LIMIT_S)
    except ChildFailed as error:
        words = error.last_words.splitlines()[-1:] or ["it said nothing"]
        raise BenchError(f"variant {variant.name} does not run: {error}: {words[0]}") from error
    if "failed" in told:
        raise BenchError(f"variant {variant.name} does not run: {told['failed']}")
    return told["machine"], told["versions"]


@dataclass
class Run:
    """Variants, configurations as they are to be run, and one result file for each variant."""

    configurations: Sequence[Configuration]
    variants: Mapping[Path, Variant]
    """By the file of its result, which is written after each round and at the end."""
    seed: int
    limit_s: float
    """A measurement that takes longer has failed."""

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants.values()]
        self.steps = order(self.configurations, names, self.seed)
        self.results: dict[str, Result] = {}
        self._paths = {variant.name: path for path, variant in self.variants.items()}
        self._variants = {variant.name: variant for variant in self.variants.values()}
        self._skipped: set[tuple[str, str, str]] = set()
        self._failed: dict[tuple[str, str, str], int] = {}

    def start(self) -> None:
        """Ask each variant what it is. Raises BenchError."""
        session, now = secrets.token_hex(8), _now()
        used = {case.workload for one in self.configurations for case in one.cases}
        figures = {name: WORKLOADS[name].figures for name in sorted(used)}
        for name, variant in self._variants.items():
            machine, versions = describe(variant)
            self.results[name] = Result(
                name=self._paths[name].stem,
                session=session,
                started=now,
                ended=now,
                complete=False,
                rounds=max(one.rounds for one in self.configurations),
                seed=self.seed,
                python=Path(variant.python).name,
                variables=variant.variables,
                machine=machine,
                versions=versions,
                configurations=self.configurations,
                figures=figures,
            )
        self.save(complete=False)  # a folder that cannot be written is no news for after a round

    def measure(self, note: Callable[[Step], None]) -> None:
        """All steps, ``note`` called before each and the files written after each round. What was
        measured is in the files when it ends, also by an exception (Ctrl-C)."""
        complete = False
        try:
            for number, step in enumerate(self.steps, 1):
                note(step)
                self._one(step, number)
                last_of_round = number == len(self.steps) or self.steps[number].round > step.round
                if last_of_round and number < len(self.steps):
                    self.save(complete=False)
            complete = True
        finally:
            self.save(complete)

    def save(self, complete: bool) -> None:
        """Write the files."""
        for name, result in self.results.items():
            result.ended, result.complete = _now(), complete
            save_result(result, self._paths[name])

    def _one(self, step: Step, number: int) -> None:
        result, case = self.results[step.variant], step.case
        row = (step.variant, step.configuration.name, case.key)
        if row in self._skipped or self._failed.get(row, 0) >= _FAILURES_IN_A_ROW:
            return
        request = {
            "workload": case.workload,
            "subject": case.subject,
            "parameters": dict(case.parameters),
            "scale": step.configuration.scale,
            "seed": step.seed,
        }
        started = _now()
        try:
            with scratch_folder() as folder:
                request["scratch"] = str(folder)
                told = ask(self._variants[step.variant], request, self.limit_s)
        except ChildFailed as error:
            self._failure(step, str(error), error.last_words)
            return
        words = told.pop("last_words")
        if "unavailable" in told:
            self._skipped.add(row)
            skip = Skip(step.configuration.name, case.key, told["unavailable"])
            result.skipped.append(skip)
        elif "failed" in told:
            self._failure(step, told["failed"], words)
        else:
            facts = {
                "configuration": step.configuration.name,
                "case": case.key,
                "round": step.round,
                "order": number,
                "started": started,
            }
            known = {figure.name for figure in result.figures[case.workload]}
            try:
                measured = load(Measurement, told | facts)
                if unknown := measured.samples.keys() - known:
                    raise ValueError(f"this build has no figure {', '.join(sorted(unknown))}")
            except ValueError as error:  # a variant of another version
                self._failure(step, f"its answer is of another version: {error}", words)
                return
            self._failed.pop(row, None)
            result.measurements.append(measured)

    def _failure(self, step: Step, reason: str, last_words: str) -> None:
        row = (step.variant, step.configuration.name, step.case.key)
        self._failed[row] = self._failed.get(row, 0) + 1
        self.results[step.variant].failures.append(
            Failure(step.configuration.name, step.case.key, step.round, reason, last_words)
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
