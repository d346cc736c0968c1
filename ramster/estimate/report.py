"""An estimate as text for people and as JSON.

Covers: wording, rounding, the histogram. Does not cover: figures (``prediction.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ramster.estimate.prediction import CodecMeasure, Interval, Prediction
from ramster.estimate.sampling import Sample
from ramster.quantities import format_size, show_size
from zcache import PAGE_SIZE

__all__ = ["Estimate", "as_json", "render"]

_BINS = 8
_BAR = 40
"""Columns of the histogram's longest bar."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Everything that one run found."""

    sample: Sample
    seed: int
    zeros: int
    """Pages of zeros in the sample."""
    backend: str
    measured: Sequence[CodecMeasure]
    predicted: Sequence[Prediction]

    @property
    def logical_bytes(self) -> int:
        """Of all pages that the estimate is about."""
        return self.sample.pages_total * PAGE_SIZE


def as_json(estimate: Estimate) -> dict[str, Any]:
    """JSON values; bytes unless a name says otherwise, shares between 0 and 1."""
    sample = estimate.sample
    return {
        "source": sample.source,
        "pages": sample.pages_total,
        "logical_bytes": estimate.logical_bytes,
        "complete": sample.complete,
        "facts": sample.facts,
        "sample": {
            "pages": len(sample),
            "vanished": sample.vanished,
            "seed": estimate.seed,
            "zero_share": _share(estimate.zeros, len(sample)),
            "same_filled_share": _share(estimate.measured[0].same_filled, len(sample)),
        },
        "backend": estimate.backend,
        "codecs": {
            measured.codec: _codec(measured, predicted)
            for measured, predicted in zip(estimate.measured, estimate.predicted, strict=True)
        },
    }


def _codec(measured: CodecMeasure, predicted: Prediction) -> dict[str, Any]:
    return {
        "ratio": None if measured.ratio is None else round(measured.ratio, 3),
        "incompressible_share": _share(measured.incompressible, measured.pages),
        "compressed_size_deciles": _deciles(measured),
        "compressed_size_histogram": _histogram(measured),
        "pool_bytes": _interval(predicted.pool),
        "compressed_bytes": _interval(predicted.compressed),
        "metadata_bytes": round(predicted.metadata_bytes),
        "saved_bytes": round(predicted.saved_bytes),
        "spill_bytes": round(predicted.spill_bytes),
        "suggested_pool_limit_bytes": predicted.pool_limit,
        "measured_here": {
            "put_us_median": round(measured.put_us, 2),
            "get_us_median": round(measured.get_us, 2),
        },
    }


