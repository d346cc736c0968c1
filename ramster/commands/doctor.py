"""``ramster doctor``: what this machine lacks for each feature, and how to put it right.

Covers: flags, exit codes. Does not cover: checks (``ramster/doctor``).

Takes the configuration that ``ramster serve`` would: flags, environment, file. Exit code 0 when
nothing is missing that it needs, 1 otherwise. Changes nothing and ends within five seconds.
"""

from __future__ import annotations

import argparse
import json

from ramster.config_flags import add_config_flags, config_from
from ramster.doctor.examination import examine
from ramster.doctor.findings import Feature, lacking, needed_by
from ramster.doctor.machine import Machine
from ramster.doctor.report import as_json, render
from ramster.doctor.swapping import swaps_to_nbd
from ramster.errors import ConfigurationError

__all__ = ["add_flags", "run"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """``--require``, ``--verbose``, ``--json``, and the flags of ``ramster serve``."""
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="FEATURE",
        help="count a feature as needed, whatever the configuration says; may be repeated; one of: "
        + ", ".join(Feature),
    )
    parser.add_argument("--verbose", action="store_true", help="show what is in order as well")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_config_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Examine and print."""
    for name in arguments.require:
        if name not in list(Feature):
            accepted = f"one of: {', '.join(Feature)}"
            raise ConfigurationError("require", name, "--require", accepted)
    config = config_from(arguments).config
    findings = examine(config)
    needed = needed_by(config, arguments.require, nbd_swap=swaps_to_nbd(Machine()))
    if arguments.json:
        print(json.dumps(as_json(findings, needed), indent=2))
    else:
        print(render(findings, needed, verbose=arguments.verbose), end="")
    return 1 if lacking(findings, needed) else 0
