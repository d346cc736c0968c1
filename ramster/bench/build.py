"""Which build a process measures.

Covers: versions, the commit of a checkout, whether all its parts are of one build. Does not cover:
the machine (``machine.py``).
"""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ramster._version import __version__

__all__ = ["describe_versions", "foreign_part", "source_commit"]

_PACKAGES = ("lz4", "xxhash", "zstandard", "grpcio", "protobuf")


def describe_versions() -> dict[str, str | bool | None]:
    """Versions of Python, of this package and of the libraries it calls; the backend of the cache;
    the commit, where the package is run from a checkout. None: not there."""
    from zcache.backend import BACKEND

    commit, changed = source_commit(Path(__file__).parents[2])
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "ramster": __version__,
        "backend": BACKEND,
        "commit": commit,
        "changed": changed,
        "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        **{package: _version(package) for package in _PACKAGES},
    }


def source_commit(root: Path) -> tuple[str | None, bool | None]:
    """The commit of a checkout, and whether its files differ from it; Nones where it is none."""
    if not (root / ".git").exists():
        return None, None
    git = ["git", "-C", str(root)]
    try:
        asked = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=20, check=True
        )
        status = [*git, "status", "--porcelain", "--untracked-files=no"]
        changes = subprocess.run(status, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None, None
    return asked.stdout.strip(), bool(changes.stdout.strip())


def foreign_part() -> str | None:
    """A part that comes from another installation than the package, in words; None: there is none.

    With PYTHONPATH at one checkout and another one installed as editable, Python takes modules that
    the first lacks from the second, silently: a native core that was not built there, for one.
    """
    import ramster
    import zcache
    import zcache.backend

    parts: dict[str, str | None] = {"ramster.bench": __file__, "zcache": zcache.__file__}
    if zcache.backend.BACKEND == "native":
        parts["the native core"] = sys.modules["zcache._native"].__file__
    root = _root(ramster.__file__)
    for name, file in parts.items():
        if _root(file) not in (root, root / "ramster"):
            return f"{name} is of another installation: {file}, while ramster is in {root}"
    return None


def _root(file: str | None) -> Path:
    return Path(file or "").resolve().parents[1]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
