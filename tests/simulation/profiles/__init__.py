"""Profiles: settings, faults and promises that belong together.

Covers: the table of profiles. Does not cover: the faults themselves (``faults.py``), the checks
that hold in every profile (``world.py``).
"""

from __future__ import annotations

from tests.simulation.profiles.copies import (
    break_faith,
    break_liar,
    break_moves,
    break_rolling,
    break_single,
    set_up_liar,
    set_up_lies,
    set_up_moves,
    set_up_rolling,
    set_up_single,
)
from tests.simulation.profiles.files import (
    break_disks,
    break_safety,
    set_up_alone,
    set_up_overflow,
    set_up_safety,
)
from tests.simulation.profiles.room import (
    break_calm,
    break_nothing,
    set_up_calm,
    set_up_full,
    set_up_pressure,
)
from tests.simulation.profiles.settings import Profile
from tests.simulation.profiles.several import break_any, set_up_any

__all__ = ["PROFILES", "Profile"]

PROFILES = {
    profile.name: profile
    for profile in (
        Profile("any", set_up_any, break_any),
        Profile("single", set_up_single, break_single),
        Profile("liar", set_up_liar, break_liar),
        Profile("rolling", set_up_rolling, break_rolling),
        Profile("moves", set_up_moves, break_moves),
        Profile("safety", set_up_safety, break_safety),
        Profile("overflow", set_up_overflow, break_disks),
        Profile("alone", set_up_alone, break_disks),
        Profile("lies", set_up_lies, break_faith),
        Profile("pressure", set_up_pressure, break_nothing),
        Profile("full", set_up_full, break_nothing),
        Profile("calm", set_up_calm, break_calm),
    )
}
