"""Texts of configurations."""

from __future__ import annotations

from ramster.bench.configurations import CONFIGURATIONS
from ramster.bench.prose import Block, blocks_of

TEXT = """\
One line
and its next.

Doubtful:
- first item
  goes on
- second

End."""


def test_a_text_is_paragraphs_and_lists() -> None:
    assert blocks_of(TEXT) == [
        Block(("One line and its next.",)),
        Block(("Doubtful:",)),
        Block(("first item goes on", "second"), is_list=True),
        Block(("End.",)),
    ]


def test_no_word_of_a_configuration_is_lost() -> None:
    for one in CONFIGURATIONS.values():
        shown = " ".join(line for block in blocks_of(one.text) for line in block.lines)
        assert [word for word in one.text.split() if word != "-"] == [
            word for word in shown.split() if word != "-"
        ]
