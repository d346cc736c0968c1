"""``peers-kv``: pages by key from Python, in zcache and in what a program would use instead.

Covers: the workload and its configuration. Does not cover: the stores (``key_value_stores.py``).
"""

from __future__ import annotations

import gc
import os
import random
import time

from ramster.bench.key_value import KeyValue
from ramster.bench.key_value_stores import STORES, open_key_value
from ramster.bench.mapped_corpus import map_corpus
from ramster.bench.model import (
    Better,
    Case,
    Configuration,
    Context,
    Figure,
    Samples,
    Workload,
)
from ramster.bench.server_process import held_bytes
from ramster.bench.tail_latency import tail_figures, tail_samples
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 8192
_PAGES_MIN = 512
_BATCH = 32


def _run(context: Context) -> Samples:
    count = context.pages(_PAGES, least=_PAGES_MIN) // _BATCH * _BATCH
    data = map_corpus(context.scratch, count, seed=context.seed)
    pages = [bytes(data[at : at + PAGE_SIZE]) for at in range(0, len(data), PAGE_SIZE)]
    with open_key_value(context.subject, context.scratch, len(data)) as store:
        store.set(0, pages[0])  # connects, and opens what is opened late
        assert store.get(0) == pages[0], "page 0 came back wrong"
        before = _held(store)
        sets = [_timed_set(store, key, page) for key, page in enumerate(pages)]
        held = _held(store) - before
        order = list(range(count))
        random.Random(context.seed).shuffle(order)
        gets = [_timed_get(store, key, pages[key]) for key in order]
        starts = order[: count // _BATCH]
        batches = [start // _BATCH * _BATCH for start in starts]
        set_many = [_timed_set_many(store, at, pages[at : at + _BATCH]) for at in batches]
        get_many = [_timed_get_many(store, at, pages[at : at + _BATCH]) for at in batches]
    return {
        "set_pages_s": count / sum(sets),
        "get_pages_s": count / sum(gets),
        **tail_samples("set", sets),
        **tail_samples("get", gets),
        "set32_pages_s": len(batches) * _BATCH / sum(set_many),
        "get32_pages_s": len(batches) * _BATCH / sum(get_many),
        "held_bytes_page": held / count,
    }


def _held(store: KeyValue) -> int:
    """Memory of this process and of what the store has outside of it."""
    gc.collect()
    return held_bytes(os.getpid()) + store.held()


def _timed_set(store: KeyValue, key: int, page: bytes) -> float:
    start = time.perf_counter()
    store.set(key, page)
    return time.perf_counter() - start


def _timed_get(store: KeyValue, key: int, expected: bytes) -> float:
    start = time.perf_counter()
    found = store.get(key)
    seconds = time.perf_counter() - start
    assert found == expected, f"page {key} came back wrong"
    return seconds


def _timed_set_many(store: KeyValue, first: int, pages: list[bytes]) -> float:
    start = time.perf_counter()
    store.set_many(first, pages)
    return time.perf_counter() - start


def _timed_get_many(store: KeyValue, first: int, expected: list[bytes]) -> float:
    start = time.perf_counter()
    found = store.get_many(first, len(expected))
    seconds = time.perf_counter() - start
    assert list(found) == expected, f"pages from {first} on came back wrong"
    return seconds


_KV = Workload(
    name="peers-kv",
    figures=(
        Figure("set_pages_s", "pages/s", Better.HIGHER, "Pages stored, one a call, in order."),
        Figure("get_pages_s", "pages/s", Better.HIGHER, "Pages got, one a call, at random."),
        *tail_figures("set", "Storing one page"),
        *tail_figures("get", "Getting one page"),
        Figure("set32_pages_s", "pages/s", Better.HIGHER, "Pages stored again, 32 a call."),
        Figure("get32_pages_s", "pages/s", Better.HIGHER, "Pages got, 32 a call."),
        Figure(
            "held_bytes_page",
            "bytes",
            Better.LOWER,
            "Memory that a page of 4096 bytes took, of all processes and of files on the tmpfs.",
        ),
    ),
    run=_run,
)

_TEXT = f"""\
{_PAGES} pages of real files by key from one Python thread: stored one by one, got one by one at
random, stored and got again {_BATCH} a call. Every page that is got is compared.

nothing is a dictionary of bytes, zcache the cache in the program, zcache-embedded a node on a
thread of the program (which could spill to peers), zcache-nbd a node in another process, as a block
device. redis and memcached are servers on a Unix socket with nothing on disk and no eviction,
through redis-py and pymemcache; diskcache keeps files and SQLite on a tmpfs, where there is one.
Pages go in and come out as bytes objects one by one, as the rivals have them; zcache would rather
have a batch in one buffer.

What makes the figures doubtful:
- zcache and nothing are calls in the program; the others cross to another thread or process. They
  give something for that: other programs can reach the data, and zcache alone cannot do it.
- zcache-nbd is called through this project's asyncio client, a whole turn of an event loop a call;
  a client in C takes less (peers-block).
- redis-py is measured with hiredis where it is installed, as the extra bench-peers does it.
- memcached takes memory in steps of a MiB. diskcache's files have SQLite's log of what was just
  written in them; they lie on a disk where there is no tmpfs, and are then no memory.
- Redis and memcached keep pages as they are: they can be had with a compression in the client,
  which is what zcache does and they would pay for as it does.
"""

WORKLOADS = (_KV,)
CONFIGURATIONS = (
    Configuration(
        name="peers-kv",
        summary="pages by key from Python: zcache, a dictionary, Redis, memcached, diskcache",
        text=_TEXT,
        cases=tuple(Case("peers-kv", subject, {}) for subject in STORES),
    ),
)
