"""The wire: generated code is fresh, sources are documented, numbers are never reused."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "proto" / "generate.py"
SOURCES = sorted((ROOT / "proto" / "ramster" / "wire" / "v1").glob("*.proto"))

DECLARATION = re.compile(
    r"(?:rpc \w+|message \w+|enum \w+|service \w+|(?:repeated |optional )?[\w.]+ \w+ = \d+"
    r"|[A-Z_0-9]+ = \d+)"
)


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copied(generator: ModuleType, tmp_path: Path) -> ModuleType:
    """The generator, at work on a copy."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copytree(ROOT / "ramster" / "wire", tmp_path / "ramster" / "wire")
    generator.PROTO_ROOT, generator.OUTPUT_ROOT = tmp_path / "proto", tmp_path
    assert generator.findings() == []
    return generator


def test_the_check_passes_as_a_program() -> None:
    command = [sys.executable, str(GENERATOR), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


def test_a_changed_source_makes_its_code_stale(copied: ModuleType) -> None:
    source = copied.PROTO_ROOT / "ramster" / "wire" / "v1" / "peer.proto"
    source.write_text(source.read_text().replace("room_bytes", "room"))
    assert copied.findings() == [
        "ramster/wire/v1/peer_pb2.py: older than its source",
        "ramster/wire/v1/peer_pb2.pyi: older than its source",
    ]


def test_edited_missing_and_orphaned_code_is_found(copied: ModuleType) -> None:
    folder = copied.OUTPUT_ROOT / "ramster" / "wire" / "v1"
    edited = folder / "tmem_pb2.py"
    edited.write_text(edited.read_text() + "\nextra = 1\n")
    (folder / "peer_pb2.pyi").unlink()
    (folder / "old_pb2.py").write_text("")
    assert copied.findings() == [
        "ramster/wire/v1/peer_pb2.pyi: missing",
        "ramster/wire/v1/tmem_pb2.py: edited by hand",
        "ramster/wire/v1/old_pb2.py: has no source",
    ]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_generated_code_describes_what_its_source_says(source: Path, tmp_path: Path) -> None:
    """Compiles the source again, with any protoc, and compares the descriptors."""
    protoc = pytest.importorskip("grpc_tools.protoc")
    from google.protobuf import descriptor_pb2

    target = tmp_path / "set"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"--descriptor_set_out={target}", str(source)]
    assert protoc.main(arguments) == 0
    compiled = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file[0]
    module = importlib.import_module(f"ramster.wire.v1.{source.stem}_pb2")
    committed = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    for described in (compiled, committed):
        _drop_json_names(described)
    assert compiled == committed


def _drop_json_names(described: object) -> None:
    """protoc writes JSON names into descriptor sets and not into Python code."""
    messages = getattr(described, "message_type", None) or getattr(described, "nested_type", ())
    for message in messages:
        for field in message.field:
            field.ClearField("json_name")
        _drop_json_names(message)


def test_every_declaration_of_the_wire_is_commented() -> None:
    bare = []
    for source in SOURCES:
        lines = source.read_text().splitlines()
        for number, line in enumerate(lines):
            if DECLARATION.match(line.strip()) and not lines[number - 1].strip().startswith("//"):
                bare.append(f"{source.name}:{number + 1}: {line.strip()}")
    assert bare == []


NUMBERS = {
    "Failure": "kind=1 reason=2",
    "SpillRequest": "request_id=1 lease=2 epoch=3 kind=4 keys=5 generations=6 lengths=7 "
    "encodings=8 checksums=9 payload=10 batch=11",
    "SpillReply": "request_id=1 failure=2 statuses=3 room_bytes=4",
    "FetchRequest": "request_id=1 lease=2 kind=3 keys=4 generations=5",
    "FetchReply": "request_id=1 failure=2 found=3 keys=4 generations=5 lengths=6 encodings=7 "
    "checksums=8 payload=9",
    "FlushRequest": "request_id=1 lease=2 epoch=3 kind=4 keys=5 generations=6 sequence=7",
    "FlushReply": "request_id=1 failure=2",
    "HelloRequest": "cluster=1 node=2 incarnation=3 protocol_version=4 page_size=5 codecs=6",
    "HelloReply": "failure=1 node=2 incarnation=3 lease=4 room_bytes=5 lease_s=6 data_endpoint=7 "
    "draining=8",
    "HeartbeatRequest": "lease=1 incarnation=2 leaving=3",
    "HeartbeatReply": "failure=1 incarnation=2 room_bytes=3 foreign_pages=4 wanted_bytes=5 "
    "draining=6",
}
"""Fields that nodes in the field know. Add to this; a line that has to change breaks them."""


def test_field_numbers_stay_what_they_were() -> None:
    from ramster.wire.v1 import control_pb2, peer_pb2

    found = {
        name: {field.name: field.number for field in message.fields}
        for module in (peer_pb2, control_pb2)
        for name, message in module.DESCRIPTOR.message_types_by_name.items()
    }
    for name, numbers in NUMBERS.items():
        for pair in numbers.split():
            field, _, number = pair.partition("=")
            assert found[name].get(field) == int(number), f"{name}.{field}"
