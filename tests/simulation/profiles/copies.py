"""Profiles about copies at lenders.

Covers: ``single``, ``liar``, ``lies``, ``rolling`` and ``moves``. Does not cover: files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation import audit
from tests.simulation.faults import Faults
from tests.simulation.loop import simulation_loop
from tests.simulation.network import QUICK_S, Link
from tests.simulation.node import SimulatedNode
from tests.simulation.profiles.settings import (
    cache_of,
    in_a_hurry,
    names_of,
    programs_of,
    until_whole,
)
from tests.simulation.world import Scenario, World
from tests.support.virtual_time import until


def set_up_single(random: Random) -> Scenario:
    names = names_of(random.choice((4, 5)))
    return Scenario(
        nodes=names,
        knobs={"replicas": 2, "spill_ephemeral": random.random() < 0.3},
        # Half of the nodes own more than they have room for, the others lend.
        cache={
            name: cache_of(96, 0.0) if name in names[:2] else cache_of(1024, 0.8) for name in names
        },
        habits={
            name: programs_of(random, writers=2, pages=40 if name in names[:2] else 8)
            for name in names
        },
        duration_s=random.uniform(4.0, 8.0),
        may_lose=False,
        may_refuse=False,
    )


def _one_fault(world: World, faults: Faults, random: Random) -> tuple[str, SimulatedNode, Any]:
    """What happens, to which lender."""
    lasts_s = random.choice((0.1, 0.6, 2.0, 4.0)) * random.uniform(0.7, 1.3)
    owner, lender = random.choice(list(world.nodes)[:2]), random.choice(list(world.nodes)[2:])
    node = world.nodes[lender]
    faults_by_name: dict[str, Callable[[], Any]] = {
        "crash": lambda: faults.crash(node, silent=random.random() < 0.5, lasts_s=lasts_s),
        "pause": lambda: faults.pause(node, frozen=random.random() < 0.5, lasts_s=lasts_s),
        "isolate": lambda: faults.isolate(lender, lasts_s),
        "cut": lambda: faults.cut(owner, lender, lasts_s),
        "cut_to": lambda: faults.cut_one_way(owner, lender, lasts_s),
        "cut_from": lambda: faults.cut_one_way(lender, owner, lasts_s),
        "restart": lambda: faults.restart(
            node, drain=True, goodbye=random.random() < 0.5, lasts_s=lasts_s
        ),
    }
    name = random.choice(list(faults_by_name))
    return name, node, faults_by_name[name]()


async def break_single(world: World, faults: Faults, random: Random) -> None:
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        # What was on its way during the last fault has ended by then.
        await asyncio.sleep(random.choice((0.2, 0.4, 0.7)))
        await until_whole(world)
        what, node, fault = _one_fault(world, faults, random)
        known = {lease.owner: lease.number for lease in audit.leases(node)}
        await faults.start(fault)
        world.check()
        if what == "pause":
            await until_whole(world)
            now = {lease.owner: lease.number for lease in audit.leases(node)}
            assert now == known, f"{node.name} only stood still, and ended leases"


def set_up_liar(random: Random) -> Scenario:
    names = names_of(random.choice((3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": 2, "spill_ephemeral": random.random() < 0.3},
        cache={name: cache_of(96, 0.0) if name == "a" else cache_of(1024, 0.8) for name in names},
        habits={
            name: programs_of(
                random, writers=3 if name == "a" else 1, pages=40 if name == "a" else 8
            )
            for name in names
        },
        duration_s=random.uniform(3.0, 6.0),
        liars=names[-1:],
        may_lose=False,
        may_refuse=False,
    )


async def break_liar(world: World, faults: Faults, random: Random) -> None:
    liar = world.nodes[world.scenario.liars[0]]
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await until_whole(world)
        await faults.start(faults.lie(liar, random.choice((0.3, 1.0, 2.0))))
        world.check()
        await asyncio.sleep(random.choice((0.1, 0.5)))


def set_up_lies(random: Random) -> Scenario:
    """Two copies of each page, one perhaps at a liar; messages come twice and late."""
    names = names_of(random.choice((3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": 2},
        cache={name: cache_of(96, 0.0) if name == "a" else cache_of(512, 0.8) for name in names},
        habits={name: programs_of(random, writers=3, pages=40) for name in names},
        base=Link(delay_s=random.choice((QUICK_S, (0.0, 0.03))), duplicate=0.3),
        duration_s=random.uniform(3.0, 5.0),
        liars=("b",),
    )


async def break_faith(world: World, faults: Faults, random: Random) -> None:
    """One lie after another."""
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await asyncio.sleep(random.choice((0.0, 0.1, 0.3)))
        await faults.start(faults.lie(world.nodes["b"], random.uniform(0.1, 1.0)))
        world.check()


def set_up_rolling(random: Random) -> Scenario:
    names = names_of(random.choice((3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": 1, "spill_ephemeral": random.random() < 0.3},
        cache={name: cache_of(96, 0.3) if name == "a" else cache_of(768, 0.8) for name in names},
        habits={
            name: programs_of(
                random, writers=3 if name == "a" else 1, pages=40 if name == "a" else 8
            )
            for name in names
        },
        may_lose=False,
        may_refuse=False,
    )


async def break_rolling(world: World, faults: Faults, random: Random) -> None:
    for name in list(world.nodes)[1:]:
        await asyncio.sleep(random.uniform(0.5, 1.5))
        lasts_s = random.choice((0.1, 1.0, 3.0))
        node = world.nodes[name]
        await faults.start(faults.restart(node, drain=True, goodbye=True, lasts_s=lasts_s))
        report = faults.drains[-1]
        assert report.left == 0, f"{name} stopped with pages of others: {report}"
        await until(lambda: not world.out_of_touch(), within_s=30.0, every_s=0.1)
        world.check()


def set_up_moves(random: Random) -> Scenario:
    names = names_of(4)
    programs = {
        name: programs_of(random, writers=3 if name == "a" else 1, pages=40 if name == "a" else 8)
        for name in names
    }
    if random.random() < 0.4:
        programs["a"] = [in_a_hurry(one) for one in programs["a"]]
    return Scenario(
        nodes=names,
        knobs={"replicas": 2, "spill_ephemeral": False},
        cache={name: cache_of(96, 0.0) if name == "a" else cache_of(512, 0.8) for name in names},
        habits=programs,
        base=Link(delay_s=random.choice((QUICK_S, (0.0, 0.06))), duplicate=0.3, late_s=1.0),
        duration_s=random.uniform(3.0, 5.0),
    )


async def break_moves(world: World, faults: Faults, random: Random) -> None:
    lenders = list(world.nodes)[1:]
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await asyncio.sleep(random.choice((0.05, 0.3, 0.6)))
        lasts_s = random.choice((0.1, 0.3, 1.0)) * random.uniform(0.7, 1.3)
        node = faults.any_node(lenders)
        if node is None:
            continue
        kind = random.choice(("crash", "restart", "slow", "slow", "lossy", "lossy", "squeeze"))
        if kind == "crash":
            faults.start(faults.crash(node, silent=False, lasts_s=lasts_s))
        elif kind == "restart":
            faults.start(faults.restart(node, drain=True, goodbye=True, lasts_s=lasts_s))
        elif kind == "slow":
            way = random.choice((("a", node.name), (node.name, "a")))
            faults.start(faults.slow_link(*way, (0.0, 0.3), lasts_s))
        elif kind == "lossy":
            faults.start(faults.lossy("a", node.name, 0.3, lasts_s))
        else:
            faults.start(faults.squeeze(node, lasts_s))
        if random.random() < 0.3:
            world.check()
