"""A node's figures under Prometheus names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from ramster.addresses import Address
from ramster.config import Mode, NodeConfig
from ramster.embed import EmbeddedNode
from ramster.figures import Figures
from ramster.metrics import METRICS, PEER_STATES, registry_of
from ramster.peer_state import PeerState
from ramster.relocator import Reason
from zcache import PoolKind

RELOCATING = "ramster_relocating"


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Figures]:
    """Of a node with everything: a peer that does not answer, a block device, a write-back file,
    pages."""
    config = NodeConfig(
        name="n",
        mode=Mode.RAMSTER,
        listen=Address("127.0.0.1", 0),
        peer=(Address("127.0.0.1", 1),),
        nbd=["tcp://127.0.0.1:0"],  # type: ignore[arg-type]
        export=["disk=1MiB"],  # type: ignore[arg-type]
        writeback=tmp_path_factory.mktemp("node") / "pages",  # type: ignore[arg-type]
        writeback_limit=2**20,
        http=None,
    )
    with EmbeddedNode(config) as node:
        pool = node.create_pool(PoolKind.PERSISTENT)
        node.put(pool, 1, 0, bytes(range(256)) * 16)
        node.put(pool, 1, 1, bytes(4096))
        node.get(pool, 1, 0)
        node.get(pool, 1, 7)
        yield node.figures()


def samples(figures: Figures) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(registry_of(figures)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_metric_of_the_table_is_scraped(figures: Figures) -> None:
    figures["nbd"]["exports"][0]["traffic"]["errors"]["EIO"] = 1
    scraped = {name for name, _ in samples(figures)}
    assert {row.name for row in METRICS} <= scraped
    others = {name for name in scraped if not name.startswith(("ramster_", "process_"))}
    assert others == set()
    assert "ramster_node_info" in scraped
    assert "process_resident_memory_bytes" in scraped


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
    assert set(PEER_STATES) == {state.value for state in PeerState}


@pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
def test_names_follow_prometheus(row) -> None:  # type: ignore[no-untyped-def]
    assert re.fullmatch(r"ramster_[a-z]+(_[a-z]+)*", row.name)
    assert row.help.endswith(".")
    assert len(set(row.labels)) == len(row.labels)
    assert not re.search(r"_(ms|kb|mb|count|milliseconds)\b", row.name)


def test_metrics_of_parts_that_do_not_run_are_absent() -> None:
    with EmbeddedNode(NodeConfig(name="n", http=None)) as node:
        scraped = {name for name, _ in samples(node.figures())}
    assert "ramster_pages" in scraped
    absent = ("peer", "nbd", "spill_", "writeback", "draining")
    assert not {name for name in scraped if any(part in name for part in absent)}


def test_the_open_metrics_format_is_served_as_well(figures: Figures) -> None:
    assert open_metrics(registry_of(figures)).endswith(b"# EOF\n")
