"""What a check says, the features that checks are about, and which of those a configuration needs.

Covers: values. Does not cover: checking (the modules by topic), showing (``report.py``).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from ramster.config import Mode, NodeConfig

__all__ = ["FEATURES", "Feature", "Finding", "Status", "lacking", "needed_by"]


class Status(enum.StrEnum):
    """How it stands."""

    OK = "ok"
    NOTE = "note"
    """It works; this is worth knowing."""
    MISSING = "missing"
    """Something is not there that the feature takes."""
    BAD = "bad"
    """It is there and would fail."""
    UNKNOWN = "unknown"
    """It cannot be seen here."""


class Feature(enum.StrEnum):
    """What a check is about; also the words that ``--require`` takes."""

    POOL = "pool"
    NATIVE = "native"
    ZSTD = "zstd"
    EXTRAS = "extras"
    PEERS = "peers"
    FIGURES = "figures"
    NBD = "nbd"
    KERNEL_NBD = "kernel-nbd"
    SWAP = "swap"
    WRITEBACK = "writeback"
    USERFAULTFD = "userfaultfd"
    FUSE = "fuse"
    PROCESSORS = "processors"
    CLOCK = "clock"
    CONTAINER = "container"


FEATURES: dict[Feature, str] = {
    Feature.POOL: "the page pool",
    Feature.NATIVE: "native core",
    Feature.ZSTD: "Zstandard",
    Feature.EXTRAS: "other extras",
    Feature.PEERS: "peers (mode ramster)",
    Feature.FIGURES: "figures over HTTP",
    Feature.NBD: "block devices over NBD",
    Feature.KERNEL_NBD: "Linux' own NBD client (/dev/nbdN)",
    Feature.SWAP: "swap, also to a node",
    Feature.WRITEBACK: "write-back file",
    Feature.USERFAULTFD: "page faults in user space (nothing in this version uses it)",
    Feature.FUSE: "file systems in user space (nothing in this version uses it)",
    Feature.PROCESSORS: "processors",
    Feature.CLOCK: "clock",
    Feature.CONTAINER: "container",
}
"""Their titles, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result."""

    feature: Feature
    check: str
    """What was looked at, in two or three words."""
    status: Status
    found: str
    """One line: what is so."""
    fix: str = ""
    """One line: what to do; empty where there is nothing to do."""


def needed_by(
    config: NodeConfig, asked: Iterable[str] = (), *, nbd_swap: bool = False
) -> frozenset[Feature]:
    """Features without which a node of this configuration does not work as it should.

    ``asked``: further ones, by name. ``nbd_swap``: this machine swaps to a network block device.
    """
    needed = {Feature.POOL, *map(Feature, asked)}
    if config.mode is Mode.RAMSTER:
        needed.add(Feature.PEERS)
    if config.http is not None:
        needed.add(Feature.FIGURES)
    if config.nbd:
        needed.add(Feature.NBD)
        if nbd_swap:
            needed.add(Feature.SWAP)
    if "zstd" in {config.codec, *(export.codec for export in config.export)}:
        needed.add(Feature.ZSTD)
    if config.writeback is not None:
        needed.add(Feature.WRITEBACK)
    return frozenset(needed)


def lacking(findings: Iterable[Finding], needed: frozenset[Feature]) -> list[Finding]:
    """Those that stand in the way of what is needed."""
    in_the_way = (Status.MISSING, Status.BAD)
    return [one for one in findings if one.status in in_the_way and one.feature in needed]
