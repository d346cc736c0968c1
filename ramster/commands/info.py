"""``ramster info``: what this installation can do, and how to get what is missing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ramster._version import __version__
from ramster.quantities import show_size
from ramster.transport import PROTOCOL_VERSION
from zcache import PAGE_SIZE
from zcache.backend import BACKEND, NATIVE_MISSING
from zcache.config import usable_codecs
from zcache.zstd import TO_INSTALL, is_usable

__all__ = ["add_flags", "run"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    facts = _facts()
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return 0
    for section, values in facts.items():
        print(f"{section}:")
        width = max(map(len, values))
        for key, value in values.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            print(f"  {key:{width}}  {shown}")
    return 0


def _facts() -> dict[str, dict[str, Any]]:
    with_peers = all(_version(name) for name in ("grpcio", "protobuf"))
    to_install = "not installed: pip install 'ramster[cluster]'"
    return {
        "ramster": {
            "version": __version__,
            "modes": ["zcache", "ramster"] if with_peers else ["zcache"],
            "peer protocol": str(PROTOCOL_VERSION) if with_peers else to_install,
        },
        "zcache": {
            "backend": BACKEND,
            "native core": f"not there: {NATIVE_MISSING}" if NATIVE_MISSING else "there",
            "codecs": list(usable_codecs(zstd=is_usable())),
            "page size": str(PAGE_SIZE),
        },
        "libraries": {
            "lz4": _version("lz4") or "not installed",
            "zstandard": _version("zstandard") or f"not installed: {TO_INSTALL}",
            "xxhash": _version("xxhash") or "not installed",
            "prometheus-client": _version("prometheus-client") or "not installed",
            "grpcio": _version("grpcio") or to_install,
            "protobuf": _version("protobuf") or to_install,
        },
        "platform": {
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "byte order": sys.byteorder,
            "processors": str(len(os.sched_getaffinity(0))),
            "memory": show_size(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
            "open files": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        },
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
