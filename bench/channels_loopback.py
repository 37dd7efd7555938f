"""Channels on the loopback: how fast one is, and what a thousand cost that are idle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from bench.channels_frontend import Guest
from bench.figures import show_most, show_speeds, spread
from xenwire.qemu.program import find_qemu
from xenwire.xenstore import Store
from xenwire.xenstored import server

XENCONSOLED = 30 * 2048 / 0.2
"""Bytes a second that xenconsoled takes from a domain at most (xen: tools/console/daemon/io.c)."""

SIZE = 8 << 20
MESSAGE = 64
BUSY, CHANNELS = 10, 1000
EACH = 7
"""Channels of a domain: as many as Linux has terminals for."""
DOMAINS = 100
EXCHANGES = 200
QUIET = 5.0
"""Seconds for which idle channels are looked at."""
NONE = 0.05
"""Milliseconds of the processor in a second that count as none."""
SPOOLS = "/dev/shm"
"""Memory, as /run is, where they really are."""


def run(runs: int = 7) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for part in (throughput(runs), idle(), domains()):
        asyncio.run(part)


class Process:
    """A program of this folder that answers lines, and what the kernel tells of it."""

    def __init__(self, module: str, *arguments: object) -> None:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"bench.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=env,
        )
        self._proc = Path("/proc", str(self._process.pid))

    async def answer(self) -> None:
        """Wait for a line."""
        assert self._process.stdout is not None
        assert await asyncio.to_thread(self._process.stdout.readline)

    async def do(self, line: str) -> None:
        """Have it do something, and wait until it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        await self.answer()

    def cpu(self) -> float:
        """Give the seconds that it has run."""
        return int((self._proc / "schedstat").read_text().split()[0]) / 1e9

    def wakes(self) -> int:
        """Give how often it has gone to sleep."""
        return int(_field(self._proc / "status", "voluntary_ctxt_switches"))

    def memory(self, field: str = "Pss") -> float:
        """Give its proportional share of memory, in KiB."""
        return _field(self._proc / "smaps_rollup", field)

    async def close(self) -> None:
        """End its input, by which it ends."""
        await asyncio.to_thread(self._process.communicate)


def _field(path: Path, name: str) -> float:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return float(value.split()[0])
    raise LookupError(name)


@asynccontextmanager
async def backend() -> AsyncIterator[tuple[Path, Store, Process]]:
    """Give a folder for the loopback, its store, and the process that serves channels."""
    with tempfile.TemporaryDirectory(prefix="xw-", dir=SPOOLS) as name:
        folder = Path(name)
        (folder / "spools").mkdir()
        ready = asyncio.Event()
        daemon = asyncio.create_task(server.serve(folder / "store.sock", ready=ready.set))
        await ready.wait()
        process = Process("channels_backend", folder)
        try:
            await process.answer()
            async with Store.connect(folder / "store.sock") as store:
                yield folder, store, process
        finally:
            await process.close()
            daemon.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await daemon


async def throughput(runs: int) -> None:
    """A guest that writes or reads, and a client that does the opposite, each a process of its own."""
    async with backend() as (folder, _, process):
        guest = Process("channels_frontend", folder, 5)
        await guest.answer()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "5-1"))
            for title, word, other in ("guest to client", "write", take), ("client to guest", "read", give):
                speeds, efforts = [], []
                for _ in range(runs + 1):
                    cpu, start = process.cpu(), time.perf_counter()
                    await asyncio.gather(guest.do(f"{word} {SIZE}"), asyncio.to_thread(other, client))
                    speeds.append(SIZE / (time.perf_counter() - start))
                    efforts.append(SIZE / (process.cpu() - cpu))
                show_speeds(
                    f"loopback: one channel, {title}, spool and socket included",
                    "KiB/s",
                    kib(speeds[1:]),
                    "xenconsoled",
                    [XENCONSOLED / 1024],
                    30,
                )
                print(f"  for each second that its processor works {spread(kib(efforts[1:]), 'KiB')}\n")
        await guest.close()


def take(client: socket.socket) -> None:
    buffer, left = bytearray(1 << 16), SIZE
    while left:
        left -= client.recv_into(buffer, min(left, len(buffer)))


def give(client: socket.socket) -> None:
    client.sendall(bytes(SIZE))


def kib(values: Iterable[float]) -> list[float]:
    return [value / 1024 for value in values]


