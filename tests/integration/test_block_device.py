"""Running nodes as block devices, against clients that were written elsewhere, in both modes.

In ramster mode the data are three times what the node's own pool holds, so that most of what the
clients read back was spilled to two other nodes and fetched again.
"""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ramster.demo.sample import compression_of, read_sample
from ramster.nbd.listener import nbd_uri
from tests.support.nbd_programs import run
from tests.support.serving import ServeProcess

pytestmark = [pytest.mark.nbd_clients, pytest.mark.timeout(240)]

MIB = 1024 * 1024
SIZE = 48 * MIB


class Device:
    """A node's export, and the node's figures."""

    def __init__(self, mode: str, endpoints: dict[str, str]) -> None:
        self.mode = mode
        self.uri = nbd_uri(endpoints["nbd"], "disk")
        self._stats = f"{endpoints['http']}/stats"

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(self._stats, timeout=10) as answer:
            figures: dict[str, Any] = json.load(answer)
        return figures

    def check(self) -> None:
        """Nothing was lost, and in ramster mode much of it came from elsewhere."""
        figures = self.stats()
        assert figures["pages"]["lost"] == 0
        if self.mode == "ramster":
            assert figures["pages"]["away"] > figures["pages"]["local"]
            assert figures["cluster"]["remote_hits"] > 0
        else:
            assert figures["cluster"] is None


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image made of this machine's own files."""
    path = tmp_path_factory.mktemp("sample") / "image"
    path.write_bytes(read_sample(SIZE)[0])
    assert path.stat().st_size == SIZE
    return path


@pytest.fixture(params=["zcache", "ramster"])
def device(request: pytest.FixtureRequest, sample: Path) -> Iterator[Device]:
    frames = int(compression_of(bytearray(sample.read_bytes())) * SIZE)
    common = ("--mode", request.param, "--nbd", "tcp://127.0.0.1:0", "--export", f"disk={SIZE}")
    with ExitStack() as nodes:
        if request.param == "zcache":
            flags = [*common, "--pool-limit", str(2 * frames)]
        else:
            flags = [*common, "--pool-limit", str(frames // 3), "--lend-limit", "0"]
            flags += ["--listen", "127.0.0.1:0"]
            for name in ("east", "west"):
                lender = nodes.enter_context(
                    ServeProcess(
                        *("--mode", "ramster", "--listen", "127.0.0.1:0", "--name", name),
                        *("--pool-limit", str(2 * frames), "--lend-limit", str(frames)),
                    )
                )
                flags += ["--peer", lender.wait_ready()["peers"]]
        node = nodes.enter_context(ServeProcess(*flags))
        yield Device(request.param, node.wait_ready())


def test_nbdinfo_and_nbdcopy_there_and_back(device: Device, sample: Path, tmp_path: Path) -> None:
    assert run("nbdinfo", "--size", device.uri).stdout.strip() == str(SIZE)
    run("nbdcopy", str(sample), device.uri)
    run("nbdcopy", device.uri, str(tmp_path / "back"))
    there, back = (
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (sample, tmp_path / "back")
    )
    assert there == back
    device.check()


def test_qemu_img_compares_equal(device: Device, sample: Path) -> None:
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", str(sample), device.uri)
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", str(sample), device.uri)
    device.check()


def test_fio_verifies_a_random_mix(device: Device, sample: Path, tmp_path: Path) -> None:
    run("nbdcopy", str(sample), device.uri)
    done = run(
        "fio",
        *("--name=mix", "--ioengine=nbd", f"--uri={device.uri}", "--rw=randrw"),
        *(f"--size={SIZE}", "--bsrange=512-64k", "--iodepth=16", "--randseed=7"),
        *("--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--output-format=json"),
        *("--buffer_compress_percentage=45", f"--aux-path={tmp_path}"),
    )
    (job,) = json.loads(done.stdout[done.stdout.index("{") :])["jobs"]
    assert job["error"] == 0
    assert min(job["read"]["total_ios"], job["write"]["total_ios"]) > 500
    device.check()
