"""Documents say what is so: every flag, key, variable and metric, and no others."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ramster.cli import COMMANDS
from ramster.config import SETTINGS
from ramster.config_sources import OTHER_VARIABLES, load_config
from ramster.metrics import METRICS
from zcache.backend import BACKEND_VARIABLE

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
    ]
)


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_each_setting_has_its_line(row) -> None:  # type: ignore[no-untyped-def]
    many = " (a list)" if row.repeatable else ""
    names = f"| `{row.key}` | `{row.flag}` | `{row.variable}` |"
    assert f"{names} {row.describe_default()} | {row.help}{many} |" in CONFIGURATION


def test_no_setting_is_documented_that_does_not_exist() -> None:
    lines = re.findall(r"^\| `(\w+)` \| `(--[\w-]+)` \| `(RAMSTER_\w+)` \|", CONFIGURATION, re.M)
    assert lines == [(row.key, row.flag, row.variable) for row in SETTINGS]


def test_every_other_variable_is_documented() -> None:
    documented = CONFIGURATION.partition("## Other variables")[2]
    for beginning in OTHER_VARIABLES:
        assert beginning.rstrip("=") in documented


def test_the_variables_of_the_native_core_are_documented_and_no_others() -> None:
    build = re.findall(r'^VARIABLE = "(\w+)"$', (ROOT / "setup.py").read_text(), re.M)
    known = {BACKEND_VARIABLE, *build}
    assert set(re.findall(r"^\| `(ZCACHE_\w+)` \|", CONFIGURATION, re.M)) == known
    for document in DOCUMENTS:
        named = set(re.findall(r"\bZCACHE_[A-Z_]*[A-Z]", (ROOT / document).read_text()))
        assert named <= known, document


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_flags_and_variables_in_documents_exist(document: Path) -> None:
    text = (ROOT / document).read_text()
    variables = {row.variable for row in SETTINGS} | {"RAMSTER_CONFIG"}
    for variable in re.findall(r"RAMSTER_[A-Z][A-Z_]*[A-Z]", text):
        assert (
            variable in variables
            or f"{variable}=".startswith(OTHER_VARIABLES)
            or any(beginning.startswith(variable) for beginning in OTHER_VARIABLES)
        ), variable
    flags = {row.flag for row in SETTINGS} | {"--config"}
    for line in re.findall(r"ramster serve (.*(?:\\\n.*)*)", text):
        for flag in re.findall(r"--[a-z][a-z-]+", line):
            assert flag in flags, flag


def test_each_metric_has_its_line_and_no_other_has() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    expected = [
        f"| `{row.name}` | {row.type} "
        f"| {', '.join(f'`{label}`' for label in row.labels) or '-'} | {row.help} |"
        for row in METRICS
    ]
    assert [line for line in text.splitlines() if line.startswith("| `ramster_")] == expected


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_to_files_that_exist(document: Path) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith(("http://", "https://", "#")):
            place = (ROOT / document).parent / target.partition("#")[0]
            assert place.exists(), f"{document}: {target}"


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    said = readme + (ROOT / "CHANGELOG.md").read_text()
    assert all(f"ramster {command}" in said or f"`{command}`" in said for command in COMMANDS)


def test_the_commented_configuration_is_one_and_names_every_key() -> None:
    text = (ROOT / "deploy" / "node.toml").read_text()
    load_config({}, {}, str(ROOT / "deploy" / "node.toml"))
    uncommented = re.sub(r"^# ?(\w+ = )", r"\1", text, flags=re.M)
    values = tomllib.loads(uncommented)
    assert set(values) == {row.key for row in SETTINGS}
    for row in SETTINGS:
        row.parse(values[row.key])


def python_blocks() -> list[tuple[str, str]]:
    found = []
    for document in (Path("README.md"), Path("docs/python-api.md")):
        blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.S)
        found += [(f"{document}-{number}", block) for number, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize("block", [pytest.param(text, id=name) for name, text in python_blocks()])
def test_code_in_documents_runs(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ramster.addresses import Address
    from ramster.config import Mode, NodeConfig
    from ramster.embed import EmbeddedNode

    if "TmemClient(" not in block:
        exec(compile(block, "document", "exec"), {"__name__": "__main__"})
        return
    config = NodeConfig(name="n", mode=Mode.RAMSTER, listen=Address("127.0.0.1", 0), http=None)
    with EmbeddedNode(config) as node:
        here = block.replace("127.0.0.1:7777", node.node.endpoints["peers"])
        exec(compile(here, "document", "exec"), {"__name__": "__main__"})


FAILURE_MODES = (ROOT / "docs" / "failure-modes.md").read_text()


def test_every_fault_names_its_tests() -> None:
    rows = re.findall(r"^\| \[(\d+)\]\(#(\d+)\) \|", FAILURE_MODES, re.M)
    assert rows == [(str(number), str(number)) for number in range(1, len(rows) + 1)]
    for number, _ in rows:
        tests = FAILURE_MODES.partition(f"\n### {number}\n")[2].partition("\n### ")[0]
        assert "`tests/" in tests, number


@pytest.mark.parametrize("test", sorted(set(re.findall(r"`(tests/[^`]+)`", FAILURE_MODES))))
def test_the_tests_of_faults_exist(test: str) -> None:
    place, _, name = test.partition("::")
    text = (ROOT / place).read_text() if (ROOT / place).is_file() else ""
    assert text or (ROOT / place).is_dir(), test
    assert not name or re.search(rf"^(async )?def {name}\(", text, re.M), test
