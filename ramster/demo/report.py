"""What the demo found: as JSON, and as a table for people.

Covers: the value, what makes it a failure, layout. Does not cover: the passes (``workload.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ramster.demo.workload import Phase
from ramster.figures import Figures
from ramster.quantities import show_size
from ramster.stat_report import table
from zcache import PAGE_SIZE

__all__ = ["DemoReport"]


@dataclass(slots=True, kw_only=True)
class DemoReport:
    """One run."""

    data_bytes: int
    files: int
    before: Figures
    """Of the node that was written to, before the first byte."""
    written: Figures
    """Of the same node, after the last byte was written."""
    after: Figures
    """Of the same node, at the end."""
    lenders: dict[str, Figures] = field(default_factory=dict)
    """Of the other nodes at the end, where they can be asked."""
    phases: list[Phase] = field(default_factory=list)
    unwritten_pages: int = 0
    """Pages of refused writes, which reads did not compare."""

    @property
    def wrong_pages(self) -> int:
        """Pages, of those written, of which a byte differed in any pass."""
        return len(set().union(*(phase.wrong_pages for phase in self.phases)))

    @property
    def failures(self) -> list[str]:
        """Requests that were refused, a line each."""
        return [line for phase in self.phases for line in phase.failures]

    @property
    def succeeded(self) -> bool:
        """Every byte came back, and no request was refused."""
        return self.wrong_pages == 0 and not self.failures

    @property
    def places(self) -> dict[str, int]:
        """Pages by the node that held them when all was written; the one written to first."""
        pages = self.written["pages"]
        own = pages["local"] + pages["same_filled"] + pages["in_transit"]
        at_peers = {
            peer["node"] or peer["address"]: peer["pages_away"]
            for peer in self.written["peers"]
            if peer["state"] != "self"
        }
        return {self.written["name"]: own, **at_peers}

    @property
    def ratio(self) -> float | None:
        """Bytes of pages over their compressed bytes, at lenders too if they can be asked."""
        pages, sizes = self.after["pages"], self.after["bytes"]
        stored = pages["local"] + pages["in_transit"]
        compressed = sizes["compressed_here"]
        if self.lenders:
            stored += pages["away"]
            compressed += sum(figures["bytes"]["foreign"] for figures in self.lenders.values())
        return stored * PAGE_SIZE / compressed if compressed else None

    @property
    def hits(self) -> tuple[int, int]:
        """Pages that reads found here, and at peers, since all was written."""
        if self.after["cluster"] is None:
            key = "get_hits"
            return self.after["cache"][key] - self.written["cache"][key], 0
        now, then = self.after["cluster"], self.written["cluster"]
        return now["local_hits"] - then["local_hits"], now["remote_hits"] - then["remote_hits"]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        local, remote = self.hits
        return {
            "succeeded": self.succeeded,
            "wrong_pages": self.wrong_pages,
            "unwritten_pages": self.unwritten_pages,
            "failed_requests": len(self.failures),
            "failures": self.failures[:20],
            "mode": self.after["mode"],
            "backend": self.after["backend"],
            "data_bytes": self.data_bytes,
            "files": self.files,
            "pool_limit_bytes": self.after["pool"]["limit_bytes"],
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "pages": self.places,
            "local_hits": local,
            "remote_hits": remote,
            "phases": [
                {
                    "name": phase.name,
                    "bytes": phase.bytes_done,
                    "seconds": round(phase.seconds, 3),
                    "bytes_per_second": round(phase.bytes_per_s),
                    "requests": len(phase.latencies_s),
                    "p50_ms": round(phase.latency_ms(0.50), 3),
                    "p99_ms": round(phase.latency_ms(0.99), 3),
                }
                for phase in self.phases
            ],
        }

    def render(self) -> str:
        """The table."""
        ratio = "" if self.ratio is None else f", compressed {self.ratio:.2f} : 1"
        limit = show_size(self.after["pool"]["limit_bytes"])
        total = max(1, sum(self.places.values()))
        rows = [
            [
                f"node {name}",
                "here" if name == self.written["name"] else "at a peer",
                pages,
                f"{100 * pages / total:.0f} %",
            ]
            for name, pages in self.places.items()
        ]
        passes = [
            [
                phase.name,
                show_size(phase.bytes_done),
                f"{phase.bytes_per_s / 1e6:.1f} MB/s",
                f"{phase.bytes_per_s / PAGE_SIZE:.0f}",
                f"{phase.latency_ms(0.50):.1f} ms",
                f"{phase.latency_ms(0.99):.1f} ms",
            ]
            for phase in self.phases
        ]
        local, remote = self.hits
        verdict = f"  wrong pages: {self.wrong_pages}\n  failed requests: {len(self.failures)}"
        if self.unwritten_pages:
            verdict += f"\n  pages of refused writes, not compared: {self.unwritten_pages}"
        details = "".join(f"\n    {line}" for line in self.failures[:5])
        return "\n\n".join(
            [
                f"  data: {show_size(self.data_bytes)} from {self.files} files{ratio}; "
                f"node {self.after['name']} has room for {limit}",
                table(["pages after writing", "", "pages", "share"], rows, left=2),
                table(["pass", "data", "speed", "pages/s", "p50", "p99"], passes),
                f"  local hits: {local}\n  remote hits: {remote}\n{verdict}{details}",
            ]
        )
