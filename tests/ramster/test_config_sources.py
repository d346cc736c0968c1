"""Flags over environment over file over defaults, and errors that say where a value came from."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.addresses import Address, ExportSpec
from ramster.config import SETTINGS, NodeConfig
from ramster.config_sources import load_config
from ramster.errors import ConfigurationError


def write(folder: Path, text: str) -> str:
    path = folder / "node.toml"
    path.write_text(text)
    return str(path)


def refusal(
    flags: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    file: str | None = None,
) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        load_config(flags or {}, environ or {}, file)
    assert "\n" not in str(refused.value)
    return refused.value


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, 'name = "f"\ncluster = "f"\npool_limit = 8192\npeer = ["f1", "f2"]\n')
    environ = {"RAMSTER_NAME": "e", "RAMSTER_CLUSTER": "e", "RAMSTER_PEER": "e1, e2:9", "HOME": "/"}
    loaded = load_config({"name": "x"}, environ, file)
    assert (loaded.config.name, loaded.config.cluster) == ("x", "e")
    assert loaded.config.pool_limit == 8192
    assert loaded.config.peer == (Address("e1", 7777), Address("e2", 9))
    assert loaded.sources["name"] == "--name"
    assert loaded.sources["cluster"] == "RAMSTER_CLUSTER"
    assert loaded.sources["pool_limit"] == file
    assert loaded.sources["codec"] == "default"
    assert loaded.sources["lend_limit"] == "default: half of pool_limit"


def test_the_file_may_be_named_by_the_environment_and_a_flag_wins(tmp_path: Path) -> None:
    file = write(tmp_path, 'name = "f"\n')
    assert load_config({}, {"RAMSTER_CONFIG": file}).config.name == "f"
    assert load_config({}, {"RAMSTER_CONFIG": "/nonexistent"}, file).config.name == "f"


def test_an_empty_list_in_the_environment_clears_the_files_list(tmp_path: Path) -> None:
    file = write(tmp_path, 'peer = ["f1"]\n')
    assert load_config({}, {"RAMSTER_PEER": ""}, file).config.peer == ()


@pytest.mark.parametrize(
    ("text", "key", "accepted"),
    [
        ("pool_limt = 1", "pool_limt", "did you mean pool_limit?"),
        ("[pool]\nlimit = 1", "pool", "a known key"),
        ("[node]\nname = 'x'", "node", "a known key"),
        ("pool_limit = 'much'", "pool_limit", "powers of 1024"),
        ("pool_limit = 1.5", "pool_limit", "powers of 1024"),
        ("pool_limit = true", "pool_limit", "powers of 1024"),
        ("peer = 'b'", "peer", "a list"),
        ("peer = [1]", "peer", "a list"),
        ("mode = 1", "mode", "zcache, ramster"),
        ("name = ''", "name", "1 to 63"),
        ("name = [", "config", "a TOML file"),
        ("lend_limit = '1GiB'", "lend_limit", "at most pool_limit (256MiB)"),
    ],
)
def test_wrong_lines_of_a_file_are_refused(
    tmp_path: Path, text: str, key: str, accepted: str
) -> None:
    file = write(tmp_path, text)
    error = refusal(file=file)
    assert (error.key, error.source) == (key, file)
    assert accepted in error.accepted


def test_an_exports_option_stays_with_it_in_the_environment() -> None:
    loaded = load_config({}, {"RAMSTER_EXPORT": "a=1M,replicas=2,b=2M"})
    assert loaded.config.export == (ExportSpec("a", 2**20, 2), ExportSpec("b", 2**21))


def test_a_write_back_file_without_its_limit_is_one_clear_error(tmp_path: Path) -> None:
    error = refusal({"writeback": "/w"})
    assert str(error) == (
        "writeback_limit = 'none' (from default): accepted is a size from 68KiB to 2TiB, "
        "as writeback names a file"
    )


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "No such file" in str(refusal(file=str(tmp_path / "absent.toml")))
    assert refusal(file=str(tmp_path / "absent.toml")).source == "--config"
    assert refusal(environ={"RAMSTER_CONFIG": "/nonexistent"}).source == "RAMSTER_CONFIG"
    assert "directory" in str(refusal(file=str(tmp_path)))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    assert "a TOML file" in str(refusal(file=str(tmp_path / "binary")))
    (tmp_path / "huge").write_bytes(b"#" * (2**20 + 1))
    assert "at most 1048576 bytes" in str(refusal(file=str(tmp_path / "huge")))


def test_unknown_variables_are_refused_with_the_nearest_known_one() -> None:
    error = refusal(environ={"RAMSTER_POOL_LIMT": "1"})
    assert error.key == "RAMSTER_POOL_LIMT"
    assert "did you mean RAMSTER_POOL_LIMIT?" in error.accepted


def test_variables_of_the_test_suite_compose_and_kubernetes_are_left_alone() -> None:
    environ = {
        "RAMSTER_REQUIRE_CONTAINERS": "1",
        "RAMSTER_IMAGE": "ramster:dev",
        "RAMSTER_SERVICE_HOST": "10.0.0.1",
        "RAMSTER_PORT": "tcp://10.0.0.1:7777",
        "RAMSTER_PORT_7777_TCP": "tcp://10.0.0.1:7777",
    }
    assert load_config({}, environ).config == NodeConfig()
    assert refusal(environ={"RAMSTER_PORT": "7777"}).key == "RAMSTER_PORT"


@pytest.mark.parametrize("source", ["flag", "environment"])
@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_every_setting_refuses_nonsense_under_its_source(row: Any, source: str) -> None:
    nonsense = "\n?!"
    if source == "flag":
        error = refusal({row.key: [nonsense] if row.repeatable else nonsense})
        assert error.source == row.flag
    else:
        error = refusal(environ={row.variable: nonsense})
        assert error.source == row.variable
    assert error.key == row.key
    assert error.accepted == row.accepted


PEERS = st.lists(
    st.from_regex(r"p[a-z0-9]{1,9}(:[1-9][0-9]{0,3})?", fullmatch=True),
    unique_by=lambda peer: peer.split(":")[0],
    max_size=4,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "mode": st.sampled_from(["zcache", "ramster"]),
    "name": st.from_regex(r"n[A-Za-z0-9_.-]{0,20}", fullmatch=True),
    "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
    "pool_limit": st.integers(4096 * 64, 2**40).map(str),
    "high_watermark": st.floats(0.85, 1.0).map(repr),
    "low_watermark": st.floats(0.1, 0.8).map(repr),
    "codec": st.sampled_from(["lz4", "zstd", "none"]),
    "chain_frames_max": st.integers(4, 16).map(str),
    "compact_interval": st.floats(0.001, 100).map(lambda s: f"{s:.3f}"),
    "cluster": st.from_regex(r"c[a-z0-9]{0,20}", fullmatch=True),
    "lend_limit": st.integers(0, 4096 * 64).map(str),
    "listen": st.sampled_from(["0.0.0.0:1", "[::]:7777", "localhost"]),
    "peer": PEERS,
    "spill_target": st.sampled_from(["auto", "none", "other"]),
    "spill_ephemeral": st.sampled_from(["on", "off"]),
    "heartbeat_interval": st.sampled_from(["200ms", "1", "0.7s"]),
    "lease": st.integers(60, 1000).map(lambda s: f"{s}s"),
    "put_wait": st.sampled_from(["0", "2.5s", "1min"]),
    "readahead_pages": st.integers(0, 1024).map(str),
    "replicas": st.integers(1, 8).map(str),
    "drain_timeout": st.sampled_from(["0", "90s"]),
    "repatriate_rate": st.sampled_from(["0", "1GiB"]),
    "writeback": st.sampled_from(["none", "/a/b c", "f\u00fcr"]),
    "writeback_limit": st.just("1GiB"),
    "export": st.sampled_from([["a=1M"], ["a=1M", "b=1G,replicas=2,codec=zstd"]]),
    "http": st.sampled_from(["off", "127.0.0.1:0", "[::1]"]),
}


NEEDED = {"writeback_limit": VALUES.pop("writeback_limit")}


@given(st.fixed_dictionaries(NEEDED, optional=VALUES))
def test_the_printed_configuration_reads_as_itself(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    loaded = load_config(values, {})
    text = loaded.to_toml()
    again = load_config({}, {}, write(tmp_path_factory.mktemp("config"), text))
    for row in SETTINGS:
        if row.key != "lend_limit":
            assert getattr(again.config, row.key) == getattr(loaded.config, row.key)
    assert again.config.lend_bytes == loaded.config.lend_bytes
    assert set(tomllib.loads(text)) == {row.key for row in SETTINGS}
    assert all(f"# {loaded.sources[row.key]}" in text for row in SETTINGS)
