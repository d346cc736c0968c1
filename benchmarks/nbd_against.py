"""A node in zcache mode beside nbdkit's memory disks, in one interleaved run.

    python -m benchmarks.nbd_against [--size 256MiB] [--seconds 2] [--rounds 3]
                                     [--transport unix|tcp] [--json FILE]

Servers: a node with the native cache, the same with Zstandard, one with the Python cache,
``nbdkit memory allocator=zstd`` and plain ``nbdkit memory``, all there at once. Each holds the same
pages of real files, written by nbdcopy; then its resident memory is read, before anything else is
written. Load: fio's nbd engine, 4 KiB at random places at depth 1 and 16, 128 KiB in order at depth
4, reads first. Every round runs every shape on every server; printed are medians over rounds. What
fio writes compresses by 60 per cent.

It takes fio, nbdcopy (Debian: libnbd-bin) and nbdkit. What makes the figures doubtful: client and
server share the processors; nbdkit answers from several threads, a node from one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, show_table
from benchmarks.nbd_speed import SHAPES, fio_client
from ramster.bench.pages import corpus
from ramster.demo.nodes import NodeProcess
from ramster.nbd.listener import nbd_uri
from ramster.quantities import parse_size
from zcache import PAGE_SIZE
from zcache.backend import BACKENDS

PROGRAMS = ("fio", "nbdcopy", "nbdkit")


def resident(pid: int) -> dict[str, int]:
    """Bytes of a process that are in memory: all, and those of no file."""
    status = Path(f"/proc/{pid}/status").read_text()
    return {
        name: int(re.findall(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024
        for name in ("VmRSS", "RssAnon")
    }


@asynccontextmanager
async def nbdkit(
    folder: Path, name: str, size: int, transport: str, *options: str
) -> AsyncIterator[tuple[str, int]]:
    """A memory disk; its address and process."""
    words = ["nbdkit", "--foreground", "--exit-with-parent"]
    ready = folder / f"{name}.pid"
    if transport == "unix":
        socket = folder / f"{name}.sock"
        words += ["--unix", str(socket)]
        url = f"unix://{socket}"
    else:
        port = 10900 + len(name)
        words += ["--ipaddr", "127.0.0.1", "--port", str(port)]
        url = f"tcp://127.0.0.1:{port}"
    words += ["--pidfile", str(ready), "memory", str(size), *options]
    process = await asyncio.create_subprocess_exec(*words)
    try:
        while not ready.exists():
            if process.returncode is not None:
                raise RuntimeError(f"{' '.join(words)} ended")
            await asyncio.sleep(0.01)
        yield url, process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def start_all(
    stack: AsyncExitStack, folder: Path, size: int, transport: str
) -> dict[str, tuple[str, int]]:
    """Every server by name: its address and process."""
    servers = {}
    nodes = [(backend, "lz4") for backend in sorted(BACKENDS)]
    if "native" in BACKENDS:
        nodes.insert(1, ("native", "zstd"))
    for backend, codec in nodes:
        listen = (
            f"unix://{folder}/{backend}-{codec}.sock"
            if transport == "unix"
            else "tcp://127.0.0.1:0"
        )
        flags = (
            *("--mode", "zcache", "--pool-limit", str(2 * size), "--http", "off"),
            *("--nbd", listen, "--export", f"disk={size},codec={codec}"),
        )
        node = await stack.enter_async_context(NodeProcess(backend, *flags, ZCACHE_BACKEND=backend))
        servers[f"ramster, {backend}, {codec}"] = (node.endpoints["nbd"], node.pid)
    for name, options in (("zstd", ("allocator=zstd",)), ("plain", ())):
        started = nbdkit(folder, f"nbdkit-{name}", size, transport, *options)
        servers[f"nbdkit, {name}"] = await stack.enter_async_context(started)
    return servers


async def measure(size: int, seconds: float, rounds: int, transport: str) -> dict[str, Any]:
    """All figures of all servers."""
    data = corpus(size // PAGE_SIZE)
    data *= -(-size // len(data))
    results: dict[str, Any] = {"machine": machine(), "transport": transport, "size_bytes": size}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "disk").write_bytes(data[:size])
        async with AsyncExitStack() as stack:
            servers = await start_all(stack, folder, size, transport)
            memory = {}
            for server, (url, pid) in servers.items():
                empty = resident(pid)
                copy = ("nbdcopy", str(folder / "disk"), nbd_uri(url))
                await asyncio.to_thread(subprocess.run, copy, check=True)
                full = resident(pid)
                memory[server] = full | {"of the data": full["RssAnon"] - empty["RssAnon"]}
            results["memory"] = memory
            samples: dict[str, dict[str, list[Any]]] = {s: {} for s in servers}
            fio = str(shutil.which("fio"))
            shapes = sorted(SHAPES, key=lambda shape: "write" in shape.pattern)
            for shape in shapes:
                for _ in range(rounds):
                    for server, (url, _) in servers.items():
                        found = await asyncio.to_thread(fio_client, fio, url, shape, size, seconds)
                        samples[server].setdefault(shape.name, []).append(found)
    results["speed"] = {
        server: {
            shape: {
                field: statistics.median(getattr(result, field) for result in found)
                for field in ("iops", "mb_s", "p50_us", "p99_us")
            }
            for shape, found in shapes.items()
        }
        for server, shapes in samples.items()
    }
    return results


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="a node beside nbdkit's memory disks")
    parser.add_argument("--size", default="256MiB", type=parse_size)
    parser.add_argument("--seconds", default=2.0, type=float, help="of each run of fio")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--transport", choices=("tcp", "unix"), default="unix")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        print(f"\nnbd against nbdkit: not measured, there is no {', '.join(missing)}")
        if options.json is not None:
            options.json.write_text(json.dumps({"missing": missing}))
        sys.exit(0)
    size = options.size // 2**20 * 2**20
    results = asyncio.run(measure(size, options.seconds, options.rounds, options.transport))
    if options.json is not None:
        options.json.write_text(json.dumps(results))
    show_table(
        f"memory for {size / 2**20:,.0f} MiB of real files ({results['machine']})",
        [
            (server, ", ".join(f"{name} {value / 2**20:,.0f} MiB" for name, value in sizes.items()))
            for server, sizes in results["memory"].items()
        ],
    )
    for shape in next(iter(results["speed"].values())):
        rows = []
        for server, shapes in results["speed"].items():
            found = shapes[shape]
            rows.append(
                (
                    server,
                    f"{found['iops']:>9,.0f} /s {found['mb_s']:>8,.1f} MB/s "
                    f"p50 {found['p50_us']:>8,.1f} us  p99 {found['p99_us']:>8,.1f} us",
                )
            )
        show_table(f"fio, {shape}, {options.transport}", rows)


if __name__ == "__main__":
    main()
