"""deploy/grafana: the dashboard asks for figures that exist, and shows health first."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.expressions import check_names
from tests.support.prometheus_programs import promtool

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "ramster.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
CHARTS = [panel for panel in PANELS if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in CHARTS
    for target in panel["targets"]
]


@pytest.mark.parametrize("expression", QUERIES)
def test_queries_name_metrics_and_labels_that_exist(expression: str) -> None:
    check_names(expression)


def test_queries_are_promql(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    listed = (
        f"{{record: panel_{number}, expr: {json.dumps(case.values[0])}}},"
        for number, case in enumerate(QUERIES)
    )
    text = "groups: [{name: dashboard, rules: [\n" + "\n".join(listed)
    filled = text.replace("$__rate_interval", "1m").replace("$instance", ".*")
    rules.write_text(filled + "\n]}]\n")
    assert f"{len(QUERIES)} rules found" in promtool("check", "rules", str(rules))


def test_a_dead_peer_is_counted_once_however_many_see_it(tmp_path: Path) -> None:
    (panel,) = [panel for panel in CHARTS if panel["title"] == "Dead or refused peers"]
    state = 'ramster_peer_state{{instance="{}", address="c:1", peer="{}", state="{}"}}'
    seen = [("a", "c", "dead", 1), ("b", "", "refused", 1), ("b", "", "alive", 0)]
    series = [
        {"series": state.format(instance, peer, name), "values": f"{value}x3"}
        for instance, peer, name, value in seen
    ]
    case = {"expr": panel["targets"][0]["expr"], "eval_time": "2m", "exp_samples": [{"value": 1}]}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [case]}
    rules = tmp_path / "test.yml"
    rules.write_text(json.dumps({"tests": [test]}))
    promtool("test", "rules", str(rules))


def test_health_comes_first() -> None:
    titles = [panel["title"] for panel in PANELS]
    assert titles[0] == "Cluster health"
    assert {"Nodes down", "Lost pages", "Unreachable pages"} <= set(titles[1:7])


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert all(panel["description"].endswith(".") for panel in CHARTS)


def test_the_provisioned_source_is_the_one_of_the_compose_file() -> None:
    source = (FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text()
    compose = (FOLDER.parents[1] / "docker-compose.yml").read_text()
    assert "url: http://prometheus:9090\n" in source
    assert "\n  prometheus:\n" in compose
    path = "/var/lib/grafana/dashboards"
    provider = (FOLDER / "provisioning" / "dashboards" / "ramster.yml").read_text()
    assert f"path: {path}\n" in provider
    assert f"./deploy/grafana/dashboards:{path}:ro" in compose


def test_images_are_pinned_and_can_be_replaced() -> None:
    compose = (FOLDER.parents[1] / "docker-compose.yml").read_text()
    for service in ("prometheus", "grafana"):
        block = compose.partition(f"\n  {service}:\n")[2].partition("\n\n")[0]
        assert re.search(r"^    image: \$\{[A-Z]+_IMAGE:-[\w/]+:v?\d+\.\d+\.\d+\}$", block, re.M)
        assert "profiles: [metrics]" in block
