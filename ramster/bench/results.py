"""Results of a run: one file a name, with everything that was measured and what it ran on.

Covers: the values, reading and writing files. Does not cover: measuring (``runner.py``), what
follows from the values (``compare.py``, ``report.py``).

A file stands for itself: figures, configurations and their texts are in it, so that results are
still read when the registry has moved on.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ramster.bench.model import Case, Configuration, Figure
from ramster.bench.typed_json import dump, load
from ramster.errors import BenchError

__all__ = [
    "SCHEMA",
    "Failure",
    "Measurement",
    "Result",
    "Skip",
    "load_result",
    "result_path",
    "save_result",
]

SCHEMA = 1
"""Rises when older programs could not read a file any more."""

_FORMAT = "ramster bench result"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case, measured once."""

    configuration: str
    case: str
    """Its ``Case.key``."""
    round: int
    """From 1."""
    order: int
    """Which measurement of the whole session it was, from 1; variants count together."""
    started: str
    samples: Mapping[str, Sequence[float]]
    """By name of figure."""
    elapsed_s: float
    cpu_s: float
    """User and system time of the measuring process during the workload, its threads included."""
    peak_rss_bytes: int
    """The most memory that the measuring process had resident."""
    load: float | None
    """Load average of the last minute, at the start."""
    steal_s: float | None
    """CPU seconds that the hypervisor gave to others meanwhile."""
    calibration: Mapping[str, Mapping[str, float]]
    """"before" and "after": seconds by loop (``calibration.LOOPS``)."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A case that cannot run here."""

    configuration: str
    case: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A measurement that failed."""

    configuration: str
    case: str
    round: int
    reason: str
    last_words: str
    """The end of what its process printed."""


@dataclass(slots=True)
class Result:
    """All that one variant gave in one session."""

    name: str
    session: str
    """The same for all variants that were measured interleaved with each other."""
    started: str
    """As all times here: ISO 8601, UTC."""
    ended: str
    complete: bool
    """False while the run goes on, and for good when it was interrupted."""
    rounds: int
    """The most rounds that any configuration was to be measured."""
    seed: int
    python: str
    """The interpreter's name, without its folder."""
    variables: Mapping[str, str]
    """What --variant set in the environment."""
    machine: Mapping[str, str | int | bool | None]
    versions: Mapping[str, str | bool | None]
    """Python, this package, its libraries, the backend of the cache, the commit of a checkout."""
    configurations: Sequence[Configuration]
    """As they were run: scale, rounds and cases are those of this run."""
    figures: Mapping[str, Sequence[Figure]]
    """By workload."""
    measurements: list[Measurement] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def cases(self) -> Mapping[tuple[str, str], Case]:
        """By configuration and key."""
        return {(c.name, case.key): case for c in self.configurations for case in c.cases}


def result_path(folder: Path, name: str) -> Path:
    """Where a result of this name is; a name with a slash, or of a file, is a path itself."""
    if "/" in name or name.endswith(".json"):
        return Path(name)
    return folder / f"{name}.json"


def save_result(result: Result, path: Path) -> None:
    """Write a file, whole or not at all. Raises BenchError."""
    text = json.dumps({"format": _FORMAT, "schema": SCHEMA, **dump(result)}, allow_nan=False)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise BenchError(f"{path}: the result cannot be written: {error.strerror}") from error


def load_result(path: Path) -> Result:
    """Read a file. Raises BenchError, in one line, for what is not there, no result, damaged, or of
    a newer schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"{path}: the result cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path}: no result of ramster bench, or a damaged one: {error}") from None
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise BenchError(f"{path}: no result of ramster bench")
    schema = content.pop("schema", None)
    if schema != SCHEMA:
        raise BenchError(f"{path}: schema {schema!r}; accepted is {SCHEMA}, of this version")
    try:
        result = load(Result, content)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path}: a damaged result: {error}") from None
    _check_references(result, path)
    return result


def _check_references(result: Result, path: Path) -> None:
    """Every row means a case that is there, and figures that its workload has."""
    cases = result.cases()
    rows: list[Measurement | Skip | Failure]
    rows = [*result.measurements, *result.skipped, *result.failures]
    for row in rows:
        if (row.configuration, row.case) not in cases:
            raise BenchError(f"{path}: a damaged result: no case {row.configuration}: {row.case}")
    figures = {name: {figure.name for figure in row} for name, row in result.figures.items()}
    for measured in result.measurements:
        if not all(measured.samples.values()):
            raise BenchError(f"{path}: a damaged result: a figure without samples")
        workload = cases[measured.configuration, measured.case].workload
        if unknown := measured.samples.keys() - figures.get(workload, set()):
            names = ", ".join(sorted(unknown))
            raise BenchError(f"{path}: a damaged result: {workload} has no figure {names}")
