"""Reading what Linux shows of a machine in /proc, /sys and /dev; nothing is ever written.

Covers: small text files, names in folders, control groups of both versions. What cannot be read is
None or empty, whatever the reason. Does not cover: what values mean (the checks).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

__all__ = ["ControlGroup", "Machine"]

_PIECE_BYTES = 65536
_PIECES_MAX = 128
"""8 MiB together: enough for a distribution's modules.dep, the largest that is looked at."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The files below ``root``; a test hands in a folder of its own."""

    root: Path = Path("/")

    def text(self, path: str) -> str | None:
        """A file's text, stripped."""
        try:
            with (self.root / path.lstrip("/")).open("rb") as stream:
                # In pieces: of /proc/sys nobody may read megabytes at once (ENOMEM).
                pieces = iter(partial(stream.read, _PIECE_BYTES), b"")
                data = b"".join(islice(pieces, _PIECES_MAX))
                return data.decode(errors="replace").strip()
        except (OSError, ValueError):
            return None

    def number(self, path: str) -> int | None:
        """A file that holds one whole number."""
        text = self.text(path)
        if text is None or not re.fullmatch(r"-?\d{1,30}", text):
            return None
        return int(text)

    def field(self, path: str, key: str) -> str | None:
        """The value of a line ``key: value`` or ``key value``."""
        for line in (self.text(path) or "").splitlines():
            name, *values = line.replace(":", " ", 1).split()[:20] or [""]
            if name == key and values:
                return " ".join(values)
        return None

    def kib(self, path: str, key: str) -> int | None:
        """The bytes of a line ``key: N kB``."""
        value = (self.field(path, key) or "").split()
        return int(value[0]) * 1024 if value and value[0].isdigit() else None

    def exists(self, path: str) -> bool:
        """Whether something has this name."""
        return os.path.lexists(self.root / path.lstrip("/"))

    def names(self, folder: str) -> list[str]:
        """Names in a folder, in order."""
        try:
            return sorted(os.listdir(self.root / folder.lstrip("/")))
        except OSError:
            return []

    def control_group(self, controller: str, pid: str = "self") -> ControlGroup | None:
        """The group of a process for ``controller`` ("memory", "cpu"); None where there is none."""
        version2: str | None = None
        for line in (self.text(f"proc/{pid}/cgroup") or "").splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controller in controllers.split(","):
                return ControlGroup(self, 1, f"sys/fs/cgroup/{controllers}", path)
            if not controllers:
                version2 = path
        if version2 is None:
            return None
        return ControlGroup(self, 2, "sys/fs/cgroup", version2)


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A group, and what its files and those of the groups above it say."""

    machine: Machine
    version: int
    mount: str
    path: str

    def values(self, name: str) -> list[str]:
        """A file's text here and in every group above, nearest first; in a container its own root
        is the last that can be seen."""
        parts = [part for part in self.path.split("/") if part not in ("", "..")]
        places = ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]
        found = (self.machine.text(f"{self.mount}/{place}/{name}") for place in places)
        return [text for text in found if text is not None]

    def least(self, name: str) -> int | None:
        """The smallest number that a file holds here or above; None without any ("max", -1)."""
        numbers = [int(text) for text in self.values(name) if text.isdigit()]
        # Version 1 shows "no limit" as the largest multiple of a page.
        limits = [number for number in numbers if number < 2**62]
        return min(limits) if limits else None

    def memory_max(self) -> int | None:
        """Bytes that the group may take; None without a limit."""
        return self.least("memory.max" if self.version == 2 else "memory.limit_in_bytes")
