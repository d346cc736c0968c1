"""The words of the benchmarks: figure, workload, subject, case, configuration.

Covers: plain values, and what a workload is given and gives. Does not cover: which ones there are
(``configurations.py``), running (``runner.py``), results (``results.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

__all__ = [
    "Better",
    "Case",
    "Configuration",
    "Context",
    "Figure",
    "Mean",
    "Parameter",
    "Samples",
    "Subject",
    "Workload",
    "WorkloadUnavailable",
]

Parameter = bool | int | float | str

Samples = Mapping[str, float | Sequence[float]]
"""By name of figure: what one run of a workload measured; one number, or several samples."""


class Better(StrEnum):
    """Which way a figure improves."""

    HIGHER = "higher"
    LOWER = "lower"


class Mean(StrEnum):
    """How samples are summed up: times and sizes arithmetically, rates harmonically (as MMTests
    does: Amean and Hmean)."""

    ARITHMETIC = "arithmetic"
    HARMONIC = "harmonic"


class Subject(StrEnum):
    """What a workload runs on."""

    NOTHING = "nothing"
    """The same program without zcache: pages in plain memory, as they are."""
    ZCACHE = "zcache"
    """A node in zcache mode, or its cache alone."""
    ZCACHE_ZSTD = "zcache-zstd"
    """The same with Zstandard in place of LZ4."""
    ZCACHE_EMBEDDED = "zcache-embedded"
    """A node in zcache mode on a thread of the program (``EmbeddedNode``)."""
    ZCACHE_NBD = "zcache-nbd"
    """A node in zcache mode in a process of its own, reached as a block device."""
    ALONE = "ramster-alone"
    """A node in ramster mode without peers."""
    RAMSTER = "ramster"
    """A node in ramster mode with peers."""
    NBDKIT = "nbdkit"
    NBDKIT_ZSTD = "nbdkit-zstd"
    QEMU_NBD = "qemu-nbd"
    REDIS = "redis"
    MEMCACHED = "memcached"
    DISKCACHE = "diskcache"
    ZRAM = "zram"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that a workload measures."""

    name: str
    """As in ``put_pages_s``."""
    unit: str
    """As people read it: "pages/s", "MB/s", "us", "bytes", "" for a plain ratio."""
    better: Better
    text: str
    """What it is, in one sentence."""

    @property
    def mean(self) -> Mean:
        """Rates (a unit a second) are averaged harmonically, all else arithmetically."""
        return Mean.HARMONIC if self.unit.endswith("/s") else Mean.ARITHMETIC


@dataclass(frozen=True, slots=True)
class Context:
    """What a workload is given."""

    subject: Subject
    parameters: Mapping[str, Parameter]
    scale: float
    """Sizes and durations are those of the configuration times this: 1 for figures to publish, less
    for a quick look or a test."""
    seed: int
    """The same for all subjects of one round, another one each round."""
    scratch: Path
    """A folder of this run's own, on a tmpfs where there is one; emptied afterwards."""

    def pages(self, count: int, least: int = 64) -> int:
        """A number of pages at this scale."""
        return max(least, round(count * self.scale))

    def seconds(self, seconds: float, least: float = 0.05) -> float:
        """A duration at this scale."""
        return max(least, seconds * self.scale)


class WorkloadUnavailable(Exception):  # noqa: N818  it is no error: the case is skipped and says so
    """This case cannot run here; the text says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A program that measures."""

    name: str
    figures: tuple[Figure, ...]
    run: Callable[[Context], Samples]
    """Measures, in a process of its own, and returns samples of (some of) ``figures``. Raises
    WorkloadUnavailable before it has measured anything; AssertionError when a page came back
    wrong."""


@dataclass(frozen=True, slots=True)
class Case:
    """A workload with its parameters on one subject."""

    workload: str
    subject: Subject
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The parameters, as people read them; equal for subjects that are to be compared."""
        return " ".join(f"{key}={value}" for key, value in self.parameters.items()) or "-"

    @property
    def key(self) -> str:
        """Names the case among all cases of all configurations."""
        return f"{self.workload} {self.subject} {self.label}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A named, documented set of cases."""

    name: str
    """As in ``swap-usemem``."""
    summary: str
    """One line, for ``ramster bench list``."""
    text: str
    """What it does, after what, what makes its figures doubtful; for ``list NAME`` and the docs."""
    cases: tuple[Case, ...]
    rounds: int = 5
    """How often each case is run, unless asked otherwise."""
    scale: float = 1.0
