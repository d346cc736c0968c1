"""Print results of ``ramster bench`` as the tables of docs/benchmarks.md.

    python tools/benchmarks_table.py bench-results/full.json [MORE.json ...]

A table a configuration: what was measured in rows (↑: more is better, ↓: less), the subjects in
columns, means over rounds, and in brackets the coefficient of variation where it is 10 % or more.
Figures are those that ``FIGURES`` names; the files have all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ramster.bench.model import Better, Figure
from ramster.bench.notation import show_number
from ramster.bench.results import load_result
from ramster.bench.series import Key, Series, gather

FIGURES: Mapping[str, tuple[str, ...]] = {
    "store-pages": (
        *("put_pages_s", "get_pages_s", "put_p99_us", "get_p99_us"),
        *("resident_bytes_page", "frames_over_blobs"),
    ),
    "store-mix": ("calls_s", "put_p99_us", "get_p99_us"),
    "store-lifetime": (
        *("put_pages_s", "frames_over_blobs_before", "frames_over_blobs_after", "compact_ms"),
        *("refused_share", "resident_bytes_page"),
    ),
    "store-threads": ("put_pages_s", "get_pages_s"),
    "store-limit": ("hit_ratio", "reads_s", "get_p99_us"),
    "swap-usemem": ("touched_pages_s", "refused_pages", "spilled_pages"),
    "swap-stutterp": (
        *("fault_p50_us", "fault_p99_us", "fault_max_us", "hog_pages_s"),
        *("refused_pages", "spilled_pages"),
    ),
    "cache-doublemem": ("read_mb_s", "hit_ratio"),
    "parallelio": ("ops_s_0", "ops_s_10", "ops_s_40", "ops_s_80", "out_pages_80", "refusals_80"),
    "peers-block": (
        *("rand_read_4k_qd1_p50_us", "rand_read_4k_qd1_p99_us", "rand_read_4k_qd16_iops"),
        *("rand_read_4k_qd16_p99_us", "rand_write_4k_qd1_p50_us", "rand_write_4k_qd1_p99_us"),
        *("rand_write_4k_qd16_iops", "rand_write_4k_qd16_p99_us", "seq_read_32k_qd4_mb_s"),
        *("seq_write_32k_qd4_mb_s", "seq_read_128k_qd4_mb_s", "seq_write_128k_qd4_mb_s"),
        "held_bytes_page",
    ),
}
"""By workload; of others every figure is shown."""


def tables(found: Mapping[tuple[Key, str], Series]) -> Iterator[str]:
    """Markdown, a table a configuration."""
    for configuration in dict.fromkeys(key.configuration for key, _ in found):
        mine = {
            row: series for row, series in found.items() if row[0].configuration == configuration
        }
        subjects = list(dict.fromkeys(key.subject for key, _ in mine))
        lines = [
            f"| {configuration} | | {' | '.join(subjects)} |",
            f"|---|---|{'---|' * len(subjects)}",
        ]
        shown = None
        for workload, label, name in dict.fromkeys((k.workload, k.label, n) for k, n in mine):
            if workload in FIGURES and name not in FIGURES[workload]:
                continue
            row = [mine.get((Key(configuration, workload, label, s), name)) for s in subjects]
            figure = next(series.figure for series in row if series is not None)
            arrow = "↑" if figure.better is Better.HIGHER else "↓"
            cells = " | ".join(_cell(series) for series in row)
            case = "" if label == shown else label
            shown = label
            lines.append(f"| {case} | {_words(figure)} {arrow} | {cells} |")
        yield "\n".join(lines)


def _words(figure: Figure) -> str:
    """``put, pages/s`` of ``put_pages_s``."""
    name = figure.name
    for tail in ("_mb_s", "_pages_s", "_us", "_ms", "_s", "_bytes"):
        if name.endswith(tail):
            name = name.removesuffix(tail)
            break
    words = name.replace("_s_", " beside writes of ").replace("_", " ")
    return f"{words}, {figure.unit}" if figure.unit else words


def _cell(series: Series | None) -> str:
    if series is None:
        return "-"
    spread = series.spread()
    variation = spread.variation or 0.0
    doubt = f" (±{100 * variation:.0f} %)" if variation >= 0.1 else ""
    return show_number(spread.mean) + doubt


def main() -> None:
    """Read and print."""
    if len(sys.argv) < 2:
        raise SystemExit("benchmarks_table: accepted are result files of ramster bench")
    found: dict[tuple[Key, str], Series] = {}
    for name in sys.argv[1:]:
        found |= gather(load_result(Path(name)))
    print("\n\n".join(tables(found)))


if __name__ == "__main__":
    main()
