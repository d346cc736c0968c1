"""Addresses that are free, taken by a stranger, by a node of ours, or none of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ramster.config import NodeConfig
from ramster.doctor.findings import Feature, Finding, Status
from ramster.doctor.listening import check_listening
from ramster.embed import EmbeddedNode


def config(**settings: object) -> NodeConfig:
    return NodeConfig(name="n", **settings)  # type: ignore[arg-type]


def by_setting(found: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in found}


def test_free_addresses_are_in_order_and_stay_free(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    settings = {"http": "127.0.0.1:0", "nbd": [f"unix://{path}"], "export": ["a=1M"]}
    found = check_listening(config(**settings), None)
    assert [one.status for one in found] == [Status.OK, Status.OK]
    assert not path.exists()


def test_an_address_of_somebody_else_is_bad() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        (found,) = check_listening(config(http=f"127.0.0.1:{port}"), None)
    assert (found.feature, found.status) == (Feature.FIGURES, Status.BAD)
    assert f"sport = :{port}" in found.fix
    (after,) = check_listening(config(http=f"127.0.0.1:{port}"), None)
    assert after.found == f"127.0.0.1:{port} is free"


def test_a_running_node_of_ours_is_in_order(tmp_path: Path) -> None:
    settings = {"nbd": [f"unix://{tmp_path / 'sock'}"], "export": ["a=1M"], "mode": "ramster"}
    asked = config(http="127.0.0.1:0", listen="127.0.0.1:0", **settings)
    with EmbeddedNode(asked) as embedded:
        figures = embedded.figures()
        places = figures["endpoints"]
        same = config(
            http=places["http"].removeprefix("http://"), listen=places["peers"], **settings
        )
        found = by_setting(check_listening(same, figures))
        stranger = by_setting(check_listening(same, None))
    assert {one.status for one in found.values()} == {Status.OK}
    assert all("node n (pid" in one.found for one in found.values())
    assert {one.status for one in stranger.values()} == {Status.BAD}


def test_the_port_for_peers_is_of_mode_ramster() -> None:
    assert "listen" not in by_setting(check_listening(config(listen="127.0.0.1:1"), None))
    alone = config(mode="ramster", listen="127.0.0.1:0", http="off")
    assert by_setting(check_listening(alone, None))["listen"].found.endswith("any free port")


@pytest.mark.parametrize(
    ("address", "said"),
    [("192.0.2.1:7780", "Cannot assign requested address"), ("nohost.invalid:1", "")],
)
def test_an_address_that_is_not_of_this_machine_is_bad(address: str, said: str) -> None:
    (found,) = check_listening(config(http=address), None)
    assert found.status is Status.BAD
    assert said in found.found


def test_loopback_is_noted_where_peers_are_elsewhere() -> None:
    def notes(**settings: object) -> list[Status]:
        asked = config(mode="ramster", http="off", **settings)
        return [one.status for one in check_listening(asked, None)][1:]

    assert notes(listen="127.0.0.1:0", peer=["192.0.2.1"]) == [Status.NOTE]
    assert notes(listen="127.0.0.1:0", peer=["localhost:1", "[::1]:1", "127.0.0.2:1"]) == []
    assert notes(listen="0.0.0.0:0", peer=["192.0.2.1"]) == []


def nbd(path: Path) -> Finding:
    asked = config(http="off", nbd=[f"unix://{path}"], export=["a=1M"])
    (found,) = check_listening(asked, None)
    return found


def test_a_socket_that_was_left_over_is_in_order(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
        assert nbd(path).status is Status.BAD
    assert nbd(path).status is Status.OK
    assert path.exists()


def test_a_file_or_no_folder_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert nbd(tmp_path / "file").status is Status.BAD
    assert nbd(tmp_path / "file" / "sock").status is Status.BAD
    missing = nbd(tmp_path / "folder" / "sock")
    assert (missing.status, missing.fix) == (
        Status.MISSING,
        f"sudo mkdir -p {tmp_path / 'folder'}",
    )
