"""A monitor on every kind of character device that can carry one, each used by one client after another."""

import asyncio
import os
import pty
import socket
import tempfile
import tty
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from xenwire.errors import NotFound, TimedOut, Unreachable
from xenwire.qemu.chardev import parse_filename
from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.client import QmpClient, QmpError
from xenwire.qemu.qmp.connect import connect_pipe, connect_tcp, connect_tty, connect_unix
from xenwire.qemu.qmp.transports import SocketTransport, StreamTransport

pytestmark = pytest.mark.qemu

BARE = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="xw-") as name:
        yield Path(name)


@asynccontextmanager
async def qemu_with(folder, chardev, pretty="off"):
    monitor = ["-chardev", f"{chardev},id=second", "-mon", f"chardev=second,mode=control,pretty={pretty}"]
    async with await Qemu.start(find_qemu(), [*BARE, *monitor], log=folder / "log") as qemu:
        yield qemu


async def filename(qemu):
    (found,) = [c for c in await qemu.qmp.execute("query-chardev") if c["label"] == "second"]
    return parse_filename(found["filename"])


async def use(connect, qemu):
    """Use a monitor as several clients would, one after another, the middle one leaving half a command."""
    for remains in ("", '{"half', ""):
        async with connect() as qmp:
            assert qmp.version == qemu.qmp.version
            with qmp.events("RESUME") as events:
                await qmp.execute("cont")
                assert (await anext(events)).name == "RESUME"
            await qmp.execute("stop")
            with pytest.raises(QmpError, match="nosuch"):
                await qmp.execute("nosuch")
            # A deadline that passes leaves the monitor usable.
            with pytest.raises(TimedOut):
                await qmp.execute("query-qmp-schema", timeout=0)
            assert (await qmp.execute("query-status"))["running"] is False
            if remains:
                qmp._transport.send(remains.encode(), ())


async def test_unix(folder):
    async with qemu_with(folder, f"socket,path={folder}/s,server=on,wait=off") as qemu:
        await use(lambda: connect_unix(folder / "s"), qemu)


async def test_tcp(folder):
    async with qemu_with(folder, "socket,host=127.0.0.1,port=0,server=on,wait=off") as qemu:
        target = (await filename(qemu)).target
        port = int(target.split(",")[0].rsplit(":", 1)[1])
        await use(lambda: connect_tcp("127.0.0.1", port), qemu)


@pytest.mark.parametrize("pretty", ["off", "on"])
async def test_pty(folder, pretty):
    async with qemu_with(folder, "pty", pretty) as qemu:
        path = Path((await filename(qemu)).pty)
        await use(lambda: connect_tty(path), qemu)


async def test_serial(folder):
    """A line that never hangs up; QEMU has one end of it, we the other."""
    ours, theirs = pty.openpty()
    line = os.ttyname(theirs)
    tty.setraw(theirs)
    async with qemu_with(folder, f"serial,path={line}") as qemu:
        os.close(theirs)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        os.set_blocking(ours, False)
        incoming, _ = await loop.connect_read_pipe(
            lambda: protocol, os.fdopen(os.dup(ours), "rb", buffering=0)
        )
        outgoing, flow = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(ours, "wb", buffering=0)
        )
        writer = asyncio.StreamWriter(outgoing, flow, None, loop)
        await use(lambda: QmpClient.connect(StreamTransport(reader, writer), resync=True), qemu)
        incoming.close()
        outgoing.abort()
        await asyncio.sleep(0)


async def test_pipe(folder):
    for name in ("p.in", "p.out"):
        os.mkfifo(folder / name)
    async with qemu_with(folder, f"pipe,path={folder}/p") as qemu:
        await use(lambda: connect_pipe(folder / "p"), qemu)


async def test_stdio(folder):
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            str(find_qemu()), *BARE, "-qmp", "stdio", stdin=theirs, stdout=theirs
        )
    async with QmpClient.connect(SocketTransport(ours)) as qmp:
        assert await qmp.execute("query-status")
        await qmp.execute("quit")
    assert await process.wait() == 0


async def test_nobody_there(folder):
    with pytest.raises(NotFound):
        async with connect_unix(folder / "none"):
            pass
    with pytest.raises(NotFound):
        async with connect_pipe(folder / "none"):
            pass
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "deaf"))
        with pytest.raises(Unreachable):
            async with connect_unix(folder / "deaf"):
                pass
        sock.listen()
        with pytest.raises(TimedOut):
            async with connect_unix(folder / "deaf", timeout=0.05):
                pass
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            async with connect_tcp("127.0.0.1", unused.getsockname()[1]):
                pass
    os.mkfifo(folder / "p.in")
    os.mkfifo(folder / "p.out")
    with pytest.raises(Unreachable):
        async with connect_pipe(folder / "p"):
            pass
