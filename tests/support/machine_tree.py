"""A machine for checks to look at: a folder with the files that a test wants.

Covers: writing them. Does not cover: what checks read (``ramster/doctor/machine.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ramster.doctor.machine import Machine

__all__ = ["make_machine"]


def make_machine(root: Path, files: Mapping[str, str] | None = None) -> Machine:
    """The machine whose files below ``root`` are these, by path."""
    for path, text in (files or {}).items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{text}\n")
    return Machine(root)
