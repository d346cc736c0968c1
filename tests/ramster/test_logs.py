"""The log's format and level."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from ramster.logs import set_up_logging


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("ramster").setLevel(logging.NOTSET)
    logging.captureWarnings(False)


def test_lines_go_to_standard_error_with_time_level_and_name(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info")
    logging.getLogger("ramster.part").info("hello %d", 7)
    logging.getLogger("ramster.part").debug("not this")
    logging.getLogger("library").info("nor this")
    captured = capsys.readouterr()
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO ramster\.part: hello 7\n"
    assert re.fullmatch(line, captured.err)
    assert captured.out == ""


def test_the_level_is_the_configured_one(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("error")
    logging.getLogger("ramster.part").warning("not this")
    set_up_logging("debug")
    logging.getLogger("ramster.part").debug("this")
    assert capsys.readouterr().err.count("\n") == 1
