"""Clients of all kinds through the broker, before a real QEMU."""

import asyncio
import json
import os
import socket
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from qemu.qmp import EventListener, ExecuteError, QMPClient

from xenwire.qemu.chardev import File, Socket, UnixAddress, fdset_path
from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.broker.access import Access
from xenwire.qemu.qmp.broker.broker import Broker
from xenwire.qemu.qmp.client import QmpError
from xenwire.qemu.qmp.connect import connect_unix

pytestmark = pytest.mark.qemu

BARE = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")


class Setup:
    def __init__(self, folder, qemu):
        self.folder, self.qemu = folder, qemu
        self.full, self.ro, self.direct = folder / "full", folder / "ro", folder / "direct"


@pytest.fixture
async def setup(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="xw-") as name:
        folder = Path(name)
        monkeypatch.setenv("XENWIRE_RUN", str(folder / "run"))
        arguments = [*BARE, *direct_monitor(folder)]
        sockets = {folder / "full": Access.FULL, folder / "ro": Access.MONITOR}
        async with (
            await Qemu.start(find_qemu(), arguments, log=folder / "log") as qemu,
            Broker.serve(qemu.qmp, sockets),
        ):
            yield Setup(folder, qemu)


def direct_monitor(folder):
    """Give the arguments for a monitor that clients come to without the broker."""
    chardev = Socket(UnixAddress(str(folder / "direct")), server=True).to_option("direct")
    return ["-chardev", chardev, "-mon", "chardev=direct,mode=control"]


