"""What the profiles have in common: nodes, caches, programs, drawn by a generator.

Covers: settings and waits that several profiles use. Does not cover: any profile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.simulation.faults import Faults
from tests.simulation.workload import Habits
from tests.simulation.world import Scenario, World
from tests.support.virtual_time import until
from zcache import PoolKind

KIB = 1024

FILE_BYTES = 2048 * KIB
"""A write-back file that holds all that a node's programs ever have."""


@dataclass(frozen=True, slots=True)
class Profile:
    """``set_up(random)`` draws the settings of a run; ``break_things`` is what happens in it."""

    name: str
    set_up: Callable[[Random], Scenario]
    break_things: Callable[[World, Faults, Random], Awaitable[None]]


def names_of(count: int) -> tuple[str, ...]:
    return tuple("abcde"[:count])


def cache_of(pool_kib: int, lend_share: float = 0.5, **knobs: Any) -> dict[str, Any]:
    pool = pool_kib * KIB
    return {"pool_bytes_max": pool, "foreign_bytes_max": int(pool * lend_share), **knobs}


def habits_of(random: Random, kind: PoolKind, pages: int) -> Habits:
    """A program of one of several sorts."""
    exclusive = kind is PoolKind.PERSISTENT and random.random() < 0.15
    sort = random.choice(("mixed", "mixed", "reader", "writer", "scanner"))
    if sort == "reader":
        return Habits(kind, exclusive, pages, put=0.25, get=0.6, hot=0.5)
    if sort == "writer":
        return Habits(kind, exclusive, pages, put=0.7, get=0.1)
    if sort == "scanner":
        return Habits(kind, exclusive, pages, put=0.45, scan=0.25, flush=0.05, recreate=0.0)
    return Habits(kind, exclusive, pages)


def programs_of(random: Random, *, writers: int, pages: int) -> list[Habits]:
    others = random.choices(
        (PoolKind.PERSISTENT, PoolKind.EPHEMERAL), weights=(2, 1), k=writers - 1
    )
    kinds = [PoolKind.PERSISTENT, *others]
    return [habits_of(random, kind, random.randrange(pages // 2, pages + 1)) for kind in kinds]


def copies_of(random: Random) -> dict[str, Any]:
    replicas = random.choice((1, 1, 2, 2, 3))
    return {"replicas": replicas, "replicas_min": random.choice((1, 1, replicas))}


def own_numbers(random: Random, programs: dict[str, list[Habits]]) -> dict[str, list[Habits]]:
    """The same programs, some of which ask for a number of copies of their own."""
    return {
        name: [replace(one, replicas=random.choice((None, None, 1, 2, 3))) for one in some]
        for name, some in programs.items()
    }


def in_a_hurry(habits: Habits) -> Habits:
    """The same program, with shorter pauses and no interest in what it did long ago."""
    return replace(habits, pauses_s=(0.0, 0.001, 0.01, 0.05), hot=0.4, recreate=0.0)


async def until_whole(world: World) -> None:
    """Wait until all know each other and no page lacks a copy."""
    await until(
        lambda: not world.out_of_touch() + world.under_replicated(), within_s=60.0, every_s=0.1
    )
