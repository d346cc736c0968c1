"""Generate ``ramster/wire/v1/`` from the .proto files beside this script.

    python proto/generate.py            write the generated files
    python proto/generate.py --check    exit with 1 if they are stale or were edited

Writing needs exactly the grpcio-tools named below, because the tool's version is also the lowest
version of protobuf that the generated code runs with (1.80.0: protobuf 6.31.1; code of protobuf 6
runs with 6 and 7). It needs nothing else of this project:

    python -m venv /tmp/gen && /tmp/gen/bin/pip install grpcio-tools==1.80.0
    /tmp/gen/bin/python proto/generate.py

Checking needs no tool: each generated file carries the digest of its source and of its own text.

Only messages are generated. Services need no generated code: ``ramster/rpc`` takes the methods'
names from the descriptors, so no lowest version of grpcio is written into generated files either.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import sys
import tempfile
from pathlib import Path

PROTO_ROOT = Path(__file__).resolve().parent
OUTPUT_ROOT = PROTO_ROOT.parent
PACKAGE = Path("ramster/wire/v1")
TOOLS_VERSION = "1.80.0"
SUFFIXES = ("_pb2.py", "_pb2.pyi")


def sources() -> list[Path]:
    """The .proto files, in order."""
    return sorted((PROTO_ROOT / PACKAGE).glob("*.proto"))


def digest(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def header(source: Path, body: str) -> str:
    """What stands above generated code."""
    return (
        "# GENERATED CODE, DO NOT EDIT: change the source and run proto/generate.py\n"
        f"# source: proto/{source.relative_to(PROTO_ROOT)} sha256 {digest(source.read_text())}\n"
        f"# text below: grpcio-tools {TOOLS_VERSION} sha256 {digest(body)}\n"
    )


def generate() -> dict[Path, str]:
    """The generated files: path under OUTPUT_ROOT -> text. Raises SystemExit if the tools are not
    as needed.
    """
    try:
        version = importlib.metadata.version("grpcio-tools")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != TOOLS_VERSION:
        raise SystemExit(
            f"grpcio-tools {TOOLS_VERSION} is needed to generate code, found: {version}"
        )
    from grpc_tools import protoc

    files: dict[Path, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in sources():
            arguments = [
                "protoc",
                f"-I{PROTO_ROOT}",
                f"--python_out={folder}",
                f"--pyi_out={folder}",
            ]
            if protoc.main([*arguments, str(source)]) != 0:
                raise SystemExit(f"protoc refuses {source}")
            for suffix in SUFFIXES:
                path = PACKAGE / f"{source.stem}{suffix}"
                body = (Path(folder) / path).read_text()
                files[path] = header(source, body) + body
    return files


def findings() -> list[str]:
    """What is wrong with the generated files, a line each; empty if nothing is."""
    found = []
    expected = {
        PACKAGE / f"{source.stem}{suffix}": source for source in sources() for suffix in SUFFIXES
    }
    for path, source in expected.items():
        if not (OUTPUT_ROOT / path).exists():
            found.append(f"{path}: missing")
            continue
        text = (OUTPUT_ROOT / path).read_text()
        body = text.split("\n", 3)[-1]
        if text != header(source, body) + body:
            stale = digest(source.read_text()) not in text
            found.append(f"{path}: " + ("older than its source" if stale else "edited by hand"))
    present = {p.relative_to(OUTPUT_ROOT) for p in (OUTPUT_ROOT / PACKAGE).glob("*_pb2*.py*")}
    found += [f"{path}: has no source" for path in sorted(present - set(expected))]
    return found


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Generate ramster/wire/v1 from proto/.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if files are stale"
    )
    if parser.parse_args().check:
        found = findings()
        for line in found:
            print(line, file=sys.stderr)
        if found:
            print("run proto/generate.py", file=sys.stderr)
        return 1 if found else 0
    for path, text in generate().items():
        (OUTPUT_ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (OUTPUT_ROOT / path).write_text(text)
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
