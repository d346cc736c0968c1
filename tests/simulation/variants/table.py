"""The table of broken variants, and running them.

Covers: what a variant is, entering and running them. Does not cover: the variants themselves (its
neighbours), how a fault shows (``world.py``, ``audit.py``, ``workload.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.simulation.history import Outcome
from tests.simulation.runner import first_failure

SEEDS_MAX = 300
"""A variant that as many seeds do not find out has survived."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to break the code."""

    name: str
    missing: str
    """The safety measure that is gone."""
    broken: Callable[[], AbstractContextManager[Any]]
    profiles: tuple[str, ...] = ("any",)
    first: int = 0
    """The seed to begin with: shortly before the first that finds it out, to save time."""

    def caught(self, seeds_max: int = SEEDS_MAX) -> Outcome | None:
        """The first failure among ``seeds_max`` seeds; None if it survives."""
        seeds = range(self.first, self.first + seeds_max)
        with self.broken():
            return first_failure((seed, profile) for seed in seeds for profile in self.profiles)


VARIANTS: dict[str, Variant] = {}


def variant(
    *profiles: str, first: int = 0
) -> Callable[[Callable[[], Iterator[Any]]], Callable[[], Iterator[Any]]]:
    """Enter a broken variant into the table."""

    def enter(broken: Callable[[], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
        name = broken.__name__
        missing = " ".join((broken.__doc__ or "").split())
        VARIANTS[name] = Variant(name, missing, contextmanager(broken), profiles or ("any",), first)
        return broken

    return enter


def survivors(names: Sequence[str], tell: Callable[[str], None]) -> list[str]:
    """Run variants; the names of those that were not found out."""
    alive = []
    for name in names:
        outcome = VARIANTS[name].caught()
        if outcome is None:
            alive.append(name)
            tell(f"SURVIVED  {name}: {VARIANTS[name].missing}")
        else:
            tell(f"caught    {name}: seed {outcome.seed}, {outcome.profile}: {outcome.failure}")
    return alive
