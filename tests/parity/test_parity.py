"""The Python cache and the native one, side by side: the same answers to everything."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.parity.blobs import compressor_of
from tests.parity.broken import BROKEN
from tests.parity.operations import Parity, contents, page_of
from tests.zcache.pages import random_page, text_page
from zcache import PAGE_SIZE, CacheConfig, CacheContract, PoolKind, VerifyError, codec
from zcache.cache import Cache

MakeCache = Callable[[CacheConfig], CacheContract]

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def machine_of(first: MakeCache, second: MakeCache) -> type[Parity]:
    return type("Twins", (Parity,), {"first": first, "second": second})


def run_twins(first: MakeCache, second: MakeCache, **knobs: Any) -> None:
    values = {"max_examples": 60, "stateful_step_count": 60, "deadline": None} | knobs
    machine = machine_of(first, second)
    run_state_machine_as_test(machine, settings=settings(suppress_health_check=CHECKS, **values))


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> MakeCache:
    """The native cache; the Python one compresses with the native compressors meanwhile."""
    if os.environ.get("RAMSTER_REQUIRE_NATIVE") == "1":
        module = importlib.import_module("zcache._native")
    else:
        module = pytest.importorskip("zcache._native", reason="the native core is not built")
    for name in tuple(codec.COMPRESSORS):
        monkeypatch.setitem(codec.COMPRESSORS, name, compressor_of(module.Cache, name))
    cache: MakeCache = module.Cache
    return cache


def test_the_native_cache_answers_as_the_python_one_does(native: MakeCache) -> None:
    run_twins(Cache, native, max_examples=100)


@given(content=contents, name=st.sampled_from(["lz4", "zstd", "none"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_native_cache_compresses_the_python_one_decodes(
    native: MakeCache, content: tuple[str, int, int], name: str
) -> None:
    cache = native(CacheConfig(pool_bytes_max=64 * PAGE_SIZE))
    pool = cache.create_pool(PoolKind.PERSISTENT, codec=name)
    page = page_of(content)
    cache.put(pool, 1, 0, page)
    ticket = cache.begin_spill(1)
    if ticket is None:
        assert page == page[:8] * (PAGE_SIZE // 8)
        return
    blobs = ticket.blobs
    assert codec.decode(bytes(blobs.payload), blobs.encodings[0], blobs.checksums[0]) == page


def test_a_cache_passes_for_its_own_twin() -> None:
    run_twins(Cache, Cache, max_examples=20)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_twin_is_found_out(name: str) -> None:
    """Else the machine would say little about the native one."""
    with pytest.raises((AssertionError, VerifyError)):
        run_twins(
            Cache,
            BROKEN[name],
            max_examples=400,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
        )


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_blobs_of_another_cache_are_what_its_codec_makes(name: str) -> None:
    compress = compressor_of(Cache, name)
    for page in (text_page(1), text_page(2), text_page(1)):
        assert compress(memoryview(page)) == codec.COMPRESSORS[name](page)
    assert compress(random_page(1)) == random_page(1)
