from __future__ import annotations

import pytest

from ramster.errors import ConfigurationError
from ramster.nbd.export import Export, ExportTable


def test_pages_count_the_last_partial_one() -> None:
    assert Export("a", 4096, 0, 1).pages == 1
    assert Export("a", 4097, 0, 1).pages == 2
    assert Export("a", 1, 0, 1).pages == 1


@pytest.mark.parametrize("size", [0, -1, 2**63])
def test_a_size_that_clients_cannot_address_is_refused(size: int) -> None:
    with pytest.raises(ConfigurationError, match="size_bytes"):
        Export("a", size, 0, 1)


@pytest.mark.parametrize("name", ["a\0b", "x" * 4097, "ä" * 2049, "\ud800"])
def test_a_name_that_cannot_travel_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        Export(name, 4096, 0, 1)
    with pytest.raises(ConfigurationError, match="description"):
        Export("a", 4096, 0, 1, description=name)


@pytest.mark.parametrize("object_id", [-1, 2**192 - 1])
def test_an_object_id_that_names_no_object_is_refused(object_id: int) -> None:
    with pytest.raises(ConfigurationError, match="object_id"):
        Export("a", 4096, 0, object_id)


def test_the_first_export_answers_to_the_empty_name() -> None:
    first, second = Export("a", 4096, 0, 1), Export("b", 4096, 0, 2)
    table = ExportTable([first, second])
    assert table.find("") is first
    assert table.find("b") is second
    assert table.find("c") is None
    assert list(table) == [first, second]


def test_an_export_named_with_the_empty_name_answers_to_it() -> None:
    first, empty = Export("a", 4096, 0, 1), Export("", 4096, 0, 2)
    assert ExportTable([first, empty]).find("") is empty


def test_no_exports_a_name_twice_and_shared_pages_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        ExportTable([])
    with pytest.raises(ConfigurationError, match="no other export"):
        ExportTable([Export("a", 4096, 0, 1), Export("a", 4096, 0, 2)])
    with pytest.raises(ConfigurationError, match="'a' lives there"):
        ExportTable([Export("a", 4096, 0, 1), Export("b", 4096, 0, 1)])
