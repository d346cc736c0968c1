"""``cluster-scale``: 2 to 8 nodes, half of them full, each with load of its own.

Covers: the workload and its configuration. Does not cover: a node and its load
(``scale_node.py``).
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from ramster.bench.lending import check_cluster_extra
from ramster.bench.model import (
    Better,
    Case,
    Configuration,
    Context,
    Figure,
    Samples,
    Subject,
    Workload,
)
from ramster.bench.scale_node import ScaleNodeProcess, command
from ramster.bench.server_process import socket_folder
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 4096
_PAGES_MIN = 1024
_TIMES = 3.0
_ROOMY_RATE = 1000
_SECONDS = 2.0
_SECONDS_MIN = 0.2


def _run(context: Context) -> Samples:
    check_cluster_extra()
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    half = int(context.parameters["nodes"]) // 2
    pages = context.pages(_PAGES, least=_PAGES_MIN)
    async with AsyncExitStack() as stack:
        folder = str(stack.enter_context(socket_folder(context.scratch)))
        shared = ["--folder", folder, "--pages", str(pages)]
        # A roomy node lends as much as a full one's pages need uncompressed: more than they do.
        room = ["--times", "1", "--rate", str(_ROOMY_RATE), "--lend", str(pages * PAGE_SIZE)]
        seeds = iter(range(context.seed * 1000, context.seed * 1000 + 2 * half))
        roomy = [
            ScaleNodeProcess(f"roomy{n}", *shared, *room, "--seed", str(next(seeds)))
            for n in range(half)
        ]
        await asyncio.gather(*(stack.enter_async_context(node) for node in roomy))
        peers = [word for node in roomy for word in ("--peer", node.endpoints["peers"])]
        full = [
            ScaleNodeProcess(
                f"full{n}", *shared, *peers, "--times", str(_TIMES), "--seed", str(next(seeds))
            )
            for n in range(half)
        ]
        await asyncio.gather(*(stack.enter_async_context(node) for node in full))
        nodes = full + roomy
        filled = await _all(nodes, {"do": "fill"})
        assert all(one["away"] for one in filled[:half]), "a full node has spilled nothing"
        seconds = context.seconds(_SECONDS, least=_SECONDS_MIN)
        told = await _all(nodes, {"do": "run", "seconds": seconds})
        for node in nodes:
            node.check()
    return {
        "total_pages_s": sum(one["pages_s"] for one in told),
        "full_pages_s": sum(one["pages_s"] for one in told[:half]),
        "moved_pages_s": sum(one["spilled"] + one["fetched"] for one in told) / seconds,
        "full_get_p50_us": [one["get_p50_us"] for one in told[:half]],
        "full_get_p99_us": [one["get_p99_us"] for one in told[:half]],
        "roomy_get_p99_us": [one["get_p99_us"] for one in told[half:]],
    }


async def _all(nodes: list[ScaleNodeProcess], what: dict[str, object]) -> list[dict[str, float]]:
    """The answers of all nodes to one command, given at once."""
    told = await asyncio.gather(*(command(node.endpoints["control"], what) for node in nodes))
    for node, one in zip(nodes, told, strict=True):
        assert "failed" not in one, f"{node.name}: {one['failed']}"
    return told


_SCALE = Workload(
    name="cluster-scale",
    figures=(
        Figure(
            "total_pages_s", "pages/s", Better.HIGHER, "Pages got and put by all nodes together."
        ),
        Figure(
            "full_pages_s",
            "pages/s",
            Better.HIGHER,
            "Those of the full nodes, which have two of three pages at lenders.",
        ),
        Figure(
            "moved_pages_s",
            "pages/s",
            Better.HIGHER,
            "Pages that went to a lender or came back, of all nodes together.",
        ),
        Figure(
            "full_get_p50_us", "us", Better.LOWER, "One get on a full node, a sample a node (p50)."
        ),
        Figure(
            "full_get_p99_us", "us", Better.LOWER, "One get on a full node, a sample a node (p99)."
        ),
        Figure(
            "roomy_get_p99_us",
            "us",
            Better.LOWER,
            "One get on a node that has all its pages at home and lends, a sample a node (p99).",
        ),
    ),
    run=_run,
)

_TEXT = f"""\
So many nodes, each a process with pages of its own that 4 workers go over at random: four gets to a
put, every page compared. Half of the nodes are full: their pages need {_TIMES:g} times their pool,
the rest is at lenders, and their workers do what they can. The other half are roomy: they hold all
their pages, lend what is left to every full node, and have little to do themselves, {_ROOMY_RATE}
pages a second.

On two processors this shows no scaling: two nodes already take both. A total that stays the same
from 2 nodes to 8 says that further nodes cost nothing beyond their own work; a falling one says
what connections, heartbeats and switching between processes cost. Compare rows of equal `nodes`
between builds, and rows of different `nodes` only on a machine with at least so many processors.

What else makes the figures doubtful: the workers are part of the node's process, so what they do
for themselves (choosing a page, comparing it) is time that the node does not have. full_pages_s is
the figure of the cluster; total_pages_s has the fixed rate of the roomy nodes in it.
"""

WORKLOADS = (_SCALE,)
CONFIGURATIONS = (
    Configuration(
        name="cluster-scale",
        summary="2 to 8 nodes, half of them full, each with load of its own",
        text=_TEXT,
        cases=tuple(
            Case("cluster-scale", Subject.RAMSTER, {"nodes": nodes}) for nodes in (2, 4, 8)
        ),
    ),
)
