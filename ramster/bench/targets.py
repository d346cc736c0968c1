"""What workloads run on: for each subject a page store in this process, or a block device over NBD.

Covers: starting and stopping the node (or plain memory) and its lenders; clients; figures, memory
and processor time of the processes. Does not cover: what is done with the pages (the workloads),
other servers (``peers-*``).

Every subject has the same budget of memory for pages: nothing has it for pages as they are, zcache
and ramster for a pool. A ramster node with peers has, in addition, what the lenders lend: that is
what it is for, and what its figures must be read with.

    async with open_target("api", Subject.ZCACHE, Room(budget_bytes=2**25), 10_000, folder) as t:
        async with t.connect() as pages:
            await pages.write(0, page)
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ramster.addresses import PEER_PORT, parse_address
from ramster.bench.device_pages import DevicePages, NbdPages, StorePages
from ramster.bench.model import Subject, WorkloadUnavailable
from ramster.bench.plain_server import EXPORT, PlainServerProcess, fetch_plain_figures
from ramster.bench.plain_store import PlainStore
from ramster.bench.process_use import anonymous_bytes, processor_s
from ramster.config import Mode, NodeConfig
from ramster.demo.nodes import NodeProcess, NodeProcessError
from ramster.figures import Figures
from ramster.nbd.client import NbdClient
from ramster.node import Node
from ramster.stats_client import fetch_figures
from ramster.store import PageStore
from zcache import PAGE_SIZE, PoolKind

__all__ = [
    "SUBJECTS",
    "DeviceTarget",
    "Room",
    "StoreTarget",
    "Target",
    "open_device",
    "open_store",
    "open_target",
]

SUBJECTS = (Subject.NOTHING, Subject.ZCACHE, Subject.ALONE, Subject.RAMSTER)
"""Those that can be opened here."""

_ACQUAINTED_S = 20.0
_SOCKET_PATH_BYTES_MAX = 107
"""Of Linux; a folder with a longer path gets its sockets elsewhere."""
_PROGRAM = "program"
"""What this process is called among ``Target.processes``."""
_ANY_PORT = "127.0.0.1:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Memory for pages."""

    budget_bytes: int
    """Plain pages, or the pool's hard limit: the same for every subject."""
    lenders: int = 1
    """Nodes that lend to the subject ramster, each a process."""
    lent_bytes: int = 0
    """What each of them lends; 0: as much as the budget."""
    spill_ephemeral: bool = False
    """Ephemeral pages go to lenders instead of being dropped."""
    codec: str = "lz4"

    @property
    def lent_each_bytes(self) -> int:
        """``lent_bytes``, with its default."""
        return self.lent_bytes or self.budget_bytes


class Target(ABC):
    """Something that holds pages, opened: devices for clients, figures, use of the machine."""

    def __init__(
        self, subject: Subject, children: list[NodeProcess], ask: Callable[[], Awaitable[Figures]]
    ) -> None:
        self.subject = subject
        self.processes = {_PROGRAM: os.getpid()} | {child.name: child.pid for child in children}
        """Pids by name: this process ("program"), the server or node, the lenders."""
        self._children = children
        self._ask = ask
        self._memory_before = anonymous_bytes(os.getpid())
        self._processor_before = self._processor()

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[DevicePages]:
        """A client of its own to the one device that there is."""

    async def figures(self) -> Figures:
        """Of the node (not of its lenders); of plain memory, what means something there."""
        return await self._ask()

    def check(self) -> None:
        """Raises NodeProcessError if a process has ended."""
        for child in self._children:
            child.check()

    def resident_bytes(self) -> dict[str, int]:
        """Anonymous resident memory by process; of this one what it has more than at the start."""
        found = {name: anonymous_bytes(pid) for name, pid in self.processes.items()}
        found[_PROGRAM] -= self._memory_before
        return found

    def processor_s(self) -> tuple[float, float]:
        """User and system seconds of all processes together since the target was opened."""
        user, system = self._processor()
        return user - self._processor_before[0], system - self._processor_before[1]

    def _processor(self) -> tuple[float, float]:
        spent = [processor_s(pid) for pid in self.processes.values()]
        return sum(user for user, _ in spent), sum(system for _, system in spent)


class StoreTarget(Target):
    """A page store in this process: the Python API."""

    def __init__(
        self,
        subject: Subject,
        store: PageStore,
        children: list[NodeProcess],
        ask: Callable[[], Awaitable[Figures]],
    ) -> None:
        super().__init__(subject, children, ask)
        self.store = store
        self._pool: int | None = None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[DevicePages]:
        """See ``Target``: object 1 of one persistent pool, the same for all."""
        if self._pool is None:
            self._pool = self.store.create_pool(PoolKind.PERSISTENT)
        yield StorePages(self.store, self._pool, 1)


class DeviceTarget(Target):
    """A block device, served by a process of its own."""

    def __init__(
        self,
        subject: Subject,
        url: str,
        children: list[NodeProcess],
        ask: Callable[[], Awaitable[Figures]],
    ) -> None:
        super().__init__(subject, children, ask)
        self.url = url
        """Of the NBD server, a Unix socket."""
        self.export = EXPORT

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[DevicePages]:
        """See ``Target``: a connection of its own."""
        async with await NbdClient.connect(self.url, self.export) as client:
            yield NbdPages(client)


