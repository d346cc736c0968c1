"""``peers-remote``: one page from another process over TCP: a lender's, Redis's, memcached's.

Covers: the workload and its configuration. Does not cover: the nodes (``lending.py``), the servers
and clients (``key_value_servers.py``, ``key_value_clients.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

from ramster.bench.key_value import KeyValue
from ramster.bench.key_value_clients import MemcachedPages, RedisPages
from ramster.bench.key_value_servers import memcached_server, redis_server
from ramster.bench.lending import BATCH_PAGES, Owner, open_owner
from ramster.bench.model import (
    Better,
    Case,
    Configuration,
    Context,
    Figure,
    Samples,
    Subject,
    Workload,
    WorkloadUnavailable,
)
from ramster.bench.pages import corpus
from ramster.bench.server_process import held_bytes
from ramster.bench.tail_latency import P50_P99_P999, tail_figures, tail_samples
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 16384
_PAGES_MIN = 2048
_TIMES = 8.0
_GETS = 4000
_GETS_MIN = 200
_BATCHES = 150
_BATCHES_MIN = 8


def _run(context: Context) -> Samples:
    if context.subject is Subject.RAMSTER:
        return asyncio.run(_from_a_lender(context))
    pages = context.pages(_PAGES, least=_PAGES_MIN)
    with contextlib.ExitStack() as stack:
        store: RedisPages | MemcachedPages
        if context.subject is Subject.REDIS:
            store = RedisPages(stack.enter_context(redis_server(context.scratch, tcp=True)))
        elif context.subject is Subject.MEMCACHED:
            size = pages * PAGE_SIZE
            server = stack.enter_context(memcached_server(context.scratch, size, tcp=True))
            store = MemcachedPages(server)
        else:
            raise WorkloadUnavailable(f"{context.subject}: accepted is ramster, redis, memcached")
        stack.callback(store.close)
        return _from_a_server(context, store, corpus(pages, seed=context.seed))


def _counts(context: Context) -> tuple[int, int]:
    """Single gets, and gets of a batch."""
    batches = context.pages(_BATCHES, least=_BATCHES_MIN)
    return context.pages(_GETS, least=_GETS_MIN), batches


def _samples(singles: list[float], batches: list[float], held_page: float) -> Samples:
    return {
        **tail_samples("get", singles, P50_P99_P999),
        "get_pages_s": len(singles) / sum(singles),
        **tail_samples("get32", batches),
        "get32_mb_s": len(batches) * BATCH_PAGES * PAGE_SIZE / sum(batches) / 1e6,
        "held_bytes_page": held_page,
    }


async def _from_a_lender(context: Context) -> Samples:
    pages = context.pages(_PAGES, least=_PAGES_MIN)
    single, many = _counts(context)
    chance = random.Random(context.seed)
    async with open_owner(pages, _TIMES, seed=context.seed) as owner:
        lender = owner.lenders[0].pid
        before = held_bytes(lender)
        await owner.put_all()
        await owner.settle()
        away = owner.away()
        held = (held_bytes(lender) - before) / len(away)
        chosen = _whole_batches(away)
        chance.shuffle(chosen)
        batches: list[float] = []
        runs = [range(start, start + BATCH_PAGES) for start in chosen[:many]]
        await owner.fetch(runs, 1, batches, time.perf_counter)
        singles = await _single_fetches(owner, chance, single)
        owner.check()
    return _samples(singles, batches, held)


async def _single_fetches(owner: Owner, chance: random.Random, count: int) -> list[float]:
    seconds: list[float] = []
    runs = [range(page, page + 1) for page in owner.away_shuffled(chance)[:count]]
    await owner.fetch(runs, 1, seconds, time.perf_counter)
    return seconds


def _whole_batches(away: list[int]) -> list[int]:
    """Where batches begin all of whose pages are away."""
    there = set(away)
    starts = range(0, away[-1] + 1 - BATCH_PAGES, BATCH_PAGES)
    return [at for at in starts if there.issuperset(range(at, at + BATCH_PAGES))]


def _from_a_server(context: Context, store: KeyValue, data: bytes) -> Samples:
    count = len(data) // PAGE_SIZE
    pages = [data[n * PAGE_SIZE : (n + 1) * PAGE_SIZE] for n in range(count)]
    before = store.held()
    for start in range(0, count, BATCH_PAGES):
        store.set_many(start, pages[start : start + BATCH_PAGES])
    held = (store.held() - before) / count
    single, many = _counts(context)
    order = list(range(count))
    random.Random(context.seed).shuffle(order)
    batches = []
    for start in [n // BATCH_PAGES * BATCH_PAGES for n in order[:many]]:
        begun = time.perf_counter()
        joined = b"".join(page or b"" for page in store.get_many(start, BATCH_PAGES))
        batches.append(time.perf_counter() - begun)
        expected = data[start * PAGE_SIZE : (start + BATCH_PAGES) * PAGE_SIZE]
        assert joined == expected, f"pages from {start} on came back wrong"
    singles = []
    for key in order[:single]:
        begun = time.perf_counter()
        found = store.get(key)
        singles.append(time.perf_counter() - begun)
        assert found == pages[key], f"page {key} came back wrong"
    return _samples(singles, batches, held)


_REMOTE = Workload(
    name="peers-remote",
    figures=(
        *tail_figures("get", "Getting one page, nothing else going on", P50_P99_P999),
        Figure("get_pages_s", "pages/s", Better.HIGHER, "Pages got a second, one after the other."),
        *tail_figures("get32", "Getting 32 consecutive pages in one call"),
        Figure("get32_mb_s", "MB/s", Better.HIGHER, "The same as a rate."),
        Figure(
            "held_bytes_page",
            "bytes",
            Better.LOWER,
            "Memory that a page of 4096 bytes took in the other process.",
        ),
    ),
    run=_run,
)

_TEXT = f"""\
Pages of real files in another process, reached over TCP on the loopback: at the lender of an owner
whose pool holds an {_TIMES:g}th, in Redis, in memcached. Got at random, one a call, one after the
other; and {BATCH_PAGES} consecutive ones a call. Each page is compared.

ramster is a whole get of the owner's page store: the fetch by gRPC, checking, decompressing;
a page that is got once stays at the lender. Redis and memcached send the page as it was stored,
through redis-py (with hiredis, as the extra bench-peers has it) and pymemcache, blocking calls.

What makes the figures doubtful: the owner's event loop and gRPC cost more than a blocking call on a
plain socket; a program that only wants to keep values elsewhere is better served by a key-value
server, in time. What it has for that is in held_bytes_page. The loopback hides that a compressed
page is less to send: at 1 Gbit/s 4096 bytes take 33 us, and half as many half of that.
"""

WORKLOADS = (_REMOTE,)
CONFIGURATIONS = (
    Configuration(
        name="peers-remote",
        summary="a page from another process over TCP: a lender, Redis, memcached",
        text=_TEXT,
        cases=tuple(
            Case("peers-remote", subject, {})
            for subject in (Subject.RAMSTER, Subject.REDIS, Subject.MEMCACHED)
        ),
    ),
)
