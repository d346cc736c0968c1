"""Imports point down only, and nothing heavy is loaded where it is not needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CLUSTER = {
    "blobs",
    "chronicle",
    "cluster",
    "cluster_config",
    "cluster_store",
    "counters",
    "event_log",
    "fetcher",
    "flusher",
    "foreign",
    "leases",
    "lenders",
    "limits",
    "membership",
    "no_peers",
    "peers",
    "placement",
    "readahead",
    "room",
    "snapshot",
    "spiller",
    "store",
    "tasks",
    "transport",
}
"""Modules of ramster that decide and touch no socket: time, chance, transport are handed in."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path
    for package in ("zcache", "ramster")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imports_of(name: str, *, at_import: bool = False) -> Iterator[str]:
    """Modules that a module names in its import statements, resolved to full names.

    ``at_import``: only those that are carried out when the module is loaded, and not under
    TYPE_CHECKING.
    """
    tree = ast.parse(SOURCES[name].read_text())
    for node in _statements(tree, at_import):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import; use the full name"
            assert node.module is not None
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & SOURCES.keys()
            if not names <= SOURCES.keys():
                yield node.module


def _statements(tree: ast.AST, at_import: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _statements(node, at_import)


def tops(name: str) -> set[str]:
    return {imported.partition(".")[0] for imported in imports_of(name)}


ZCACHE = [name for name in SOURCES if name.partition(".")[0] == "zcache"]
RAMSTER = [name for name in SOURCES if name.partition(".")[0] == "ramster"]


@pytest.mark.parametrize("name", ZCACHE)
def test_zcache_knows_neither_ramster_nor_any_input_or_output(name: str) -> None:
    forbidden = {"ramster", "asyncio", "socket", "grpc", "selectors", "subprocess", "http"}
    assert tops(name) & forbidden == set()


@pytest.mark.parametrize("name", RAMSTER)
def test_only_rpc_and_wire_import_grpc_and_protobuf(name: str) -> None:
    if not name.startswith(("ramster.rpc", "ramster.wire")):
        assert tops(name) & {"grpc", "google"} == set()


@pytest.mark.parametrize("name", RAMSTER)
def test_only_rpc_imports_the_generated_messages(name: str) -> None:
    if not name.startswith(("ramster.rpc", "ramster.wire")):
        assert not [found for found in imports_of(name) if found.startswith("ramster.wire")]


@pytest.mark.parametrize("name", sorted(CLUSTER))
def test_cluster_modules_touch_no_socket_and_no_transport(name: str) -> None:
    name = f"ramster.{name}"
    assert name in SOURCES, "the list above names a module that is gone"
    forbidden = {"socket", "selectors", "grpc", "http", "urllib", "subprocess", "threading"}
    assert tops(name) & forbidden == set()
    above = ("ramster.rpc", "ramster.wire", "ramster.nbd", "ramster.node", "ramster.commands")
    assert not [found for found in imports_of(name) if found.startswith(above)]


EDGES = [name for name in RAMSTER if name.startswith(("ramster.nbd", "ramster.rpc"))]


@pytest.mark.parametrize("name", EDGES)
def test_front_ends_and_transport_do_not_know_the_node(name: str) -> None:
    above = ("ramster.node", "ramster.cli", "ramster.commands", "ramster.config", "ramster.demo")
    assert not [found for found in imports_of(name) if found.startswith(above)]


def test_nothing_imports_the_node_from_below() -> None:
    importers = {name for name in RAMSTER if "ramster.node" in set(imports_of(name))}
    importers = {name for name in importers if not name.startswith("ramster.bench.")}
    assert importers <= {"ramster", "ramster.embed", "ramster.commands.serve"}


def test_no_import_cycles() -> None:
    edges = {
        name: {found for found in imports_of(name, at_import=True) if found in SOURCES} - {name}
        for name in SOURCES
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "cycle: " + " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for found in sorted(edges[name]):
                # A package's __init__ gathers its modules; they may name the package's other
                # modules.
                if not found.startswith(f"{name}.") or name in ("zcache", "ramster"):
                    visit(found, (*path, name))
            done.add(name)

    for name in SOURCES:
        visit(name, ())


def loaded_by(code: str) -> set[str]:
    """Modules that an interpreter has loaded after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_ramster_loads_nothing_else() -> None:
    loaded = loaded_by("import ramster")
    assert not loaded & {"zcache", "asyncio", "grpc", "lz4", "prometheus_client"}


def test_importing_the_node_does_not_load_the_peer_layer() -> None:
    loaded = loaded_by("import ramster.node, ramster.embed, ramster.commands.serve")
    assert not loaded & {"grpc", "google.protobuf", "ramster.cluster", "ramster.rpc"}


def test_a_lone_node_with_a_write_back_file_loads_the_cluster_core_and_no_grpc(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pages"
    loaded = loaded_by(
        "from ramster import EmbeddedNode, NodeConfig\n"
        f"config = NodeConfig(peer=('b:1',), writeback={str(file)!r}, writeback_limit=2**20,"
        " http=None)\n"
        "with EmbeddedNode(config) as node: node.figures()"
    )
    assert "ramster.cluster" in loaded
    assert not loaded & {"grpc", "google.protobuf", "ramster.rpc", "ramster.wire"}


def test_zcache_alone_loads_no_part_of_ramster() -> None:
    loaded = loaded_by("import zcache")
    assert not {name for name in loaded if name.partition(".")[0] in ("ramster", "asyncio", "grpc")}
