"""Where a node's pages are and what they cost, adding up to the memory that its process takes.

Covers: the section ``accounting`` of the figures, its one line for people, reading the resident
memory of this process. Does not cover: the counting (the cache's and the cluster's snapshots), the
kernel's memory on the process's behalf (page tables, sockets), memory that was swapped out.

One chain: logical bytes of the node's own pages -> compressed -> in frames here, at peers, on disk
-> what is taken beside the frames = the resident memory of the process. The last part is a sum
that holds exactly: what is not frames, index or the process as it was when it had started is shown
as ``other``, whatever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ramster.quantities import show_size
from ramster.snapshot import ClusterSnapshot
from zcache import PAGE_SIZE, CacheStats

__all__ = ["Resident", "account", "held_bytes", "line", "resident_now"]

STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Resident:
    """Bytes of physical memory that a process has mapped, as Linux counts them."""

    anonymous: int
    """RssAnon: heaps, stacks, page frames."""
    file: int
    """RssFile: program and libraries, shared with other processes that run them."""
    shared: int
    """RssShmem."""

    @property
    def total(self) -> int:
        """VmRSS is this sum."""
        return self.anonymous + self.file + self.shared


def resident_now(status: Path = STATUS) -> Resident | None:
    """What this process takes now; None where the system does not say (no /proc of Linux)."""
    sizes = {}
    try:
        for row in status.read_bytes().splitlines():
            if row.startswith(b"Rss"):
                name, value, unit = row.split()
                if unit != b"kB":
                    return None
                sizes[name] = int(value) * 1024
        return Resident(sizes[b"RssAnon:"], sizes[b"RssFile:"], sizes[b"RssShmem:"])
    except (OSError, ValueError, KeyError):
        return None


def held_bytes(stats: CacheStats) -> int:
    """Memory of a cache by its own account: frames in use, frames kept, index."""
    frames = stats.frames_used + stats.frames_kept
    return frames * PAGE_SIZE + stats.metadata_bytes


def account(
    stats: CacheStats,
    cluster: ClusterSnapshot | None,
    resident: Resident | None,
    process_bytes: int | None,
) -> dict[str, Any]:
    """The section, JSON values only; every number is bytes unless its name says otherwise.

    ``process_bytes``: resident memory of the process when the node had started, without what the
    cache held then; None where it is not known. Sums that hold exactly:

    - ``logical.total`` = its other values;
    - ``compressed.total`` = ``own_here`` + ``away``;
    - ``frames.used`` = ``compressed.own_here`` + ``compressed.foreign`` + ``frames.fragmentation``;
    - ``resident.total`` = ``frames`` + ``frames_kept`` + ``index`` + ``process`` + ``other``
      = ``anonymous`` + ``file`` + ``shared``.

    ``compressed.at_peers`` counts every copy. It is exact where all pages away have as many
    copies; where they differ (other replica counts, some only in the file), pages away are taken
    to be of their mean length. ``compressed.on_disk`` is what slots of the file take.
    """
    away = stats.pages_away
    at_peers = 0 if cluster is None else cluster.pages_at_peers
    copies = 0 if cluster is None else cluster.copies_at_peers
    file = None if cluster is None else cluster.writeback
    own = stats.pages_local + stats.pages_same_filled + stats.pages_in_transit + away
    used = stats.frames_used * PAGE_SIZE
    section = {
        "logical": {
            "total": own * PAGE_SIZE,
            "here": stats.pages_local * PAGE_SIZE,
            "same_filled": stats.pages_same_filled * PAGE_SIZE,
            "in_transit": stats.pages_in_transit * PAGE_SIZE,
            "at_peers": at_peers * PAGE_SIZE,
            "on_disk_only": (away - at_peers) * PAGE_SIZE,
        },
        "compressed": {
            "total": stats.bytes_local + stats.bytes_away,
            "own_here": stats.bytes_local,
            "foreign": stats.bytes_foreign,
            "away": stats.bytes_away,
            "at_peers": stats.bytes_away * copies // away if away else 0,
            "on_disk": 0 if file is None else file.bytes_used,
        },
        "peer_copies": copies,
        "frames": {
            "used": used,
            "fragmentation": used - stats.bytes_local - stats.bytes_foreign,
        },
        "resident": _resident(stats, resident, process_bytes),
    }
    return {"line": line(section), **section}


def _resident(
    stats: CacheStats, resident: Resident | None, process_bytes: int | None
) -> dict[str, int] | None:
    if resident is None or process_bytes is None:
        return None
    return {
        "total": resident.total,
        "frames": stats.frames_used * PAGE_SIZE,
        "frames_kept": stats.frames_kept * PAGE_SIZE,
        "index": stats.metadata_bytes,
        "process": process_bytes,
        "other": resident.total - held_bytes(stats) - process_bytes,
        "anonymous": resident.anonymous,
        "file": resident.file,
        "shared": resident.shared,
    }


def line(section: Mapping[str, Any]) -> str:
    """The section in one line for people."""
    compressed, frames, resident = section["compressed"], section["frames"], section["resident"]
    text = (
        f"logical {show_size(section['logical']['total'])}"
        f" -> compressed {show_size(compressed['total'])}"
        f" -> frames {show_size(frames['used'])} here"
        f" + {show_size(compressed['at_peers'])} at peers"
        f" + {show_size(compressed['on_disk'])} on disk"
    )
    if resident is None:
        return f"{text}; resident memory is not known on this system"
    kept = resident["frames_kept"]
    return (
        f"{text}; overhead "
        + (f"{show_size(kept)} frames kept + " if kept else "")
        + f"{show_size(resident['index'])} index"
        f" + {show_size(resident['process'])} process"
        f" {_signed(resident['other'])} other"
        f" = resident {show_size(resident['total'])}"
    )


def _signed(size: int) -> str:
    return f"{'-' if size < 0 else '+'} {show_size(abs(size))}"