class Wire:
    """A socket, spoken to byte by byte."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.setblocking(False)
        self.path = path
        self.rest = b""

    async def __aenter__(self):
        await asyncio.get_running_loop().sock_connect(self.sock, str(self.path))
        return self

    async def __aexit__(self, *_):
        self.sock.close()

    async def say(self, data, fds=()):
        if fds:
            socket.send_fds(self.sock, [data[:1]], fds)
            data = data[1:]
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def hear(self):
        """Give the next message as it came; it ends with CR LF."""
        while b"\r\n" not in self.rest:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
            assert data, "the other end hung up"
            self.rest += data
        line, self.rest = self.rest.split(b"\r\n", 1)
        assert line.isascii()
        return json.loads(line)


async def test_qemu_qmp_is_a_client(setup):
    client, watcher = QMPClient("toolstack"), QMPClient("monitor")
    await client.connect(str(setup.full))
    await watcher.connect(str(setup.ro))
    try:
        version = await client.execute("query-version")
        assert client.greeting.QMP.version == version
        listener = EventListener(("RESUME", "STOP"))
        watcher.register_listener(listener)
        assert await client.execute("cont") == {}
        assert await client.execute("stop") == {}
        assert [(await listener.get())["event"], (await listener.get())["event"]] == ["RESUME", "STOP"]
        assert len(await client.execute("query-qmp-schema")) > 500
        assert (await watcher.execute("query-status"))["running"] is False
        with pytest.raises(ExecuteError, match="not allowed here"):
            await watcher.execute("cont")
        reading, writing = os.pipe()
        client.send_fd_scm(writing)
        os.close(writing)
        assert await client.execute("getfd", {"fdname": "pipe"}) == {}
        assert await client.execute("closefd", {"fdname": "pipe"}) == {}
        assert os.read(reading, 1) == b""
        os.close(reading)
    finally:
        await client.disconnect()
        await watcher.disconnect()


async def test_libxls_client(setup):
    """What libxl sends to change a CD: xen: tools/libs/light/libxl_qmp.c, libxl_disk.c."""
    image = setup.folder / "cd.iso"
    image.write_bytes(bytes(4096))
    async with Wire(setup.full) as wire:
        greeting = await wire.hear()
        assert {"qemu", "package"} == greeting["QMP"]["version"].keys()
        await wire.say(b'{"execute":"qmp_capabilities","id":2020372736}\r\n')
        assert await wire.hear() == {"return": {}, "id": 0x786C7100}
        await wire.say(b'{"execute":"query-version","id":2020372737}\r\n')
        assert (await wire.hear())["id"] == 0x786C7101
        fd = os.open(image, os.O_RDONLY)
        await wire.say(
            b'{"execute":"add-fd","id":2020372738,"arguments":{"opaque":"raw:/cd, \\"x\\".iso"}}\r\n', [fd]
        )
        os.close(fd)
        reply = await wire.hear()
        assert reply["id"] == 0x786C7102
        added = reply["return"]
        await wire.say(b'{"execute":"query-fdsets","id":2020372739}\r\n')
        (found,) = (await wire.hear())["return"]
        assert found["fds"] == [{"fd": added["fd"], "opaque": 'raw:/cd, "x".iso'}]
        await wire.say(
            b'{"execute":"blockdev-add","id":2020372740,"arguments":{"driver":"file","read-only":true,'
            b'"node-name":"cd","filename":"/dev/fdset/%d"}}\r\n' % added["fdset-id"]
        )
        assert await wire.hear() == {"return": {}, "id": 0x786C7104}
        await wire.say(b'{"execute":"eject","id":2020372741,"arguments":{"id":"ide-5632"}}\r\n')
        refused = await wire.hear()
        assert (refused["id"], refused["error"]["class"]) == (0x786C7105, "DeviceNotFound")
    # The medium stays in use; the set's own descriptor is let go once the guest runs.
    assert (await setup.qemu.qmp.execute("query-named-block-nodes"))[0]["node-name"] == "cd"


async def test_libvirts_client(setup):
    """Its ids are strings, and it numbers its fd sets itself (libvirt: src/qemu/qemu_monitor_json.c)."""
    async with Wire(setup.full) as wire, connect_unix(setup.full) as other:
        await wire.hear()
        await wire.say(b'{"execute":"qmp_capabilities","id":"libvirt-1"}\r\n')
        assert await wire.hear() == {"return": {}, "id": "libvirt-1"}
        log = setup.folder / "serial.log"
        fd = os.open(log, os.O_WRONLY | os.O_CREAT)
        await wire.say(
            b'{"execute":"add-fd","arguments":{"fdset-id":5,"opaque":"serial0"},"id":"libvirt-2"}\r\n', [fd]
        )
        os.close(fd)
        assert (await wire.hear())["return"]["fdset-id"] == 5
        chardev = File(fdset_path(5), append=True).to_qmp("log")
        with pytest.raises(QmpError, match="another client's"):
            await other.execute("chardev-add", chardev)
        assert await other.execute("query-fdsets") == []
        await wire.say(
            json.dumps({"execute": "chardev-add", "arguments": chardev, "id": "libvirt-3"}).encode()
        )
        assert (await wire.hear())["id"] == "libvirt-3"
        await wire.say(b'{"execute":"chardev-remove","arguments":{"id":"log"},"id":"libvirt-4"}')
        assert await wire.hear() == {"return": {}, "id": "libvirt-4"}
    await setup.qemu.qmp.execute("cont")
    async with asyncio.timeout(5):
        while await setup.qemu.qmp.execute("query-fdsets"):
            pass


async def test_names_of_descriptors_are_kept_apart(setup):
    async with connect_unix(setup.full) as one, connect_unix(setup.full) as two:
        ends = []
        for client in (one, two):
            ours, theirs = socket.socketpair()
            await client.execute("getfd", fdname="wire", fds=[theirs.fileno()])
            theirs.close()
            ends.append(ours)
        await one.execute("closefd", fdname="wire")
        assert ends[0].recv(1) == b""
        with pytest.raises(QmpError) as caught:
            await one.execute("closefd", fdname="wire")
        assert caught.value.description == "File descriptor named 'wire' not found"
        backend = {
            "type": "socket",
            "data": {"addr": {"type": "fd", "data": {"str": "wire"}}, "server": False},
        }
        await two.execute("chardev-add", id="wire", backend=backend)
        with pytest.raises(QmpError, match="expects a name not starting with a digit"):
            await two.execute("getfd", fdname="5wire", fds=[ends[1].fileno()])
        left, theirs = socket.socketpair()
        await two.execute("getfd", fdname="left", fds=[theirs.fileno()])
        theirs.close()
        for end in ends:
            end.close()
    with left:
        left.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(left, 1) == b""


ODD = [
    b'{"execute":"query-status","id":1}',
    b"42 ",
    b"[]",
    b'{"id":5}',
    b'{"execute":1,"id":[5]}',
    b'{"execute":"a","arguments":3,"id":{"a":1}}',
    b'{"execute":"a","id":5,"foo":1}',
    b'{"execute":"qmp_capabilities","arguments":{"enable":"oob"},"id":1}',
    b'{"execute":"qmp_capabilities","arguments":{"enablx":[]},"id":1}',
    b'{"exec-oob":"qmp_capabilities","id":1}',
    b'{"half":"said\xff',
    b"}",
    b'{"a" 1}',
    b'{"a":1,"a":2}',
    b"[nul]",
    b"\x01\n",
    b"%s\n",
    b'"a\nb"\n',
    b"{'execute':'qmp_capabilities','id':'it\\'s'}",
    b'{"execute":"qmp_capabilities","id":null}',
    b'{"execute":"nosuch","id":1.5}',
    b'{"exec-oob":"query-yank","id":1}',
    b'{"execute":"query-status","arguments":{"x":1},"id":"\xc3\xa4"}',
    b'{"execute":"getfd","arguments":{"fdname":"x"},"id":1}',
    b'{"execute":"closefd","arguments":{"fdname":"x"},"id":1}',
    b'{"execute":"remove-fd","arguments":{"fdset-id":3},"id":1}',
    b'{"execute":"remove-fd","arguments":{"fdset-id":3,"fd":5},"id":1}',
    b'{"execute":"qom-get","arguments":{"path":"/none","property":"x"},"id":1}',
]


@pytest.mark.parametrize("pieces", ["whole", "by bytes"])
async def test_it_answers_as_qemu_does(setup, pieces):
    """The same bytes, once to QEMU itself and once to the broker."""
    told = []
    for path in (setup.direct, setup.full):
        async with Wire(path) as wire:
            answers = [await wire.hear()]
            for number, data in enumerate(ODD):
                data += b'{"execute":"end","id":"end-%d"}' % number
                for at in range(0, len(data), 1 if pieces == "by bytes" else len(data)):
                    await wire.say(data[at : at + (1 if pieces == "by bytes" else len(data))])
                while (answer := await wire.hear()).get("id") != f"end-{number}":
                    answers.append(answer)
            told.append(answers)
    direct, brokered = told
    assert [kind(answer) for answer in brokered] == [kind(answer) for answer in direct]
    assert brokered == direct


def kind(answer):
    return answer.get("id"), answer.get("error", {}).get("class"), answer.keys()


async def test_quit_is_told_before_the_end(setup):
    async with Wire(setup.full) as wire:
        await wire.hear()
        await wire.say(b'{"execute":"qmp_capabilities"}{"execute":"quit","id":"bye"}')
        assert await wire.hear() == {"return": {}}
        told = [await wire.hear(), await wire.hear()]  # in either order, as QEMU comes to them
        assert {"return": {}, "id": "bye"} in told
        assert [message["event"] for message in told if "event" in message] == ["SHUTDOWN"]
        assert await asyncio.get_running_loop().sock_recv(wire.sock, 1) == b""


async def test_out_of_band(setup):
    async with connect_unix(setup.full) as qmp:
        assert qmp.out_of_band
        assert await qmp.execute("query-yank", out_of_band=True) == await qmp.execute("query-yank")
        with pytest.raises(QmpError, match="does not support OOB"):
            await qmp.execute("query-status", out_of_band=True)


async def test_fifty_clients(setup):
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect_unix(setup.full)) for _ in range(50)]

        async def use(client):
            for _ in range(10):
                assert (await client.execute("query-status", timeout=60))["status"] == "prelaunch"

        await asyncio.gather(*map(use, clients))


async def test_what_qemu_could_not_parse_never_reaches_it(setup):
    """It would answer without an id, while other answers are due."""
    async with connect_unix(setup.full) as rude, connect_unix(setup.full) as polite:
        for _ in range(5):
            asked = asyncio.gather(*(polite.execute("query-status") for _ in range(5)))
            with pytest.raises(QmpError, match="is not a valid Unicode character"):
                await rude.execute("query-status", x="\uffff")
            await asked


async def test_a_reply_of_a_mebibyte(short_tmp):
    """A dump of memory, as people read it; a broker's client gets it whole."""
    full = short_tmp / "full"
    machine = ["-machine", "pc", "-m", "4", *BARE[2:], *direct_monitor(short_tmp)]
    command = {"command-line": "xp /220000xb 0"}
    async with (
        await Qemu.start(find_qemu(), machine, log=short_tmp / "log") as qemu,
        Broker.serve(qemu.qmp, {full: Access.FULL}),
    ):
        told = []
        for path in (short_tmp / "direct", full):
            async with connect_unix(path) as qmp:
                told.append(await qmp.execute("human-monitor-command", command, timeout=60))
                assert (await qmp.execute("query-status"))["status"] == "prelaunch"
    assert len(told[0]) > 1 << 20
    assert told[0] == told[1]


@pytest.mark.parametrize(("way", "limit"), [("direct", 1024), ("full", 256)])
async def test_what_is_nested_too_deep_is_refused_and_the_session_goes_on(setup, way, limit):
    """The broker's limit is lower than QEMU's."""
    async with Wire(getattr(setup, way)) as wire:
        await wire.hear()
        await wire.say(b'{"execute":"qmp_capabilities"}')
        assert await wire.hear() == {"return": {}}
        # The first one ends with what is too much. The other would have no end, but for 0xFF.
        for deep, refusals in ((b"[" * (limit + 1), 1), (b"[" * 5 * (limit + 1) + b"[\xff", 6)):
            await wire.say(deep + b'{"execute":"query-status","id":1}')
            for _ in range(refusals):
                refused = await wire.hear()
                assert (refused.get("id"), refused["error"]["class"]) == (None, "GenericError")
            assert (await wire.hear())["id"] == 1
