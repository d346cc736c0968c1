"""The log's formats, level and rate limit in force."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.event_log import EventLog, clean
from ramster.log_limits import BURST, EVERY_S
from ramster.logs import JsonLines, RateLimit, TextLines, set_up_logging
from tests.support.hand_clock import HandClock

log = EventLog("ramster.part")

HOSTILE = "b\n2026-01-01T00:00:00.000Z ERROR ramster: forged\r\x1b[31m\u2028\u202e\ud800\x00"


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
    log.info("peer_seen", "hello {pages}", pages=7, peer="b")
    log.debug("peer_seen", "not this")
    logging.getLogger("library").info("nor this")
    captured = capsys.readouterr()
    line = (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO ramster\.part: "
        r"hello 7 \[peer_seen pages=7 peer=b\]\n"
    )
    assert re.fullmatch(line, captured.err)
    assert captured.out == ""


def test_in_json_a_line_is_one_object(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info", "json", "node-a")
    log.info("peer_seen", "hello {pages}", pages=7, peer="b", reason=None)
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("time"))
    assert said == {
        "level": "info",
        "logger": "ramster.part",
        "event": "peer_seen",
        "node": "node-a",
        "message": "hello 7",
        "fields": {"pages": 7, "peer": "b", "reason": None},
    }


def test_the_level_is_the_configured_one(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("error")
    log.warning("peer_seen", "not this")
    set_up_logging("debug")
    log.debug("peer_seen", "this")
    assert capsys.readouterr().err.count("\n") == 1


def test_a_sentence_of_all_fields_stands_without_brackets(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info")
    log.info("ready", "ready {fields}", name="n", nbd=["tcp://a:1", "tcp://b:2"])
    assert capsys.readouterr().err.endswith(": ready name=n nbd=tcp://a:1 nbd=tcp://b:2\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_repeated_lines_are_held_back_and_counted(
    form: str, root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info", form)
    clock = HandClock()
    (handler,) = root_logger.handlers
    handler.filters[:] = [RateLimit(clock.now)]
    for _ in range(BURST + 5):
        log.warning("peer_seen", "again", subject="b", peer="b")
    log.warning("peer_seen", "other", subject="c", peer="c")
    clock.seconds += EVERY_S
    log.warning("peer_seen", "again", subject="b", peer="b")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == BURST + 2
    assert ("suppressed=5" if form == "text" else '"suppressed": 5') in lines[-1]
    assert not [line for line in lines[:-1] if "suppressed" in line]


def record_of(message: object, **attributes: object) -> logging.LogRecord:
    record = logging.LogRecord("x.y", logging.WARNING, "x.py", 1, message, (), None)
    record.__dict__.update(attributes)
    return record


@given(st.text(), st.text())
def test_no_message_of_a_library_and_no_value_makes_a_second_line(message: str, value: str) -> None:
    records = [record_of(message), record_of(HOSTILE)]
    records.append(record_of("said", event="e", fields={"peer": clean(value)}))
    for record in records:
        for form in (TextLines(), JsonLines("n")):
            assert form.format(record).isprintable()


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_names_and_reasons_stay_within_their_line(
    form: str, root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info", form, HOSTILE)
    log.warning("peer_seen", "{peer}: {reason}", peer=HOSTILE, reason=ValueError(HOSTILE))
    logging.getLogger("library").warning("%s", HOSTILE)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() and line.isascii() for line in lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_is_one_line_with_its_place_and_without_bytes(
    form: str, root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info", form)
    page = b"secret of a page" * 256
    try:
        raise ValueError(page, "and more")
    except ValueError as error:
        log.error("part_failed", "it failed", cause=error)
        logging.getLogger("library").error("it failed: %r", page, exc_info=error)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "secret" not in line
        assert "ValueError: (<bytes>" in line
        assert re.search(
            r"test_logs\.py:\d+ test_an_exception_is_one_line_with_its_place_and_without_bytes",
            line,
        )


def test_lines_of_libraries_are_events_too(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info", "json", "n")
    logging.getLogger("asyncio").warning("took %d s", 3)
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["logger"], said["message"]) == ("library", "asyncio", "took 3 s")
