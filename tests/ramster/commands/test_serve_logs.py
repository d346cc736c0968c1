"""The logs of a running cluster: every line is an event, none holds what a page holds."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from datetime import datetime
from pathlib import Path
from random import Random

from ramster.nbd.client import NbdClient
from tests.rules.test_logs import EVENTS
from tests.support.serving import ServeProcess, run_ramster

KNOWN = {event.name: event for event in EVENTS}

MARKER = "SECRET-OF-A-PAGE"
PAGES = 1200

NODE = ("--mode", "ramster", "--listen", "127.0.0.1:0", "--heartbeat-interval", "50ms")
LOUD = ("--log-format", "json", "--log-level", "debug")


def page(number: int) -> bytes:
    """A page that says the marker, in plain and again and again, and compresses to a half."""
    head = f"{MARKER} {number} ".encode() * 16
    return (head + Random(number).randbytes(2048)).ljust(4096, MARKER[:1].encode())


async def use(url: str) -> None:
    """Write and read pages, then break the protocol with one."""
    async with await NbdClient.connect(url, "disk") as client:
        for first in range(0, PAGES, 16):
            pages = b"".join(page(number) for number in range(first, first + 16))
            await client.write(first * 4096, pages)
        for number in range(PAGES):
            assert await client.read(number * 4096, 4096) == page(number)
    host, port = url.removeprefix("tcp://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await reader.readexactly(18)
    writer.write(page(0))
    await reader.read()
    writer.close()
    await writer.wait_closed()


def events(lines: list[str]) -> list[dict[str, object]]:
    """The lines as objects, each held to the documented shape."""
    found = []
    for line in lines:
        said = json.loads(line)
        assert list(said) == ["time", "level", "logger", "event", "node", "message", "fields"]
        assert datetime.fromisoformat(said["time"]).utcoffset() is not None
        if said["event"] != "library":
            known = KNOWN[said["event"]]
            assert (said["level"], said["logger"]) == (known.level, known.module)
            assert set(known.fields) <= set(said["fields"])
        assert said["message"].isprintable()
        found.append(said)
    return found


def wait_event(node: ServeProcess, name: str) -> dict[str, object]:
    return json.loads(node.wait_line(f'"event": "{name}"'))  # type: ignore[no-any-return]


def test_json_logs_of_a_cluster_are_events_and_hold_no_page(tmp_path: Path) -> None:
    file = ("--writeback", str(tmp_path / "pages"), "--writeback-limit", "1MiB")
    with ServeProcess(*NODE, *LOUD, "--name", "b", "--pool-limit", "16MiB") as lender:
        peer = str(wait_event(lender, "ready")["fields"]["peers"])  # type: ignore[index]
        disk = ("--nbd", "tcp://127.0.0.1:0", "--export", "disk=8MiB", "--put-wait", "30s")
        flags = (*NODE, *LOUD, *file, *disk, "--peer", peer, "--pool-limit", "1MiB", "--name", "a")
        with ServeProcess(*flags) as owner:
            (url,) = wait_event(owner, "ready")["fields"]["nbd"]  # type: ignore[index]
            asyncio.run(use(url))
            wait_event(owner, "flow_begun")
            lender.signal(signal.SIGTERM)
            assert lender.wait() == 0
            owner.signal(signal.SIGTERM)
            assert owner.wait() == 0
    told_by_owner, told_by_lender = events(owner.lines), events(lender.lines)
    assert {one["node"] for one in told_by_owner} == {"a"}
    names = {one["event"] for one in told_by_owner}
    assert {"limits", "ready", "peer_alive", "flow_begun", "client_ready", "stopped"} <= names
    assert "client_broke_protocol" in names
    assert {"lease_opened", "stopping", "drained"} & {one["event"] for one in told_by_lender}
    everything = "".join(owner.lines + lender.lines)
    assert MARKER not in everything
    assert MARKER[:8] not in everything


def test_text_logs_have_the_name_of_the_event_in_brackets() -> None:
    with ServeProcess("--log-level", "debug") as node:
        node.wait_ready()
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) "
    for line in node.lines:
        assert re.match(stamp, line)
        name = re.search(r" \[(\w+)( [\w]+=.*)?\]\n$", line)
        assert ": ready " in line or (name is not None and name[1] in KNOWN), line


def test_a_start_that_fails_is_an_event_in_json() -> None:
    flags = ("--log-format", "json", "--writeback", "/", "--writeback-limit", "1MiB")
    done = run_ramster("serve", *flags, "--http", "off")
    assert done.returncode == 1
    (said,) = events(done.stderr.splitlines())
    assert said["event"] == "failed"
    assert "writeback = '/' (from --writeback)" in str(said["message"])
