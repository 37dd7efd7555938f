"""The device model beside a QEMU by hand: its launch, and QMP round trips through its broker."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from bench.create import qemu_command
from bench.figures import show_most
from bench.measure import Sample, show
from xenwire.devicemodel.agent import Agent
from xenwire.devicemodel.nodes import DeviceModelNodes
from xenwire.devicemodel.setup import plain_setup
from xenwire.errors import NotFound, Unreachable
from xenwire.images import build_tiny_guest
from xenwire.qemu.qmp.client import QmpClient
from xenwire.qemu.qmp.connect import connect_unix
from xenwire.runtime.places import store_socket
from xenwire.runtime.process import ProcessRef
from xenwire.types import DomId
from xenwire.xenstore import Store

CONFIG = 'name = "bench"\nmemory = 256\nkernel = "{kernel}"\nramdisk = "{ramdisk}"\n'
DOMID = DomId(1)
CLIENTS = 50


def run(runs: int = 11) -> None:
    image = asyncio.run(build_tiny_guest(lambda _phase: None))
    with tempfile.TemporaryDirectory(prefix="xw-") as name:
        folder = Path(name)
        os.environ["XENWIRE_RUN"] = name
        config = folder / "bench.cfg"
        config.write_text(CONFIG.format(kernel=image.kernel, ramdisk=image.ramdisk))
        xenwire = str(Path(sys.executable).parent / "xenwire")
        subprocess.run(
            [xenwire, "-q", "create", "--paused", str(config)], check=True, stdout=subprocess.DEVNULL
        )
        words = qemu_command(name)
        monitor = folder / "by-hand.sock"
        by_hand = [
            words[0],
            *words[words.index("-S") :],
            *("-qmp", f"unix:{monitor},server=on,wait=off"),
        ]
        try:
            asyncio.run(round_trips(runs, folder / f"qmp-{DOMID}.sock", by_hand, monitor))
            asyncio.run(launches(runs, by_hand, monitor, folder / "qemu.log"))
        finally:
            subprocess.run([xenwire, "destroy", "--yes", "bench"], check=True)
            subprocess.run([sys.executable, "-m", "bench.stop_store"], check=True)


async def round_trips(runs: int, broker: Path, by_hand: Sequence[str], monitor: Path) -> None:
    """Measure what a command takes through the broker and without, then 50 clients at once."""
    async with AsyncExitStack() as stack:
        qemu = await asyncio.create_subprocess_exec(*by_hand, stdout=subprocess.DEVNULL)
        stack.push_async_callback(qemu.wait)
        stack.callback(qemu.kill)
        direct = await connected(stack, monitor)
        brokered = await connected(stack, broker)
        turns = [(await batch(brokered), await batch(direct)) for _ in range(runs + 1)][1:]
        ours, theirs = (Sample(times) for times in zip(*turns, strict=True))
        show("200 QMP round trips through the broker", ours, "direct", theirs, 1.5)

        clients = [await connected(stack, broker) for _ in range(CLIENTS)]
        counts = await shared(clients, seconds=3)
    low, middle, high = statistics.quantiles(counts, n=4)
    show_most(
        f"{CLIENTS} clients share the broker: commands of the luckiest to those of the unluckiest",
        max(counts) / min(counts),
        "times",
        1.5,
        f"commands of each in 3 s: median {middle:g} (quartiles {low:g} to {high:g})",
    )


async def connected(stack: AsyncExitStack, path: Path) -> QmpClient:
    """Connect to a monitor, from before its socket exists."""
    while True:
        try:
            return await stack.enter_async_context(connect_unix(path))
        except (NotFound, Unreachable):
            await asyncio.sleep(0.001)  # nobody tells


async def batch(qmp: QmpClient) -> float:
    start = time.perf_counter()
    for _ in range(200):
        await qmp.execute("query-status")
    return time.perf_counter() - start


async def shared(clients: Sequence[QmpClient], seconds: float) -> list[int]:
    """Give how many commands each client got through, while all gave one after another."""
    end = time.perf_counter() + seconds

    async def use(qmp: QmpClient) -> int:
        count = 0
        while time.perf_counter() < end:
            await qmp.execute("query-status", timeout=60)
            count += 1
        return count

    return await asyncio.gather(*map(use, clients))


async def launches(runs: int, by_hand: Sequence[str], monitor: Path, log: Path) -> None:
    """Measure from the launch of a device model to `running`, and of its QEMU to its monitor's answer."""
    async with Store.connect(store_socket()) as store:
        nodes = DeviceModelNodes(DOMID)
        before = ProcessRef.parse(await store.get_text(nodes.agent) or "")
        await before.end()

        async def ours() -> float:
            start = time.perf_counter()
            prepare = partial(plain_setup, store, DOMID, None, None, 60.0)
            running = asyncio.create_task(Agent(store, DOMID, prepare, log=log).run())
            await store.wait_for(nodes.state, lambda value: value == b"running", 60)
            seconds = time.perf_counter() - start
            running.cancel()
            await asyncio.wait([running])
            await store.rm(nodes.agent)  # it names this process, which goes on
            return seconds

        async def theirs() -> float:
            monitor.unlink(missing_ok=True)
            start = time.perf_counter()
            qemu = await asyncio.create_subprocess_exec(*by_hand, stdout=subprocess.DEVNULL)
            async with AsyncExitStack() as stack:
                qmp = await connected(stack, monitor)
                await qmp.execute("query-status")
                seconds = time.perf_counter() - start
            qemu.kill()
            await qemu.wait()
            return seconds

        turns = [(await ours(), await theirs()) for _ in range(runs + 1)][1:]
    samples = (Sample(times) for times in zip(*turns, strict=True))
    show("from the launch of a device model to `running`", next(samples), "QEMU by hand", next(samples), 1.15)
