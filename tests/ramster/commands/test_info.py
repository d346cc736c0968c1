"""``ramster info``."""

from __future__ import annotations

import json

from ramster import __version__
from tests.support.serving import BLOCK_GRPC, run_ramster

WITHOUT_EXTRA = """
import importlib.metadata
known = importlib.metadata.version
def version(name):
    if name in ('grpcio', 'protobuf'):
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = version
"""


def test_it_says_what_there_is() -> None:
    done = run_ramster("info")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  version        {__version__}\n" in done.stdout
    assert "  codecs     lz4, none\n" in done.stdout


def test_json_holds_the_same() -> None:
    facts = json.loads(run_ramster("info", "--json").stdout)
    assert facts["ramster"]["modes"] == ["zcache", "ramster"]
    assert facts["zcache"]["backend"] in ("python", "native")
    assert facts["libraries"]["lz4"][0].isdigit()


def test_without_the_extra_it_says_how_to_install_it() -> None:
    facts = json.loads(run_ramster("info", "--json", before=BLOCK_GRPC + WITHOUT_EXTRA).stdout)
    assert facts["ramster"]["modes"] == ["zcache"]
    assert facts["libraries"]["grpcio"] == "not installed: pip install 'ramster[cluster]'"
