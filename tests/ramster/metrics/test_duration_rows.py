"""Histograms under Prometheus names."""

from __future__ import annotations

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ramster.figures import Figures
from ramster.metrics import registry_of
from ramster.metrics.duration_rows import DURATION_ROWS
from ramster.timings import Timings


def sections(timings: Timings, *, peers: bool, nbd: bool) -> Figures:
    return {
        "latency": timings.latency(peers=peers, nbd=nbd),
        "batches": timings.batches(peers=peers),
    }


def test_units_are_in_the_names() -> None:
    for row in DURATION_ROWS:
        assert row.is_histogram
        assert row.name.endswith(("_duration_seconds", "_batch_pages"))


def test_a_node_alone_has_histograms_of_its_own_work_only() -> None:
    figures = sections(Timings(), peers=False, nbd=False)
    there = {row.name for row in DURATION_ROWS if list(row.samples(figures))}
    assert there == {
        "ramster_put_duration_seconds",
        "ramster_get_duration_seconds",
        "ramster_put_batch_pages",
        "ramster_get_batch_pages",
    }


def test_all_have_samples_where_every_part_runs() -> None:
    figures = sections(Timings(), peers=True, nbd=True)
    assert all(list(row.samples(figures)) for row in DURATION_ROWS)


def test_buckets_are_scraped_added_up(lone_figures: Figures) -> None:
    timings = Timings()
    for seconds in (0.6e-6, 3e-6, 3e-6, 99.0):
        timings.get_local.observe(seconds, 1)
    figures = {**lone_figures, **sections(timings, peers=False, nbd=False)}
    text = generate_latest(registry_of(figures)).decode()
    found = {
        sample.labels.get("le", sample.name): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name == "ramster_get_duration_seconds"
    }
    assert found["1e-06"] == 1
    assert found["2.5e-06"] == 1
    assert found["5e-06"] == found["10.0"] == 3
    assert found["+Inf"] == found["ramster_get_duration_seconds_count"] == 4
    assert found["ramster_get_duration_seconds_sum"] == 99.0000066
