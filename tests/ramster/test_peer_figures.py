"""What a peer says of itself is checked before it is shown."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.config import Mode
from ramster.errors import BadMessageError
from ramster.limits import NAME_CHARS_MAX
from ramster.peer_figures import encode_figures, parse_figures
from ramster.transport import FIGURES_BYTES_MAX
from tests.ramster.test_figures import CLUSTER, collected

WHOLE = collected(Mode.RAMSTER, CLUSTER)


def altered(path: str, value: Any) -> bytes:
    figures: Any = copy.deepcopy(WHOLE)
    *way, last = path.split(".")
    section = figures
    for key in way:
        section = section[int(key)] if isinstance(section, list) else section[key]
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return json.dumps(figures).encode()


@pytest.mark.parametrize("figures", [WHOLE, collected(Mode.ZCACHE, None)], ids=["whole", "lone"])
def test_what_a_node_sends_arrives_as_it_was(figures: Any) -> None:
    assert parse_figures(encode_figures(figures)) == figures


def test_figures_that_are_too_long_are_neither_sent_nor_taken() -> None:
    long = {**WHOLE, "more": "x" * FIGURES_BYTES_MAX}
    with pytest.raises(RuntimeError, match="accepted is 262144"):  # no fault of the asker
        encode_figures(long)
    with pytest.raises(BadMessageError, match="accepted is 262144"):
        parse_figures(json.dumps(long).encode())


def test_of_owners_with_the_longest_names_as_many_are_told_as_fit() -> None:
    owner = {**WHOLE["owners"][0], "owner": "\U0001f980" * NAME_CHARS_MAX}
    many = {**WHOLE, "owners": [{**owner, "pages": pages} for pages in range(256, 0, -1)]}
    told = parse_figures(encode_figures(many))
    assert 0 < len(told["owners"]) < 256
    assert told == {**many, "owners": many["owners"][: len(told["owners"])]}


def test_a_node_with_many_peers_and_owners_is_not_taken_to_tell_too_much() -> None:
    many = {**WHOLE, "owners": WHOLE["owners"] * 256, "peers": WHOLE["peers"] * 256}
    assert parse_figures(encode_figures(many)) == many


@pytest.mark.parametrize("value", [b"1", b"[]", b"[[]]", b'{"a":1}'])
def test_figures_of_too_many_values_are_refused_before_they_are_read(value: bytes) -> None:
    data = b"[" + b",".join([value] * 25_000) + b"]"
    assert len(data) < FIGURES_BYTES_MAX
    with pytest.raises(BadMessageError, match="too many values: accepted is 20000"):
        parse_figures(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "a list: accepted is an object"),
        (b"null", "null: accepted is an object"),
        (b"[" * 19_000, "no JSON"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": 1e999}', "not finite"),
        (b'{"a": 36893488147419103232}', "more than 64 bits"),
        (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "nested more than 12 deep"),
        (b"{}", "name: null, accepted is a text"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_figures_is_named(data: bytes, says: str) -> None:
    with pytest.raises(BadMessageError, match=says):
        parse_figures(data)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("name", 7, "name: a whole number, accepted is a text"),
        ("pool", [], "pool: a list, accepted is an object"),
        ("pool.used_bytes", "1", "pool.used_bytes: a text, accepted is a whole number"),
        ("pool.used_bytes", True, "pool.used_bytes: true or false"),
        ("pages.away", ..., "pages.away: null"),
        ("peers", {}, "peers: an object, accepted is a list"),
        ("peers.0.state", None, "peers.state: null"),
        ("peers", ["row"], "peers: a text"),
        ("cluster.incarnation", 1, "cluster.incarnation"),
        ("accounting.line", 1, "accounting.line"),
        ("accounting.compressed", ..., "accounting.compressed: null"),
        ("accounting.resident", {"total": "much"}, "accounting.resident.total: a text"),
        ("started", {"toString": 1}, "started: an object, accepted is a whole number or null"),
        ("address", {"toString": 1}, "address: an object"),
        *(
            (f"writeback.{counter}", value, f"writeback.{counter}: {kind}")
            for counter in ("pages_written", "bytes_written", "pages_read", "bytes_read")
            for value, kind in (({"toString": 1}, "an object"), ("x", "a text"), (..., "null"))
        ),
        ("latency", {"put": {"bounds": [], "counts": [5]}}, "latency.put: accepted is a hist"),
        ("latency", {"put": {"bounds": [1]}}, "latency.put: accepted is a hist"),
        (
            "latency",
            {
                "bounds": [1],
                "counts": [0, 0],
                "put": {"bounds": ["a"], "counts": ["x", "y"]},
            },
            "latency.put: accepted is a hist",
        ),
        (
            "latency",
            {"put": {"bounds": [1], "counts": [0, -1]}},
            "latency.put: a count of -1, accepted is 0 or more",
        ),
        (
            "latency",
            {"put": {"bounds": [1], "counts": [1, "x"]}},
            "latency.put: accepted is a hist",
        ),
        ("latency", {"nbd": {"read": {"counts": [1]}}}, "latency.nbd.read: accepted is a hist"),
        (
            "latency",
            {"put": {"bounds": [1], "counts": [1]}},
            "latency.put: 1 counts, accepted is 2",
        ),
    ],
)
def test_a_field_of_another_type_is_named(path: str, value: Any, says: str) -> None:
    with pytest.raises(BadMessageError, match=says):
        parse_figures(altered(path, value))


@pytest.mark.parametrize("section", ["cluster", "writeback", "accounting", "nbd"])
def test_sections_that_a_node_may_lack_may_be_null(section: str) -> None:
    assert parse_figures(altered(section, None))[section] is None


def test_an_older_node_without_accounting_is_shown() -> None:
    assert "accounting" not in parse_figures(altered("accounting", ...))


def test_texts_are_printable_and_short() -> None:
    assert parse_figures(altered("name", "a\x1b[2J\ud800\n" + "b" * 600))["name"] == (
        "a?[2J??" + "b" * 493
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda values: st.lists(values) | st.dictionaries(st.text(), values),
        max_leaves=20,
    ),
    st.sampled_from(["name", "pool", "pool.limit_bytes", "peers", "peers.0.reason", "owners"]),
)
def test_whatever_is_said_is_shown_as_json_or_refused(value: Any, path: str) -> None:
    try:
        found = parse_figures(altered(path, value))
    except BadMessageError:
        return
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
