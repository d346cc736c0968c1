"""Every store by key that a program may pick, opened for real: they answer alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ramster.bench.key_value_stores import STORES, open_key_value
from ramster.bench.model import Subject, WorkloadUnavailable
from tests.support.rival_programs import need_for

PAGES = [os.urandom(4096) for _ in range(64)]
SIZE = len(PAGES) * 4096
OUTSIDE = {Subject.ZCACHE_NBD, Subject.REDIS, Subject.MEMCACHED, Subject.DISKCACHE}


@pytest.mark.nbd_clients
@pytest.mark.parametrize("subject", STORES)
def test_pages_come_back_one_by_one_and_together(subject: Subject, tmp_path: Path) -> None:
    need_for(subject)
    with open_key_value(subject, tmp_path, SIZE) as store:
        # A place on a block device is never absent; before it is written it is zeros.
        empty = bytes(4096) if subject is Subject.ZCACHE_NBD else None
        assert store.get(5) == empty
        for key, page in enumerate(PAGES[:32]):
            store.set(key, page)
        store.set_many(16, PAGES[16:48])
        assert [store.get(key) for key in range(48)] == PAGES[:48]
        assert list(store.get_many(40, 16)) == [*PAGES[40:48], *[empty] * 8]
        store.set(0, PAGES[63])
        assert store.get(0) == PAGES[63]
        assert (store.held() > 0) is (subject in OUTSIDE)


def test_what_is_no_store_by_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadUnavailable, match="zram is no key-value store: accepted is"):
        open_key_value(Subject.ZRAM, tmp_path, SIZE)
