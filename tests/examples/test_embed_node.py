"""The example of an embedded node runs as it stands."""

from __future__ import annotations

import subprocess
import sys

from tests.support.serving import ROOT, clean_environment


def test_it_runs_and_finds_every_page() -> None:
    done = subprocess.run(
        [sys.executable, "examples/embed_node.py"],
        cwd=ROOT,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    stored, read = done.stdout.splitlines()
    assert stored.startswith("4096 pages: ")
    assert not stored.endswith(" 0 at the lender")
    assert read.endswith(" read from the lender, 0 wrong")
