"""The texts of configurations: paragraphs and lists.

Covers: taking a text apart. Does not cover: how it is shown.

A blank line ends a block; a line that begins with "- " begins an item, and indented lines go on
with it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Block", "blocks_of"]


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or a list of items."""

    lines: tuple[str, ...]
    """One for a paragraph; an item each for a list."""
    is_list: bool = False


def blocks_of(text: str) -> list[Block]:
    """The blocks in order, each line of them without breaks."""
    found: list[Block] = []
    for part in text.strip().split("\n\n"):
        paragraph: list[str] = []
        items: list[list[str]] = []
        for line in part.splitlines():
            if line.startswith("- "):
                items.append([line[2:].strip()])
            elif items:
                items[-1].append(line.strip())
            else:
                paragraph.append(line.strip())
        if paragraph:
            found.append(Block((" ".join(paragraph),)))
        if items:
            found.append(Block(tuple(" ".join(item) for item in items), is_list=True))
    return found
