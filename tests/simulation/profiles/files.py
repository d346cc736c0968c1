"""Profiles about write-back files.

Covers: ``safety``, ``overflow`` and ``alone``. Does not cover: files beside other faults (``any``).
"""

from __future__ import annotations

import asyncio
from random import Random

from tests.simulation.faults import Faults
from tests.simulation.loop import simulation_loop
from tests.simulation.profiles.settings import (
    FILE_BYTES,
    KIB,
    cache_of,
    copies_of,
    names_of,
    programs_of,
)
from tests.simulation.world import Scenario, World


def set_up_safety(random: Random) -> Scenario:
    names = names_of(random.choice((3, 4)))
    owners = names[: random.choice((1, 2))]
    return Scenario(
        nodes=names,
        knobs=copies_of(random)
        | {"spill_ephemeral": random.random() < 0.3, "writeback_safety": True},
        cache={name: cache_of(96, 0.0) if name in owners else cache_of(512, 0.8) for name in names},
        habits={
            name: programs_of(random, writers=3, pages=40 if name in owners else 8)
            for name in names
        },
        duration_s=random.uniform(3.0, 6.0),
        writeback=dict.fromkeys(names, FILE_BYTES),
        may_lose=False,
    )


async def break_safety(world: World, faults: Faults, random: Random) -> None:
    """Lenders die, hang and are cut off at will, several at a time; owners die, too, but then
    nothing of theirs is left to be lost.
    """
    owners = [name for name in world.nodes if world.scenario.cache[name]["foreign_bytes_max"] == 0]
    lenders = [name for name in world.nodes if name not in owners]
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await asyncio.sleep(random.choice((0.05, 0.3, 0.8)))
        lasts_s = random.choice((0.05, 0.5, 2.0)) * random.uniform(0.7, 1.3)
        owner, node = random.choice(owners), faults.any_node(lenders)
        kind = random.choice(("crash", "crash", "pause", "pause", "cut", "isolate", "owner"))
        if kind == "owner":
            node = faults.any_node(owners) if random.random() < 0.3 else None
        if node is None:
            continue
        silent = random.random() < 0.5
        if kind in ("crash", "owner"):
            faults.start(faults.crash(node, silent=silent, lasts_s=lasts_s))
        elif kind == "pause":
            faults.start(faults.pause(node, frozen=silent, lasts_s=lasts_s))
        elif kind == "cut":
            faults.start(faults.cut(owner, node.name, lasts_s))
        else:
            faults.start(faults.isolate(node.name, lasts_s))
        if random.random() < 0.3:
            world.check()


def set_up_overflow(random: Random) -> Scenario:
    """Owners with small peers; the file has room, and seldom not enough."""
    names = names_of(random.choice((2, 3)))
    return Scenario(
        nodes=names,
        knobs=copies_of(random) | {"spill_ephemeral": random.random() < 0.3},
        cache={
            name: cache_of(random.choice((64, 96)), random.choice((0.0, 0.3))) for name in names
        },
        habits={name: programs_of(random, writers=3, pages=50) for name in names},
        duration_s=random.uniform(3.0, 6.0),
        writeback={name: random.choice((FILE_BYTES, FILE_BYTES, 128 * KIB)) for name in names},
        refused_only_when_full=True,
    )


def set_up_alone(random: Random) -> Scenario:
    """One node without peers, as in zcache mode."""
    return Scenario(
        nodes=("a",),
        knobs={"writeback_safety": random.random() < 0.2},
        cache={"a": cache_of(random.choice((48, 64, 96)), 0.0)},
        habits={"a": programs_of(random, writers=3, pages=60)},
        duration_s=random.uniform(4.0, 8.0),
        writeback={"a": random.choice((FILE_BYTES, 128 * KIB))},
        refused_only_when_full=True,
    )


async def break_disks(world: World, faults: Faults, random: Random) -> None:
    """Disks fail, and nothing else; alone, the node may be stopped and killed as well."""
    alone = len(world.nodes) == 1
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await asyncio.sleep(random.choice((0.3, 0.8, 1.5)))
        node = faults.any_node()
        if node is None:
            continue
        lasts_s = random.choice((0.1, 0.5, 2.0)) * random.uniform(0.7, 1.3)
        kind = random.choice(("crash", "pause", "restart")) if alone else "disk"
        if random.random() < 0.8:
            faults.start(faults.disk_fails(node, lasts_s))
        elif kind == "crash":
            faults.start(faults.crash(node, silent=False, lasts_s=lasts_s))
        elif kind == "pause":
            faults.start(faults.pause(node, frozen=random.random() < 0.5, lasts_s=lasts_s))
        elif kind == "restart":
            faults.start(faults.restart(node, drain=True, goodbye=True, lasts_s=lasts_s))
        if random.random() < 0.3:
            world.check()
