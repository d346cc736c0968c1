"""What is exported: a named range of bytes that lives as one object of a page pool.

Covers: the value, its checks, and finding an export by the name a client gives. Read next:
``device.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ramster.errors import ConfigurationError
from ramster.nbd.protocol import NAME_BYTES_MAX
from zcache import OBJECT_ID_INVALID, PAGE_SIZE

__all__ = ["Export", "ExportTable"]

SIZE_BYTES_MAX = 2**63 - 1
"""Clients hold offsets in signed 64-bit numbers."""


@dataclass(frozen=True, slots=True)
class Export:
    """A block device: ``size_bytes`` bytes in pages 0, 1, ... of an object. Raises
    ConfigurationError.

    The pool should be persistent and not exclusive: in an ephemeral one a written page may turn to
    zeros.
    """

    name: str
    size_bytes: int
    pool_id: int
    object_id: int
    description: str = ""
    read_only: bool = False

    def __post_init__(self) -> None:
        source = f"export {self.name!r}"
        accepted = f"at most {NAME_BYTES_MAX} bytes of UTF-8 without NUL"
        for key in ("name", "description"):
            text: str = getattr(self, key)
            if "\0" in text or len(text.encode(errors="surrogatepass")) > NAME_BYTES_MAX:
                raise ConfigurationError(key, text, source, accepted)
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ConfigurationError(key, text, source, accepted) from error
        if not 1 <= self.size_bytes <= SIZE_BYTES_MAX:
            raise ConfigurationError("size_bytes", self.size_bytes, source, "1 to 2**63 - 1 bytes")
        if not 0 <= self.object_id < OBJECT_ID_INVALID:
            raise ConfigurationError("object_id", self.object_id, source, "0 to 2**192 - 2")

    @property
    def pages(self) -> int:
        """How many pages hold it; the last may be used in part."""
        return -(-self.size_bytes // PAGE_SIZE)


class ExportTable:
    """Exports by name, in the order given; the first is what the empty name means.

    Raises ConfigurationError for none at all, a name given twice, or pages shared by two exports.
    """

    def __init__(self, exports: Sequence[Export]) -> None:
        if not exports:
            raise ConfigurationError("exports", [], "NBD server", "at least one export")
        self._by_name: dict[str, Export] = {}
        places: dict[tuple[int, int], Export] = {}
        for export in exports:
            if export.name in self._by_name:
                raise ConfigurationError(
                    "name", export.name, "NBD server", "a name that no other export has"
                )
            place = (export.pool_id, export.object_id)
            if place in places:
                raise ConfigurationError(
                    "object_id",
                    export.object_id,
                    f"export {export.name!r}",
                    f"an object of its own; {places[place].name!r} lives there",
                )
            self._by_name[export.name] = places[place] = export
        self._default = exports[0]

    def __iter__(self) -> Iterator[Export]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Export | None:
        """The export of this name; for the empty name the default, unless one is named so."""
        found = self._by_name.get(name)
        if found is None and not name:
            return self._default
        return found
