"""The monitor of a real QEMU."""

import os
import socket
from pathlib import Path

import pytest

from xenwire.errors import Unreachable
from xenwire.qemu.chardev import File, Null, Pty, Socket, UnixAddress, fdset_path, parse_filename
from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.client import QmpClient, QmpError
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


async def test_a_listening_monitor_serves_one_client_after_another(start, tmp_path):
    path = str(tmp_path / "monitor")
    chardev = Socket(UnixAddress(path), server=True).to_option("second")
    async with await start("-chardev", chardev, "-mon", "chardev=second,mode=control"):
        for remains in (b"", b'{"half'):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            async with QmpClient.connect(SocketTransport(sock)) as qmp:
                assert await qmp.execute("query-status")
                sock.sendall(remains)
