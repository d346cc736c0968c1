"""``ramster info``."""

from __future__ import annotations

import json

from ramster import __version__
from tests.support.serving import BLOCK_GRPC, run_ramster
from zcache.backend import NATIVE_MISSING

WITHOUT_EXTRAS = """
import importlib.metadata
known = importlib.metadata.version
def version(name):
    if name in ('grpcio', 'protobuf', 'zstandard'):
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = version
import sys
sys.modules['zstandard'] = sys.modules['zcache._native'] = None
"""


def test_it_says_what_there_is() -> None:
    done = run_ramster("info")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  version        {__version__}\n" in done.stdout
    assert "  codecs       lz4, zstd, none\n" in done.stdout


def test_json_holds_the_same() -> None:
    facts = json.loads(run_ramster("info", "--json").stdout)
    assert facts["ramster"]["modes"] == ["zcache", "ramster"]
    native = not NATIVE_MISSING
    assert facts["zcache"]["backend"] == ("native" if native else "python")
    assert (facts["zcache"]["native core"] == "there") == native
    assert facts["libraries"]["lz4"][0].isdigit()


def test_without_the_extras_it_says_how_to_install_them() -> None:
    facts = json.loads(run_ramster("info", "--json", before=BLOCK_GRPC + WITHOUT_EXTRAS).stdout)
    assert facts["ramster"]["modes"] == ["zcache"]
    assert facts["libraries"]["grpcio"] == "not installed: pip install 'ramster[cluster]'"
    assert facts["libraries"]["zstandard"] == "not installed: pip install 'ramster[zstd]'"
    assert facts["zcache"]["codecs"] == ["lz4", "none"]
    assert facts["zcache"]["backend"] == "python"
    assert facts["zcache"]["native core"].startswith("not there: ")
