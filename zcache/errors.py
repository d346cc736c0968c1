"""Every exception that zcache raises.

Covers: the tree below, one root, data as attributes, text derived from them.
Does not cover: absence of a page, which is a normal answer of a get and a value, not an error.

    ZcacheError
    ├── ConfigError              a value outside what is accepted (also a ValueError)
    ├── BadHandleError           object id, index or page data of a wrong size (also a ValueError)
    ├── NoSuchPoolError          the pool id names no pool (also a LookupError)
    ├── PoolTableFullError       no free pool id
    ├── PutRefusedError          a put stored nothing
    │   ├── CacheFullError       no frame within the limit
    │   └── PoorCompressionError the page does not compress and the configuration refuses such pages
    ├── CorruptPageError         a stored or fetched blob fails its length, checksum or
                                 decompression
    ├── TicketError              a spill ticket ended twice, or not of this cache
    └── VerifyError              the debug check found sums that do not add up
"""

from __future__ import annotations

__all__ = [
    "BadHandleError",
    "CacheFullError",
    "ConfigError",
    "CorruptPageError",
    "NoSuchPoolError",
    "PoolTableFullError",
    "PoorCompressionError",
    "PutRefusedError",
    "TicketError",
    "VerifyError",
    "ZcacheError",
]


class ZcacheError(Exception):
    """Root of every exception of this package."""


class ConfigError(ZcacheError, ValueError):
    """A configuration value is not accepted.

    Attributes: ``key`` (the field's name), ``value`` (what was given), ``accepted`` (what is
    accepted).
    """

    def __init__(self, key: str, value: object, accepted: str) -> None:
        super().__init__(key, value, accepted)
        self.key = key
        self.value = value
        self.accepted = accepted

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}: accepted is {self.accepted}"


class BadHandleError(ZcacheError, ValueError):
    """An object id, an index or a buffer of a size that no handle or page has."""


class NoSuchPoolError(ZcacheError, LookupError):
    """No pool has this id. Attribute: ``pool_id``."""

    def __init__(self, pool_id: int) -> None:
        super().__init__(pool_id)
        self.pool_id = pool_id

    def __str__(self) -> str:
        return f"no pool has the id {self.pool_id}"


class PoolTableFullError(ZcacheError):
    """Every pool id is taken. Attribute: ``pools_max``."""

    def __init__(self, pools_max: int) -> None:
        super().__init__(pools_max)
        self.pools_max = pools_max

    def __str__(self) -> str:
        return f"all {self.pools_max} pool ids are taken"


class PutRefusedError(ZcacheError):
    """A put stored nothing.

    Unless the put asked to keep the old page, the handle is absent afterwards (rule of tmem: a
    failed duplicate put leaves no older version behind). Attribute: ``stored`` (how many pages of a
    batch were stored before the refusal, in order).
    """

    def __init__(self, reason: str, stored: int = 0) -> None:
        super().__init__(reason, stored)
        self.reason = reason
        self.stored = stored

    def __str__(self) -> str:
        return self.reason


class CacheFullError(PutRefusedError):
    """No frame is left within the limit, and nothing droppable was found."""


class PoorCompressionError(PutRefusedError):
    """The page does not compress, and ``incompressible = "refuse"`` is configured."""


class CorruptPageError(ZcacheError):
    """A blob fails its length, its checksum or its decompression; the entry is kept and counted."""


class TicketError(ZcacheError):
    """A spill ticket was ended twice, or belongs to another cache."""


class VerifyError(ZcacheError):
    """``verify()`` recomputed a sum and found another. Attribute: ``findings`` (a line each)."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__(findings)
        self.findings = findings

    def __str__(self) -> str:
        return "; ".join(self.findings)
