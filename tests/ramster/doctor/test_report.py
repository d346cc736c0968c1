"""Findings for people and as JSON."""

from __future__ import annotations

from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.report import as_json, render

OK = Finding(Feature.POOL, "memory", Status.OK, "enough")
MORE = Finding(Feature.POOL, "files", Status.OK, "many")
NOTE = Finding(Feature.CLOCK, "jumps", Status.NOTE, "it jumps", "hold it")
ALSO = Finding(Feature.CLOCK, "source", Status.OK, "tsc")
BAD = Finding(Feature.NBD, "nbd", Status.BAD, "taken", "another")
NEEDED = frozenset({Feature.POOL, Feature.NBD})


def test_what_is_in_order_is_one_line_a_feature() -> None:
    text = render([NOTE, OK, MORE, ALSO], NEEDED, verbose=False)
    assert text == (
        "the page pool (needed): ok (memory, files)\n"
        "clock:\n"
        "  note     jumps: it jumps\n"
        "           fix: hold it\n"
        "  ok       source\n"
        "\n"
        "Nothing is missing that this configuration needs.\n"
    )


def test_verbose_says_all() -> None:
    text = render([OK, ALSO, NOTE], NEEDED, verbose=True)
    assert "  ok       memory: enough\n" in text
    assert "  ok       source: tsc\n" in text


def test_what_is_needed_and_missing_is_named_at_the_end() -> None:
    text = render([OK, BAD], NEEDED, verbose=False)
    assert text.endswith("\nThis configuration needs what is missing here: nbd: nbd.\n")
    assert render([OK, BAD], frozenset(), verbose=False).endswith("configuration needs.\n")


def test_json_says_what_the_exit_code_says() -> None:
    found = as_json([OK, BAD, NOTE], NEEDED)
    assert (found["ok"], found["needed"]) == (False, ["nbd", "pool"])
    assert found["findings"][1] == {
        "feature": "nbd",
        "needed": True,
        "check": "nbd",
        "status": "bad",
        "found": "taken",
        "fix": "another",
    }
    assert found["findings"][0]["fix"] is None
    assert as_json([OK, NOTE], NEEDED)["ok"]
