"""The profile in which several things go wrong at a time.

Covers: ``any``. Does not cover: profiles with stronger promises (its neighbours).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from tests.simulation.faults import Faults
from tests.simulation.loop import simulation_loop
from tests.simulation.network import QUICK_S, Link
from tests.simulation.profiles.settings import (
    FILE_BYTES,
    KIB,
    cache_of,
    copies_of,
    in_a_hurry,
    names_of,
    own_numbers,
    programs_of,
)
from tests.simulation.world import Scenario, World


def set_up_any(random: Random) -> Scenario:
    names = names_of(random.choice((2, 3, 3, 4)))
    cache = {
        name: cache_of(random.choice((48, 64, 96, 160)), random.choice((0.0, 0.5)))
        for name in names
    }
    for name in random.sample(names, random.randrange(1, len(names))):
        cache[name] = cache_of(random.choice((320, 512)), 0.8)
    busy = random.random() < 0.3
    programs = {
        name: programs_of(random, writers=random.choice((2, 3)), pages=30 if busy else 50)
        for name in names
    }
    if busy:
        programs = {name: [in_a_hurry(one) for one in some] for name, some in programs.items()}
    if random.random() < 0.4:
        programs = own_numbers(random, programs)
    files = random.sample(names, random.randrange(len(names))) if random.random() < 0.5 else []
    return Scenario(
        nodes=names,
        knobs=copies_of(random)
        | {
            "spill_ephemeral": random.random() < 0.5,
            "writeback_safety": random.random() < 0.3,
            "readahead_pages": random.choice((0, 4, 8)),
            "flush_queue_pages_max": random.choice((8, 4096)),
        },
        cache=cache,
        habits=programs,
        base=Link(delay_s=(0.0, 0.06) if busy else QUICK_S, duplicate=random.choice((0.0, 0.05))),
        duration_s=random.uniform(2.0, 4.0) if busy else random.uniform(3.0, 7.0),
        liars=tuple(random.sample(names, 1)) if random.random() < 0.3 else (),
        writeback={name: random.choice((128 * KIB, FILE_BYTES)) for name in files},
    )


def _some_fault(world: World, faults: Faults, random: Random) -> Awaitable[None] | None:
    """Draw one fault; None if there is nothing to do it to."""
    lasts_s = random.choice((0.05, 0.3, 1.0, 3.0)) * random.uniform(0.7, 1.3)
    one, other = faults.any_pair()
    on_links: dict[str, Callable[[], Any]] = {
        "cut": lambda: faults.cut(one, other, lasts_s),
        "cut_one_way": lambda: faults.cut_one_way(one, other, lasts_s),
        "isolate": lambda: faults.isolate(one, lasts_s),
        "lossy": lambda: faults.lossy(one, other, random.choice((0.02, 0.3)), lasts_s),
        "slow_link": lambda: faults.slow_link(
            one, other, random.choice(((0.0, 0.1), (0.1, 0.6), (0.0, 1.5))), lasts_s
        ),
        "thin_link": lambda: faults.thin_link(
            one, other, random.choice((8, 16, 64)) * KIB, lasts_s
        ),
    }
    kinds = [
        *on_links,
        "crash",
        "crash",
        "restart",
        "pause",
        "pause",
        "slow_node",
        "retarget",
        "squeeze",
    ]
    kinds += ["disk"] * 4 if world.scenario.writeback else []
    kinds += ["lie"] * 4 if world.scenario.liars else []
    kind = random.choice(kinds)
    if kind in on_links:
        return on_links[kind]()  # type: ignore[no-any-return]
    node = faults.any_node()
    if kind == "disk":
        node = world.nodes[random.choice(list(world.scenario.writeback))]
    if kind == "lie":
        node = world.nodes[world.scenario.liars[0]]
        if not node.up or node.liar is None or node.liar.lie is not None:
            return None
    if node is None:
        return None
    chosen = node
    on_nodes: dict[str, Callable[[], Any]] = {
        "crash": lambda: faults.crash(chosen, silent=random.random() < 0.3, lasts_s=lasts_s),
        "restart": lambda: faults.restart(
            chosen,
            drain=random.random() < 0.5,
            goodbye=random.random() < 0.5,
            lasts_s=lasts_s,
        ),
        "pause": lambda: faults.pause(chosen, frozen=random.random() < 0.4, lasts_s=lasts_s),
        "slow_node": lambda: faults.slow_node(chosen, random.choice((0.01, 0.2, 0.8)), lasts_s),
        "squeeze": lambda: faults.squeeze(chosen, lasts_s),
        "lie": lambda: faults.lie(chosen, lasts_s),
        "disk": lambda: faults.disk_fails(chosen, lasts_s),
        "retarget": lambda: faults.retarget(
            chosen, random.choice(("none", *(n for n in world.nodes if n != chosen.name))), lasts_s
        ),
    }
    return on_nodes[kind]()  # type: ignore[no-any-return]


async def break_any(world: World, faults: Faults, random: Random) -> None:
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await asyncio.sleep(random.choice((0.05, 0.3, 0.8, 1.5)))
        fault = _some_fault(world, faults, random)
        if fault is not None:
            faults.start(fault)  # type: ignore[arg-type]
        if random.random() < 0.3:
            world.check()
