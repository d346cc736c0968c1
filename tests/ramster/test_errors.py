"""Errors: their tree, their data, their texts."""

from __future__ import annotations

import re

from ramster import errors
from ramster.errors import (
    ConfigurationError,
    PageLostError,
    SlotNotInUseError,
    WritebackFileError,
)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    parents: list[str] = []
    for line in errors.__doc__.splitlines():
        found = re.search(r"[A-Z]\w+Error", line)
        if found is None or not re.match(r"[\s│├└─]*[A-Z]\w+Error\b", line):
            continue
        depth = (found.start() - errors.__doc__.splitlines()[2].find("RamsterError")) // 4
        del parents[depth:]
        if parents:
            kind, parent = getattr(errors, found[0]), getattr(errors, parents[-1])
            assert issubclass(kind, parent), f"{found[0]} under {parents[-1]}"
        parents.append(found[0])
    named = set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__))
    assert set(errors.__all__) <= named


def test_a_configuration_error_names_key_value_source_and_what_is_accepted() -> None:
    error = ConfigurationError("pool_limit", "1\n", "--pool-limit", "a size")
    assert str(error) == "pool_limit = '1\\n' (from --pool-limit): accepted is a size"
    assert isinstance(error, ValueError)
    assert (error.key, error.value, error.source) == ("pool_limit", "1\n", "--pool-limit")


def test_a_configuration_error_shows_a_value_as_it_was_given_and_stays_short() -> None:
    assert "nbd = ['x'] (from" in str(ConfigurationError("nbd", ["x"], "--nbd", "a URL"))
    assert len(str(ConfigurationError("nbd", ["x" * 1000] * 1000, "--nbd", "a URL"))) < 2000


def test_a_loss_names_its_pages_and_stays_short() -> None:
    assert str(PageLostError([3, 4], "gone")) == "pages 3, 4: gone"
    assert str(PageLostError(list(range(20)), "gone")).endswith("7 and 12 more: gone")


def test_a_write_back_file_that_cannot_be_used_is_a_mistake_of_the_configuration() -> None:
    error = WritebackFileError("writeback", "/tmp/x", "--writeback", "a regular file")
    assert isinstance(error, ConfigurationError)
    assert str(error) == "writeback = '/tmp/x' (from --writeback): accepted is a regular file"


def test_a_slot_that_is_not_in_use_is_named() -> None:
    error = SlotNotInUseError(77)
    assert error.position == 77
    assert "position 77" in str(error)
