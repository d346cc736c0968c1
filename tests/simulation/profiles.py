"""Profiles: settings, faults and promises that belong together.

Covers: what each profile sets up, breaks and promises. Does not cover: the faults themselves
(``faults.py``), the checks that hold in every profile (``world.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.simulation import audit
from tests.simulation.faults import Faults
from tests.simulation.loop import simulation_loop
from tests.simulation.network import QUICK_S, Link
from tests.simulation.node import SimulatedNode
from tests.simulation.workload import Habits
from tests.simulation.world import Scenario, World
from tests.support.virtual_time import until
from zcache import PoolKind

KIB = 1024

CHANGED_SHARE = 0.1
"""No more pages change while they are on their way to a lender."""

FILE_BYTES = 2048 * KIB
"""A write-back file that holds all that a node's programs ever have."""


@dataclass(frozen=True, slots=True)
class Profile:
    """``set_up(random)`` draws the settings of a run; ``break_things`` is what happens in it."""

    name: str
    set_up: Callable[[Random], Scenario]
    break_things: Callable[[World, Faults, Random], Awaitable[None]]


# -- settings -------------------------------------------------------------------------------------


def _names(count: int) -> tuple[str, ...]:
    return tuple("abcde"[:count])


def _cache(pool_kib: int, lend_share: float = 0.5, **knobs: Any) -> dict[str, Any]:
    pool = pool_kib * KIB
    return {"pool_bytes_max": pool, "foreign_bytes_max": int(pool * lend_share), **knobs}


def _habits(random: Random, kind: PoolKind, pages: int) -> Habits:
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