@asynccontextmanager
async def open_target(
    way: str, subject: Subject, room: Room, pages: int, scratch: Path
) -> AsyncIterator[Target]:
    """``way``: "api" for ``open_store``, "nbd" for ``open_device``. Raises as they do."""
    if way == "api":
        async with open_store(subject, room) as store:
            yield store
    else:
        assert way == "nbd", f"{way}: accepted is api or nbd"
        async with open_device(subject, room, pages, scratch) as device:
            yield device


@asynccontextmanager
async def open_store(subject: Subject, room: Room) -> AsyncIterator[StoreTarget]:
    """A page store in this process.

    Raises WorkloadUnavailable (ramster mode without its extra, a subject that is none of
    ``SUBJECTS``) and NodeProcessError (a lender does not start).
    """
    _check(subject)
    if subject is Subject.NOTHING:
        plain = PlainStore(room.budget_bytes)

        async def tell() -> Figures:
            return plain.figures()

        yield StoreTarget(subject, plain, [], tell)
        return
    async with AsyncExitStack() as stack:
        lenders = await _start_lenders(stack, subject, room)
        config = NodeConfig(
            mode=Mode.ZCACHE if subject is Subject.ZCACHE else Mode.RAMSTER,
            name="bench",
            pool_limit=room.budget_bytes,
            codec=room.codec,
            http=None,
            listen=parse_address(_ANY_PORT, PEER_PORT),
            lend_limit=0,
            peer=tuple(parse_address(lender.endpoints["peers"], PEER_PORT) for lender in lenders),
            spill_ephemeral=room.spill_ephemeral,
        )
        node = await stack.enter_async_context(Node(config))

        async def ask() -> Figures:
            return node.figures()

        await _wait_acquainted(ask)
        yield StoreTarget(subject, node.store, lenders, ask)


@asynccontextmanager
async def open_device(
    subject: Subject, room: Room, pages: int, scratch: Path
) -> AsyncIterator[DeviceTarget]:
    """A block device of ``pages`` pages over NBD on a Unix socket in ``scratch``.

    Raises as ``open_store`` does.
    """
    _check(subject)
    async with AsyncExitStack() as stack:
        folder = _socket_folder(stack, scratch)
        lenders = await _start_lenders(stack, subject, room)
        server: NodeProcess
        if subject is Subject.NOTHING:
            server = PlainServerProcess(
                "server",
                *("--budget", str(room.budget_bytes), "--size", str(pages * PAGE_SIZE)),
                *("--folder", str(folder)),
            )
        else:
            server = NodeProcess("server", *_flags(subject, room, pages, folder, lenders))
        await stack.enter_async_context(server)

        async def ask() -> Figures:
            if subject is Subject.NOTHING:
                return await fetch_plain_figures(server.endpoints["figures"])
            return await asyncio.to_thread(fetch_figures, server.endpoints["http"])

        await _wait_acquainted(ask)
        yield DeviceTarget(subject, server.endpoints["nbd"], [server, *lenders], ask)


def _check(subject: Subject) -> None:
    if subject not in SUBJECTS:
        accepted = ", ".join(SUBJECTS)
        raise WorkloadUnavailable(f"{subject} cannot be opened here: accepted is {accepted}")
    if subject in (Subject.ALONE, Subject.RAMSTER) and importlib.util.find_spec("grpc") is None:
        raise WorkloadUnavailable("ramster mode needs grpcio: pip install 'ramster[cluster]'")


def _flags(
    subject: Subject, room: Room, pages: int, folder: Path, lenders: list[NodeProcess]
) -> list[str]:
    """Of ``ramster serve``, for the node behind a block device."""
    flags = ["--mode", "zcache" if subject is Subject.ZCACHE else "ramster", "--http", _ANY_PORT]
    flags += ["--pool-limit", str(room.budget_bytes), "--codec", room.codec]
    flags += ["--nbd", f"unix://{folder / 'server.nbd'}"]
    flags += ["--export", f"{EXPORT}={pages * PAGE_SIZE}"]
    if subject is not Subject.ZCACHE:
        flags += ["--listen", _ANY_PORT, "--lend-limit", "0"]
        flags += ["--spill-ephemeral", "on" if room.spill_ephemeral else "off"]
    for lender in lenders:
        flags += ["--peer", lender.endpoints["peers"]]
    return flags


async def _start_lenders(stack: AsyncExitStack, subject: Subject, room: Room) -> list[NodeProcess]:
    """Nodes with pools large enough that what they lend stays under their high watermark."""
    lenders: list[NodeProcess] = []
    for number in range(room.lenders if subject is Subject.RAMSTER else 0):
        lender = NodeProcess(
            f"lender{number}",
            *("--mode", "ramster", "--listen", _ANY_PORT, "--http", "off"),
            *("--pool-limit", str(room.lent_each_bytes * 3 // 2)),
            *("--lend-limit", str(room.lent_each_bytes)),
        )
        lenders.append(await stack.enter_async_context(lender))
    return lenders


def _socket_folder(stack: AsyncExitStack, scratch: Path) -> Path:
    longest = len(os.fsencode(scratch / "server.figures"))
    if longest <= _SOCKET_PATH_BYTES_MAX:
        return scratch
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ramster-bench-")))


async def _wait_acquainted(ask: Callable[[], Awaitable[Figures]]) -> None:
    """Until every lender has answered. Raises NodeProcessError if one does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ACQUAINTED_S
    while True:
        states = {peer["address"]: peer["state"] for peer in (await ask()).get("peers", [])}
        if set(states.values()) <= {"alive"}:
            return
        if loop.time() > deadline:
            raise NodeProcessError(f"the node does not reach its lenders: {states}")
        await asyncio.sleep(0.02)
