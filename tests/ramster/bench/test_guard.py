"""Guarding a change: run two builds side by side, compare them, exit 1 where one is slower."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from ramster.bench.results import load_result
from tests.support.serving import ROOT, run_ramster

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
