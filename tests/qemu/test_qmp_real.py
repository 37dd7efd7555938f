"""The monitor of a real QEMU."""

import asyncio
import os
import select
import socket
from pathlib import Path

import pytest

from xenwire.errors import Unreachable
from xenwire.qemu.chardev import FdAddress, File, Null, Pty, Socket, UnixAddress, fdset_path, parse_filename
from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.client import QmpClient, QmpError
from xenwire.qemu.qmp.connect import connect_unix
from xenwire.qemu.qmp.transports import SocketTransport, StreamTransport
from xenwire.runtime.streams import open_stream

pytestmark = pytest.mark.qemu

BARE = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")


@pytest.fixture
async def start(tmp_path):
    async def start(*arguments):
        return await Qemu.start(find_qemu(), [*BARE, *arguments], log=tmp_path / "qemu.log")

    return start


@pytest.fixture
async def qmp(start):
    async with await start() as qemu:
        yield qemu.qmp


async def test_the_version_of_the_greeting_is_that_of_the_command(qmp):
    told = (await qmp.execute("query-version"))["qemu"]
    assert qmp.version[:3] == (told["major"], told["minor"], told["micro"])


async def test_a_long_reply(qmp):
    assert len(await qmp.execute("query-qmp-schema")) > 500


async def test_refusals(qmp):
    for command, error_class in [
        ("no-such-command", "CommandNotFound"),
        ("qmp_capabilities", "CommandNotFound"),
        ("closefd", "GenericError"),
    ]:
        with pytest.raises(QmpError) as caught:
            await qmp.execute(command)
        assert caught.value.error_class == error_class


async def test_what_qemu_cannot_parse_is_refused_and_the_session_goes_on(qmp):
    with pytest.raises(QmpError, match="JSON parse error"):
        await qmp.execute("query-status", x="\uffff")
    assert await qmp.execute("query-status")


async def test_a_descriptor_is_passed_and_named(qmp):
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            await qmp.execute("getfd", fdname="wire", fds=[theirs.fileno()])
        await qmp.execute("closefd", fdname="wire")
        assert ours.recv(1) == b""
    with pytest.raises(QmpError, match="No file descriptor supplied"):
        await qmp.execute("getfd", fdname="wire")


@pytest.mark.parametrize(("append", "content"), [(True, b"old"), (False, b"")])
async def test_a_file_chardev_on_a_passed_descriptor(qmp, tmp_path, append, content):
    path = tmp_path / "log"
    path.write_bytes(b"old")
    fd = os.open(path, os.O_WRONLY)
    added = await qmp.execute("add-fd", fds=[fd])
    os.close(fd)
    await qmp.execute("chardev-add", File(fdset_path(added["fdset-id"]), append).to_qmp("log"))
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [os.O_RDONLY, os.O_RDWR])
async def test_a_descriptor_of_another_mode_than_is_wanted_is_refused(qmp, tmp_path, mode):
    """A log is only written. QEMU opens a member of the set that has just this mode."""
    path = tmp_path / "log"
    path.write_bytes(b"old")
    fd = os.open(path, mode)
    fdset = (await qmp.execute("add-fd", fds=[fd]))["fdset-id"]
    os.close(fd)
    log = File(fdset_path(fdset), append=True).to_qmp("log")
    with pytest.raises(QmpError, match="Permission denied"):
        await qmp.execute("chardev-add", log)
    fd = os.open(path, os.O_WRONLY)
    await qmp.execute("add-fd", {"fdset-id": fdset}, fds=[fd])
    os.close(fd)
    await qmp.execute("chardev-add", log)


def listening(address):
    """Give the arguments for a monitor that listens."""
    chardev = Socket(address, server=True).to_option("second")
    return ["-chardev", chardev, "-mon", "chardev=second,mode=control"]


