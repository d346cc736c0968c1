"""The table as flags."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from ramster.config import SETTINGS
from ramster.config_flags import add_config_flags, config_from


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_config_flags(made)
    return made


def test_every_setting_has_its_flag_with_help_and_default(parser: argparse.ArgumentParser) -> None:
    actions = {name: action for action in parser._actions for name in action.option_strings}
    for row in SETTINGS:
        text = actions[row.flag].help
        assert text is not None
        assert row.help in text
        assert f"(default: {row.describe_default()})" in text
    groups = [group.title for group in parser._action_groups]
    assert [title for title in groups if title in {row.group for row in SETTINGS}] == list(
        dict.fromkeys(row.group for row in SETTINGS)
    )


def test_lists_are_repeated_flags_and_values_stay_texts(
    parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "node.toml"
    file.write_text('cluster = "f"\nname = "f"\n')
    monkeypatch.setattr("os.environ", {"RAMSTER_CLUSTER": "e"})
    words = ["--config", str(file), "--peer", "a", "--peer", "b:1", "--pool-limit", "1GiB"]
    loaded = config_from(parser.parse_args(words))
    assert [str(peer) for peer in loaded.config.peer] == ["a:7777", "b:1"]
    assert loaded.config.pool_limit == 2**30
    assert (loaded.config.cluster, loaded.config.name) == ("e", "f")
