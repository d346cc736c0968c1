from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata

import pytest

from ramster.rpc.options import (
    EXPERIMENTS,
    EXPERIMENTS_VALUE,
    ConnectionSettings,
    prepare_environment,
)


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GRPC_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_variables_are_set_unless_the_user_has_set_them() -> None:
    mine = {"GRPC_VERBOSITY": "debug", EXPERIMENTS: ""}
    prepare_environment(mine)
    assert mine["GRPC_VERBOSITY"] == "debug"
    assert mine[EXPERIMENTS] == ""
    assert mine["GRPC_ENABLE_FORK_SUPPORT"] == "0"


@pytest.mark.parametrize(
    ("version", "switched"),
    [("1.79.9", False), ("1.80.0", True), ("1.85.1", True), ("1.86.0rc1", False), ("2.0", False)],
)
def test_experiments_are_set_only_for_releases_that_were_measured(
    version: str, switched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    environment: dict[str, str] = {}
    prepare_environment(environment)
    assert environment.get(EXPERIMENTS) == (EXPERIMENTS_VALUE if switched else None)


def test_the_variables_are_set_before_grpc_is_imported_and_the_console_stays_quiet() -> None:
    code = (
        "import ramster.rpc, os, asyncio\n"
        "from grpc import aio\n"
        "async def main():\n"
        "    server = aio.server(); server.add_insecure_port('127.0.0.1:0')\n"
        "    await server.start(); await server.stop(None)\n"
        "asyncio.run(main())\n"
        f"print(os.environ.get({EXPERIMENTS!r}))"
    )
    result = _python(code)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.strip() == EXPERIMENTS_VALUE


@pytest.mark.parametrize("module", ["ramster", "ramster.store", "ramster.transport", "zcache"])
def test_nothing_else_imports_grpc(module: str) -> None:
    code = f"import {module}, sys; print([m for m in ('grpc', 'google') if m in sys.modules])"
    result = _python(code)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("missing", ["grpc", "google.protobuf"])
def test_a_missing_extra_says_how_to_install_it(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from ramster.errors import MissingExtraError\n"
        "try:\n    import ramster.rpc\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    result = _python(code)
    assert "pip install 'ramster[cluster]'" in result.stdout, result.stderr


def test_a_protobuf_that_is_too_old_says_how_to_install_a_newer_one() -> None:
    code = (
        "from google.protobuf import runtime_version\n"
        "runtime_version.MAJOR = 5\n"
        "from ramster.errors import MissingExtraError\n"
        "try:\n    import ramster.rpc\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    result = _python(code)
    assert "pip install 'ramster[cluster]'" in result.stdout, result.stderr


@pytest.mark.parametrize(
    "knobs",
    [
        {"keepalive_s": 0},
        {"keepalive_timeout_s": -1},
        {"reconnect_s_max": 1e9},
        {"reconnect_s_min": 2.0, "reconnect_s_max": 1.0},
        {"keepalive_s": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(knobs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="accepted is"):
        ConnectionSettings(**knobs)
