"""The server against NBD clients that were written elsewhere: libnbd's programs, fio, QEMU.

Skipped where a program is missing, unless RAMSTER_REQUIRE_NBD_CLIENTS=1: then that is a failure.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramster.nbd.listener import nbd_uri
from ramster.store import LocalStore
from tests.ramster.nbd.serving import MIB, TCP, serving_in_thread
from tests.support.nbd_programs import image, run

pytestmark = [pytest.mark.nbd_clients, pytest.mark.timeout(180)]

SIZE = 24 * MIB
ODD_SIZE = 5 * MIB + 12345


class Device:
    """A running server as clients see it."""

    def __init__(self, url: str, store: LocalStore) -> None:
        self.url = url
        self.store = store

    def uri(self, export: str = "disk") -> str:
        return nbd_uri(self.url, export)


@pytest.fixture(params=["tcp", "unix"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    url = TCP if request.param == "tcp" else f"unix://{tmp_path}/nbd.sock"
    with serving_in_thread(SIZE, url) as ((bound,), store):
        yield Device(bound, store)


def checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_nbdinfo_sees_what_the_export_can_do(device: Device) -> None:
    # Without --no-content it prints whatever its memory holds where the program "file" is missing.
    done = run("nbdinfo", "--json", "--no-content", device.uri())
    (export,) = json.loads(done.stdout)["exports"]
    assert export["export-size"] == SIZE
    assert export["description"] == "a disk for tests"
    assert export["contexts"] == ["base:allocation"]
    assert (export["block_size_minimum"], export["block_size_preferred"]) == (1, 4096)
    assert export["block_size_maximum"] == 32 * MIB
    for flag in ("cache", "df", "fast_zero", "flush", "fua", "multi_conn", "trim", "zero"):
        assert export[f"can_{flag}"] is True
    assert export["is_read_only"] is False


def test_nbdinfo_lists_every_export(device: Device) -> None:
    listed = json.loads(run("nbdinfo", "--json", "--list", device.uri("")).stdout)
    assert [export["export-name"] for export in listed["exports"]] == ["disk", "odd size", "fixed"]
    assert [export["export-size"] for export in listed["exports"]] == [SIZE, ODD_SIZE, MIB]
    assert [export["is_read_only"] for export in listed["exports"]] == [False, False, True]


def test_nbdinfo_takes_the_first_export_by_default_and_is_told_of_unknown_ones(
    device: Device,
) -> None:
    assert run("nbdinfo", "--size", device.uri("")).stdout.strip() == str(SIZE)
    assert run("nbdinfo", "--is", "read-only", device.uri("fixed")).returncode == 0
    unknown = run("nbdinfo", device.uri("nosuch"), ok=False)
    assert unknown.returncode != 0
    assert "nosuch" in unknown.stderr


def test_nbdinfo_maps_holes_and_data(device: Device) -> None:
    script = f"h.connect_uri({device.uri()!r}); h.pwrite(b'x' * 5000, 10 * 4096)"
    run("nbdsh", "-c", script)
    mapped = json.loads(run("nbdinfo", "--json", "--map", device.uri()).stdout)
    assert [(entry["offset"], entry["length"], entry["type"]) for entry in mapped] == [
        (0, 10 * 4096, 3),
        (10 * 4096, 2 * 4096, 0),
        (12 * 4096, SIZE - 12 * 4096, 3),
    ]


@pytest.mark.parametrize(("export", "size"), [("disk", SIZE), ("odd size", ODD_SIZE)])
def test_nbdcopy_there_and_back_gives_the_same_bytes(
    device: Device, tmp_path: Path, export: str, size: int
) -> None:
    data = image(tmp_path / "source", size, seed=1)
    back = tmp_path / "back"
    run("nbdcopy", "--flush", str(tmp_path / "source"), device.uri(export))
    run("nbdcopy", device.uri(export), str(back))
    assert checksum(back.read_bytes()) == checksum(data)
    assert device.store.cache.stats().pages_persistent < size // 4096  # holes stayed holes


def test_nbdcopy_over_several_connections_and_many_requests(device: Device, tmp_path: Path) -> None:
    data = image(tmp_path / "source", SIZE, seed=2)
    many = ["--connections=4", "--requests=64", "--request-size=65536"]
    run("nbdcopy", *many, str(tmp_path / "source"), device.uri())
    run("nbdcopy", *many, device.uri(), str(tmp_path / "back"))
    assert checksum((tmp_path / "back").read_bytes()) == checksum(data)


def test_nbdcopy_that_keeps_zeros_allocated(device: Device, tmp_path: Path) -> None:
    data = image(tmp_path / "source", 4 * MIB, seed=3)
    run("nbdcopy", "--allocated", "--destination-is-zero", str(tmp_path / "source"), device.uri())
    run("nbdcopy", "--allocated", str(tmp_path / "source"), device.uri())
    run("nbdcopy", device.uri(), str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes()[: len(data)] == data


NBDSH = """
import errno, random
uri = {uri!r}
h.add_meta_context("base:allocation")
h.set_strict_mode(0)          # let wrong requests through to the server
h.connect_uri(uri)
size = h.get_size()
model = bytearray(size)
r = random.Random(7)
for step in range(400):
    offset = r.randrange(size)
    length = min(r.choice([1, 511, 512, 4096, 10000, 300000]), size - offset)
    kind = r.randrange(5)
    if kind == 0:
        data = r.randbytes(length)
        h.pwrite(data, offset, nbd.CMD_FLAG_FUA if step & 1 else 0)
        model[offset:offset + length] = data
    elif kind == 1:
        h.trim(length, offset)
        model[offset:offset + length] = bytes(length)
    elif kind == 2:
        h.zero(length, offset, r.choice([0, nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FAST_ZERO]))
        model[offset:offset + length] = bytes(length)
    elif kind == 3:
        h.cache(length, offset)
    else:
        flags = nbd.CMD_FLAG_DF if step & 1 else 0
        assert h.pread(length, offset, flags) == model[offset:offset + length]
