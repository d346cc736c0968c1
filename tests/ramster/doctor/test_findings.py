"""What a configuration needs, and what of that is lacking."""

from __future__ import annotations

import pytest

from ramster.config import NodeConfig
from ramster.doctor.findings import FEATURES, Feature, Finding, Status, lacking, needed_by


def config(**settings: object) -> NodeConfig:
    return NodeConfig(name="n", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, {"figures"}),
        ({"http": "off"}, set()),
        ({"mode": "ramster"}, {"figures", "peers"}),
        ({"peer": ["b"]}, {"figures"}),
        ({"nbd": ["unix:///x"], "export": ["a=1M"]}, {"figures", "nbd"}),
        ({"codec": "zstd"}, {"figures", "zstd"}),
        ({"export": ["a=1M,codec=zstd"]}, {"figures", "zstd"}),
        ({"writeback": "/x", "writeback_limit": "1G"}, {"figures", "writeback"}),
    ],
)
def test_settings_say_what_is_needed(settings: dict[str, object], more: set[str]) -> None:
    assert needed_by(config(**settings)) == {"pool", *more}


def test_more_can_be_asked_for_by_name() -> None:
    assert "kernel-nbd" in needed_by(config(), ["kernel-nbd"])


def test_swap_is_needed_where_a_node_serves_what_the_machine_swaps_to() -> None:
    device = config(nbd=["unix:///x"], export=["a=1M"])
    assert Feature.SWAP in needed_by(device, nbd_swap=True)
    assert Feature.SWAP not in needed_by(config(), nbd_swap=True)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("needed", [True, False])
def test_missing_and_bad_stand_in_the_way_of_what_is_needed(status: Status, needed: bool) -> None:
    finding = Finding(Feature.NATIVE, "x", status, "y")
    wanted = frozenset([Feature.NATIVE] if needed else [Feature.POOL])
    in_the_way = needed and status in (Status.MISSING, Status.BAD)
    assert lacking([finding], wanted) == ([finding] if in_the_way else [])


def test_every_feature_has_a_title() -> None:
    assert list(FEATURES) == list(Feature)
