"""The table of metrics, and a snapshot as it is scraped."""

from __future__ import annotations

import re

import pytest
from prometheus_client import ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from ramster.figures import Figures
from ramster.metrics import METRICS, registry_of
from ramster.metrics.cluster_rows import PEER_STATES
from ramster.relocator import Reason
from tests.ramster.metrics.nodes import figures_of_everything, with_every_leaf

RELOCATING = "ramster_relocating"


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    return figures_of_everything(tmp_path_factory.mktemp("node"))


def samples(figures: Figures) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(registry_of(figures)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_metric_of_the_table_is_scraped(figures: Figures) -> None:
    scraped = {name for name, _ in samples(with_every_leaf(figures))}
    assert {name for row in METRICS for name in row.scraped_names} <= scraped
    others = {name for name in scraped if not name.startswith(("ramster_", "process_"))}
    assert others == set()
    assert "ramster_node_info" in scraped
    assert "process_resident_memory_bytes" in scraped


def test_a_clock_that_is_set_is_no_start_of_the_process(
    figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = samples(figures)["process_start_time_seconds", ()]
    monkeypatch.setattr(ProcessCollector, "_boot_time", lambda self: 1.0)
    assert samples(figures)["process_start_time_seconds", ()] == began


def test_numbers_are_those_of_the_figures(figures: Figures) -> None:
    found = samples(figures)
    assert found["ramster_pages", (("state", "local"),)] == 1
    assert found["ramster_pages", (("state", "same_filled"),)] == 1
    assert found["ramster_puts_total", (("outcome", "stored"),)] == 2
    assert found["ramster_gets_total", (("outcome", "hit"),)] == 1
    assert found["ramster_gets_total", (("outcome", "miss"),)] == 1
    assert found["ramster_pool_limit_bytes", ()] == 256 * 2**20
    assert found["ramster_nbd_requests_total", (("export", "disk"), ("request", "reads"))] == 0


def test_one_reason_is_1_while_pages_are_moved_and_none_else(figures: Figures) -> None:
    def reasons(now: str) -> dict[str, float]:
        changed = {**figures, "cluster": {**figures["cluster"], "relocating": now}}
        found = samples(changed).items()
        return {dict(labels)["reason"]: n for (name, labels), n in found if name == RELOCATING}

    assert reasons("") == {reason.value: 0 for reason in Reason}
    assert reasons("rebuild") == {"evacuate": 0, "rebuild": 1, "repatriate": 0}


def test_a_peers_state_is_1_for_one_state_only(figures: Figures) -> None:
    found = samples(figures).items()
    states = {labels: value for (name, labels), value in found if name == "ramster_peer_state"}
    assert sum(states.values()) == 1
    assert len(states) == len(PEER_STATES)


@pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
def test_names_follow_prometheus(row) -> None:  # type: ignore[no-untyped-def]
    assert re.fullmatch(r"ramster_[a-z]+(_[a-z]+)*", row.name)
    assert row.help.endswith(".")
    assert len(set(row.labels)) == len(row.labels)
    assert not re.search(r"_(ms|kb|mb|count|milliseconds)\b", row.name)


def test_names_are_used_once() -> None:
    names = [name for row in METRICS for name in row.scraped_names]
    assert len(set(names)) == len(names)


def test_metrics_of_parts_that_do_not_run_are_absent(lone_figures: Figures) -> None:
    scraped = {name for name, _ in samples(lone_figures)}
    assert "ramster_pages" in scraped
    absent = ("peer", "nbd", "spill_duration", "fetch_", "writeback", "draining")
    assert not {name for name in scraped if any(part in name for part in absent)}


def test_the_open_metrics_format_is_served_as_well(figures: Figures) -> None:
    assert open_metrics(registry_of(figures)).endswith(b"# EOF\n")


def test_both_formats_have_the_same_histograms(figures: Figures) -> None:
    def buckets(text: str) -> list[tuple[str, float]]:
        found = re.findall(r"^(ramster_\w+_bucket{.*}) (\S+)$", text, re.M)
        return [(name, float(value)) for name, value in found]

    plain = buckets(generate_latest(registry_of(figures)).decode())
    assert plain == buckets(open_metrics(registry_of(figures)).decode())
    assert len(plain) > 100
