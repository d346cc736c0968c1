"""An estimate for people and as JSON; the same figures in both."""

from __future__ import annotations

import json
import random

from ramster.estimate.prediction import count_zeros, measure, predict
from ramster.estimate.report import Estimate, as_json, render
from ramster.estimate.sampling import Sample
from zcache import PAGE_SIZE


def estimate(facts: dict[str, int], *, complete: bool = True) -> Estimate:
    pages = bytearray(25 * PAGE_SIZE) + random.Random(1).randbytes(50 * PAGE_SIZE)
    pages += b"text of a page, " * (25 * 256)
    pages[-PAGE_SIZE:] = bytes(range(256)) * 16
    sample = Sample("process 7 (x)", 1000, pages, vanished=2, complete=complete, facts=facts)
    measured = [measure(pages, codec) for codec in ("lz4", "none")]
    predicted = [predict(one, 1000, random.Random(1)) for one in measured]
    return Estimate(sample, 42, count_zeros(pages), "native", measured, predicted)


PROCESS = {"swapped_pages": 256, "anonymous_bytes_by_kernel": 1000 * PAGE_SIZE}
FILES = {
    "files": 3,
    "bytes": 4096000,
    "hole_bytes": 8192,
    "unreadable": 1,
    "symbolic_links": 0,
    "other_file_systems": 2,
    "special_files": 0,
    "pages_not_read_in_time": 5,
}


def test_text_says_source_sample_and_shares() -> None:
    text = render(estimate(PROCESS))
    assert text.startswith("process 7 (x): 3.9 MiB in 1000 pages\n")
    assert "1.0 MiB more are swapped out, and not in these figures" in text
    assert "sample: 100 pages (10.0%), seed 42; 2 more were gone when they were read" in text
    assert "25.0% zeros" in text
    lines = text.splitlines()
    same = next(line for line in lines if line.startswith("  same-filled"))
    assert same.split()[1:3] == ["25.0%", "25.0%"]
    poor = next(line for line in lines if line.startswith("  incompressible"))
    assert poor.split()[1:3] == ["50.0%", "75.0%"]
    assert "measured here and now, backend native" in text
    assert "    3585 - 4096   50.0%  " + "#" * 40 in lines


def test_text_of_files_says_what_was_passed_over() -> None:
    text = render(estimate(FILES, complete=False))
    assert "  3 files of 3.9 MiB\n" in text
    assert "  1 could not be read\n" in text
    assert "  2 entries of other file systems not entered\n" in text
    assert "  8.0 KiB of holes, not in these figures\n" in text
    assert "symbolic links" not in text
    assert "  5 chosen pages not read" in text
    assert "the time was up" in text


def test_json_holds_the_same() -> None:
    found = json.loads(json.dumps(as_json(estimate(PROCESS))))
    assert (found["pages"], found["logical_bytes"]) == (1000, 1000 * PAGE_SIZE)
    shares = found["sample"]
    assert (shares["zero_share"], shares["same_filled_share"]) == (0.25, 0.25)
    lz4, none = found["codecs"]["lz4"], found["codecs"]["none"]
    assert (lz4["incompressible_share"], none["incompressible_share"]) == (0.5, 0.75)
    assert none["ratio"] == 1.0
    assert sum(lz4["compressed_size_histogram"]) == 75
    assert lz4["compressed_size_deciles"][:2] == [0, 0]
    assert lz4["compressed_size_deciles"][-1] == PAGE_SIZE
    assert lz4["pool_bytes"]["low_95"] <= lz4["pool_bytes"]["value"]
    assert lz4["suggested_pool_limit_bytes"] % 2**20 == 0
