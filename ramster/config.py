"""Everything that can be configured: one table, from which all the rest follows.

Covers: ``NodeConfig``, whose fields *are* the table. Flags, environment variables, keys of the
file, help texts, ``ramster config`` and the check of docs/configuration.md are derived from it.
Does not cover: kinds of values (``settings.py``), where values come from
(``config_sources.py``).

Each value passes the reader of its field when a NodeConfig is built, whoever builds it.
"""

from __future__ import annotations

import dataclasses
import reprlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ramster import settings
from ramster.addresses import PEER_PORT, STATS_PORT, Address, ExportSpec
from ramster.cluster_config import SPILL_AUTO, ClusterConfig
from ramster.errors import ConfigurationError
from ramster.limits import FLUSH_KEYS_MAX, REPLICAS_MAX
from ramster.quantities import format_size
from ramster.settings import Kind, Mode, Setting
from ramster.slot_table import LIMIT_BYTES_MAX, LIMIT_BYTES_MIN
from zcache import CacheConfig, ConfigError
from zcache.config import CODECS, check_codec
from zcache.zstd import is_usable

__all__ = ["SETTINGS", "SETTINGS_BY_KEY", "Mode", "NodeConfig", "default_name"]

_NODE = "node"
_POOL = "pool"
_CLUSTER = "cluster (read in both modes, used with --mode ramster)"
_TUNING = "cluster: times, batches, readahead (as above)"
_DEVICES = "block devices"
_WRITEBACK = "write-back file (both modes)"
_FIGURES = "figures"


def default_name() -> str:
    """The host's name, cleaned and cut to what a name may be; ``node`` where nothing is left of
    it."""
    kept = (
        char if char.isascii() and (char.isalnum() or char in "._-") else "-"
        for char in socket.gethostname()
    )
    return "".join(kept).lstrip("._-")[:63] or "node"


