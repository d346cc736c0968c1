"""The workload ``store-mix``: puts, gets and flushes of single pages, mixed, on skewed keys or not.

Covers: the sequence, its latencies by call, and that each get returns what was put last. Does not
cover: batches (``store_pages.py``), a full pool (``store_lifetime.py``, ``store_limit.py``).
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Mapping, Sequence
from time import perf_counter_ns

from ramster.bench.local_stores import LocalStore, ample_bytes, open_store
from ramster.bench.mapped_pages import map_made
from ramster.bench.model import Better, Context, Figure, Parameter, Samples, Workload
from ramster.bench.skewed_keys import uniform, zipf
from ramster.bench.store_measures import (
    RESIDENT_BYTES_PAGE,
    anonymous_bytes,
    expect,
    latencies,
    latency_figures,
    page_views,
    rates,
)

__all__ = ["MIXES", "WORKLOAD"]

MIXES = {
    "write-heavy": (70, 20, 10),
    "read-heavy": (10, 88, 2),
    "flush-heavy": (45, 15, 40),
}
"""Puts, gets and flushes of a hundred calls."""

_PUT, _GET, _FLUSH = range(3)
_CALLS = 24576
_KEYS = 6144
_RATIO = 3.0
_NAMES = ("put", "get", "flush")

_Call = tuple[int, int, int]
"""Which, of which key, and (a put) with which content."""


def _run(context: Context) -> Samples:
    keys = context.pages(_KEYS)
    data = map_made(context.scratch, keys, _RATIO, seed=context.seed)
    sequence = _sequence(
        context.pages(_CALLS), keys, context.parameters, random.Random(context.seed)
    )
    contents: list[int | None] = list(range(keys))
    times = array("q", bytes(8 * len(sequence)))
    before = anonymous_bytes()
    store = open_store(context.subject, ample_bytes(keys))
    store.put_many(range(keys), data)
    _drive(store, page_views(data), sequence, contents, times)
    grown = max(0, anonymous_bytes() - before)
    stored = sum(content is not None for content in contents)
    samples: dict[str, float | list[float]] = {
        "calls_s": rates(times),
        "resident_bytes_page": grown / max(1, stored),
    }
    for kind, name in enumerate(_NAMES):
        samples |= latencies(
            name,
            [time for time, (which, _, _) in zip(times, sequence, strict=True) if which == kind],
        )
    return samples


def _sequence(
    calls: int, keys: int, parameters: Mapping[str, Parameter], chance: random.Random
) -> Sequence[_Call]:
    mix = MIXES[str(parameters["mix"])]
    draw = {"uniform": uniform, "zipf": zipf}[str(parameters["keys"])]
    kinds = chance.choices((_PUT, _GET, _FLUSH), mix, k=calls)
    contents = uniform(calls, keys, chance)
    return list(zip(kinds, draw(calls, keys, chance), contents, strict=True))


def _drive(
    store: LocalStore,
    views: Sequence[memoryview],
    sequence: Sequence[_Call],
    contents: list[int | None],
    times: array[int],
) -> None:
    """Make the calls. Enters nanoseconds in ``times``, call by call, and keeps ``contents`` up to
    date; every get is compared with it."""
    for number, (kind, key, content) in enumerate(sequence):
        start = perf_counter_ns()
        if kind == _PUT:
            store.put(key, views[content])
            times[number] = perf_counter_ns() - start
            contents[key] = content
        elif kind == _GET:
            page = store.get(key)
            times[number] = perf_counter_ns() - start
            there = contents[key]
            expect(page, None if there is None else views[there], f"page {key}")
        else:
            store.flush(key)
            times[number] = perf_counter_ns() - start
            contents[key] = None


WORKLOAD = Workload(
    "store-mix",
    (
        Figure("calls_s", "calls/s", Better.HIGHER, "Calls of all kinds, one page each."),
        *latency_figures("put"),
        *latency_figures("get"),
        *latency_figures("flush"),
        RESIDENT_BYTES_PAGE,
    ),
    _run,
)
