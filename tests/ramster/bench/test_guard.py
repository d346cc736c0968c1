"""Guarding a change: run two builds side by side, compare them, exit 1 where one is slower."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ramster.bench.compare import Verdict, compare_results
from ramster.bench.results import load_result
from tests.support.serving import ROOT, run_ramster

RECORDED = Path(__file__).parent / "recorded"

SLOWER = """

class _Slower(Cache):
    def put_many(self, *arguments, **named):
        super().put_many(*arguments, **named)
        super().put_many(*arguments, **named)
        return super().put_many(*arguments, **named)

    def get_many(self, *arguments, **named):
        super().get_many(*arguments, **named)
        super().get_many(*arguments, **named)
        return super().get_many(*arguments, **named)


Cache = _Slower
"""
"""Does three times the work for a third of the speed: more than any machine's noise."""


@pytest.mark.parametrize(
    "names", [("one", "two"), ("two", "one"), ("one", "later"), ("later", "one"), ("later", "two")]
)
def test_the_same_code_is_not_found_slower_on_a_busy_machine(names: tuple[str, str]) -> None:
    """Recorded on two processors with six to eight processes that wanted them: quick in two
    variants that were the same, and once more some minutes later. Most figures vary by a third
    and more between rounds, some by their own size."""
    results = [load_result(RECORDED / f"{name}.json") for name in names]
    found = compare_results(results, 5)
    assert len(found.rows) > 50
    variations = [row.cells[0].spread.variation or 0 for row in found.rows if row.cells[0].spread]
    assert sorted(variations)[len(variations) // 2] > 0.15
    assert found.worse == 0


def test_half_the_speed_is_found_even_there_side_by_side() -> None:
    base, new = (load_result(RECORDED / f"{name}.json") for name in ("one", "two"))
    for row in new.measurements:
        if row.case.startswith("store-pages zcache"):
            for figure in ("get_p50_us", "put_p50_us"):
                row.samples[figure][:] = [2 * value for value in row.samples[figure]]  # type: ignore[index]
    found = compare_results([base, new], 5)
    worse = {row.figure.name for row in found.rows if row.cells[1].verdict is Verdict.WORSE}
    assert worse >= {"get_p50_us", "put_p50_us"}


def slowed_tree(folder: Path) -> Path:
    """A copy of the sources with a slower cache."""
    for package in ("zcache", "ramster"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    module = folder / "zcache" / "backend.py"
    module.write_text(module.read_text() + SLOWER)
    return folder


def test_a_slower_build_is_found_beside_this_one(tmp_path: Path) -> None:
    slow = slowed_tree(tmp_path / "tree")
    backend = "ZCACHE_BACKEND=python"
    done = run_ramster(
        *("bench", "run", "store-threads", "--subjects", "zcache", "--out", str(tmp_path)),
        *("--rounds", "5", "--scale", "0.1"),
        *("--variant", f"this,{backend},PYTHONPATH={ROOT}"),
        *("--variant", f"slow,{backend},PYTHONPATH={os.fspath(slow)}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_result(tmp_path / "slow.json").failures == []
    compared = run_ramster("bench", "compare", "this", "slow", "--json", "--out", str(tmp_path))
    assert compared.returncode == 1, compared.stdout + compared.stderr
    rows = json.loads(compared.stdout)["rows"]
    worse = {row["figure"]["name"] for row in rows if row["cells"][1]["verdict"] == "worse"}
    assert {"put_pages_s", "get_pages_s"} <= worse
    back = run_ramster("bench", "compare", "slow", "this", "--out", str(tmp_path))
    assert back.returncode == 0, back.stdout
