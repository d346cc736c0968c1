"""The table of settings as flags of a command.

Covers: argparse. Does not cover: what values mean (``config.py``), other sources
(``config_sources.py``).

Values reach the table as texts: argparse converts and checks nothing, so that a wrong value is
reported the same way wherever it came from.
"""

from __future__ import annotations

import argparse
import os

from ramster.config import SETTINGS
from ramster.config_sources import LoadedConfig, load_config

__all__ = ["add_config_flags", "config_from"]


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """``--config`` and a flag for each setting, under its group."""
    parser.add_argument(
        "--config", metavar="FILE", help="configuration file (TOML); also RAMSTER_CONFIG"
    )
    parser.usage = "%(prog)s [--config FILE] [flags as below]"
    parser.epilog = (
        "Each flag is also a key of the file (pool_limit for --pool-limit) and a variable "
        "(RAMSTER_POOL_LIMIT; a list is separated by commas). Flags win over the environment, the "
        "environment over the file. A list replaces the whole list below it."
    )
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in SETTINGS:
        if setting.group not in groups:
            groups[setting.group] = parser.add_argument_group(setting.group)
        repeatable = "; may be repeated" if setting.repeatable else ""
        groups[setting.group].add_argument(
            setting.flag,
            dest=setting.key,
            metavar=setting.kind.metavar,
            action="append" if setting.repeatable else "store",
            help=f"{setting.help}{repeatable} (default: {setting.describe_default()})".replace(
                "%", "%%"
            ),
        )


def config_from(arguments: argparse.Namespace) -> LoadedConfig:
    """The configuration of these flags, the environment and the file they name."""
    given = {
        setting.key: value
        for setting in SETTINGS
        if (value := getattr(arguments, setting.key)) is not None
    }
    return load_config(given, os.environ, arguments.config)
