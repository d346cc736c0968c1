"""The knobs of one cache: typed, complete, checked when built and when changed.

Covers: names, defaults, ranges. Does not cover: where values come from (files, flags: the program
above).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from zcache.errors import ConfigError
from zcache.page import PAGE_SIZE
from zcache.zstd import TO_INSTALL, is_usable

__all__ = ["CODECS", "CacheConfig", "check_codec", "usable_codecs"]

CODECS = ("lz4", "zstd", "none")
"""Codecs that new pages may be stored with; stored pages stay readable after a change."""


def usable_codecs(*, zstd: bool) -> tuple[str, ...]:
    """Those of ``CODECS`` that there are; ``zstd``: whether Zstandard is one of them."""
    return CODECS if zstd else tuple(codec for codec in CODECS if codec != "zstd")


def check_codec(codec: object, *, zstd: bool) -> None:
    """Raise ConfigError unless new pages can be stored so; ``zstd``: as in ``usable_codecs``."""
    usable = usable_codecs(zstd=zstd)
    if codec not in usable:
        accepted = "one of: " + ", ".join(usable)
        if not zstd:
            accepted += f" (zstd needs the package zstandard: {TO_INSTALL})"
        raise ConfigError("codec", codec, accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """Limits and policies of a cache. Raises ConfigError for a value outside its range."""

    pool_bytes_max: int = 256 * 1024 * 1024
    """Hard limit of all frames, own and foreign, in bytes; rounded down to whole frames."""
    high_watermark: float = 0.90
    """Share of the limit above which pages should leave (spill)."""
    low_watermark: float = 0.80
    """Share of the limit at which spilling stops."""
    accept_watermark: float = 1.0
    """After the limit was hit, puts of new persistent pages are refused until use is at or under
    this share (zswap's accept_threshold_percent); 1.0 switches the hysteresis off."""
    foreign_bytes_max: int = 0
    """Quota for pages held for other nodes, in bytes of the slots they occupy; 0 lends nothing."""
    codec: str = "lz4"
    """Codec of new pages in pools that have none of their own: "lz4", "zstd", or "none" to store
    raw."""
    incompressible: str = "store"
    """What happens to a page that does not compress: "store" it raw, or "refuse" the put."""
    chain_frames_max: int = 8
    """Longest zspage in frames, 4..16 as in the kernel's CONFIG_ZSMALLOC_CHAIN_SIZE."""
    pools_max: int = 65536
    """How many pools may exist at once."""

    def __post_init__(self) -> None:
        for knob in fields(self):
            if knob.type in ("int", "float"):
                value = getattr(self, knob.name)
                wanted = (int,) if knob.type == "int" else (int, float)
                if isinstance(value, bool) or not isinstance(value, wanted):
                    raise ConfigError(knob.name, value, f"a number ({knob.type})")
        self._check(
            "pool_bytes_max", PAGE_SIZE <= self.pool_bytes_max <= 2**44, "4096 to 2**44 bytes"
        )
        self._check("high_watermark", 0 < self.high_watermark <= 1, "above 0, at most 1")
        self._check(
            "low_watermark",
            0 < self.low_watermark <= self.high_watermark,
            f"above 0, at most high_watermark ({self.high_watermark})",
        )
        self._check("accept_watermark", 0 < self.accept_watermark <= 1, "above 0, at most 1")
        self._check(
            "foreign_bytes_max",
            0 <= self.foreign_bytes_max <= self.pool_bytes_max,
            f"0 to pool_bytes_max ({self.pool_bytes_max})",
        )
        check_codec(self.codec, zstd=is_usable())
        self._check("incompressible", self.incompressible in ("store", "refuse"), "store or refuse")
        self._check("chain_frames_max", 4 <= self.chain_frames_max <= 16, "4 to 16 frames")
        self._check("pools_max", 1 <= self.pools_max <= 2**31, "1 to 2**31")

    def _check(self, key: str, holds: bool, accepted: str) -> None:
        if not holds:
            raise ConfigError(key, getattr(self, key), accepted)

    @property
    def frames_max(self) -> int:
        """The limit in whole frames."""
        return self.pool_bytes_max // PAGE_SIZE
