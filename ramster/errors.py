"""Every exception that ramster raises, beside those of zcache.

RamsterError
├── ConfigurationError       a flag, key or variable that is unknown or out of range (exit code 2)
├── MissingExtraError        a feature whose extra is not installed
├── BenchError               a benchmark or result that is not there or cannot be used (exit code 2)
├── ListenError              an address cannot be listened on (also an OSError)
├── StoreError
│   ├── StoreFullError       no room here, and none was made within the deadline
│   ├── PageLostError        every copy of a persistent page is gone, or none answered in time
│   └── StoreClosedError     the node is stopping
├── WritebackError
│   ├── WritebackFileError   the file cannot be used (also a ConfigurationError)
│   └── SlotNotInUseError    a slot is given back that is nobody's: a mistake of ours
└── PeerError                a call to a peer failed; the cause says how
    ├── PeerTimeoutError     no answer within the deadline (the call may have taken effect)
    ├── PeerUnreachableError no connection
    ├── PeerRefusedError     it answers and will not have us: cluster, version, page size, codec
    │   └── PeerMethodMissingError   it knows no such call
    ├── UnknownLeaseError    the peer does not know our lease (any more): say hello again
    └── BadMessageError      bytes of a peer that break the protocol
"""

from __future__ import annotations

import reprlib

__all__ = [
    "BadMessageError",
    "BenchError",
    "ConfigurationError",
    "ListenError",
    "MissingExtraError",
    "PageLostError",
    "PeerError",
    "PeerMethodMissingError",
    "PeerRefusedError",
    "PeerTimeoutError",
    "PeerUnreachableError",
    "RamsterError",
    "SlotNotInUseError",
    "StoreClosedError",
    "StoreError",
    "StoreFullError",
    "UnknownLeaseError",
    "WritebackError",
    "WritebackFileError",
]


_SHORT = reprlib.Repr()
_SHORT.maxstring = 200
"""Shows values in one line of bearable length."""


class RamsterError(Exception):
    """Root of every exception of this package."""


class ConfigurationError(RamsterError, ValueError):
    """A configuration value is unknown or not accepted.

    Attributes: ``key``, ``value``, ``source`` ("--pool-limit", "RAMSTER_POOL_LIMIT", "node.toml"),
    ``accepted``.
    """

    def __init__(self, key: str, value: object, source: str, accepted: str) -> None:
        super().__init__(key, value, source, accepted)
        self.key = key
        self.value = value
        self.source = source
        self.accepted = accepted

    def __str__(self) -> str:
        shown = _SHORT.repr(self.value)
        return f"{self.key} = {shown} (from {self.source}): accepted is {self.accepted}"


class MissingExtraError(RamsterError):
    """A feature needs an extra that is not installed; the text says how to install it."""


class BenchError(RamsterError):
    """A benchmark, a variant or a result does not exist or cannot be used; the text says which, and
    what is accepted."""


class ListenError(RamsterError, OSError):
    """An address cannot be listened on: in use, not ours, a file in the way. Carries an errno."""

    def __str__(self) -> str:
        return self.strerror or ""


class StoreError(RamsterError):
    """A page-store operation failed."""


class StoreFullError(StoreError):
    """No room here, and none was made within the deadline; what was stored before is untouched."""


class PageLostError(StoreError):
    """Pages of a persistent pool whose every copy is gone or did not answer in time.

    Attribute: ``indexes`` (the lost pages of the request).
    """

    def __init__(self, indexes: list[int], reason: str) -> None:
        super().__init__(indexes, reason)
        self.indexes = indexes
        self.reason = reason

    def __str__(self) -> str:
        shown = ", ".join(str(index) for index in self.indexes[:8])
        more = f" and {len(self.indexes) - 8} more" if len(self.indexes) > 8 else ""
        return f"pages {shown}{more}: {self.reason}"


class StoreClosedError(StoreError):
    """The node is stopping and takes no more operations."""


class WritebackError(RamsterError):
    """The write-back tier failed in a way that is not the disk's."""


class WritebackFileError(WritebackError, ConfigurationError):
    """The write-back file cannot be used: somebody else's, in use, no regular file, no access."""


class SlotNotInUseError(WritebackError):
    """A slot is given back, or a page freed, that is not stored (any more).

    Attribute: ``position``.
    """

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position

    def __str__(self) -> str:
        return f"position {self.position}: accepted is a slot in use, given back once"


class PeerError(RamsterError):
    """A call to a peer failed."""


class PeerTimeoutError(PeerError):
    """No answer within the deadline; the call may have taken effect."""


class PeerUnreachableError(PeerError):
    """No connection to the peer."""


class PeerRefusedError(PeerError):
    """The peer answers and refuses us; the text is its reason."""


class PeerMethodMissingError(PeerRefusedError):
    """The peer knows no such call: it is older than this node, or no node."""


class UnknownLeaseError(PeerError):
    """The peer does not know our lease (any more); whatever was stored under it is gone."""


class BadMessageError(PeerError):
    """A message of a peer breaks the protocol; the text says which field and how."""
