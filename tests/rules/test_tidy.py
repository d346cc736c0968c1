"""Habits of this project that a program can check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SOURCES = sorted(
    path.relative_to(ROOT)
    for package in ("zcache", "ramster")
    for path in (ROOT / package).rglob("*.py")
    if "wire" not in path.relative_to(ROOT).parts
)
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))

WITHOUT_A_TEST = {
    "__init__.py": "packages' front doors: tests/rules/test_exports.py",
    "__main__.py": "tests/ramster/test_cli.py runs it",
    "_version.py": "a constant",
    "ramster/transport.py": "an interface and values; tested with what implements and uses them",
    "ramster/counters.py": "counters; raised and tested where things happen",
    "ramster/snapshot.py": "values; tests/ramster/test_cluster.py and test_figures.py",
    "ramster/limits.py": "constants",
    "ramster/commands/demo.py": "tests/ramster/demo/test_run.py and test_cli.py run it",
}
"""Modules without a test file of their own, and why."""


def _excused(source: Path) -> bool:
    return str(source) in WITHOUT_A_TEST or source.name in WITHOUT_A_TEST


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_module_has_its_test_file(source: Path) -> None:
    test = ROOT / "tests" / source.parent / f"test_{source.name.lstrip('_')}"
    assert test.exists() or _excused(source), f"{test.relative_to(ROOT)} is missing"


def test_no_excuse_is_left_over() -> None:
    for name in WITHOUT_A_TEST:
        if "/" in name:
            assert (ROOT / name).exists(), name
            test = ROOT / "tests" / Path(name).parent / f"test_{Path(name).name}"
            assert not test.exists(), f"{name} has a test file after all"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_modules_are_named_after_what_they_do(source: Path) -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "base"}
    assert not vague & set(source.with_suffix("").parts)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_modules_say_what_they_cover(source: Path) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / source).read_text()))
    assert docstring, "no docstring"
    assert len(docstring.splitlines()[0]) <= 120


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Call):
            yield node


def _sleeps(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if not name.endswith("sleep") or not call.args:
        return False
    return ast.unparse(call.args[0]) not in ("0", "0.0")


POLLING = {"tests/support/containers.py", "tests/support/grpc_peers.py"}
"""Where waiting for a condition outside of this process is written, each with its deadline."""

VIRTUAL_TIME = {"tests/support/fake_network.py"}
"""Part of the fake cluster; on its event loop the clock jumps and sleeping takes no time. So is all
of the simulator."""


def _on_virtual_time(test: Path) -> bool:
    text = (ROOT / test).read_text()
    named = "tests.support.virtual_time" in text or test.name == "virtual_time.py"
    simulated = test.parts[:2] == ("tests", "simulation")
    return simulated or str(test) in VIRTUAL_TIME or (named and "asyncio.run(" not in text)


@pytest.mark.parametrize("test", TESTS, ids=str)
def test_tests_wait_for_conditions_and_do_not_sleep(test: Path) -> None:
    forbidden = {"time.sleep", "sleep"}
    if not _on_virtual_time(test):
        forbidden.add("asyncio.sleep")
    found = [
        f"{test}:{call.lineno}"
        for call in _calls(test)
        if _sleeps(call) and ast.unparse(call.func) in forbidden
    ]
    assert str(test) in POLLING or not found, found


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_broad_exceptions_are_carried_on_and_never_swallowed(source: Path) -> None:
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = "" if node.type is None else ast.unparse(node.type)
        if caught in ("", "Exception", "BaseException"):
            used = node.name is not None and any(
                isinstance(inner, ast.Name) and inner.id == node.name
                for statement in node.body
                for inner in ast.walk(statement)
            )
            raised = any(isinstance(s, ast.Raise) for s in ast.walk(node))
            assert used or raised, f"{source}:{node.lineno}: a broad except that swallows"


def test_no_unfinished_business() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    left = [
        f"{path}:{number}"
        for path in [*SOURCES, *TESTS]
        if path.name != "test_tidy.py"
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert not left


def test_nothing_asserts_on_a_clock_in_tests() -> None:
    clock = re.compile(r"assert .*(perf_counter|monotonic|time\.time)\(")
    found = [str(path) for path in TESTS if clock.search((ROOT / path).read_text())]
    assert [path for path in found if not path.endswith("test_tidy.py")] == []