def _programs(random: Random, *, writers: int, pages: int) -> list[Habits]:
    others = random.choices(
        (PoolKind.PERSISTENT, PoolKind.EPHEMERAL), weights=(2, 1), k=writers - 1
    )
    kinds = [PoolKind.PERSISTENT, *others]
    return [_habits(random, kind, random.randrange(pages // 2, pages + 1)) for kind in kinds]


def _copies(random: Random) -> dict[str, Any]:
    replicas = random.choice((1, 1, 2, 2, 3))
    return {"replicas": replicas, "replicas_min": random.choice((1, 1, replicas))}


def _own_numbers(random: Random, programs: dict[str, list[Habits]]) -> dict[str, list[Habits]]:
    """The same programs, some of which ask for a number of copies of their own."""
    return {
        name: [replace(one, replicas=random.choice((None, None, 1, 2, 3))) for one in some]
        for name, some in programs.items()
    }


# -- any: several faults at a time ----------------------------------------------------------------


def _set_up_any(random: Random) -> Scenario:
    names = _names(random.choice((2, 3, 3, 4)))
    cache = {
        name: _cache(random.choice((48, 64, 96, 160)), random.choice((0.0, 0.5))) for name in names
    }
    for name in random.sample(names, random.randrange(1, len(names))):
        cache[name] = _cache(random.choice((320, 512)), 0.8)
    busy = random.random() < 0.3
    programs = {
        name: _programs(random, writers=random.choice((2, 3)), pages=30 if busy else 50)
        for name in names
    }
    if busy:
        programs = {name: [_in_a_hurry(one) for one in some] for name, some in programs.items()}
    if random.random() < 0.4:
        programs = _own_numbers(random, programs)
    files = random.sample(names, random.randrange(len(names))) if random.random() < 0.5 else []
    return Scenario(
        nodes=names,
        knobs=_copies(random)
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


def _in_a_hurry(habits: Habits) -> Habits:
    """The same program, with shorter pauses and no interest in what it did long ago."""
    return replace(habits, pauses_s=(0.0, 0.001, 0.01, 0.05), hot=0.4, recreate=0.0)


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


async def _break_any(world: World, faults: Faults, random: Random) -> None:
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await asyncio.sleep(random.choice((0.05, 0.3, 0.8, 1.5)))
        fault = _some_fault(world, faults, random)
        if fault is not None:
            faults.start(fault)  # type: ignore[arg-type]
        if random.random() < 0.3:
            world.check()


# -- single: one fault at a time, two copies ------------------------------------------------------


def _set_up_single(random: Random) -> Scenario:
    names = _names(random.choice((4, 5)))
    return Scenario(
        nodes=names,
        knobs={"replicas": 2, "spill_ephemeral": random.random() < 0.3},
        # Half of the nodes own more than they have room for, the others lend.
        cache={name: _cache(96, 0.0) if name in names[:2] else _cache(1024, 0.8) for name in names},
        habits={
            name: _programs(random, writers=2, pages=40 if name in names[:2] else 8)
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


async def _break_single(world: World, faults: Faults, random: Random) -> None:
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        # What was on its way during the last fault has ended by then.
        await asyncio.sleep(random.choice((0.2, 0.4, 0.7)))
        await _until_whole(world)
        what, node, fault = _one_fault(world, faults, random)
        known = {lease.owner: lease.number for lease in audit.leases(node)}
        await faults.start(fault)
        world.check()
        if what == "pause":
            await _until_whole(world)
            now = {lease.owner: lease.number for lease in audit.leases(node)}
            assert now == known, f"{node.name} only stood still, and ended leases"


async def _until_whole(world: World) -> None:
    """Wait until all know each other and no page lacks a copy."""
    await until(
        lambda: not world.out_of_touch() + world.under_replicated(), within_s=60.0, every_s=0.1
    )


# -- liar: one lender gives wrong answers, two copies ----------------------------------------------


def _set_up_liar(random: Random) -> Scenario:
    names = _names(random.choice((3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": 2, "spill_ephemeral": random.random() < 0.3},
        cache={name: _cache(96, 0.0) if name == "a" else _cache(1024, 0.8) for name in names},
        habits={
            name: _programs(random, writers=3 if name == "a" else 1, pages=40 if name == "a" else 8)
            for name in names
        },
        duration_s=random.uniform(3.0, 6.0),
        liars=names[-1:],
        may_lose=False,
        may_refuse=False,
    )


async def _break_liar(world: World, faults: Faults, random: Random) -> None:
    liar = world.nodes[world.scenario.liars[0]]
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await _until_whole(world)
        await faults.start(faults.lie(liar, random.choice((0.3, 1.0, 2.0))))
        world.check()
        await asyncio.sleep(random.choice((0.1, 0.5)))


# -- rolling: every lender restarts in turn, one copy ---------------------------------------------


def _set_up_rolling(random: Random) -> Scenario:
    names = _names(random.choice((3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": 1, "spill_ephemeral": random.random() < 0.3},
        cache={name: _cache(96, 0.3) if name == "a" else _cache(768, 0.8) for name in names},
        habits={
            name: _programs(random, writers=3 if name == "a" else 1, pages=40 if name == "a" else 8)
            for name in names
        },
        may_lose=False,
        may_refuse=False,
    )


async def _break_rolling(world: World, faults: Faults, random: Random) -> None:
    for name in list(world.nodes)[1:]:
        await asyncio.sleep(random.uniform(0.5, 1.5))
        lasts_s = random.choice((0.1, 1.0, 3.0))
        node = world.nodes[name]
        await faults.start(faults.restart(node, drain=True, goodbye=True, lasts_s=lasts_s))
        report = faults.drains[-1]
        assert report.left == 0, f"{name} stopped with pages of others: {report}"
        await until(lambda: not world.out_of_touch(), within_s=30.0, every_s=0.1)
        world.check()


# -- moves: copies are made again all the time, over bad links ------------------------------------


def _set_up_moves(random: Random) -> Scenario:
    names = _names(4)
    programs = {
        name: _programs(random, writers=3 if name == "a" else 1, pages=40 if name == "a" else 8)
        for name in names
    }
    if random.random() < 0.4:
        programs["a"] = [_in_a_hurry(one) for one in programs["a"]]
    return Scenario(
        nodes=names,
        knobs={"replicas": 2, "spill_ephemeral": False},
        cache={name: _cache(96, 0.0) if name == "a" else _cache(512, 0.8) for name in names},
        habits=programs,
        base=Link(delay_s=random.choice((QUICK_S, (0.0, 0.06))), duplicate=0.3, late_s=1.0),
        duration_s=random.uniform(3.0, 5.0),
    )


async def _break_moves(world: World, faults: Faults, random: Random) -> None:
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


# -- safety: a copy of every page in a file -------------------------------------------------------


def _set_up_safety(random: Random) -> Scenario:
    names = _names(random.choice((3, 4)))
    owners = names[: random.choice((1, 2))]
    return Scenario(
        nodes=names,
        knobs=_copies(random)
        | {"spill_ephemeral": random.random() < 0.3, "writeback_safety": True},
        cache={name: _cache(96, 0.0) if name in owners else _cache(512, 0.8) for name in names},
        habits={
            name: _programs(random, writers=3, pages=40 if name in owners else 8) for name in names
        },
        duration_s=random.uniform(3.0, 6.0),
        writeback=dict.fromkeys(names, FILE_BYTES),
        may_lose=False,
    )


async def _break_safety(world: World, faults: Faults, random: Random) -> None:
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


# -- overflow and alone: a file where peers have too little room, and where there is no peer ------


def _set_up_overflow(random: Random) -> Scenario:
    """Owners with small peers; the file has room, and seldom not enough."""
    names = _names(random.choice((2, 3)))
    return Scenario(
        nodes=names,
        knobs=_copies(random) | {"spill_ephemeral": random.random() < 0.3},
        cache={name: _cache(random.choice((64, 96)), random.choice((0.0, 0.3))) for name in names},
        habits={name: _programs(random, writers=3, pages=50) for name in names},
        duration_s=random.uniform(3.0, 6.0),
        writeback={name: random.choice((FILE_BYTES, FILE_BYTES, 128 * KIB)) for name in names},
        refused_only_when_full=True,
    )


def _set_up_alone(random: Random) -> Scenario:
    """One node without peers, as in zcache mode."""
    return Scenario(
        nodes=("a",),
        knobs={"writeback_safety": random.random() < 0.2},
        cache={"a": _cache(random.choice((48, 64, 96)), 0.0)},
        habits={"a": _programs(random, writers=3, pages=60)},
        duration_s=random.uniform(4.0, 8.0),
        writeback={"a": random.choice((FILE_BYTES, 128 * KIB))},
        refused_only_when_full=True,
    )


async def _break_disks(world: World, faults: Faults, random: Random) -> None:
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


# -- lies and pressure: a liar among lenders; lenders that want their room back -------------------


def _set_up_lies(random: Random) -> Scenario:
    """Two copies of each page, one perhaps at a liar; messages come twice and late."""
    names = _names(random.choice((3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": 2},
        cache={name: _cache(96, 0.0) if name == "a" else _cache(512, 0.8) for name in names},
        habits={name: _programs(random, writers=3, pages=40) for name in names},
        base=Link(delay_s=random.choice((QUICK_S, (0.0, 0.03))), duplicate=0.3),
        duration_s=random.uniform(3.0, 5.0),
        liars=("b",),
    )


async def _break_faith(world: World, faults: Faults, random: Random) -> None:
    """One lie after another."""
    ends = simulation_loop().true_time + world.scenario.duration_s
    while simulation_loop().true_time < ends:
        await asyncio.sleep(random.choice((0.0, 0.1, 0.3)))
        await faults.start(faults.lie(world.nodes["b"], random.uniform(0.1, 1.0)))
        world.check()


def _set_up_pressure(random: Random) -> Scenario:
    """More pages than there is room for: lenders give notice, pages move on and come back."""
    names = _names(random.choice((3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": random.choice((1, 2)), "put_wait_s": 0.6},
        cache={name: _cache(random.choice((96, 160, 256)), 0.6) for name in names},
        habits={
            name: [_in_a_hurry(one) for one in _programs(random, writers=2, pages=60)]
            for name in names
        },
        base=Link(delay_s=random.choice((QUICK_S, (0.0, 0.05))), duplicate=0.2),
        duration_s=random.uniform(2.0, 4.0),
        may_lose=False,
    )


# -- full and calm: too little room everywhere; enough of it, and nothing goes wrong -------------


def _set_up_full(random: Random) -> Scenario:
    names = _names(random.choice((2, 3)))
    return Scenario(
        nodes=names,
        knobs={"replicas": random.choice((1, 2)), "spill_ephemeral": random.random() < 0.5},
        cache={
            name: _cache(random.choice((48, 64, 96)), random.choice((0.0, 0.3))) for name in names
        },
        habits={name: _programs(random, writers=3, pages=60) for name in names},
        duration_s=random.uniform(2.0, 4.0),
        may_lose=False,
    )


def _set_up_calm(random: Random) -> Scenario:
    """Small owners, roomy lenders, nothing goes wrong: nothing may be lost or refused."""
    names = _names(random.choice((2, 3, 4)))
    return Scenario(
        nodes=names,
        knobs={"replicas": random.choice((1, 2)), "spill_ephemeral": random.random() < 0.5},
        cache={name: _cache(96, 0.0) if name == "a" else _cache(1024, 0.8) for name in names},
        habits={name: _programs(random, writers=3, pages=40) for name in names},
        base=Link(delay_s=random.choice((QUICK_S, (0.0, 0.03))), duplicate=0.05),
        duration_s=random.uniform(2.0, 4.0),
        may_lose=False,
        may_refuse=False,
    )


async def _break_calm(world: World, faults: Faults, random: Random) -> None:
    """Once all know each other, pages leave with all their copies where there are lenders enough,
    but for some that change on their way.
    """
    await until(lambda: not world.out_of_touch(), within_s=1.0, every_s=0.01)
    await asyncio.sleep(0.2)  # what left before has arrived
    before = {name: node.snapshot.counters for name, node in world.nodes.items()}
    await _break_nothing(world, faults, random)
    if world.scenario.knobs["replicas"] >= len(world.nodes):
        return
    for name, then in before.items():
        now = world.nodes[name].snapshot.counters
        short = now.pages_spilled_short - then.pages_spilled_short
        left = now.spill_pages - then.spill_pages
        assert short <= left * CHANGED_SHARE, f"{short} of {left} pages of {name} left short"


async def _break_nothing(world: World, faults: Faults, random: Random) -> None:
    await asyncio.sleep(world.scenario.duration_s)
    world.check()


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("any", _set_up_any, _break_any),
        Profile("single", _set_up_single, _break_single),
        Profile("liar", _set_up_liar, _break_liar),
        Profile("rolling", _set_up_rolling, _break_rolling),
        Profile("moves", _set_up_moves, _break_moves),
        Profile("safety", _set_up_safety, _break_safety),
        Profile("overflow", _set_up_overflow, _break_disks),
        Profile("alone", _set_up_alone, _break_disks),
        Profile("lies", _set_up_lies, _break_faith),
        Profile("pressure", _set_up_pressure, _break_nothing),
        Profile("full", _set_up_full, _break_nothing),
        Profile("calm", _set_up_calm, _break_calm),
    )
}
