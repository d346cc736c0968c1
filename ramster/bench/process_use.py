"""What processes use: resident memory and processor time, from /proc.

Covers: anonymous resident memory (heap, pools; not files, not shared libraries) and user and
system time of a process. Does not cover: whose memory it is; Linux only.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["anonymous_bytes", "processor_s"]

_ANONYMOUS = re.compile(r"^RssAnon:\s+(\d+) kB$", re.MULTILINE)


def anonymous_bytes(pid: int) -> int:
    """``RssAnon`` of a process, in bytes. Raises FileNotFoundError: no such process."""
    found = _ANONYMOUS.search(Path(f"/proc/{pid}/status").read_text(errors="replace"))
    return int(found[1]) * 1024 if found else 0


def processor_s(pid: int) -> tuple[float, float]:
    """Seconds that a process has spent in user and in system mode, in steps of a clock tick.

    Raises FileNotFoundError: no such process.
    """
    # The second field is the name in brackets, which may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks
