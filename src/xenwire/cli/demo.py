"""The main job, end to end, in a folder of its own: a guest, its device model, a channel of each kind."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import click

from xenwire.agent import GuestAgent
from xenwire.cli._output import Phases
from xenwire.config import HostFacts, parse_config
from xenwire.config.libxl.version import NEWEST
from xenwire.errors import TimedOut, XenwireError
from xenwire.hosts import Domain
from xenwire.hosts.qemu import QemuHost
from xenwire.images import build_tiny_guest
from xenwire.qemu.accelerator import accelerator
from xenwire.qemu.program import find_qemu
from xenwire.runtime.main import run
from xenwire.runtime.places import store_socket
from xenwire.runtime.process import processes_with, spawn
from xenwire.runtime.streams import open_stream

__all__ = ["demo"]

_NONE: Final = "org.xenwire.none.0"
_LOG: Final = "org.xenwire.log.0"
_PTY: Final = "org.xenwire.echo.pty"
_SOCKET: Final = "org.xenwire.echo.socket"
_AGENT: Final = "org.qemu.guest_agent.0"

_CONFIG: Final = """\
name    = "demo"
memory  = 256
vcpus   = 1
kernel  = "{kernel}"
ramdisk = "{ramdisk}"
cmdline = "{cmdline}"
channel = [ "connection=none,name=org.xenwire.none.0",
            "connection=pty,name=org.xenwire.echo.pty",
            "connection=path,name=org.xenwire.log.0,path={folder}/guest.log",
            "connection=socket,name=org.xenwire.echo.socket,path={folder}/echo.sock",
            "connection=socket,name=org.qemu.guest_agent.0,path={folder}/agent.sock" ]
"""
_SWALLOWED: Final = 1_000_000
"""Bytes that the guest writes into the channel of kind none."""


@click.command(epilog="\b\nExamples:\n  xenwire demo\n  xenwire -q demo")
def demo() -> None:
    """Boot a guest with its device model and a channel of each kind, and show each step.

    Everything happens in a folder of its own, which is gone at the end.
    """
    run(_demo())


class _Steps:
    def __init__(self) -> None:
        self._start = time.monotonic()
        self._count = 0

    def __call__(self, text: str, *details: str) -> None:
        self._count += 1
        click.echo(f"{self._count:3}  {time.monotonic() - self._start:5.2f} s  {text}")
        for line in details:
            click.echo(f"               {line}")


async def _demo() -> None:
    if shutil.which("xenstore-ls") is None:
        raise XenwireError(
            "the demo cannot look at its store",
            reason="Debian's xenstore-ls is not installed",
            hint="apt-get install xenstore-utils, or: make demo",
        )
    image = await build_tiny_guest(Phases())
    step = _Steps()
    async with _folder() as folder:
        step(f"host found: {find_qemu()}, {await accelerator()}, folder {folder}")
        async with _host() as host:
            step(f"store up: {store_socket()}")
            config = _CONFIG.format(
                kernel=image.kernel, ramdisk=image.ramdisk, cmdline=image.cmdline, folder=folder
            )
            parsed = parse_config(config.encode(), "demo.cfg", HostFacts(version=NEWEST))
            domain = await host.create(parsed.config, paused=True)
            try:
                await _show(host, domain, folder, step)
            finally:
                await domain.destroy()
            left = [info.name for info in await host.domains()]
        left += [f"process {process.pid}" for process in processes_with("XENWIRE_RUN", str(folder))]
        left += [f"socket {path.name}" for path in folder.iterdir() if path.is_socket()]
    if left or folder.exists():
        raise XenwireError("the demo could not take everything down", reason=f"left: {left or folder}")
    step("taken down: no domain, process, socket or file is left")


async def _show(host: QemuHost, domain: Domain, folder: Path, step: _Steps) -> None:
    tree = await _xenstore_ls()
    root = f"/local/domain/0/device-model/{domain.domid}"
    backends = [path.rpartition("/")[2] for path in tree if path.startswith(f"{root}/backends/")]
    step(f"device model {tree[f'{root}/state']}: domain {domain.domid}, backends {' '.join(backends)}")

    places = {}
    table = []
    for path, name in tree.items():
        if path.startswith(f"/local/domain/0/backend/console/{domain.domid}/") and path.endswith("/name"):
            backend = path.removesuffix("/name")
            places[name] = Path(
                tree.get(f"{backend}/path") or tree[tree[f"{backend}/frontend"] + "/tty"] or "-"
            )
            table.append(
                f"{backend.rpartition('/')[2]}  {name:24} {tree[f'{backend}/connection']:7} {places[name]}"
            )
    step("channels:", *table)

    await domain.unpause()
    async with open_stream(places[_AGENT]) as (reader, writer), GuestAgent.open(reader, writer) as agent:
        await agent.wait_ready(timeout=60)
        step("guest up: its agent answers")
        info = await agent.info()
        step(f"agent {info.version}: {info.os_pretty_name}, kernel {info.kernel_release}")
        for name in (_PTY, _SOCKET):
            step(f"echo through {name}: {await _echo(places[name], b'hello, guest')!r}")
        line = "a line from the guest"
        await agent.exec(["sh", "-c", f"echo '{line}' > /dev/virtio-ports/{_LOG}"], timeout=10)
        step(f"log {places[_LOG].name} has: {await _logged(places[_LOG], line)!r}")
        port = f"/dev/virtio-ports/{_NONE}"
        wrote = await agent.exec(["sh", "-c", f"head -c {_SWALLOWED} /dev/zero > {port}"], timeout=10)
        read = await agent.exec(["sh", "-c", f"timeout 1 head -c 1 {port}"], timeout=10)
        if wrote.status != 0 or read.stdout:
            raise XenwireError("the channel of kind none does not swallow", reason=f"{wrote}, {read}")
        step(f"none: {_SWALLOWED} bytes swallowed, a read blocks")
    step("the store, as Debian's xenstore-ls shows it:", *(await _run_xenstore_ls()).splitlines())


async def _echo(place: Path, data: bytes) -> bytes:
    async with asyncio.timeout(10), open_stream(place) as (reader, writer):
        writer.write(data)
        return await reader.readexactly(len(data))


async def _logged(log: Path, line: str) -> str:
    """Wait for a line in a file: QEMU may write it after the guest's program has ended."""
    try:
        async with asyncio.timeout(5):
            while line not in (text := log.read_text()):  # noqa: ASYNC110  QEMU tells nobody
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TimedOut(f"{log} has no line {line!r}", reason=f"after 5 s it has {text!r}") from None
    return text.rstrip()


async def _xenstore_ls() -> dict[str, str]:
    """Read the whole store through Debian's own client."""
    lines = (await _run_xenstore_ls("-f")).splitlines()
    return {path: value[1:-1] for path, _, value in (line.partition(" = ") for line in lines)}


async def _run_xenstore_ls(*options: str) -> str:
    process = await spawn(
        ["xenstore-ls", *options],
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "XENSTORED_PATH": str(store_socket())},
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise XenwireError("xenstore-ls cannot read the store", reason=f"exit status {process.returncode}")
    return output.decode()


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    """Give a private folder that stands for the run folder, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="xenwire-demo-"))
    os.environ["XENWIRE_RUN"] = str(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def _host() -> AsyncIterator[QemuHost]:
    try:
        async with QemuHost.connect() as host:
            yield host
    finally:
        await QemuHost.stop_store()
