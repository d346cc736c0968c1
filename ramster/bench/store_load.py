"""The configurations ``store-*``: the cache alone, in one process, without sockets.

Covers: which cases there are, and what they show and do not show. Does not cover: their workloads
(``store_pages.py``, ``store_mix.py``, ``store_lifetime.py``, ``store_threads.py``,
``store_limit.py``), how their data is made (``pages.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ramster.bench import store_lifetime, store_limit, store_mix, store_pages, store_threads
from ramster.bench.model import Case, Configuration, Parameter, Subject

__all__ = ["CONFIGURATIONS", "WORKLOADS", "thread_counts"]

WORKLOADS = (
    store_pages.WORKLOAD,
    store_mix.WORKLOAD,
    store_lifetime.WORKLOAD,
    store_threads.WORKLOAD,
    store_limit.WORKLOAD,
)


def thread_counts(cores: int) -> tuple[int, ...]:
    """1, 2, 4 ... below the number of cores, and that number; at least 1 and 2."""
    most = max(2, cores)
    doubled = [2**power for power in range(most.bit_length())]
    return (*(count for count in doubled if count < most), most)


def _cases(workload: str, parameters: Sequence[Mapping[str, Parameter]]) -> tuple[Case, ...]:
    return tuple(
        Case(workload, subject, row)
        for row in parameters
        for subject in (Subject.NOTHING, Subject.ZCACHE)
    )


CONFIGURATIONS = (
    Configuration(
        "store-ratio",
        "put, get and flush on pages that compress 1:1 to 10:1",
        """\
A store is filled with 8192 new pages (32 MiB) in batches of 64, read in batches in another order,
written over and read again one page a call, and emptied one page a call; once for each ratio. The
limit of the cache is never met. Memory is what the process grew by while the store was filled. A
part of what is read, in batches and singly, is compared with what was put.

Doubtful: the first fill pays for memory that the system clears and maps, a real cache does so once.
Latencies hold the two readings of the clock, about 0.1 us. Pages are made from real pieces to hit
the ratio with LZ4; Zstandard makes up to 1.45 times as much of them, as of real pages
(docs/bench-data.md). Nothing is a dict of pages; it holds no more than the memory that there is,
which is why there is a cache.""",
        _cases("store-pages", [{"ratio": r, "same": 0.0} for r in (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)]),
    ),
    Configuration(
        "store-same",
        "the same on pages of which 0 to 90 % repeat one word",
        """\
As store-ratio, at 3:1, where a share of the pages repeats one 8-byte word: such pages take no frame
(zswap and zram know them too). Words differ and are not zero, so that a check for zero pages alone
gains nothing.

Doubtful: real shares are near 10 to 20 % on busy machines and near 90 % in fresh virtual ones; look
at your own with `ramster estimate`. Single same-filled pages lie among the others, as here, or in
long runs, as in a machine that has just started, which is not measured.""",
        _cases("store-pages", [{"ratio": 3.0, "same": s} for s in (0.0, 0.1, 0.5, 0.9)]),
    ),
    Configuration(
        "store-mix",
        "single puts, gets and flushes mixed, on uniform and on Zipf keys",
        """\
A store of 6144 pages at 3:1, and 24576 calls of one page each, in three mixes (puts, gets and
flushes of a hundred): write-heavy 70, 20, 10; read-heavy 10, 88, 2; flush-heavy 45, 15, 40. Keys
are uniform, or by Zipf's law with YCSB's exponent 0.99. Every get is compared with what was put
last.

Doubtful: one thread and one call at a time; a device puts batches. Memory is what the process has
grown by at the end, a page that is left: after many flushes that is mostly what the C library, or
the cache, keeps for the next pages.""",
        _cases(
            "store-mix",
            [{"mix": mix, "keys": keys} for mix in store_mix.MIXES for keys in ("uniform", "zipf")],
        ),
    ),
    Configuration(
        "store-lifetime",
        "pages come and die in a full pool: fragmentation, refusals, compaction",
        """\
A pool of 4096 frames is filled to 90 % of its frames; then two more such fillings come, page by
page, while as many bytes of blobs die. Uniform: any page dies. Generational: nine of ten deaths are
among the youngest tenth. Fragmenting: any page dies, and new pages compress 4:1, then 1.5:1, 8:1
and 2:1, so that frames of the sizes that were common hold few that still live. In the end the whole
pool is compacted in one call, and its frames are counted before and after. Some of the living pages
are compared with what was put, before and after compaction.

Doubtful: the pool is small (16 MiB), where each size class that is not full weighs more than in a
large one. Deaths are drawn, not taken from a trace. Nothing keeps pages in plain memory, which does
not fragment, as all are of one size; it shows what the calls cost.""",
        _cases("store-lifetime", [{"lifetime": name} for name in store_lifetime.LIFETIMES]),
    ),
    Configuration(
        "store-threads",
        "1, 2, 4 ... threads on one cache",
        """\
Each thread puts and gets 8192 pages of its own at 3:1, in batches of 64, all in one cache; once
before, so that its memory is mapped. Scaling is against one thread of the same process just before.

Doubtful: as many threads as there are cores need them all; any other work on the machine shows.
Threads of the Python backend and of plain memory share the interpreter's lock. Threads never touch
the same page.""",
        _cases(
            "store-threads",
            [{"threads": count} for count in thread_counts(len(os.sched_getaffinity(0)))],
        ),
    ),
    Configuration(
        "store-limit",
        "a Zipf reader whose pages do not all fit: hits, evictions",
        """\
16384 pages at 2:1 are read by Zipf's law (exponent 0.99) from an ephemeral pool whose limit is a
half or a quarter of the pages' bytes; a page that is missed is put. Before, each page was put once,
and the first quarter of 65536 reads is not counted. Nothing keeps the most recent pages that fit
into the same bytes uncompressed. Every hit is compared with what was put.

Doubtful: a miss costs a put alone here, where it would cost a disk or a network too, so reads a
second favour what misses; multiply misses by what they cost you. Zipf's law without drift favours
any policy that keeps what was popular.""",
        _cases("store-limit", [{"pool": pool} for pool in (0.5, 0.25)]),
    ),
)
