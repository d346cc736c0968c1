"""Reading a tree of files as a machine's; nothing that is missing or odd is an error."""

from __future__ import annotations

from pathlib import Path

from ramster.doctor.machine import Machine
from tests.support.machine_tree import make_machine


def test_texts_numbers_and_fields(tmp_path: Path) -> None:
    meminfo = "MemTotal:       1024 kB\nMemFree:   7 kB"
    machine = make_machine(
        tmp_path, {"proc/meminfo": meminfo, "n": "-17", "w": "max", "proc/stat": "cpu 1 2"}
    )
    assert machine.text("/proc/stat") == machine.text("proc/stat") == "cpu 1 2"
    assert machine.number("n") == -17
    assert machine.number("w") is None
    assert machine.kib("proc/meminfo", "MemTotal") == 2**20
    assert machine.kib("proc/meminfo", "Mem") is None
    assert machine.field("proc/stat", "cpu") == "1 2"


def test_what_is_not_there_or_no_text_is_none(tmp_path: Path) -> None:
    machine = make_machine(tmp_path, {"f": "x"})
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\0")
    (tmp_path / "folder").mkdir()
    assert machine.text("nothing") is None
    assert machine.text("folder") is None
    assert machine.number("bytes") is None
    assert machine.number("nothing") is None
    assert machine.kib("nothing", "x") is None
    assert machine.names("nothing") == machine.names("f") == []
    assert not machine.exists("nothing")
    assert machine.exists("f")
    assert machine.names("/") == ["bytes", "f", "folder"]


def test_large_files_are_read_to_a_bound_and_the_kernels_own_as_well(tmp_path: Path) -> None:
    machine = make_machine(tmp_path, {"large": "x" * 3_000_000 + "\nend 7"})
    assert machine.field("large", "end") == "7"
    (tmp_path / "larger").write_bytes(b"x" * 2**24)
    assert len(machine.text("larger") or "") == 2**23
    if Path("/proc/sys/vm/overcommit_memory").exists():
        assert Machine().number("proc/sys/vm/overcommit_memory") in (0, 1, 2)


def test_the_second_version_of_control_groups(tmp_path: Path) -> None:
    machine = make_machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/b/memory.max": "max",
            "sys/fs/cgroup/a/memory.max": "4096000",
        },
    )
    group = machine.control_group("memory")
    assert group is not None
    assert (group.version, group.memory_max()) == (2, 4096000)


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    machine = make_machine(
        tmp_path,
        {
            "proc/7/cgroup": "4:memory:/a\n3:cpu,cpuacct:/\n0::/",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "8192000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
    )
    group = machine.control_group("memory", "7")
    assert group is not None
    assert (group.version, group.memory_max()) == (1, 8192000)
    cpu = machine.control_group("cpu", "7")
    assert cpu is not None
    assert cpu.mount == "sys/fs/cgroup/cpu,cpuacct"
    assert machine.control_group("memory", "8") is None


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/docker/x", "sys/fs/cgroup/memory.max": "12288"}
    group = make_machine(tmp_path, files).control_group("memory")
    assert group is not None
    assert group.memory_max() == 12288
