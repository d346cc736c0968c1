"""What a run is to measure, and in which order.

Covers: choosing configurations by name and pattern, choosing subjects, the order of measurements.
Does not cover: measuring (``runner.py``).
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ramster.bench.model import Case, Configuration, Subject
from ramster.errors import BenchError

__all__ = ["Step", "choose", "narrow", "order"]

EVERYTHING = "all"


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement to be made."""

    round: int
    configuration: Configuration
    case: Case
    variant: str
    seed: int


def choose(words: Sequence[str], known: Mapping[str, Configuration]) -> list[Configuration]:
    """Configurations by name, by pattern (``store-*``), or ``all``; each once, in the order of the
    registry. Raises BenchError for a word that means none."""
    found: set[str] = set()
    for word in words:
        here = set(known) if word == EVERYTHING else set(fnmatch.filter(known, word))
        if not here:
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            there = ", ".join(known) or "none in this build"
            raise BenchError(f"{word}: no such configuration{hint} (there are {there})")
        found |= here
    return [configuration for name, configuration in known.items() if name in found]


def narrow(
    configurations: Sequence[Configuration],
    subjects: Sequence[str] | None = None,
    rounds: int | None = None,
    scale: float = 1.0,
) -> list[Configuration]:
    """The configurations as they are to be run: of these subjects only (None: of all), so many
    rounds (None: their own), everything ``scale`` times as large. Raises BenchError."""
    wanted = None if subjects is None else [_subject(text) for text in subjects]
    found = []
    for configuration in configurations:
        cases = configuration.cases
        if wanted is not None:
            cases = tuple(case for case in cases if case.subject in wanted)
        if cases:
            made = dataclasses.replace(
                configuration,
                cases=cases,
                rounds=configuration.rounds if rounds is None else rounds,
                scale=configuration.scale * scale,
            )
            found.append(made)
    if not found:
        there = {case.subject: None for one in configurations for case in one.cases}
        raise BenchError(
            f"--subjects {','.join(subjects or ())}: none of these configurations has any; "
            f"they have {', '.join(there)}"
        )
    return found


def _subject(text: str) -> Subject:
    try:
        return Subject(text)
    except ValueError:
        accepted = ", ".join(Subject)
        raise BenchError(f"--subjects {text!r}: accepted is one of: {accepted}") from None


def order(
    configurations: Sequence[Configuration], variants: Sequence[str], seed: int
) -> list[Step]:
    """Round by round, every case of every configuration once for each variant.

    What is to be compared stays together, so that it meets the same machine: the subjects and
    variants of one workload with the same parameters follow each other in random order, and these
    groups follow each other in random order. The same seed gives the same order.
    """
    chance = random.Random(seed)
    steps: list[Step] = []
    for number in range(1, max((one.rounds for one in configurations), default=0) + 1):
        groups: dict[tuple[str, str, str], list[Step]] = {}
        for configuration in configurations:
            if number > configuration.rounds:
                continue
            for case in configuration.cases:
                group = groups.setdefault((configuration.name, case.workload, case.label), [])
                group += [
                    Step(number, configuration, case, variant, 1000 * seed + number)
                    for variant in variants
                ]
        shuffled = list(groups.values())
        chance.shuffle(shuffled)
        for group in shuffled:
            chance.shuffle(group)
            steps += group
    return steps
