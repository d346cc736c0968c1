"""``ramster doctor``."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.rules.test_imports import loaded_by
from tests.support.serving import BLOCK_GRPC, run_ramster

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


def test_a_plain_configuration_needs_nothing_that_is_missing() -> None:
    done = run_ramster("doctor", "--http", "127.0.0.1:0", "--pool-limit", "1MiB")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the page pool (needed): ok (")
    assert done.stdout.endswith("Nothing is missing that this configuration needs.\n")


def test_verbose_shows_what_is_in_order() -> None:
    done = run_ramster("doctor", "--http", "off", "--verbose")
    assert "  ok       huge pages: " in done.stdout


def test_json_holds_the_same_and_the_exit_code_follows() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        address = f"127.0.0.1:{stranger.getsockname()[1]}"
        done = run_ramster("doctor", "--http", address, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert not found["ok"]
    (http,) = [one for one in found["findings"] if one["check"] == "http"]
    assert (http["status"], http["needed"]) == ("bad", True)


def test_it_reads_the_file_and_the_environment_as_serve_does(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('http = "off"\npool_limit = "1MiB"\n')
    assert run_ramster("doctor", "--config", str(file)).returncode == 0
    done = run_ramster("doctor", "--config", str(file), RAMSTER_POOL_LIMIT="16TiB")
    assert done.returncode == 1
    assert "fix: a lower pool_limit" in done.stdout


def test_what_is_required_counts_as_needed() -> None:
    words = ["doctor", "--http", "off", "--pool-limit", "1MiB", "--json"]
    missing = BLOCK_GRPC + WITHOUT_EXTRAS
    assert run_ramster(*words, before=missing).returncode == 0
    for feature in ("native", "zstd", "peers"):
        done = run_ramster(*words, "--require", feature, before=missing)
        assert done.returncode == 1, feature
        assert feature in json.loads(done.stdout)["needed"]


def test_without_the_extras_mode_ramster_lacks_them() -> None:
    words = ["doctor", "--http", "off", "--mode", "ramster", "--listen", "127.0.0.1:0"]
    assert run_ramster(*words).returncode == 0
    done = run_ramster(*words, before=BLOCK_GRPC + WITHOUT_EXTRAS)
    assert done.returncode == 1
    assert "grpcio is not installed, protobuf is not installed" in done.stdout
    assert "fix: pip install 'ramster[cluster]'" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--require", "x"], "require = 'x' (from --require): accepted is one of: pool, native"),
        (["--pool-limit", "1MB"], "pool_limit = '1MB' (from --pool-limit)"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words: list[str], said: str) -> None:
    done = run_ramster("doctor", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_it_loads_no_grpc_whatever_the_mode() -> None:
    loaded = loaded_by(
        "import sys; from ramster.cli import main; out, sys.stdout = sys.stdout, sys.stderr; "
        "main(['doctor', '--http', 'off', '--mode', 'ramster', '--listen', '127.0.0.1:0']); "
        "sys.stdout = out"
    )
    assert "ramster.doctor.examination" in loaded
    assert not loaded & {"grpc", "google.protobuf", "ramster.rpc"}
