"""``ramster stat``: the figures of a running node, for people or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys

from ramster.addresses import Address
from ramster.config_sources import load_config
from ramster.errors import ConfigurationError
from ramster.stat_report import render
from ramster.stats_client import StatsError, fetch_figures

__all__ = ["add_flags", "configured_url", "run"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """``--url``, ``--config``, ``--json``."""
    parser.add_argument(
        "--url",
        help="where the node serves its figures (default: from the setting http, that is "
        "http://127.0.0.1:7780 unless RAMSTER_HTTP or the file says otherwise)",
    )
    parser.add_argument("--config", metavar="FILE", help="the node's configuration file")
    parser.add_argument("--json", action="store_true", help="print JSON, as /stats gives it")


def run(arguments: argparse.Namespace) -> int:
    """Fetch and print; exit code 1 when there is no answer."""
    try:
        url = configured_url(arguments.config, "--url") if arguments.url is None else arguments.url
        figures = fetch_figures(url)
    except StatsError as error:
        print(f"ramster stat: {error}", file=sys.stderr)
        return 1
    print(json.dumps(figures, indent=2) + "\n" if arguments.json else render(figures), end="")
    return 0


def configured_url(file: str | None, otherwise: str) -> str:
    """Where the settings say that the node on this machine serves its figures.

    ``otherwise``: how to name a place, for the error of a node that serves none.
    """
    loaded = load_config({}, os.environ, file)
    address = loaded.config.http
    if address is None:
        source = loaded.sources["http"]
        raise ConfigurationError(
            "http", "off", source, f"{otherwise}, for a node that serves no figures here"
        )
    # What listens on every address is reached on the loopback one.
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    return f"http://{Address(everywhere.get(address.host, address.host), address.port)}"
