"""The simulator's command line: ``python -m tests.simulation --help``."""

from __future__ import annotations

import argparse
import os
import sys

from tests.simulation.history import run_seed
from tests.simulation.profiles import PROFILES
from tests.simulation.runner import jobs, quiet, run_all
from tests.simulation.variants import VARIANTS, survivors
from tests.zcache.backends import BACKENDS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Random histories of small clusters under faults, checked against a model.",
    )
    parser.add_argument("--seeds", type=int, default=200, help="how many (200)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--profile",
        choices=[*PROFILES, "all"],
        default="all",
        help="one profile (all in turn)",
    )
    parser.add_argument(
        "--failures", type=int, default=5, metavar="N", help="stop after so many (5)"
    )
    parser.add_argument(
        "--backend",
        choices=sorted(BACKENDS),
        default="python",
        help="the nodes' caches (python); broken variants always have the Python one",
    )
    parser.add_argument("--seed", type=int, help="run one seed and tell how it went")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every event")
    parser.add_argument(
        "--variants",
        nargs="*",
        metavar="NAME",
        help=f"run broken variants, which must be found out: {', '.join(VARIANTS)} (all)",
    )
    return parser.parse_args()


def _one_seed(seed: int, profile: str, backend: str, trace: bool) -> int:
    quiet()
    profile = "any" if profile == "all" else profile
    outcome = run_seed(seed, profile, backend=backend, echo=trace)
    if outcome.failure is not None:
        print(outcome.report())
        return 1
    used = ", ".join(f"{name} {count}" for name, count in outcome.counted.items() if count)
    print(f"{outcome.events} events, {outcome.losses} pages lost, {outcome.refusals} puts refused")
    print(f"counted: {used}")
    return 0


def main() -> int:
    """Run what was asked for; 1 if anything failed."""
    arguments = _arguments()
    if arguments.seed is not None:
        return _one_seed(arguments.seed, arguments.profile, arguments.backend, arguments.trace)
    if arguments.variants is not None:
        quiet()
        return 1 if survivors(arguments.variants or list(VARIANTS), print) else 0
    profiles = list(PROFILES) if arguments.profile == "all" else [arguments.profile]
    work = jobs(arguments.first, arguments.seeds, profiles)
    report = run_all(work, arguments.jobs, arguments.failures, arguments.backend)
    print(report.summary())
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
