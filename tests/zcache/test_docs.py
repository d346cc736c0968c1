"""The table of behaviours in docs/zcache.md and the tests that it names."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "zcache.md"
EXPECTED = {*range(1, 26), *range(29, 42), 46, *range(70, 86), 87}


def table() -> dict[int, list[str]]:
    rows = re.findall(r"^\| (\d+) \| .+ \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {int(number): re.findall(r"`(\S+?::\w+)`", tests) for number, tests in rows}


def docstrings() -> dict[str, str]:
    found = {}
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[f"{path.name}::{node.name}"] = ast.get_docstring(node) or ""
    return found


def test_every_behaviour_is_in_the_table_with_a_test() -> None:
    rows = table()
    assert rows.keys() == EXPECTED
    assert all(rows.values())


def test_every_test_in_the_table_exists_and_names_its_behaviour() -> None:
    known = docstrings()
    for number, names in table().items():
        for name in names:
            assert re.match(rf"Behaviours? (?:\d+(?:, | and ))*{number}\b", known[name]), name


def test_the_reading_order_names_every_module() -> None:
    modules = {path.name for path in (HERE.parent.parent / "zcache").glob("[a-z]*.py")}
    listed = set(re.findall(r"`(\w+\.py)`", DOCUMENT.read_text().split("## A page's row")[0]))
    assert modules <= listed
