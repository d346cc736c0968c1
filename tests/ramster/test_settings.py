"""Rows of the table: names, readers, descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster import settings
from ramster.addresses import Address, ExportSpec
from ramster.settings import Setting


def row(kind: settings.Kind, **values: object) -> Setting:  # type: ignore[type-arg]
    given = {"key": "pool_limit", "default": 4096, "help": "h", "group": "g", **values}
    return Setting(kind=kind, **given)  # type: ignore[arg-type]


def test_one_name_makes_the_flag_and_the_variable() -> None:
    setting = row(settings.SIZE)
    assert (setting.flag, setting.variable) == ("--pool-limit", "RAMSTER_POOL_LIMIT")
    assert setting.describe_default() == "4KiB"
    assert row(settings.SIZE, default_text="all").describe_default() == "all"


def test_a_list_is_read_item_by_item() -> None:
    setting = row(settings.ADDRESS, default=(), repeatable=True)
    assert setting.parse(["a", "b:1"]) == (Address("a", 7777), Address("b", 1))
    assert setting.parse(setting.parse(["a"])) == (Address("a", 7777),)
    assert setting.render(setting.parse(["a"])) == ["a:7777"]
    assert setting.describe_default() == "none"
    assert setting.accepted.startswith("a list, each item HOST:PORT")
    for wrong in ("a", {"a": 1}, ["a", "b:"], None):
        with pytest.raises(ValueError, match=r".*"):
            setting.parse(wrong)


def test_a_list_in_one_text_is_split_at_commas_and_an_exports_option_stays_with_it() -> None:
    exports = row(settings.EXPORT, default=(), repeatable=True)
    assert exports.split(" a=1M,replicas=2 , b=1M, replicas=8,c=2M,") == [
        *("a=1M,replicas=2", "b=1M, replicas=8", "c=2M")
    ]
    assert exports.split("a=1M,codec=zstd,replicas=2,b=1M, codec=none ,codec=1M,codec=lz4") == [
        *("a=1M,codec=zstd,replicas=2", "b=1M, codec=none", "codec=1M,codec=lz4")
    ]
    assert exports.split("a=1M,replicas=4096") == ["a=1M", "replicas=4096"]
    assert row(settings.ADDRESS, default=(), repeatable=True).split("a,b:1") == ["a", "b:1"]


def test_a_path_may_be_a_path_object() -> None:
    assert settings.OPTIONAL_PATH.parse(Path("/a/b")) == "/a/b"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (settings.MODE, "ramster", settings.Mode.RAMSTER),
        (settings.SWITCH, "on", True),
        (settings.SWITCH, "off", False),
        (settings.HTTP, "off", None),
        (settings.HTTP, "127.0.0.1:7780", Address("127.0.0.1", 7780)),
        (settings.choice("a", "b"), "b", "b"),
        (settings.count(0, 9), "7", 7),
        (settings.WAIT, "0s", 0.0),
        (settings.OPTIONAL_SIZE, "none", None),
        (settings.OPTIONAL_SIZE, "4KiB", 4096),
        (settings.OPTIONAL_PATH, "none", None),
        (settings.OPTIONAL_PATH, "./none", "./none"),
        (settings.EXPORT, "a=1MiB,replicas=2", ExportSpec("a", 2**20, 2)),
        (settings.EXPORT, "a=1MiB,codec=zstd", ExportSpec("a", 2**20, None, "zstd")),
        (settings.TARGET, "node-b", "node-b"),
    ],
)
def test_reading_undoes_writing_and_may_be_repeated(
    kind: settings.Kind,  # type: ignore[type-arg]
    text: str,
    value: object,
) -> None:
    assert kind.parse(text) == value
    assert kind.parse(value) == value
    assert kind.render(value) == text


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (settings.MODE, 1),
        (settings.SWITCH, 1),
        (settings.SWITCH, "true"),
        (settings.choice("a"), "A"),
        (settings.count(4, 16), 17),
        (settings.HTTP, False),
        (settings.OPTIONAL_PATH, ""),
        (settings.OPTIONAL_PATH, "a\0b"),
        (settings.OPTIONAL_PATH, "a\nb"),
        (settings.OPTIONAL_PATH, "a" * 4096),
        (settings.OPTIONAL_PATH, b"a"),
    ],
)
def test_everything_else_is_refused(kind: settings.Kind, wrong: object) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=r".*"):
        kind.parse(wrong)
