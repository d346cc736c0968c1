"""``ramster config``: the effective configuration as a file, with the source of each value."""

from __future__ import annotations

import argparse

from ramster.config_flags import add_config_flags, config_from

__all__ = ["add_flags", "run"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of ``ramster serve``."""
    add_config_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    print(config_from(arguments).to_toml(), end="")
    return 0
