"""The configuration ``quick``: a look at a change in under three minutes.

Covers: which cases it takes from the other configurations. Does not cover: their workloads.
"""

from __future__ import annotations

from collections.abc import Iterator

from ramster.bench.model import Case, Configuration, Parameter, Subject, Workload

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

WORKLOADS: tuple[Workload, ...] = ()

_SUBJECTS: dict[tuple[str, tuple[tuple[str, Parameter], ...]], tuple[Subject, ...]] = {
    ("store-pages", (("ratio", 3.0), ("same", 0.0))): (Subject.NOTHING, Subject.ZCACHE),
    ("store-mix", (("mix", "read-heavy"), ("keys", "zipf"))): (Subject.NOTHING, Subject.ZCACHE),
    ("swap-usemem", (("way", "nbd"), ("times", 1.5), ("workers", 1), ("loops", 3))): (
        Subject.NOTHING,
        Subject.ZCACHE,
        Subject.ALONE,
    ),
    ("cluster-spill", (("replicas", 1),)): (Subject.RAMSTER,),
    ("cluster-fetch", (("replicas", 1),)): (Subject.RAMSTER,),
}


def _cases() -> Iterator[Case]:
    for (workload, parameters), subjects in _SUBJECTS.items():
        for subject in subjects:
            yield Case(workload, subject, dict(parameters))


CONFIGURATIONS = (
    Configuration(
        "quick",
        "a handful of cases of the others, in under three minutes",
        """\
For a look at a change before it is committed: the cache alone (batches, and single calls by Zipf's
law), a program that swaps to a device over NBD, and two nodes that spill to and fetch from each
other. Cases are those of store-ratio, store-mix, swap-usemem, cluster-spill and cluster-fetch, a
quarter as large.

Doubtful: sizes are small, so what a case sets up weighs more, and caches of the processor hold more
of it. Where rounds differ by some 3 %, it finds most changes of 15 % that are measured side by side
(--variant); where they differ by a third, only large ones. For figures to publish, run the
configurations themselves.""",
        tuple(_cases()),
        rounds=7,
        scale=0.25,
    ),
)
