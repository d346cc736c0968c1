"""All checks of one machine for one configuration.

Covers: what is checked, what the checks are handed. Does not cover: judging (the modules by topic),
showing (``report.py``). Nothing is written, started or changed, and no rights are needed.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any

from ramster.config import Mode, NodeConfig
from ramster.doctor import (
    clocks,
    containment,
    installation,
    kernel_features,
    listening,
    pool_limits,
    processors,
    reachability,
    swapping,
)
from ramster.doctor.bounded import Check, run_checks
from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.machine import Machine
from ramster.doctor.userfaultfd import try_userfaultfd
from ramster.processes import pid_namespace, start_time
from ramster.stats_client import StatsError, fetch_figures
from zcache.backend import ASKED_FOR, BACKEND, NATIVE_MISSING

__all__ = ["SECONDS_MAX", "examine"]

SECONDS_MAX = 3.5
"""For all checks together; starting the program comes on top."""

_SAMPLE_S = 0.3
"""How long the clocks are watched."""
_FIGURES_S = 1.0
"""How long a node of this machine may take to answer."""

_ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Not on every user's PATH."""


def examine(
    config: NodeConfig, *, machine: Machine | None = None, environ: Mapping[str, str] | None = None
) -> list[Finding]:
    """Every finding, in the order of the features' checks."""
    machine = Machine() if machine is None else machine
    environ = os.environ if environ is None else environ
    checks = [
        *_installation(environ),
        *_limits(config, machine),
        *_swap(config, machine),
        *_kernel(machine),
        *_network(config),
        *_processors_and_clock(machine, environ),
    ]
    return run_checks(checks, SECONDS_MAX)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> list[str] | None:
    try:
        return metadata.requires("ramster") or []
    except metadata.PackageNotFoundError:
        return None


def _which(program: str) -> str | None:
    path = f"{os.environ.get('PATH', os.defpath)}:{_ADMIN_FOLDERS}"
    return shutil.which(program, path=path)


def _installation(environ: Mapping[str, str]) -> list[Check]:
    native = partial(installation.check_native, NATIVE_MISSING, BACKEND, ASKED_FOR, shutil.which)
    return [
        (Feature.NATIVE, "native core", native),
        (
            Feature.ZSTD,
            "codec zstd",
            partial(installation.check_zstd, _version, native=BACKEND == "native"),
        ),
        (
            Feature.EXTRAS,
            "extras",
            lambda: installation.check_extras(_requirements(), _version),
        ),
        (
            Feature.PEERS,
            "gRPC's poller",
            partial(installation.check_experiments, _version, environ),
        ),
    ]


def _limit(kind: int, *, hard: bool = False) -> int | None:
    value = resource.getrlimit(kind)[hard]
    return None if value == resource.RLIM_INFINITY else value


def _resource_limits() -> pool_limits.ResourceLimits:
    memlock = getattr(resource, "RLIMIT_MEMLOCK", None)
    return pool_limits.ResourceLimits(
        open_files=_limit(resource.RLIMIT_NOFILE),
        open_files_hard=_limit(resource.RLIMIT_NOFILE, hard=True),
        address_space=_limit(resource.RLIMIT_AS),
        locked_memory=None if memlock is None else _limit(memlock),
    )


