"""The rows of one spill ticket by where their copies go, and what becomes of each.

Covers: cutting a ticket into parts by the number of copies its pages want, and the word of each
page from what its holders answered. No I/O, no state. Does not cover: choosing holders and sending
(``spiller.py``).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from ramster.lenders import Lender, LenderTable, Place
from zcache import PackedBlobs, PoolKind, SpillTicket, where_of

__all__ = ["Part", "cut", "select_rows", "words_of"]


@dataclass(slots=True)
class Part:
    """Rows of a ticket that go to the same holders."""

    rows: Sequence[int]
    blobs: PackedBlobs
    copies: int
    """How many their pages want."""
    lenders: tuple[Lender, ...] = ()
    disk: bool = False
    stored: Sequence[int] = ()
    """Slots in the write-back file, 0 where there is none."""
    answers: list[bytes] = field(default_factory=list)
    """Of each lender: one byte a page, non-zero where it holds it."""


def cut(ticket: SpillTicket, copies: Callable[[int], int]) -> list[Part]:
    """The ticket by the copies that the pages of each pool want; mostly that is one part."""
    wants = {pool: copies(pool) for pool in set(ticket.pools)}
    numbers = sorted(set(wants.values()))
    if len(numbers) == 1:
        return [Part(range(len(ticket.pools)), ticket.blobs, numbers[0])]
    parts = []
    for number in numbers:
        rows = [row for row, pool in enumerate(ticket.pools) if wants[pool] == number]
        parts.append(Part(rows, select_rows(ticket.blobs, rows), number))
    return parts


def words_of(
    part: Part,
    kind: PoolKind,
    table: LenderTable,
    exists: Callable[[Lender], bool],
    least: int,
) -> tuple[array[int], dict[Lender, list[int]]]:
    """The word of each page of a part, 0 for those that stay home; and of these, which rows each
    lender holds in vain.

    A page leaves with ``least`` copies or one in the file. The copy of a lender that does not
    exist any more counts for nothing, whatever it answered.
    """
    holders = [
        (lender, answer)
        for lender, answer in zip(part.lenders, part.answers, strict=True)
        if exists(lender)
    ]
    if holders and not any(part.stored) and all(0 not in answer for _, answer in holders):
        took = tuple(lender for lender, _ in holders)
        if len(took) >= least:  # the usual case: all pages are at all holders
            everywhere = table.number(Place(took, kind, part.copies))
            return array("Q", [where_of(everywhere)]) * len(part.blobs), {}
    numbers: dict[tuple[bool, ...], int] = {}
    words = array("Q", bytes(8 * len(part.blobs)))
    in_vain: dict[Lender, list[int]] = {}
    for row, position in enumerate(part.stored):
        pattern = (position != 0, *(answer[row] != 0 for _, answer in holders))
        number = numbers.get(pattern)
        if number is None:
            took = tuple(
                lender for (lender, _), yes in zip(holders, pattern[1:], strict=True) if yes
            )
            number = 0
            if position or len(took) >= max(1, least):
                number = table.number(Place(took, kind, part.copies, disk=bool(position)))
            numbers[pattern] = number
        if number:
            words[row] = where_of(number, position)
        else:
            for (lender, _), yes in zip(holders, pattern[1:], strict=True):
                if yes:
                    in_vain.setdefault(lender, []).append(row)
    return words, in_vain


def select_rows(blobs: PackedBlobs, rows: Sequence[int]) -> PackedBlobs:
    """Some rows of a batch, in the order of ``rows``."""
    starts = list(accumulate(blobs.lengths, initial=0))
    payload = memoryview(blobs.payload)
    return PackedBlobs(
        keys=array("Q", [blobs.keys[row] for row in rows]),
        generations=array("Q", [blobs.generations[row] for row in rows]),
        lengths=array("H", [blobs.lengths[row] for row in rows]),
        encodings=bytearray(blobs.encodings[row] for row in rows),
        checksums=array("Q", [blobs.checksums[row] for row in rows]),
        payload=b"".join(payload[starts[row] : starts[row + 1]] for row in rows),
    )
