"""``__all__`` says what a module offers: it exists, is complete, and is what can be imported."""

from __future__ import annotations

import ast
import importlib
import importlib.util

import pytest

from tests.rules.test_imports import SOURCES

MODULES = [
    name
    for name in SOURCES
    if not name.startswith("ramster.wire") and not name.endswith(("__main__", "_version"))
]

WITHOUT_NAMES = {
    "ramster.bench",
    "ramster.commands",
    "ramster.demo",
    "ramster.nbd",
    "ramster.rpc",
    "ramster.top",
}
"""Packages that hold modules and offer nothing themselves."""


def _public_names(name: str) -> set[str]:
    """Names that a module defines itself and does not mark as its own affair."""
    found: set[str] = set()
    for node in ast.parse(SOURCES[name].read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("name", [name for name in MODULES if name not in WITHOUT_NAMES])
def test_all_names_what_the_module_defines(name: str) -> None:
    module = importlib.import_module(name)
    exported = module.__all__
    assert len(set(exported)) == len(exported)
    for item in exported:
        assert getattr(module, item, None) is not None, f"{name}.__all__ names {item}"
    missing = _public_names(name) - set(exported)
    assert not missing, f"{name}: public and not in __all__: {sorted(missing)}"


def test_zcaches_front_door_offers_what_it_imports() -> None:
    import zcache

    tree = ast.parse(SOURCES["zcache"].read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    assert imported == set(zcache.__all__)


def test_ramsters_front_door_loads_on_demand_what_it_names() -> None:
    import ramster

    for name in ramster.__all__:
        assert getattr(ramster, name) is not None
    assert dir(ramster) == sorted(ramster.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ramster.nothing  # type: ignore[attr-defined]


def test_every_exception_descends_from_its_packages_root() -> None:
    from ramster.errors import RamsterError
    from zcache import ZcacheError

    for package, root in (("zcache.errors", ZcacheError), ("ramster.errors", RamsterError)):
        module = importlib.import_module(package)
        assert all(issubclass(getattr(module, name), root) for name in module.__all__)
