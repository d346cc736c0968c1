"""Results made of numbers, for tests of what is said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ramster.bench.model import Better, Case, Configuration, Figure, Subject
from ramster.bench.results import Failure, Measurement, Result, Skip

__all__ = ["FIGURES", "made"]

TIME = "2026-01-01T00:00:00+00:00"
FIGURES = (
    Figure("put_pages_s", "pages/s", Better.HIGHER, "Pages put."),
    Figure("get_p99_us", "us", Better.LOWER, "What 99 of 100 gets take at most."),
    Figure("pool_bytes", "bytes", Better.LOWER, "Bytes of the pool."),
)


def made(
    name: str,
    values: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    session: str | None = None,
    loops: Mapping[str, Sequence[float]] | None = None,
    skipped: Mapping[str, str] | None = None,
    scale: float = 1.0,
    busy: float = 1.0,
    complete: bool = True,
    machine: Mapping[str, str | int | bool | None] | None = None,
) -> Result:
    """A result of the configuration "tested".

    ``values``: by "SUBJECT LABEL" the figures' values, one a round. ``skipped``: reasons, in the
    same way. ``loops``: seconds of calibration loops, one a round.
    """
    skipped = skipped or {}
    cases = {key: _case(key) for key in [*values, *skipped]}
    rounds = max((len(row) for figures in values.values() for row in figures.values()), default=1)
    loops = {"lz4": [0.001] * rounds} if loops is None else loops
    measurements = [
        Measurement(
            "tested",
            cases[key].key,
            number + 1,
            number + 1,
            TIME,
            {figure: [row[number]] for figure, row in figures.items() if number < len(row)},
            1.0,
            busy,
            2**20,
            0.5,
            0.0,
            {
                when: {loop: row[number] for loop, row in loops.items()}
                for when in ("before", "after")
            },
        )
        for number in range(rounds)
        for key, figures in values.items()
        if any(number < len(row) for row in figures.values())
    ]
    configuration = Configuration(
        "tested", "in tests", "What it does, for tests.", tuple(cases.values()), rounds, scale
    )
    return Result(
        name,
        name if session is None else session,
        TIME,
        TIME,
        complete,
        rounds,
        1,
        "python3",
        {},
        machine or {"model": "a processor", "cores": 2, "memory_bytes": 2**33, "virtual": True},
        {"python": "CPython 3.11.7", "ramster": "0.1.0", "backend": "native", "commit": None},
        [configuration],
        {"mix": FIGURES},
        measurements,
        [Skip("tested", cases[key].key, reason) for key, reason in skipped.items()],
        [],
    )


def _case(key: str) -> Case:
    subject, _, label = key.partition(" ")
    parameters = dict(part.split("=") for part in label.split())
    return Case("mix", Subject(subject), parameters)


def failed(result: Result, key: str, reason: str) -> Result:
    """The same with a failure in its first round."""
    result.failures.append(Failure("tested", _case(key).key, 1, reason, "last words"))
    return result