def _free_bytes(folder: str) -> int | None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _may_write(path: str) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _limits(config: NodeConfig, machine: Machine) -> list[Check]:
    pool = Feature.POOL
    limits = _resource_limits()
    return [
        (pool, "memory", partial(pool_limits.check_physical_memory, machine, config)),
        (pool, "memory of the group", partial(pool_limits.check_group_memory, machine, config)),
        (pool, "address space", partial(pool_limits.check_address_space, limits, config)),
        (pool, "overcommit", partial(pool_limits.check_overcommit, machine, config)),
        (pool, "mappings", partial(pool_limits.check_mappings, machine, config)),
        (pool, "huge pages", partial(swapping.check_huge_pages, machine)),
        (pool, "open files", partial(pool_limits.check_open_files, limits, config)),
        (
            Feature.WRITEBACK,
            "disk",
            partial(pool_limits.check_writeback, config, _may_write, _free_bytes),
        ),
        (
            Feature.SWAP,
            "locked memory",
            lambda: pool_limits.check_locked_memory(
                limits, config, nbd_swap=swapping.swaps_to_nbd(machine)
            ),
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Subject:
    """The process whose memory is judged: a node that runs here, else the one that asks."""

    pid: str
    text: str


def _figures(config: NodeConfig) -> dict[str, Any] | None:
    """Those of a node that answers where this configuration shows its own."""
    if config.http is None or config.http.port == 0:
        return None
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    address = config.http._replace(host=everywhere.get(config.http.host, config.http.host))
    try:
        return fetch_figures(f"http://{address}", _FIGURES_S)
    except StatsError:
        return None


def _subject(figures: Mapping[str, Any] | None) -> _Subject:
    here = _Subject("self", "a node started from here")
    if figures is None:
        return here
    pid, started = figures.get("pid"), figures.get("started")
    same = figures.get("pid_namespace") == pid_namespace() is not None
    if isinstance(pid, int) and same and start_time(pid) == started:
        return _Subject(str(pid), f"the running node (pid {pid})")
    return here


def _swap(config: NodeConfig, machine: Machine) -> list[Check]:
    def node() -> list[Finding]:
        subject = _subject(_figures(config))
        return [
            swapping.check_node_memory(machine, subject.pid, subject.text),
            swapping.check_oom_score(machine, subject.pid, subject.text),
        ]

    return [
        (Feature.SWAP, "areas", partial(swapping.check_swap_areas, machine)),
        (Feature.SWAP, "settings", partial(swapping.check_swap_settings, machine)),
        (Feature.SWAP, "zswap, zram", partial(swapping.check_double_compression, machine)),
        (Feature.SWAP, "the node's memory", node),
    ]


def _kernel(machine: Machine) -> list[Check]:
    return [
        (
            Feature.KERNEL_NBD,
            "nbd module",
            partial(kernel_features.check_nbd_module, machine, platform.release()),
        ),
        (Feature.KERNEL_NBD, "nbd-client", partial(kernel_features.check_nbd_client, _which)),
        (
            Feature.USERFAULTFD,
            "userfaultfd",
            lambda: kernel_features.check_userfaultfd(try_userfaultfd(), machine),
        ),
        (
            Feature.FUSE,
            "fuse",
            partial(kernel_features.check_fuse, machine, _which, _may_write),
        ),
    ]


def _network(config: NodeConfig) -> list[Check]:
    def listen() -> list[Finding]:
        return listening.check_listening(config, _figures(config))

    checks: list[Check] = [(Feature.FIGURES, "addresses", listen)]
    if not config.nbd:
        none = Finding(Feature.NBD, "nbd", Status.OK, "no address is configured (--nbd)")
        checks.append((Feature.NBD, "nbd", lambda: none))
    if config.mode is Mode.ZCACHE:
        found = f"mode zcache: {len(config.peer)} configured peers are not used"
        alone = Finding(Feature.PEERS, "peers", Status.OK, found)
        checks.append((Feature.PEERS, "peers", lambda: alone))
    elif not config.peer:
        note = Finding(
            Feature.PEERS, "peers", Status.NOTE, "none is configured", "--peer HOST, once for each"
        )
        checks.append((Feature.PEERS, "peers", lambda: note))
    else:
        checks += [
            (Feature.PEERS, f"peer {peer}", partial(reachability.check_peer, peer))
            for peer in config.peer
        ]
    return checks


def _processors_and_clock(machine: Machine, environ: Mapping[str, str]) -> list[Check]:
    here = os.cpu_count() or 1
    if sys.platform == "linux":
        here = len(os.sched_getaffinity(0))
    return [
        (Feature.PROCESSORS, "processors", partial(processors.check_quota, machine, here)),
        (Feature.PROCESSORS, "quota", partial(processors.check_throttling, machine)),
        (Feature.PROCESSORS, "steal", partial(processors.check_steal, machine)),
        (Feature.CLOCK, "source", partial(clocks.check_source, machine)),
        (
            Feature.CLOCK,
            "time of day",
            lambda: clocks.check_synchronised(clocks.kernel_says_unsynced()),
        ),
        (Feature.CLOCK, "jumps", lambda: clocks.check_jumps(clocks.jump_of(_SAMPLE_S))),
        (
            Feature.CONTAINER,
            "container",
            partial(containment.check_container, machine, environ),
        ),
        (Feature.CONTAINER, "seccomp", partial(containment.check_filter, machine)),
    ]
