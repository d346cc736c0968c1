"""Templates: real content whose blobs are as long as wanted."""

from __future__ import annotations

import os
import random
from statistics import pstdev

import lz4.block
import pytest

from ramster.bench.page_templates import SET_TEMPLATES, Template, blob_length, templates
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind

RATIOS = (1.0, 1.03, 1.3, 2.0, 4.5, 10.0)


def filled(template: Template, seed: int = 0) -> bytes:
    return template.fill(random.Random(seed).randbytes(template.noise_bytes))


def test_holes_are_filled_in_order() -> None:
    template = Template((b"ab", 2, b"c", 1), 3)
    assert template.fill(b"xyz") == b"abxycz"


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_template_fills_one_page(ratio: float) -> None:
    for template in templates(ratio, 0):
        holes = [part for part in template.parts if isinstance(part, int)]
        assert sum(holes) == template.noise_bytes
        assert len(filled(template)) == PAGE_SIZE


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("number", [0, 1, 31])
def test_a_set_has_the_ratio(ratio: float, number: int) -> None:
    lengths = [blob_length(filled(template)) for template in templates(ratio, number)]
    assert len(lengths) == SET_TEMPLATES
    assert SET_TEMPLATES * PAGE_SIZE / sum(lengths) == pytest.approx(ratio, rel=0.05)


@pytest.mark.parametrize("ratio", [2.0, 4.5])
def test_lengths_spread_as_those_of_real_pages_do(ratio: float) -> None:
    lengths = [blob_length(filled(template)) for template in templates(ratio, 0)]
    assert pstdev(lengths) > PAGE_SIZE / ratio / 4


def test_another_filling_compresses_alike() -> None:
    for template in templates(3.0, 0):
        first, second = filled(template, 1), filled(template, 2)
        assert first != second
        assert abs(blob_length(first) - blob_length(second)) <= 64


def test_sets_are_made_of_different_pages() -> None:
    first = {part for one in templates(3.0, 0) for part in one.parts if isinstance(part, bytes)}
    second = {part for one in templates(3.0, 1) for part in one.parts if isinstance(part, bytes)}
    assert len(first & second) < len(first) / 4


def test_the_length_of_a_blob_is_what_the_cache_stores() -> None:
    text = b"a line of a text, and some more of it; " * 200
    for page in (os.urandom(PAGE_SIZE), text[:PAGE_SIZE], os.urandom(3000) + bytes(1096)):
        cache = Cache(CacheConfig(codec="lz4"))
        cache.put(cache.create_pool(PoolKind.PERSISTENT), 1, 0, page)
        assert cache.stats().bytes_local == pytest.approx(blob_length(page), abs=8)
        assert blob_length(page) <= max(PAGE_SIZE, len(lz4.block.compress(page)))
