"""Events: what stands in a record, and that values from outside stay within one line."""

from __future__ import annotations

import json
import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.event_log import (
    TEXT_CHARS_MAX,
    EventLog,
    clean,
    clean_text,
    show_error,
    show_fields,
    without_bytes,
)

log = EventLog("ramster.tested")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    st.lists,
    max_leaves=4,
)


@given(st.text())
def test_a_clean_text_is_one_printable_line_of_bounded_length(text: str) -> None:
    shown = clean_text(text)
    assert shown.isprintable()
    assert len(shown) <= TEXT_CHARS_MAX + 3
    if text.isprintable() and len(text) <= TEXT_CHARS_MAX:
        assert shown == text


@given(st.dictionaries(st.sampled_from(["peer", "pages", "reason"]), VALUES))
def test_fields_are_one_printable_line_and_fit_json(fields: dict[str, object]) -> None:
    shown = {key: clean(value) for key, value in fields.items()}
    assert show_fields(shown).isprintable()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


@given(st.binary(min_size=1, max_size=5000))
def test_bytes_are_never_shown_but_their_number(data: bytes) -> None:
    assert clean(data) == f"<{len(data)} bytes>"
    assert clean(memoryview(data)) == clean(bytearray(data)) == clean(data)


@given(st.binary(min_size=8, max_size=3000), st.sampled_from(["{}", "bad: {}", "{} in (1, {})"]))
def test_bytes_in_the_text_of_an_exception_are_left_out(data: bytes, form: str) -> None:
    shown = show_error(ValueError(form.replace("{}", repr(data))))
    assert repr(data)[2:-1][:8] not in shown
    assert "<bytes>" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("details = \"b'secret page'\"", 'details = "<bytes>"'),
        ("details = 'b\"secret page\"'", "details = '<bytes>'"),
        ("(b'secret', \"it's\")", '(<bytes>, "it\'s")'),
        ("details = 'b\\'secret \"page\"\\'' stay", "details = '<bytes>' stay"),
        ("details = 'b\\'secret", "details = '<bytes>"),
    ],
)
def test_bytes_within_quotes_are_left_out(text: str, shown: str) -> None:
    assert without_bytes(text) == shown


@given(st.binary(max_size=100))
def test_bytes_in_the_name_of_a_key_are_left_out(data: bytes) -> None:
    page = b"secret" + data + b"secret"
    for key in (page, str(page), repr(str(page)), (page, "x")):
        assert "secret" not in show_error(KeyError(key))


@pytest.mark.parametrize(
    "text",
    [
        *("peer b is gone", "node name 'b' offered", "it is b", "'b'x", '"b" is taken'),
        *("peer 'b' is dead", 'peer "b" gone', "'b' and 'c'", '"b", "c"'),
    ],
)
def test_words_that_are_no_bytes_stay(text: str) -> None:
    assert without_bytes(text) == text


def test_numbers_that_json_has_not_become_words() -> None:
    assert [clean(number) for number in (math.inf, -math.inf, math.nan)] == ["inf", "-inf", "nan"]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"peer": "b", "pages": 3, "took_s": 0.25}, "peer=b pages=3 took_s=0.25"),
        ({"reason": 'it said "no"'}, 'reason="it said \\"no\\""'),
        ({"reason": "x] y=z ["}, 'reason="x] y=z ["'),
        ({"peer": None, "name": "", "on": True}, 'peer=- name="" on=yes'),
        ({"nbd": ["tcp://a:1", "unix:///b"]}, "nbd=tcp://a:1 nbd=unix:///b"),
    ],
)
def test_fields_in_text(fields: dict[str, object], shown: str) -> None:
    assert show_fields(fields) == shown


def test_an_exception_names_what_it_came_from() -> None:
    error = RuntimeError("worn out")
    error.__cause__ = OSError(5, "gone")
    assert show_error(error) == "RuntimeError: worn out (from OSError)"
    assert show_error(KeyError()) == "KeyError"


def test_a_record_carries_event_fields_subject_and_the_place_of_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "ramster.tested"):
        log.info("peer_seen", "{peer} has {room:size}", subject="b\n", peer="b\x1b[2J", room=2048)
    (record,) = caplog.records
    assert record.getMessage() == "b\\x1b[2J has 2.0 KiB"
    assert (record.event, record.subject) == ("peer_seen", "b\\n")  # type: ignore[attr-defined]
    assert record.fields == {"peer": "b\\x1b[2J", "room": 2048}  # type: ignore[attr-defined]
    assert record.filename == "test_event_log.py"


def test_what_is_unknown_shows_as_a_question_mark(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("peer_seen", "{peer}: {took_s:.1f} s, {names}", peer=None, took_s=None, names=[])
    assert caplog.messages == ["?: ? s, none"]


def test_a_text_where_a_number_should_be_breaks_no_line(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("peer_seen", "{took_s:.1f} s, {room:size}", took_s=math.inf, room="a lot")
    assert caplog.messages == ["inf s, a lot"]


def test_braces_and_percents_of_values_mean_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("peer_seen", "{peer}", peer="%s {peer.__class__} {0}")
    assert caplog.messages == ["%s {peer.__class__} {0}"]


def test_a_cause_goes_with_an_error(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("x")
    log.error("part_failed", "it failed", cause=error)
    log.critical("part_died", "it died", cause=error)
    assert [record.levelname for record in caplog.records] == ["ERROR", "CRITICAL"]
    for record in caplog.records:
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        assert record.fields == {"error": "ValueError: x"}  # type: ignore[attr-defined]


def test_what_is_below_the_level_is_not_even_cleaned() -> None:
    class Unreadable:
        def __str__(self) -> str:
            raise AssertionError

    logging.getLogger("ramster.tested").setLevel(logging.INFO)
    try:
        log.debug("peer_seen", "{peer}", peer=Unreadable())
    finally:
        logging.getLogger("ramster.tested").setLevel(logging.NOTSET)
