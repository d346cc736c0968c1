"""Profiles about room: too little everywhere, lenders that want theirs back, and enough of it.

Covers: ``pressure``, ``full`` and ``calm``. Does not cover: files that make up for room.
"""

from __future__ import annotations

import asyncio
from random import Random

from tests.simulation.faults import Faults
from tests.simulation.network import QUICK_S, Link
from tests.simulation.profiles.settings import cache_of, in_a_hurry, names_of, programs_of
from tests.simulation.world import Scenario, World
from tests.support.virtual_time import until

CHANGED_SHARE = 0.1
"""No more pages change while they are on their way to a lender."""


def set_up_pressure(random: Random) -> Scenario:
    """More pages than there is room for: lenders give notice, pages move on and come back."""
    names = names_of(random.choice((3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": random.choice((1, 2)), "put_wait_s": 0.6},
        cache={name: cache_of(random.choice((96, 160, 256)), 0.6) for name in names},
        habits={
            name: [in_a_hurry(one) for one in programs_of(random, writers=2, pages=60)]
            for name in names
        },
        base=Link(delay_s=random.choice((QUICK_S, (0.0, 0.05))), duplicate=0.2),
        duration_s=random.uniform(2.0, 4.0),
        may_lose=False,
    )


def set_up_full(random: Random) -> Scenario:
    names = names_of(random.choice((2, 3)))
    return Scenario(
        nodes=names,
        knobs={"replicas": random.choice((1, 2)), "spill_ephemeral": random.random() < 0.5},
        cache={
            name: cache_of(random.choice((48, 64, 96)), random.choice((0.0, 0.3))) for name in names
        },
        habits={name: programs_of(random, writers=3, pages=60) for name in names},
        duration_s=random.uniform(2.0, 4.0),
        may_lose=False,
    )


def set_up_calm(random: Random) -> Scenario:
    """Small owners, roomy lenders, nothing goes wrong: nothing may be lost or refused."""
    names = names_of(random.choice((2, 3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": random.choice((1, 2)), "spill_ephemeral": random.random() < 0.5},
        cache={name: cache_of(96, 0.0) if name == "a" else cache_of(1024, 0.8) for name in names},
        habits={name: programs_of(random, writers=3, pages=40) for name in names},
        base=Link(delay_s=random.choice((QUICK_S, (0.0, 0.03))), duplicate=0.05),
        duration_s=random.uniform(2.0, 4.0),
        may_lose=False,
        may_refuse=False,
    )


async def break_calm(world: World, faults: Faults, random: Random) -> None:
    """Once all know each other, pages leave with all their copies where there are lenders enough,
    but for some that change on their way.
    """
    await until(lambda: not world.out_of_touch(), within_s=1.0, every_s=0.01)
    await asyncio.sleep(0.2)  # what left before has arrived
    before = {name: node.snapshot.counters for name, node in world.nodes.items()}
    await break_nothing(world, faults, random)
    if world.scenario.knobs["replicas"] >= len(world.nodes):
        return
    for name, then in before.items():
        now = world.nodes[name].snapshot.counters
        short = now.pages_spilled_short - then.pages_spilled_short
        left = now.spill_pages - then.spill_pages
        assert short <= left * CHANGED_SHARE, f"{short} of {left} pages of {name} left short"


async def break_nothing(world: World, faults: Faults, random: Random) -> None:
    await asyncio.sleep(world.scenario.duration_s)
    world.check()