h.flush()
assert h.pread(size, 0) == model

def refused(number, call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as error:
        assert error.errnum == number, error
    else:
        raise AssertionError("not refused")

refused(errno.EINVAL, h.pread, 512, size)
refused(errno.ENOSPC, h.pwrite, bytes(512), size - 1)
refused(errno.ENOSPC, h.zero, 512, size - 1)
refused(errno.EINVAL, h.trim, 512, size - 1)
refused(errno.EINVAL, h.pread, 0, 0)
refused(errno.EINVAL, h.trim, 4096, 0, 0x100)
assert h.pread(100, 5) == model[5:105]     # and the connection lives

# Many requests in flight, and replies in any order.
buffers = [nbd.Buffer(4096) for _ in range(64)]
cookies = [h.aio_pread(buffer, n * 4096) for n, buffer in enumerate(buffers)]
while cookies:
    h.poll(-1)
    cookies = [cookie for cookie in cookies if not h.aio_command_completed(cookie)]
for n, buffer in enumerate(buffers):
    assert buffer.to_bytearray() == model[n * 4096:(n + 1) * 4096]

seen = []
h.block_status(size, 0, lambda context, offset, entries, error: seen.extend(entries))
assert sum(seen[::2]) == size, seen
one = []
h.block_status(size, 0, lambda c, o, entries, e: one.extend(entries), nbd.CMD_FLAG_REQ_ONE)
assert one == seen[:2], (one, seen[:4])
h.shutdown()
print("all good")
"""


def test_libnbd_from_python_agrees_with_a_bytearray(device: Device) -> None:
    assert "all good" in run("nbdsh", "-c", NBDSH.format(uri=device.uri())).stdout


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("newest", [True, False])
def test_libnbd_with_less_negotiation(device: Device, structured: bool, newest: bool) -> None:
    script = f"""
h.set_request_structured_replies({structured})
h.set_handshake_flags({"nbd.HANDSHAKE_FLAG_MASK" if newest else "0"})
h.connect_uri({device.uri("odd size")!r})
assert h.get_size() == {ODD_SIZE}
h.pwrite(b"old and new", 4090)
assert h.pread(20, 4088) == b"\\0\\0old and new" + bytes(7)
assert h.pread(9, {ODD_SIZE} - 9) == bytes(9)
try:
    h.pread(4096, {ODD_SIZE} - 1)
except nbd.Error:
    pass
h.shutdown()
print("all good")
"""
    assert "all good" in run("nbdsh", "-c", script).stdout


def test_libnbd_walks_the_options(device: Device) -> None:
    script = f"""
h.set_opt_mode(True)
h.connect_uri({device.uri("")!r})
names = []
h.opt_list(lambda name, description: names.append((name, description)))
assert names == [("disk", "a disk for tests"), ("odd size", ""), ("fixed", "")], names
h.set_export_name("nosuch")
for call in (h.opt_info, h.opt_go):
    try:
        call()
    except nbd.Error as error:
        assert "No such file" in str(error) or "nosuch" in str(error), error
    else:
        raise AssertionError("not refused")
h.set_export_name("fixed")
h.opt_info()
assert h.get_size() == {MIB} and h.is_read_only()
contexts = []
h.opt_list_meta_context(contexts.append)
assert contexts == ["base:allocation"], contexts
h.set_export_name("disk")
h.opt_go()
assert h.get_size() == {SIZE} and not h.is_read_only()
h.shutdown()
h2 = nbd.NBD()
h2.set_opt_mode(True)
h2.connect_uri({device.uri("")!r})
h2.opt_abort()
print("all good")
"""
    assert "all good" in run("nbdsh", "-c", script).stdout


@pytest.mark.parametrize(
    "shape",
    [
        ["--bs=4k", "--iodepth=16"],
        ["--bsrange=512-64k", "--blockalign=512", "--iodepth=8", "--norandommap=0"],
        ["--bsrange=1000-37000", "--bs_unaligned=1", "--iodepth=1"],
    ],
    ids=["pages", "sectors", "odd sizes"],
)
def test_fio_verifies_what_it_wrote_at_random(
    device: Device, tmp_path: Path, shape: list[str]
) -> None:
    done = run(
        "fio",
        *("--name=verify", "--ioengine=nbd", f"--uri={device.uri()}", "--rw=randrw"),
        *("--size=8M", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1"),
        *("--randseed=5", "--buffer_compress_percentage=50", "--output-format=json"),
        *(f"--aux-path={tmp_path}", *shape),
    )
    (job,) = json.loads(done.stdout[done.stdout.index("{") :])["jobs"]
    assert job["error"] == 0
    assert job["write"]["total_ios"] > 50
    assert job["read"]["total_ios"] > 50


def test_fio_trims(device: Device, tmp_path: Path) -> None:
    done = run(
        "fio",
        *("--name=trim", "--ioengine=nbd", f"--uri={device.uri()}", "--rw=randtrim"),
        *("--size=8M", "--bs=16k", "--iodepth=8", "--output-format=json"),
        f"--aux-path={tmp_path}",
    )
    (job,) = json.loads(done.stdout[done.stdout.index("{") :])["jobs"]
    assert (job["error"], job["trim"]["total_ios"]) == (0, 512)
    assert device.store.cache.stats().pages_persistent == 0


def test_qemu_img_converts_compares_and_maps(device: Device, tmp_path: Path) -> None:
    image(tmp_path / "source", SIZE, seed=4)
    source, back = str(tmp_path / "source"), str(tmp_path / "back")
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, device.uri())
    same = run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, device.uri())
    assert "identical" in same.stdout
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", device.uri(), back)
    assert checksum((tmp_path / "back").read_bytes()) == checksum(
        (tmp_path / "source").read_bytes()
    )
    mapped = json.loads(run("qemu-img", "map", "-f", "raw", "--output=json", device.uri()).stdout)
    assert sum(entry["length"] for entry in mapped) == SIZE
    assert {entry["data"] for entry in mapped} == {True, False}


def test_qemu_img_keeps_a_qcow2_image_on_the_device(device: Device, tmp_path: Path) -> None:
    image(tmp_path / "source", 6 * MIB, seed=5)
    source = str(tmp_path / "source")
    run("qemu-img", "create", "-q", "-f", "qcow2", device.uri(), "6M")
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", source, device.uri())
    run("qemu-img", "check", "-f", "qcow2", device.uri())
    run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, device.uri())


def test_qemu_io_writes_patterns_and_discards(device: Device) -> None:
    done = run(
        "qemu-io",
        *("-f", "raw", "-t", "none", device.uri()),
        *("-c", "write -P 0xab 1000 9000"),
        *("-c", "write -z -u 4096 4096"),
        *("-c", "write -z 16k 8k"),
        *("-c", "write -f -P 7 3M 512"),
        *("-c", "discard 64k 64k"),
        *("-c", "flush"),
        *("-c", "read -P 0 0 1000"),
        *("-c", "read -P 0xab 1000 3096"),
        *("-c", "read -P 0 4096 4096"),
        *("-c", "read -P 0xab 8192 1808"),
        *("-c", "read -P 7 3M 512"),
    )
    assert "Pattern verification failed" not in done.stdout
    assert done.stdout.count("read ") == 5
    assert "error" not in (done.stdout + done.stderr).lower()


def test_qemu_sees_a_full_pool_as_no_space(tmp_path: Path) -> None:
    with serving_in_thread(SIZE, TCP, pool_bytes=MIB) as ((bound,), _):
        (tmp_path / "noise").write_bytes(random.Random(6).randbytes(4 * MIB))
        done = run(
            "qemu-img",
            *("convert", "-n", "-f", "raw", "-O", "raw"),
            *(str(tmp_path / "noise"), nbd_uri(bound, "disk")),
            ok=False,
        )
        assert done.returncode != 0
        assert "No space left on device" in done.stderr
        assert run("nbdinfo", "--size", nbd_uri(bound, "disk")).stdout.strip() == str(SIZE)
