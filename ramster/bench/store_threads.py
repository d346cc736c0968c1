"""The workload ``store-threads``: several threads on one cache, each with pages of its own.

Covers: total rates, and how they grow from one thread. Does not cover: threads that share pages
(the tests do, for correctness).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import perf_counter

from ramster.bench.local_stores import CacheStore, LocalStore, ample_bytes, open_store
from ramster.bench.mapped_pages import map_made
from ramster.bench.model import Better, Context, Figure, Samples, Subject, Workload
from ramster.bench.store_measures import expect
from zcache import PAGE_SIZE

__all__ = ["WORKLOAD"]

_PAGES = 8192
"""Of each thread."""
_PASSES = 3
_BATCH = 64
_RATIO = 3.0

_Part = tuple[LocalStore, int]
"""What a thread has: a store, and the index of the first of its pages there."""


def _run(context: Context) -> Samples:
    threads = int(context.parameters["threads"])
    pages = context.pages(_PAGES) // _BATCH * _BATCH
    data = map_made(context.scratch, pages, _RATIO, seed=context.seed)
    parts = _parts(context.subject, threads, pages)
    _each(parts, lambda part: _put(part, data))  # maps the memory, which is not what is measured
    samples: dict[str, list[float]] = {"put_pages_s": [], "get_pages_s": []}
    for _ in range(_PASSES):
        total = 0.0
        alone = _each(parts[:1], lambda part: _put(part, data))
        alone += _each(parts[:1], lambda part: _get(part, data))
        for name, work in (("put_pages_s", _put), ("get_pages_s", _get)):
            took = _each(parts, lambda part, work=work: work(part, data))  # type: ignore[misc]
            samples[name].append(threads * pages / took)
            total += took
        if threads > 1:
            samples.setdefault("scaling", []).append(threads * alone / total)
    return samples


def _parts(subject: Subject, threads: int, pages: int) -> Sequence[_Part]:
    """One for each thread: objects of one cache; in plain memory, indexes of one dict."""
    store = open_store(subject, ample_bytes(threads * pages))
    if isinstance(store, CacheStore):
        return [(store.another_object(number), 0) for number in range(1, threads + 1)]
    return [(store, number * pages) for number in range(threads)]


def _each(parts: Sequence[_Part], work: Callable[[_Part], None]) -> float:
    """Seconds until all threads, started together, have done their work. Raises what one raised."""
    together = threading.Barrier(len(parts) + 1)
    failures: list[BaseException] = []

    def body(part: _Part) -> None:
        together.wait()
        try:
            work(part)
        except BaseException as failure:  # noqa: BLE001  raised again by the thread that waits
            failures.append(failure)

    threads = [threading.Thread(target=body, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    together.wait()
    start = perf_counter()
    for thread in threads:
        thread.join()
    took = perf_counter() - start
    if failures:
        raise failures[0]
    return took


def _put(part: _Part, data: memoryview) -> None:
    store, first = part
    for at in range(0, len(data) // PAGE_SIZE, _BATCH):
        indexes = range(first + at, first + at + _BATCH)
        store.put_many(indexes, data[at * PAGE_SIZE : (at + _BATCH) * PAGE_SIZE])


def _get(part: _Part, data: memoryview) -> None:
    store, first = part
    into = bytearray(_BATCH * PAGE_SIZE)
    for at in range(0, len(data) // PAGE_SIZE, _BATCH):
        store.get_many(range(first + at, first + at + _BATCH), into)
    expect(into, data[-len(into) :], "the last batch")


WORKLOAD = Workload(
    "store-threads",
    (
        Figure("put_pages_s", "pages/s", Better.HIGHER, "Pages put by all threads together."),
        Figure("get_pages_s", "pages/s", Better.HIGHER, "Pages got by all threads together."),
        Figure(
            "scaling",
            "",
            Better.HIGHER,
            "Puts and gets a second of all threads over those of one thread just before.",
        ),
    ),
    _run,
)
