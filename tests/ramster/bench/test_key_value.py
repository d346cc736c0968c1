"""Pages by key in the stores of this project that need no other process."""

from __future__ import annotations

import os

import pytest

from ramster.bench.key_value import CachePages, Dictionary, KeyValue

PAGES = [os.urandom(4096) for _ in range(16)]


@pytest.mark.parametrize("store", [Dictionary(), CachePages(2**20)], ids=["dictionary", "cache"])
def test_pages_come_back_and_others_are_absent(store: KeyValue) -> None:
    store.set(3, PAGES[3])
    assert store.get(3) == PAGES[3]
    assert store.get(4) is None
    store.set_many(4, PAGES[4:8])
    assert list(store.get_many(2, 7)) == [None, *PAGES[3:8], None]
    assert store.held() == 0


def test_a_dictionary_holds_pages_of_its_own() -> None:
    store = Dictionary()
    page = bytes(bytearray(PAGES[0]))
    store.set(0, page)
    assert store.get(0) == page
    assert store.get(0) is not page
