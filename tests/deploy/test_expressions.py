"""The check of names in PromQL finds wrong ones."""

from __future__ import annotations

import pytest

from tests.deploy.expressions import RECORDED, check_names, expressions_of_rules


@pytest.mark.parametrize(
    "expression",
    [
        'rate(ramster_gets_total{outcome="hit", instance=~"$instance"}[5m]) / 4096',
        "histogram_quantile(0.5, sum by (le) (rate(ramster_put_duration_seconds_bucket[1m])))",
        'count(up{job="ramster"} == 0) or vector(0)',
        "instance:ramster_pool_used:ratio > 0.9",
    ],
)
def test_names_that_exist_pass(expression: str) -> None:
    check_names(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "ramster_gest_total",
        "ramster_get_duration_seconds",
        'ramster_gets_total{where="here"}',
        "sum by (outcom) (ramster_gets_total)",
        "instance:ramster_pool_usde:ratio",
        "vector(1)",
    ],
)
def test_others_do_not(expression: str) -> None:
    with pytest.raises(AssertionError):
        check_names(expression)


def test_expressions_are_read_out_of_rules() -> None:
    text = "  - record: x\n    expr: >\n      up\n      > 0\n  - alert: y\n    expr: up == 0\n"
    assert expressions_of_rules(text) == ["up > 0", "up == 0"]
    assert len(RECORDED) > 5
