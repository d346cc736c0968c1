"""What is installed: the native core, Zstandard, the extras.

Covers: judging versions and reasons that are handed in. Does not cover: importing anything heavy;
nothing here loads grpc.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from ramster.doctor.findings import Feature, Finding, Status
from ramster.grpc_experiments import EXPERIMENTS, EXPERIMENTS_GRPCIO
from zcache.zstd import TO_INSTALL

__all__ = ["check_experiments", "check_extras", "check_native", "check_zstd"]

Version = Callable[[str], str | None]

_BUILD = "ZCACHE_BUILD_NATIVE=yes pip install ."
_PROGRAMS = {
    "cargo": "cargo-web",
    "rustc": "rustc-web",
    "cc": "gcc libc6-dev",
}
"""What building takes, and the packages of Debian 12."""

_OF_OTHER_CHECKS = {"zstd", "dev"}

_REQUIREMENT = re.compile(
    r"""([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*\(?(?:>=\s*([0-9][0-9.]*))?[^;]*;.*extra\s*==\s*["']([\w-]+)["']"""
)


def check_native(
    missing: str, backend: str, asked_for: str, which: Callable[[str], str | None]
) -> Finding:
    """``missing``: why there is none (zcache.backend.NATIVE_MISSING)."""
    if not missing:
        used = "" if backend == "native" else f", and not used: ZCACHE_BACKEND is {asked_for}"
        return Finding(Feature.NATIVE, "native core", Status.OK, f"there{used}")
    absent = [program for program in _PROGRAMS if which(program) is None]
    found = f"not there, the cache in Python serves: {missing}"
    if not absent:
        return Finding(
            Feature.NATIVE, "native core", Status.MISSING, found, f"in the sources: {_BUILD}"
        )
    packages = " ".join(_PROGRAMS[program] for program in absent)
    fix = f"apt install {packages} (Debian 12; Rust 1.85 or newer), then in the sources: {_BUILD}"
    found += f"; not on the PATH: {', '.join(absent)}"
    return Finding(Feature.NATIVE, "native core", Status.MISSING, found, fix)


def check_zstd(version: Version, *, native: bool) -> Finding:
    """The codec zstd, for the backend in use."""
    installed = version("zstandard")
    if native:
        return Finding(Feature.ZSTD, "codec zstd", Status.OK, "the native core brings it")
    if installed:
        return Finding(Feature.ZSTD, "codec zstd", Status.OK, f"zstandard {installed}")
    found = "not there: the cache in Python takes it from the package zstandard"
    return Finding(Feature.ZSTD, "codec zstd", Status.MISSING, found, TO_INSTALL)


def check_extras(requirements: Iterable[str] | None, version: Version) -> list[Finding]:
    """Every extra that the installed package names (importlib.metadata.requires)."""
    if requirements is None:
        found = "ramster runs from its sources and is not installed: its extras are not known"
        return [Finding(Feature.EXTRAS, "extras", Status.UNKNOWN, found, "pip install .")]
    extras: dict[str, list[tuple[str, str]]] = {}
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match and match[3] not in _OF_OTHER_CHECKS:
            extras.setdefault(match[3], []).append((match[1], match[2] or "0"))
    return [_check_extra(name, packages, version) for name, packages in extras.items()]


def _check_extra(name: str, packages: list[tuple[str, str]], version: Version) -> Finding:
    feature = Feature.PEERS if name == "cluster" else Feature.EXTRAS
    there, lacking = [], []
    for package, least in packages:
        installed = version(package)
        if installed is None:
            lacking.append(f"{package} is not installed")
        elif _numbers(installed) < _numbers(least):
            lacking.append(f"{package} {installed} is older than {least}")
        else:
            there.append(f"{package} {installed}")
    if lacking:
        fix = f"pip install 'ramster[{name}]'"
        return Finding(feature, f"extra {name}", Status.MISSING, ", ".join(lacking), fix)
    return Finding(feature, f"extra {name}", Status.OK, ", ".join(there))


def check_experiments(version: Version, environ: Mapping[str, str]) -> Finding:
    """Whether gRPC's faster poller was tried with the installed release."""
    installed = version("grpcio")
    check = "gRPC's poller"
    first, last = (".".join(map(str, release)) for release in EXPERIMENTS_GRPCIO)
    if installed is None:
        return Finding(Feature.PEERS, check, Status.NOTE, "no grpcio, nothing to say")
    if EXPERIMENTS in environ:
        found = f"{EXPERIMENTS} is set by you, and stays so"
        return Finding(Feature.PEERS, check, Status.NOTE, found)
    if EXPERIMENTS_GRPCIO[0] <= _numbers(installed)[:2] <= EXPERIMENTS_GRPCIO[1]:
        found = f"the faster one: measured with grpcio {first} to {last}"
        return Finding(Feature.PEERS, check, Status.OK, found)
    found = f"grpcio {installed} keeps its own, fetches take about twice as long"
    fix = f"pip install 'grpcio>={first},<{last.rpartition('.')[0]}.{EXPERIMENTS_GRPCIO[1][1] + 1}'"
    return Finding(Feature.PEERS, check, Status.NOTE, found, fix)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else (0,)