def _interval(interval: Interval) -> dict[str, int]:
    return {
        "value": round(interval.value),
        "low_95": round(interval.low),
        "high_95": round(interval.high),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _deciles(measured: CodecMeasure) -> list[int]:
    """Bytes that 10, 20, ... 90 per cent of the pages need at most; 0: same-filled."""
    lengths = measured.all_lengths()
    return [lengths[(len(lengths) - 1) * tenth // 10] for tenth in range(1, 10)]


def _histogram(measured: CodecMeasure) -> list[int]:
    """Pages by bytes of their blobs, in steps of 512 (1..512, 513..1024, ...); same-filled pages
    left out."""
    bins = [0] * _BINS
    for length in measured.lengths:
        bins[(length - 1) * _BINS // PAGE_SIZE] += 1
    return bins


def render(estimate: Estimate) -> str:
    """Text for a terminal."""
    sample = estimate.sample
    pages = len(sample)
    lines = [
        f"{sample.source}: {show_size(estimate.logical_bytes)} in {sample.pages_total} pages",
        *_notes(sample),
        f"sample: {pages} pages ({pages / sample.pages_total:.1%}), seed {estimate.seed}; "
        f"{sample.vanished} more were gone when they were read",
        "",
        *_table(estimate),
    ]
    for measured in estimate.measured:
        lines += ["", *_distribution(measured)]
    return "\n".join(lines) + "\n"


def _notes(sample: Sample) -> list[str]:
    """What was counted beside the pages."""
    facts = sample.facts
    lines = []
    if "swapped_pages" in facts:
        swapped = facts["swapped_pages"]
        lines.append(
            "  private anonymous memory in RAM; "
            + (f"{show_size(swapped * PAGE_SIZE)} more are swapped out, " if swapped else "")
            + ("and not in these figures" if swapped else "none is swapped out")
        )
        lines.append("  which pages are idle is not looked at: that would change the process' bits")
    else:
        lines.append(f"  {facts['files']} files of {show_size(facts['bytes'])}")
        named = {
            "unreadable": "could not be read",
            "symbolic_links": "symbolic links not followed",
            "other_file_systems": "entries of other file systems not entered",
            "special_files": "special files passed over",
            "pages_not_read_in_time": "chosen pages not read, as the time was up (--time)",
        }
        lines += [f"  {facts[key]} {text}" for key, text in named.items() if facts[key]]
        if facts["hole_bytes"]:
            lines.append(f"  {show_size(facts['hole_bytes'])} of holes, not in these figures")
    if not sample.complete:
        lines.append("  the time was up before all was found (--time): the rest is in no figure")
    return lines


def _table(estimate: Estimate) -> list[str]:
    pages = len(estimate.sample)
    rows: list[tuple[str, list[str], str]] = [
        ("", [measured.codec for measured in estimate.measured], ""),
        (
            "same-filled",
            [f"{measured.same_filled / pages:.1%}" for measured in estimate.measured],
            f"of the pages, take no frame ({estimate.zeros / pages:.1%} zeros)",
        ),
        (
            "ratio",
            [f"{m.ratio:.2f}" if m.ratio else "-" for m in estimate.measured],
            "bytes of the other pages over compressed bytes",
        ),
        (
            "incompressible",
            [f"{measured.incompressible / pages:.1%}" for measured in estimate.measured],
            "of the pages, stored as they are",
        ),
        ("pool", [show_size(p.pool.value) for p in estimate.predicted], "in frames"),
        (
            "  from",
            [show_size(p.pool.low) for p in estimate.predicted],
            "as 95 of 100 samples say",
        ),
        ("  to", [show_size(p.pool.high) for p in estimate.predicted], ""),
        ("index", [show_size(p.metadata_bytes) for p in estimate.predicted], "beside it, about"),
        (
            "saves",
            [show_size(p.saved_bytes) if p.saved_bytes > 0 else "0" for p in estimate.predicted],
            f"of {show_size(estimate.logical_bytes)}",
        ),
        (
            "a spill of all",
            [show_size(p.spill_bytes) for p in estimate.predicted],
            "over the network, for one copy",
        ),
        (
            "--pool-limit",
            [format_size(p.pool_limit) for p in estimate.predicted],
            "keeps all of it here, under the default high watermark",
        ),
        (
            "put, get",
            [f"{m.put_us:.1f}, {m.get_us:.1f}" for m in estimate.measured],
            f"µs a page, median; measured here and now, backend {estimate.backend}",
        ),
    ]
    width = max(len(cell) for _, cells, _ in rows for cell in cells)
    return [
        f"  {name:14}  {'  '.join(f'{cell:>{width}}' for cell in cells)}  {text}".rstrip()
        for name, cells, text in rows
    ]


def _distribution(measured: CodecMeasure) -> list[str]:
    deciles = "  ".join(str(size) for size in _deciles(measured))
    lines = [
        f"  compressed bytes a page, {measured.codec} (deciles: {deciles})",
        _bar("same-filled", measured.same_filled, measured),
    ]
    for number, count in enumerate(_histogram(measured)):
        low, high = number * PAGE_SIZE // _BINS + 1, (number + 1) * PAGE_SIZE // _BINS
        lines.append(_bar(f"{low:4} - {high:4}", count, measured))
    return lines


def _bar(name: str, count: int, measured: CodecMeasure) -> str:
    longest = max(measured.same_filled, *_histogram(measured), 1)
    bar = "#" * round(_BAR * count / longest)
    return f"    {name:11}  {count / measured.pages:6.1%}  {bar}".rstrip()
