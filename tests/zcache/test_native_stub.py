"""``zcache/_native.pyi`` tells type checkers what the contract says; it needs no native core."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "zcache"


def signatures(file: str, name: str) -> dict[str, tuple[str, str, list[str]]]:
    """Of each operation of a class: parameters, result, decorators, as they are written."""
    tree = ast.parse((SOURCES / file).read_text())
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return {
        method.name: (
            ast.unparse(method.args),
            ast.unparse(method.returns) if method.returns else "",
            [ast.unparse(decorator) for decorator in method.decorator_list],
        )
        for method in found.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
    }


def test_the_stub_has_every_operation_with_the_contracts_types() -> None:
    contract = signatures("contract.py", "CacheContract")
    assert len(contract) > 30
    assert signatures("_native.pyi", "Cache") == contract
