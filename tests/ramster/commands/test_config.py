"""``ramster config``."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ramster.config import SETTINGS
from tests.support.serving import run_ramster


def test_it_prints_every_key_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('cluster = "lab"\n')
    done = run_ramster(
        *("config", "--config", str(file), "--peer", "b", "--peer", "c"), RAMSTER_POOL_LIMIT="1GiB"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(tomllib.loads(done.stdout)) == {row.key for row in SETTINGS}
    assert f'cluster = "lab"  # {file}\n' in done.stdout
    assert 'pool_limit = "1GiB"  # RAMSTER_POOL_LIMIT\n' in done.stdout
    assert 'peer = ["b:7777", "c:7777"]  # --peer\n' in done.stdout
    assert 'lend_limit = "512MiB"  # default: half of pool_limit\n' in done.stdout


def test_what_it_prints_is_a_file_that_says_the_same(tmp_path: Path) -> None:
    first = run_ramster("config", "--mode", "ramster", "--export", "a=1MiB", "--nbd", "tcp://a")
    file = tmp_path / "node.toml"
    file.write_text(first.stdout)
    second = run_ramster("config", RAMSTER_CONFIG=str(file))
    assert tomllib.loads(second.stdout) == tomllib.loads(first.stdout)