async def pipe_in_a_set(qmp):
    """Have QEMU keep the one end of a pipe; give the other, which ends when QEMU lets go."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    await qmp.execute("add-fd", fds=[writing])
    os.close(writing)
    return reading


def is_open(reading):
    try:
        return os.read(reading, 1) != b""
    except BlockingIOError:
        return True


@pytest.mark.parametrize("running", [True, False])
async def test_a_set_lives_as_long_as_anybody_is_connected(short_tmp, running):
    """Until QEMU 9.0, while the guest runs: so somebody has to be, always (docs/qmp.md)."""
    path = short_tmp / "monitor"
    with socket.create_server(str(path), family=socket.AF_UNIX) as listener:
        monitor = listening(FdAddress(listener.fileno()))
        process = await asyncio.create_subprocess_exec(
            find_qemu(), *BARE, "-S", *monitor, pass_fds=[listener.fileno()]
        )
    try:
        async with connect_unix(path) as qmp:
            if running:
                await qmp.execute("cont")
            reading = await pipe_in_a_set(qmp)
            assert is_open(reading)
            is_lost = running and qmp.version[:2] < (9, 1)
        async with connect_unix(path) as qmp:
            assert len(await qmp.execute("query-fdsets")) == (0 if is_lost else 1)
            assert is_open(reading) is not is_lost
            await qmp.execute("quit")
        os.close(reading)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_set_is_kept_while_another_monitor_is_connected(start, short_tmp):
    async with await start(*listening(UnixAddress(f"{short_tmp}/monitor"))) as qemu:
        await qemu.qmp.execute("cont")
        async with connect_unix(short_tmp / "monitor") as qmp:
            reading = await pipe_in_a_set(qmp)
        async with connect_unix(short_tmp / "monitor") as qmp:
            assert len(await qmp.execute("query-fdsets")) == 1
        assert is_open(reading)
    assert not is_open(reading)
    os.close(reading)


async def test_stop_and_resume_are_told(qmp):
    with qmp.events("STOP", "RESUME") as events:
        await qmp.execute("cont")
        await qmp.execute("stop")
        first, second = await anext(events), await anext(events)
    assert (first.name, second.name) == ("RESUME", "STOP")
    assert 0 < first.timestamp <= second.timestamp


async def test_the_end_is_told_to_those_who_listen(start):
    async with await start() as qemu:
        with qemu.qmp.events() as events:
            await qemu.qmp.execute("quit")
            assert (await anext(events)).data == {"guest": False, "reason": "host-qmp-quit"}
            with pytest.raises(Unreachable):
                await anext(events)
        with pytest.raises(Unreachable):
            await qemu.qmp.execute("query-status")


async def listed(qmp):
    return {entry["label"]: parse_filename(entry["filename"]) for entry in await qmp.execute("query-chardev")}


@pytest.mark.parametrize("way", ["options", "qmp"])
async def test_every_kind_of_chardev_both_ways(start, tmp_path, way):
    comma = str(tmp_path / "a,b")
    chardevs = {
        "null": Null(),
        "pty": Pty(),
        "log": File(comma + ".log", append=True),
        "listening": Socket(UnixAddress(comma), server=True),
        "connected": Socket(UnixAddress(comma)),
    }
    options = [word for name, dev in chardevs.items() for word in ("-chardev", dev.to_option(name))]
    async with await start(*(options if way == "options" else [])) as qemu:
        if way == "qmp":
            for name, chardev in chardevs.items():
                await qemu.qmp.execute("chardev-add", chardev.to_qmp(name))
        found = await listed(qemu.qmp)
    assert found.keys() - {"xenwire-monitor"} == chardevs.keys()
    assert found["null"].kind == "null"
    assert found["log"].kind == "file"
    assert found["pty"].pty.startswith("/dev/pts/")
    assert found["listening"].kind == "unix"
    assert found["listening"].target.startswith(comma)
    assert os.path.exists(comma + ".log")


@pytest.mark.parametrize("pretty", ["off", "on"])
async def test_a_resync_on_a_pty_that_others_used_before(start, pretty):
    async with await start(
        "-chardev", "pty,id=line", "-mon", f"chardev=line,mode=control,pretty={pretty}"
    ) as qemu:
        pty = Path((await listed(qemu.qmp))["line"].pty)
        for remains in (
            b"",
            b'{"execute": "query-st',
            b'{"execute": "qmp_capabilities"}{"execute": "query-commands"}[[["',
        ):
            async with open_stream(pty) as (_, writer):
                writer.write(remains)
                await writer.drain()
            async with (
                open_stream(pty) as streams,
                QmpClient.connect(StreamTransport(*streams), resync=True) as qmp,
            ):
                assert qmp.version == qemu.qmp.version
                assert (await qmp.execute("query-status"))["status"] == "prelaunch"


async def test_a_second_client_of_qemus_own_socket_waits_its_turn(start, short_tmp):
    """It is connected, and hears nothing until the first has left."""
    path = short_tmp / "monitor"
    async with await start(*listening(UnixAddress(str(path)))):
        with socket.socket(socket.AF_UNIX) as second:
            async with connect_unix(path) as first:
                second.connect(str(path))
                for _ in range(10):
                    assert await first.execute("query-status")
                assert select.select([second], [], [], 0)[0] == []
            async with QmpClient.connect(SocketTransport(second)) as qmp:
                assert await qmp.execute("query-status")


async def test_a_listening_monitor_serves_one_client_after_another(start, tmp_path):
    path = str(tmp_path / "monitor")
    async with await start(*listening(UnixAddress(path))):
        for remains in (b"", b'{"half'):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            async with QmpClient.connect(SocketTransport(sock)) as qmp:
                assert await qmp.execute("query-status")
                sock.sendall(remains)
