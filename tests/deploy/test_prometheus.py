"""deploy/prometheus: its rules hold, each alert is tested both ways and leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.expressions import RECORDED, check_names, expressions_of_rules
from tests.support.prometheus_programs import promtool

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = ("recording.yml", "alerts.yml")
ALERTS = (FOLDER / "alerts.yml").read_text()
NAMES = re.findall(r"^ *- alert: (\w+)$", ALERTS, re.M)


def test_the_configuration_and_its_rules_are_accepted() -> None:
    said = promtool("check", "config", str(FOLDER / "prometheus.yml"))
    assert f"{len(RECORDED)} rules found" in said
    assert f"{len(NAMES)} rules found" in said


def test_alerts_fire_and_do_not_fire_when_they_should() -> None:
    promtool("test", "rules", str(FOLDER / "alerts_test.yml"))


def test_every_alert_is_tested_both_ways() -> None:
    tests = (FOLDER / "alerts_test.yml").read_text()
    cases = re.findall(r"^ *alertname: (\w+)\n *exp_alerts:( \[\])?", tests, re.M)
    assert len(NAMES) == len(set(NAMES)) > 0
    assert {name for name, empty in cases if empty} == set(NAMES)
    assert {name for name, empty in cases if not empty} == set(NAMES)


@pytest.mark.parametrize("rules", RULES)
def test_rules_name_metrics_and_labels_that_exist(rules: str) -> None:
    found = expressions_of_rules((FOLDER / rules).read_text())
    assert found
    for expression in found:
        check_names(expression)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_says_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    block = ALERTS.partition(f"- alert: {name}\n")[2].partition("- alert:")[0]
    assert re.search(r"^ *severity: (critical|warning)$", block, re.M)
    assert re.search(r'^ *summary: ".*{{ \$labels\.instance }}', block, re.M)
    assert "description: " in block
    document, _, part = re.findall(r"^ *runbook: (\S+)$", block, re.M)[0].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / document).read_text(), re.M)
    assert part in {re.sub(r"[^\w-]", "", head.lower().replace(" ", "-")) for head in headings}


def test_alerts_that_descriptions_name_exist() -> None:
    assert set(re.findall(r"\bRamster[A-Z]\w+", ALERTS)) == set(NAMES)


def test_every_alert_is_documented_with_its_severity() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    documented = re.findall(r"^\| `(Ramster\w+)` \| (\w+) \|", text, re.M)
    assert documented == re.findall(r"- alert: (\w+)\n(?:.*\n)*?.*severity: (\w+)", ALERTS)
