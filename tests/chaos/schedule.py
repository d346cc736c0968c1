"""Which faults a run makes, in which order, for how long: all of it follows from the seed.

Covers: kinds, targets and durations. Does not cover: making them (``faults.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["KINDS", "LENDERS", "OWNER", "PlannedFault", "one_by_one", "schedule"]

OWNER = "a"
LENDERS = ("b", "c", "d", "e")

_HOLD_S = {
    "kill": (0.0, 6.0),
    "pause": (2.0, 15.0),
    "cut": (2.0, 15.0),
    "restart": (0.0, 3.0),
    "squeeze": (3.0, 8.0),
    "rolling": (0.0, 0.5),
    "owner-pause": (0.3, 1.5),
}
"""The shortest and the longest time from the blow to the remedy."""

KINDS = tuple(_HOLD_S)
_DECK = ("kill", "pause", "cut", "restart", "squeeze", "kill", "pause", "cut", "owner-pause")
_CALM_S = (0.5, 3.0)


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault; the next begins when the cluster is whole again and the calm is over."""

    kind: str
    target: str
    hold_s: float
    calm_s: float


def schedule(
    seed: int, kinds: Sequence[str] = KINDS, lenders: Sequence[str] = LENDERS
) -> Iterator[PlannedFault]:
    """Faults without end: shuffled decks that hold every kind, then every lender in turn.

    Raises ValueError for a kind that there is not.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown or not kinds:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return _deal(Random(f"faults {seed}"), kinds, lenders)


def _deal(random: Random, kinds: Sequence[str], lenders: Sequence[str]) -> Iterator[PlannedFault]:

    def planned(kind: str, target: str) -> PlannedFault:
        hold_s = round(random.uniform(*_HOLD_S[kind]), 2)
        return PlannedFault(kind, target, hold_s, round(random.uniform(*_CALM_S), 2))

    while True:
        # The first round has each kind once, so that short runs meet all of them.
        for deck in (tuple(dict.fromkeys(_DECK)), _DECK):
            for kind in random.sample(deck, len(deck)):
                if kind in kinds:
                    target = OWNER if kind == "owner-pause" else random.choice(lenders)
                    yield planned(kind, target)
            if "rolling" in kinds:
                for lender in random.sample(list(lenders), len(lenders)):
                    yield planned("rolling", lender)


def one_by_one(lenders: Sequence[str] = LENDERS) -> Iterator[PlannedFault]:
    """Every lender restarted in order, once."""
    return (PlannedFault("rolling", lender, 0.5, 1.0) for lender in lenders)
