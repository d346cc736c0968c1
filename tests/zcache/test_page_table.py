from zcache.page_table import (
    AWAY,
    FOREIGN,
    LOCAL,
    PERSISTENT,
    REFERENCED,
    TRANSIT,
    PageTable,
    queue_of,
)


def test_entries_are_reused_last_freed_first() -> None:
    table = PageTable()
    first, second = table.take(), table.take()
    assert (first, second) == (5, 6)
    table.give_back(first)
    table.give_back(second)
    assert [table.take(), table.take(), table.take()] == [6, 5, 7]


def test_columns_grow_together_and_shrink_when_nothing_is_left() -> None:
    table = PageTable()
    taken = [table.take() for _ in range(10_000)]
    assert sorted(taken) == list(range(5, 10_005))
    assert len({len(column) for column in table.columns()}) == 1
    table.counts[LOCAL] = 1
    table.shrink_if_empty()
    assert len(table.flags) > 10_000
    table.counts[LOCAL] = 0
    table.shrink_if_empty()
    assert {len(column) for column in table.columns()} == {5}
    assert table.take() == 5


def test_each_kind_of_page_has_its_own_queue() -> None:
    kinds = [0, FOREIGN, PERSISTENT, FOREIGN | PERSISTENT]
    assert [queue_of(flags | LOCAL | REFERENCED) for flags in kinds] == [1, 2, 3, 4]


def test_queues_keep_order_at_both_ends() -> None:
    table = PageTable()
    a, b, c, d = (table.take() for _ in range(4))
    for entry in (a, b, c):
        table.append(entry, 3)
    table.prepend(d, 3)
    assert table.queue(3) == [d, a, b, c]
    table.unlink(b)
    table.unlink(d)
    assert table.queue(3) == [a, c]
    assert table.queue(1) == []


def test_changing_a_state_moves_the_sums_and_keeps_the_other_bits() -> None:
    table = PageTable()
    entry = table.take()
    table.flags[entry] = LOCAL | PERSISTENT | REFERENCED | 1
    table.lengths[entry] = 100
    table.counts[LOCAL | PERSISTENT] = 1
    table.bytes[LOCAL | PERSISTENT] = 100
    assert table.change_state(entry, TRANSIT) == TRANSIT | PERSISTENT | 1
    assert (table.count(LOCAL), table.count(TRANSIT), table.byte_count(TRANSIT)) == (0, 1, 100)
    table.change_state(entry, AWAY)
    assert (table.count(AWAY), table.byte_count(LOCAL), table.byte_count(TRANSIT)) == (1, 0, 0)