def _row(
    kind: Kind[Any],
    group: str,
    text: str,
    *,
    default: Any = dataclasses.MISSING,
    field: str = "",
    factory: Callable[[], Any] | None = None,
    repeatable: bool = False,
    default_text: str = "",
) -> Any:
    """A field of NodeConfig that carries its row of the table.

    ``field``: the field of ClusterConfig that it sets, and whose default it has.
    """
    if field:
        default = ClusterConfig.__dataclass_fields__[field].default
    row = {
        "field": field,
        "kind": kind,
        "group": group,
        "help": text,
        "repeatable": repeatable,
        "default_text": default_text,
    }
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=row)
    return dataclasses.field(default=default, metadata=row)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """The configuration of one node, checked when built.

    Values may also be given as they stand in files ("256MiB", "b:7777"). Raises
    ConfigurationError, which names the key and what is accepted.
    """

    mode: Mode = _row(
        settings.MODE,
        _NODE,
        "zcache: this node alone, grpc is never imported; ramster: with peers",
        default=Mode.ZCACHE,
    )
    name: str = _row(
        settings.NAME,
        _NODE,
        "name of this node, unique in its cluster",
        factory=default_name,
        default_text="the host's name",
    )
    log_format: str = _row(
        settings.choice("text", "json"),
        _NODE,
        "how a line of the log is written: for people, or one JSON object",
        default="text",
    )
    log_level: str = _row(
        settings.choice("debug", "info", "warning", "error"),
        _NODE,
        "what is logged to standard error",
        default="info",
    )

    pool_limit: int = _row(
        settings.SIZE,
        _POOL,
        "hard limit of all page frames, own and foreign",
        default=256 * 2**20,
    )
    high_watermark: float = _row(
        settings.SHARE,
        _POOL,
        "share of the limit above which pages are spilled and no foreign page is taken",
        default=0.90,
    )
    low_watermark: float = _row(
        settings.SHARE, _POOL, "share of the limit at which spilling stops", default=0.80
    )
    accept_watermark: float = _row(
        settings.SHARE,
        _POOL,
        "after the limit was hit, new pages are refused until use is at or under this share of it",
        default=1.0,
    )
    codec: str = _row(
        settings.choice(*CODECS),
        _POOL,
        "how new pages are compressed; zstd is denser and slower than lz4, none stores them raw",
        default="lz4",
    )
    incompressible: str = _row(
        settings.choice("store", "refuse"),
        _POOL,
        "what happens to pages that do not compress: stored raw, or refused",
        default="store",
    )
    chain_frames_max: int = _row(
        settings.count(4, 16),
        _POOL,
        "longest zspage in frames (the kernel's CONFIG_ZSMALLOC_CHAIN_SIZE)",
        default=8,
    )
    compact_interval: float = _row(
        settings.DURATION,
        _POOL,
        "how often the pool is looked at for frames that compaction would give back",
        default=1.0,
    )

    cluster: str = _row(
        settings.NAME,
        _CLUSTER,
        "name of the cluster; nodes of other clusters are refused",
        field="cluster",
    )
    lend_limit: int | None = _row(
        settings.SIZE,
        _CLUSTER,
        "most bytes of the pool that pages of other nodes may take; 0 lends nothing",
        default=None,
        default_text="half of pool_limit",
    )
    listen: Address = _row(
        settings.ADDRESS,
        _CLUSTER,
        "where peers reach this node; the default is loopback because peers are not authenticated",
        default=Address("127.0.0.1", PEER_PORT),
    )
    peer: tuple[Address, ...] = _row(
        settings.ADDRESS, _CLUSTER, "a node to spill to", default=(), repeatable=True
    )
    spill_target: str = _row(
        settings.TARGET,
        _CLUSTER,
        "auto: of two random peers with room the roomier one; none: nobody; else the peer so named",
        field="spill_target",
    )

    spill_ephemeral: bool = _row(
        settings.SWITCH,
        _CLUSTER,
        "spill ephemeral pages as well, instead of dropping them",
        field="spill_ephemeral",
    )
    replicas: int = _row(
        settings.count(1, REPLICAS_MAX),
        _CLUSTER,
        "copies of each persistent page that leaves, each at another node",
        field="replicas",
    )
    replicas_min: int = _row(
        settings.count(1, REPLICAS_MAX),
        _CLUSTER,
        "with too few nodes for all copies: the least with which a page may leave",
        field="replicas_min",
    )
    drain_timeout: float = _row(
        settings.WAIT,
        _CLUSTER,
        "longest time that a node hands pages of others over before it stops; 0: it stops at once",
        default=15.0,
    )
    heartbeat_interval: float = _row(
        settings.DURATION,
        _TUNING,
        "a word to every peer, at least this often",
        field="heartbeat_interval_s",
    )
    suspect_after: float = _row(
        settings.DURATION,
        _TUNING,
        "silence after which a peer gets no more spills",
        field="suspect_after_s",
    )
    dead_after: float = _row(
        settings.DURATION,
        _TUNING,
        "silence after which pages at a peer count as lost until it answers again",
        field="dead_after_s",
    )
    lease: float = _row(
        settings.DURATION,
        _TUNING,
        "silence of an owner after which its pages here are freed; at least dead_after",
        field="lease_s",
    )
    reconnect_backoff_min: float = _row(
        settings.DURATION,
        _TUNING,
        "first pause before a peer that failed is tried again; doubles with every failure",
        field="reconnect_backoff_min_s",
    )
    reconnect_backoff_max: float = _row(
        settings.DURATION,
        _TUNING,
        "longest pause between two tries",
        field="reconnect_backoff_max_s",
    )
    call_deadline: float = _row(
        settings.DURATION,
        _TUNING,
        "longest wait for the answer to one hello, heartbeat or flush",
        field="call_deadline_s",
    )
    spill_deadline: float = _row(
        settings.DURATION,
        _TUNING,
        "longest wait for the answer to one spill",
        field="spill_deadline_s",
    )
    fetch_deadline: float = _row(
        settings.DURATION,
        _TUNING,
        "longest time that a read waits for peers, retries included",
        field="fetch_deadline_s",
    )
    hedge_after: float = _row(
        settings.DURATION,
        _TUNING,
        "a read that takes longer is asked of the next copy as well",
        field="hedge_after_s",
    )
    put_wait: float = _row(
        settings.WAIT,
        _TUNING,
        "longest time that a write waits for pages to be spilled",
        field="put_wait_s",
    )
    spill_batch: int = _row(
        settings.SIZE, _TUNING, "compressed pages in one spill message", field="spill_batch_bytes"
    )
    spill_in_flight_max: int = _row(
        settings.SIZE,
        _TUNING,
        "compressed pages in all spills on their way",
        field="spill_bytes_in_flight_max",
    )
    readahead_pages: int = _row(
        settings.count(0, 1024),
        _TUNING,
        "most pages fetched beyond what a sequential reader asked for; 0: none",
        field="readahead_pages",
    )
    readahead_buffer: int = _row(
        settings.SIZE,
        _TUNING,
        "compressed pages fetched ahead and not yet asked for",
        field="readahead_buffer_bytes",
    )
    flush_batch_pages: int = _row(
        settings.count(1, FLUSH_KEYS_MAX),
        _TUNING,
        "pages in one flush message",
        field="flush_batch_pages",
    )
    flush_queue_pages_max: int = _row(
        settings.count(1, 2**31),
        _TUNING,
        "a peer behind by this many flushes gets no spills until it has caught up",
        field="flush_queue_pages_max",
    )
    rebuild_rate: int = _row(
        settings.SIZE,
        _TUNING,
        "lost copies are made again at up to so many bytes a second",
        field="rebuild_bytes_per_s",
    )
    repatriate_after: float = _row(
        settings.WAIT,
        _TUNING,
        "pages come home when there has been room for them for so long",
        field="repatriate_after_s",
    )
    repatriate_rate: int = _row(
        settings.SIZE,
        _TUNING,
        "pages come home at up to so many bytes a second; 0: only when they are read",
        field="repatriate_bytes_per_s",
    )

    writeback: str | None = _row(
        settings.OPTIONAL_PATH,
        _WRITEBACK,
        "a file that takes pages when neither the pool nor peers have room",
        default=None,
    )
    writeback_limit: int | None = _row(
        settings.OPTIONAL_SIZE,
        _WRITEBACK,
        "most bytes that the file may take; to be given with it",
        default=None,
    )
    writeback_mode: str = _row(
        settings.choice("overflow", "safety"),
        _WRITEBACK,
        "overflow: pages that find no other room; safety: a copy of all that go to peers as well",
        default="overflow",
    )

    nbd: tuple[str, ...] = _row(
        settings.NBD_URL, _DEVICES, "where NBD clients connect", default=(), repeatable=True
    )
    export: tuple[ExportSpec, ...] = _row(
        settings.EXPORT, _DEVICES, "a block device to serve over NBD", default=(), repeatable=True
    )

    http: Address | None = _row(
        settings.HTTP,
        _FIGURES,
        "where /healthz, /stats and /metrics are served",
        default=Address("127.0.0.1", STATS_PORT),
    )

    def __post_init__(self) -> None:
        for setting in SETTINGS:
            value = getattr(self, setting.key)
            if setting.key == "lend_limit" and value is None:
                continue
            try:
                object.__setattr__(self, setting.key, setting.parse(value))
            except ValueError:
                raise _refused(setting.key, value, setting.accepted) from None
        self._check_relations()

    def _check_relations(self) -> None:
        """What one value may be because of another one."""
        if self.lend_limit is not None and self.lend_limit > self.pool_limit:
            shown = settings.SIZE.render(self.pool_limit)
            raise _refused(
                "lend_limit", settings.SIZE.render(self.lend_limit), f"at most pool_limit ({shown})"
            )
        for key, names in (
            ("export", [spec.name for spec in self.export]),
            ("nbd", list(self.nbd)),
            ("peer", [str(address) for address in self.peer]),
        ):
            twice = [name for name in names if names.count(name) > 1 and not name.endswith(":0")]
            if twice:
                raise _refused(key, twice[0], "each only once")
        for peer in self.peer:
            if peer.port == 0:
                raise _refused("peer", str(peer), "a port from 1 to 65535")
        for spec in self.export:
            if spec.codec is not None:
                try:
                    check_codec(spec.codec, zstd=is_usable())
                except ConfigError as error:
                    raise _refused("export", str(spec), f"a codec, {error.accepted}") from None
        if self.nbd and not self.export:
            raise _refused("nbd", self.nbd[0], "given together with at least one export")
        self._check_writeback()
        try:
            self.cache_config()
            self.cluster_config()
        except (ConfigError, ConfigurationError) as error:
            key = _KEYS.get(error.key, error.key)
            accepted = error.accepted
            for field, name in _KEYS.items():
                if "_" in field:  # not an everyday word
                    accepted = accepted.replace(field, name)
            raise _refused(key, error.value, accepted) from None

    def _check_writeback(self) -> None:
        limit = self.writeback_limit
        if self.writeback is None:
            if self.writeback_mode != "overflow":
                accepted = "overflow, unless writeback names a file"
                raise _refused("writeback_mode", self.writeback_mode, accepted)
        elif limit is None or not LIMIT_BYTES_MIN <= limit <= LIMIT_BYTES_MAX:
            bounds = f"{format_size(LIMIT_BYTES_MIN)} to {format_size(LIMIT_BYTES_MAX)}"
            accepted = f"a size from {bounds}, as writeback names a file"
            raise _refused("writeback_limit", settings.OPTIONAL_SIZE.render(limit), accepted)

    @property
    def lend_bytes(self) -> int:
        """What ``lend_limit`` comes to: half of the pool's limit unless it was given."""
        return self.pool_limit // 2 if self.lend_limit is None else self.lend_limit

    def cache_config(self) -> CacheConfig:
        """The part of zcache; nothing is lent in zcache mode."""
        return CacheConfig(
            pool_bytes_max=self.pool_limit,
            high_watermark=self.high_watermark,
            low_watermark=self.low_watermark,
            accept_watermark=self.accept_watermark,
            foreign_bytes_max=self.lend_bytes if self.mode is Mode.RAMSTER else 0,
            codec=self.codec,
            incompressible=self.incompressible,
            chain_frames_max=self.chain_frames_max,
        )

    def cluster_config(self) -> ClusterConfig:
        """The part of the peer layer; without peers in zcache mode, where it has a write-back file
        at most."""
        values = {field: getattr(self, key) for field, key in _cluster_fields().items()}
        values["writeback_safety"] = self.writeback_mode == "safety"
        peers = tuple(str(address) for address in self.peer)
        config = ClusterConfig(node=self.name, peers=peers, **values)
        if self.mode is Mode.RAMSTER:
            return config
        return replace(config, peers=(), spill_target=SPILL_AUTO, replicas=1, replicas_min=1)


def _cluster_fields() -> dict[str, str]:
    """Fields of ClusterConfig and the keys that set them."""
    return {
        row.metadata["field"]: row.name
        for row in dataclasses.fields(NodeConfig)
        if row.metadata["field"]
    }


_KEYS = {
    **_cluster_fields(),
    "node": "name",
    "peers": "peer",
    "pool_bytes_max": "pool_limit",
    "foreign_bytes_max": "lend_limit",
}
"""Keys of what zcache and the cluster call by other names."""


def _refused(key: str, value: object, accepted: str) -> ConfigurationError:
    shown = value if isinstance(value, str | int | float) else reprlib.repr(value)
    return ConfigurationError(key, shown, "NodeConfig", accepted)


def _rows() -> tuple[Setting, ...]:
    rows = []
    for field in dataclasses.fields(NodeConfig):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        row = {key: value for key, value in field.metadata.items() if key != "field"}
        rows.append(Setting(key=field.name, default=default, **row))
    return tuple(rows)


SETTINGS: tuple[Setting, ...] = _rows()
"""The table, in the order of its groups."""

SETTINGS_BY_KEY: dict[str, Setting] = {setting.key: setting for setting in SETTINGS}
