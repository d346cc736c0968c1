"""The table of settings and the configuration built from it."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from ramster.addresses import Address, ExportSpec
from ramster.cluster_config import ClusterConfig
from ramster.config import SETTINGS, Mode, NodeConfig, default_name
from ramster.errors import ConfigurationError
from zcache import CacheConfig


def test_values_may_be_given_as_texts() -> None:
    config = NodeConfig(
        mode="ramster",  # type: ignore[arg-type]
        pool_limit="64MiB",  # type: ignore[arg-type]
        peer=["b", "c:1"],  # type: ignore[arg-type]
        export=["disk=1GiB"],  # type: ignore[arg-type]
        nbd=["tcp://localhost"],  # type: ignore[arg-type]
        http="off",  # type: ignore[arg-type]
        spill_ephemeral="on",  # type: ignore[arg-type]
    )
    assert config.mode is Mode.RAMSTER
    assert config.pool_limit == 64 * 2**20
    assert config.peer == (Address("b", 7777), Address("c", 1))
    assert config.export == (ExportSpec("disk", 2**30),)
    assert config.nbd == ("tcp://localhost:10809",)
    assert config.http is None
    assert config.spill_ephemeral is True


def test_a_finished_configuration_builds_itself_again() -> None:
    config = NodeConfig(peer=(Address("b", 7777),), export=(ExportSpec("d", 4096),))
    again = NodeConfig(**{row.key: getattr(config, row.key) for row in SETTINGS})
    assert again == config


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_every_default_is_what_its_own_text_reads_as(row) -> None:  # type: ignore[no-untyped-def]
    if row.default is not None or row.key == "http":
        assert row.parse(row.render(row.default)) == row.default
    assert row.describe_default()
    assert row.help[0].islower() or row.help[0].isdigit()


def test_defaults_of_zcache_and_of_the_cluster_are_theirs() -> None:
    config = NodeConfig(name="n")
    assert config.cache_config() == CacheConfig()
    assert config.cluster_config() == ClusterConfig(node="n")


def test_half_of_the_pool_is_lent_by_default_and_nothing_in_zcache_mode() -> None:
    config = NodeConfig(mode=Mode.RAMSTER, pool_limit=8 * 2**20)
    assert config.cache_config().foreign_bytes_max == 4 * 2**20
    assert NodeConfig(pool_limit=8 * 2**20).cache_config().foreign_bytes_max == 0
    assert NodeConfig(mode=Mode.RAMSTER, lend_limit=0).cache_config().foreign_bytes_max == 0


def test_what_the_cluster_is_told() -> None:
    config = NodeConfig(
        name="n",
        mode=Mode.RAMSTER,
        peer=(Address("b", 7777),),
        spill_target="b",
        replicas=3,
        replicas_min=2,
        hedge_after=0.25,
        spill_deadline=1.5,
        rebuild_rate=8192,
        repatriate_after=0,
        repatriate_rate=0,
        writeback="w",
        writeback_limit=2**20,
        writeback_mode="safety",
    )
    told = {
        "peers": ("b:7777",),
        "spill_target": "b",
        "replicas": 3,
        "replicas_min": 2,
        "hedge_after_s": 0.25,
        "spill_deadline_s": 1.5,
        "rebuild_bytes_per_s": 8192,
        "repatriate_after_s": 0,
        "repatriate_bytes_per_s": 0,
        "writeback_safety": True,
    }
    assert config.cluster_config() == ClusterConfig(node="n", **told)
    # Alone, the only place for pages is the file, and that is one copy.
    told |= {"peers": (), "spill_target": "auto", "replicas": 1, "replicas_min": 1}
    assert replace(config, mode=Mode.ZCACHE).cluster_config() == ClusterConfig(node="n", **told)


@pytest.mark.parametrize(
    ("values", "key", "accepted"),
    [
        ({"mode": "both"}, "mode", "zcache, ramster"),
        ({"pool_limit": 4095}, "pool_limit", "4096"),
        ({"pool_limit": 8192, "lend_limit": 8193}, "lend_limit", "at most pool_limit (8KiB)"),
        ({"low_watermark": 0.95}, "low_watermark", "high_watermark"),
        ({"export": ("a=1M", "a=2M")}, "export", "only once"),
        ({"nbd": ("tcp://a", "tcp://a:10809"), "export": ("a=1M",)}, "nbd", "only once"),
        ({"nbd": ("tcp://a",)}, "nbd", "at least one export"),
        ({"peer": ("b", "b:7777")}, "peer", "only once"),
        ({"peer": ("b:0",)}, "peer", "1 to 65535"),
        ({"name": "auto"}, "name", "anything but auto"),
        ({"name": "a", "spill_target": "a"}, "spill_target", "another node"),
        ({"dead_after": 1.0}, "dead_after", "at least suspect_after (3.0)"),
        ({"lease": 9.0}, "lease", "at least dead_after"),
        ({"spill_batch": "1G"}, "spill_batch", "4096 to"),
        ({"spill_in_flight_max": 4096}, "spill_in_flight_max", "at least spill_batch"),
        ({"readahead_pages": 1025}, "readahead_pages", "0 to 1024"),
        ({"chain_frames_max": 3}, "chain_frames_max", "4 to 16"),
        ({"http": "::1"}, "http", "or off"),
        ({"replicas": 9}, "replicas", "1 to 8"),
        ({"replicas": 2, "replicas_min": 3}, "replicas_min", "1 to replicas (2)"),
        ({"rebuild_rate": 4095}, "rebuild_rate", "4096 or more"),
        ({"hedge_after": 0}, "hedge_after", "above 0"),
        ({"spill_deadline": 601}, "spill_deadline", "at most 600 s"),
        ({"repatriate_after": 86401}, "repatriate_after", "0 to 86400 s"),
        ({"writeback": "w"}, "writeback_limit", "68KiB to 2TiB, as writeback names a file"),
        ({"writeback": "w", "writeback_limit": 4096}, "writeback_limit", "68KiB to 2TiB"),
        ({"writeback_mode": "safety"}, "writeback_mode", "unless writeback names a file"),
        ({"export": ("a=1M,replicas=9",)}, "export", "N from 1 to 8"),
        ({"export": ("a=1M,codec=lzo",)}, "export", "CODEC one of: lz4, zstd, none"),
        ({"codec": "lzo"}, "codec", "one of: lz4, zstd, none"),
    ],
)
def test_what_is_not_accepted_is_refused_under_its_key(
    values: dict[str, object], key: str, accepted: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        NodeConfig(**values)  # type: ignore[arg-type]
    assert refused.value.key == key
    assert accepted in refused.value.accepted


@pytest.mark.parametrize(("key", "value"), [("codec", "zstd"), ("export", ("a=1M,codec=zstd",))])
def test_zstandard_is_refused_where_there_is_none_with_how_to_get_it(
    key: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NodeConfig(**{key: value})  # type: ignore[arg-type]
    monkeypatch.setattr("zcache.config.is_usable", lambda: False)
    monkeypatch.setattr("ramster.config.is_usable", lambda: False)
    with pytest.raises(ConfigurationError, match=r"pip install 'ramster\[zstd\]'") as refused:
        NodeConfig(**{key: value})  # type: ignore[arg-type]
    assert refused.value.key == key
    assert "one of: lz4, none" in refused.value.accepted


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("box", "box"),
        ("a b.example", "a-b.example"),
        ("-x", "x"),
        ("é", "node"),
        ("h" * 99, "h" * 63),
    ],
)
def test_the_default_name_is_the_hosts_made_acceptable(
    host: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert default_name() == name
    assert NodeConfig().name == name