async def idle() -> None:
    """A thousand channels, ten of which have something to carry."""
    async with backend() as (folder, store, process):
        guests = [Guest(store, folder, 5 + n // EACH, 1 + n % EACH) for n in range(CHANNELS)]
        busy, others = guests[:BUSY], guests[BUSY:]
        for guest in busy:
            await guest.attach()
            await guest.connect()
        alone = carry(busy, process)
        before = process.memory()
        steps = {}
        for guest in others:
            await guest.attach()
        steps["attached"] = process.memory()
        for guest in others:
            await guest.connect()
        steps["connected"] = process.memory()
        for guest in others:
            exchange([guest], 1)
        steps["after its first bytes"] = process.memory()
        among = carry(busy, process)
        await asyncio.sleep(1)
        cpu, wakes = process.cpu(), process.wakes()
        await asyncio.sleep(QUIET)
        cpu, wakes = process.cpu() - cpu, process.wakes() - wakes
        for guest in guests:
            guest.close()
    each = {step: (memory - before) / len(others) for step, memory in steps.items()}
    show_most(
        f"loopback: memory (PSS) of each of {len(others)} idle channels, beside {BUSY} that are busy",
        max(each.values()),
        "KiB",
        16,
        ", ".join(f"{step} {memory:.1f} KiB" for step, memory in each.items()),
    )
    show_most(
        f"loopback: the processor while {CHANNELS} channels are idle, for {QUIET:g} s",
        1000 * cpu / QUIET,
        "ms a second",
        NONE,
        f"woken {wakes} times",
    )
    print(
        f"loopback: the processor's time for {BUSY * EXCHANGES} requests and answers\n"
        f"  {BUSY} channels alone {1000 * alone:.0f} ms, among {CHANNELS} {1000 * among:.0f} ms\n"
    )


def carry(guests: list[Guest], process: Process) -> float:
    """Have guests answer requests; give the seconds that the backend's processor took."""
    cpu = process.cpu()
    exchange(guests, EXCHANGES)
    return process.cpu() - cpu


def exchange(guests: list[Guest], times: int) -> None:
    """Send each guest a request, and have its answer, so many times."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in guests]
        for guest, client in zip(guests, clients, strict=True):
            client.connect(str(guest.path))
        for _ in range(times):
            for guest, client in zip(guests, clients, strict=True):
                client.sendall(bytes(MESSAGE))
                guest.read(MESSAGE)
                guest.write(MESSAGE)
                client.recv(MESSAGE, socket.MSG_WAITALL)


async def domains() -> None:
    """A hundred domains of one channel each, beside one QEMU for each."""
    async with backend() as (folder, store, process):
        before = process.memory()
        guests = [Guest(store, folder, domid) for domid in range(5, 5 + DOMAINS)]
        for guest in guests:
            await guest.attach()
            await guest.connect()
            exchange([guest], 1)
        after = process.memory()
        peer, own = await qemu(folder)
        for guest in guests:
            guest.close()
    each, more = after / DOMAINS, (after - before) / DOMAINS
    show_most(
        f"loopback: memory (PSS) of a domain with a channel, of {DOMAINS}, in 500ths of a QEMU's",
        500 * each / peer,
        "500ths",
        1,
        f"ours {after:,.0f} KiB, {before:,.0f} of it without any domain: {each:.1f} for each,"
        f" {more:.1f} for each more\n"
        f"  QEMU of no machine {peer:,.0f} KiB, {own:,.0f} of it its own\n"
        f"  a domain more: {500 * more / peer:.2f} 500ths, {500 * more / own:.2f} of what is QEMU's own",
    )


async def qemu(folder: Path) -> tuple[float, float]:
    """Give the memory of a QEMU that does nothing but serve a channel, and what of it no other shares.

    It is less than what libxl starts: the machine for PV domains runs under Xen only.
    """
    path = folder / "qemu"
    chardev = f"socket,id=libxl-channel1,path={path},server=on,wait=off"
    process = await asyncio.create_subprocess_exec(
        find_qemu(), "-machine", "none", "-nodefaults", "-display", "none", "-chardev", chardev
    )
    try:
        while not path.is_socket():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        rollup = Path(f"/proc/{process.pid}/smaps_rollup")
        return _field(rollup, "Pss"), _field(rollup, "Pss_Anon")
    finally:
        process.kill()
        await process.wait()
