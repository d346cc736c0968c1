"""Code that is broken on purpose, one safety measure at a time: the simulator must find each out.

Covers: the whole table. Does not cover: how a fault shows (``world.py``, ``audit.py``,
``workload.py``).

A variant replaces one method of the real code for as long as its context lasts. To add one: write a
function decorated with ``variant``, with the sentence that says what is missing as its docstring;
name the profiles that can show it if ``any`` is not the one. A variant that patches a name which is
gone fails with AttributeError, so that it is mended rather than forgotten.
"""

from __future__ import annotations

from tests.simulation.variants import files, lenders, moves, reads, spills
from tests.simulation.variants.table import VARIANTS, Variant, survivors, variant

__all__ = [
    "VARIANTS",
    "Variant",
    "files",
    "lenders",
    "moves",
    "reads",
    "spills",
    "survivors",
    "variant",
]
