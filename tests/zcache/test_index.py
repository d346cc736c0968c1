import sys
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from zcache.index import Index, Pool
from zcache.page import PoolKind

indexes = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))


class Table:
    """The columns an index needs, and the entries it was given."""

    def __init__(self) -> None:
        self.column = array("Q", bytes(8 * 1000))
        self.index = Index(10, self.column)
        self.pool: Pool = self.index.create_pool(
            PoolKind.PERSISTENT, exclusive=False, uuid=None, foreign=False
        )
        self.next_entry = 5

    def insert(self, object_id: int, index: int) -> int:
        entry = self.next_entry
        self.next_entry += 1
        page_object = self.pool.objects.get(object_id)
        if page_object is None:
            page_object = self.index.insert_object(self.pool, object_id)
        self.column[entry] = index
        self.index.insert(page_object, index, entry)
        return entry


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), indexes, st.booleans()), max_size=200))
def test_the_index_is_a_mapping(steps: list[tuple[int, int, bool]]) -> None:
    """Behaviours 1, 12 and 17: pages are found where they were put, and empty objects go."""
    table = Table()
    model: dict[tuple[int, int], int] = {}
    for object_id, index, add in steps:
        page_object = table.pool.objects.get(object_id)
        found = table.index.lookup(page_object, index) if page_object else 0
        assert found == model.get((object_id, index), 0)
        if add and not found:
            model[object_id, index] = table.insert(object_id, index)
        elif found and page_object:
            table.index.remove(page_object, index)
            del model[object_id, index]
    assert table.index.object_count == len({object_id for object_id, _ in model})
    for object_id, page_object in table.pool.objects.items():
        wanted = [model[key] for key in sorted(model) if key[0] == object_id]
        assert list(table.index.walk(page_object, 0, 2**64)) == wanted
        assert page_object.pages == len(wanted)
        start, stop = 64, 250
        inside = [model[k] for k in sorted(model) if k[0] == object_id and start <= k[1] < stop]
        assert list(table.index.walk(page_object, start, stop)) == inside


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), indexes), max_size=150, unique=True))
def test_the_bytes_of_leaves_are_counted_as_they_are(keys: list[tuple[int, int]]) -> None:
    table = Table()
    for object_id, index in keys:
        table.insert(object_id, index)
    word = sys.getsizeof(2**30 - 1)
    wanted = 0
    for page_object in table.pool.objects.values():
        wanted += sys.getsizeof(page_object.leaves)
        for leaf in page_object.leaves.values():
            wanted += word + (word if isinstance(leaf, int) else sys.getsizeof(leaf))
    assert table.index.leaf_bytes == wanted
    for object_id, index in keys:
        table.index.remove(table.pool.objects[object_id], index)
    assert table.index.leaf_bytes == table.index.object_count == 0
