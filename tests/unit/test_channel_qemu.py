"""Channels of plain QEMUs that we serve: the stream, its handover, the device model, with a QEMU of paper."""

import asyncio
import contextlib
import itertools
import os
import socket
from pathlib import Path

import pytest
from frontend import eventually
from hypothesis import given
from hypothesis import strategies as st

from xenwire.channels import handover
from xenwire.channels.attach import attach, detach, detach_all
from xenwire.channels.endpoints.socket import SocketEndpoint
from xenwire.channels.guest import identity
from xenwire.channels.handover import Handover, fetch
from xenwire.channels.keys import OUR_TYPE, Channel, XenbusState, read_channels
from xenwire.channels.options import PLAIN
from xenwire.channels.plug import PluggedChannels
from xenwire.channels.qemuend import QemuEnd, QemuGuests
from xenwire.channels.server import ChannelServer
from xenwire.channels.spool import HEADER, Spool
from xenwire.channels.wire import Wire
from xenwire.errors import Conflict, TimedOut, Unreachable, XenwireError
from xenwire.qemu.launch import Launch
from xenwire.qemu.qmp.client import QmpError
from xenwire.qemu.qmp.session import ErrorReply, Event
from xenwire.types import ChannelKind, ChannelName, DevId, DomId
from xenwire.xenstore import Store
from xenwire.xenstored import server

CONNECTED = (XenbusState.CONNECTED,)


# The stream


class Killed(Exception):
    pass


@pytest.fixture
def pair():
    ours, qemu = socket.socketpair()
    ours.setblocking(False)
    qemu.setblocking(False)
    yield ours, qemu
    ours.close()
    qemu.close()


def new_spool(limit=8192):
    return Spool.new(memoryview(bytearray(HEADER + limit)))


def end_of(stream, spool, number=1, ready=lambda: True):
    """Begin, or go on after a kill, with a descriptor of one's own, as a new process has one."""
    end = QemuEnd(stream.dup(), ready)
    end._stream.setblocking(False)
    end.adopt(spool, identity(number))
    return end


async def test_a_guest_that_is_to_wait_costs_nothing(pair):
    """Its stream is readable all the time."""
    ours, qemu = pair
    spool, turns = new_spool(4096), 0

    def turn():
        nonlocal turns
        turns += 1
        return wire.turn()

    endpoint = SocketEndpoint(Path("never opened"), spool, PLAIN, turn)
    wire = Wire(endpoint, spool, block=True)
    wire.guest = end = end_of(ours, spool, ready=turn)
    qemu.send(bytes(16384))
    turn()
    for _ in range(100):
        await asyncio.sleep(0)
    assert turns == 3  # two fill the spool
    assert (len(spool), spool.dropped) == (4096, 0)
    end.close()


async def test_output_and_input(pair):
    ours, qemu = pair
    spool = new_spool()
    end = end_of(ours, spool)
    assert end.take_output(spool, 2048) == 0
    qemu.send(bytes(range(256)) * 10)
    assert end.take_output(spool, 2048) == 2048
    assert end.take_output(spool, 2048) == 512
    assert spool.peek(4096) == bytes(range(256)) * 10
    end.give_input(spool, b"for the guest")
    assert qemu.recv(100) == b"for the guest"
    end.close()


async def test_room_is_what_one_send_takes(pair):
    """Whatever is given for which there was room has gone; a full stream tells when it has room again."""
    ours, qemu = pair
    spool = new_spool()
    told = asyncio.Event()
    end = end_of(ours, spool, ready=told.set)
    sent = 0
    while room := end.room():
        end.give_input(spool, bytes(room))
        sent += room
    end.settle()
    await asyncio.sleep(0)
    assert not told.is_set()
    taken = 0
    while taken < sent:
        taken += len(qemu.recv(65536))
    assert taken == sent
    await asyncio.wait_for(told.wait(), 5)
    assert end.room()
    end.settle()
    end.close()


async def test_the_loop_tells_of_output_only_where_it_is_wanted(pair):
    ours, qemu = pair
    spool = new_spool()
    turns = 0

    def ready():
        nonlocal turns
        turns += 1
        end.take_output(spool, 0)
        end.settle()
        return False

    end = end_of(ours, spool, ready=ready)
    end.take_output(spool, 1)
    end.settle()
    qemu.send(b"more")
    for _ in range(20):
        await asyncio.sleep(0)
    assert turns == 1
    end.close()


async def test_the_end_of_the_stream(pair):
    ours, qemu = pair
    spool = new_spool()
    end = end_of(ours, spool)
    end.give_input(spool, b"never read")
    qemu.send(b"last words")
    qemu.close()
    assert end.take_output(spool, 2048) == 10
    for _ in range(3):
        assert end.take_output(spool, 2048) == 0
    assert end.room() == 0
    end.give_input(spool, b"too late")
    end.settle()
    assert not end._reading
    end.close()


@pytest.mark.parametrize("moment", ["before the spool", "after the spool", "after the stream"])
async def test_killed_at_any_step(pair, moment):
    """What was looked at, spooled, taken: whatever of it a predecessor has done, it is there once."""
    ours, qemu = pair
    spool = new_spool()
    append = spool.append

    def kill(data):
        if moment != "before the spool":
            append(data)
        if moment == "after the stream":
            ours.recv(len(data))
        raise Killed

    first = end_of(ours, spool)
    qemu.send(b"one ")
    first.take_output(spool, 100)
    qemu.send(b"two ")
    spool.append = kill
    with pytest.raises(Killed):
        first.take_output(spool, 100)
    spool.append = append
    first._stream.close()
    qemu.send(b"three")
    second = end_of(ours, spool)
    while second.take_output(spool, 100):
        pass
    assert spool.peek(100) == b"one two three"
    second.close()


@given(st.lists(st.tuples(st.sampled_from(["send", "take", "before", "after"]), st.binary(max_size=300))))
def test_any_history_of_kills(history):
    """Against the simplest model: all that was sent is in the spool or in the stream, in order, once."""
    ours, qemu = socket.socketpair()
    spool = new_spool(1 << 16)
    append = spool.append
    sent = b""
    with ours, qemu:
        ours.setblocking(False)
        end = end_of(ours, spool)
        for action, data in history:
            if action == "send" and data:
                qemu.send(data)
                sent += data
            elif action == "take":
                end.take_output(spool, max(1, len(data)))
            elif action in ("before", "after"):

                def kill(data, before=action == "before"):
                    if not before:
                        append(data)
                    raise Killed

                spool.append = kill
                with contextlib.suppress(Killed):
                    end.take_output(spool, 100)
                spool.append = append
                end._stream.close()
                end = end_of(ours, spool)
        while end.take_output(spool, 2048):
            pass
        end._stream.close()
    assert spool.peek(1 << 20) == sent


async def test_another_stream_begins_anew(pair):
    ours, qemu = pair
    spool = new_spool()
    end_of(ours, spool, 1).close()
    first = spool.generation
    end_of(ours, spool, 1).close()
    assert spool.generation == first
    qemu.send(b"not yet looked at")
    ours.recv(3, socket.MSG_PEEK)
    end = end_of(ours, spool, 2)
    assert spool.generation != first
    assert end.take_output(spool, 100) == 17
    end.close()


# The handover


async def test_a_stream_is_handed_over_again_and_again(short_tmp):
    kept, fd = await Handover.open(short_tmp / "s")
    assert (short_tmp / "s").stat().st_mode & 0o777 == 0o600
    with socket.socket(fileno=fd) as qemu:
        qemu.setblocking(False)
        for word in (b"one", b"two"):
            qemu.send(word)
            with await fetch(short_tmp / "s") as stream:
                assert stream.recv(10) == word
                assert not stream.get_inheritable()
        kept.close()
        assert qemu.recv(10) == b""
    assert not (short_tmp / "s").exists()
    with pytest.raises(Unreachable):
        await fetch(short_tmp / "s")


async def test_a_device_model_that_does_not_answer(short_tmp, monkeypatch):
    monkeypatch.setattr(handover, "_TIMEOUT", 0.01)
    with socket.create_server(str(short_tmp / "s"), family=socket.AF_UNIX), pytest.raises(TimedOut):
        await fetch(short_tmp / "s")


async def test_a_device_model_that_leaves_in_the_middle(short_tmp):
    with socket.create_server(str(short_tmp / "s"), family=socket.AF_UNIX) as keeper:
        fetching = asyncio.create_task(fetch(short_tmp / "s"))
        await asyncio.sleep(0)
        keeper.accept()[0].close()
        with pytest.raises(Unreachable):
            await fetching


# The device model


class Paper:
    """A QEMU of paper: what it was told, and the guest's end of each port."""

    def __init__(self, channels):
        self.channels = channels
        self.names, self.chardevs, self.ports = {}, {}, {}
        self.refuse = None

    async def execute(self, command, arguments=None, /, *, fds=(), **more):
        arguments = {**(arguments or {}), **more}
        if self.refuse == command:
            raise QmpError("QEMU", command, ErrorReply("1", "GenericError", "the bus is full"))
        match command:
            case "getfd":
                self.names[arguments["fdname"]] = os.dup(fds[0])
            case "chardev-add":
                assert arguments["id"] not in self.chardevs
                fd = self.names.pop(arguments["backend"]["data"]["addr"]["data"]["str"])
                self.chardevs[arguments["id"]] = sock = socket.socket(fileno=fd)
                sock.setblocking(False)
            case "device_add":
                assert arguments["chardev"] in self.chardevs
                self.ports[arguments["id"]] = arguments
            case "device_del":
                del self.ports[arguments["id"]]
                deleted = Event("DEVICE_DELETED", {"device": arguments["id"]}, 0.0)
                self.told = asyncio.create_task(self.channels.event(deleted))
            case "chardev-remove":
                assert not any(p["chardev"] == arguments["id"] for p in self.ports.values())
                self.chardevs.pop(arguments["id"]).close()
            case _:
                raise AssertionError(command)


class World:
    """A host with a domain 5: a store, a daemon that serves, a device model."""

    def __init__(self, store, folder):
        self.store, self.folder = store, folder
        self.model = PluggedChannels(store, DomId(5))
        self.qemu = Paper(self.model)

    async def serve(self):
        (self.folder / "spools").mkdir(exist_ok=True)
        self.server = ChannelServer(self.store, QemuGuests(), self.folder / "spools")
        ready = asyncio.Event()
        self.serving = asyncio.create_task(self.server.run(ready.set))
        await ready.wait()

    async def stop(self, task):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def attach(self, name, kind=ChannelKind.SOCKET, **options):
        path = str(self.folder / name) if kind in (ChannelKind.SOCKET, ChannelKind.PATH) else None
        channel = Channel(DomId(5), DevId(0), ChannelName(name), kind, path)
        return await attach(self.store, channel, **{"most": 30, "states": CONNECTED, **options})

    def guest(self, channel):
        return self.qemu.chardevs[channel.label]

    async def state(self, channel):
        return await self.store.get_text(channel.frontend / "state")


@pytest.fixture
async def world(short_tmp):
    (short_tmp / "run").mkdir(mode=0o700)
    ready = asyncio.Event()
    daemon = asyncio.create_task(server.serve(short_tmp / "store.sock", ready=ready.set))
    await ready.wait()
    async with Store.connect(short_tmp / "store.sock") as store:
        world = World(store, short_tmp)
        await store.write("/local/domain/5/vm", "/vm/5aff0001-1c2d-4e3f-8a9b-c0ffee00ffff")
        await world.serve()
        following = asyncio.create_task(world.model.follow(world.qemu))
        yield world
        await world.stop(following)
        await world.model.close()
        await world.stop(world.serving)
        for sock in world.qemu.chardevs.values():
            sock.close()
    await world.stop(daemon)


async def read(sock, count):
    data = b""
    while len(data) < count:
        data += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, count - len(data)), 5)
    return data


async def test_attach_use_detach(world):
    channel = await world.attach("a")
    assert (channel.devid, channel.state) == (1, XenbusState.CONNECTED)
    port = world.qemu.ports["channel1"]
    assert (port["name"], port["nr"], port["bus"]) == ("a", 1, "xenwire-serial.0")
    assert await world.state(channel) == "3"
    await world.model.event(Event("VSERPORT_CHANGE", {"id": "channel1", "open": True}, 0.0))
    assert await world.state(channel) == "4"

    reader, writer = await asyncio.open_unix_connection(world.folder / "a")
    every_byte = bytes(range(256)) * 1000
    writer.write(every_byte)
    assert await read(world.guest(channel), len(every_byte)) == every_byte
    await asyncio.get_running_loop().sock_sendall(world.guest(channel), every_byte)
    assert await reader.readexactly(len(every_byte)) == every_byte

    await detach(world.store, channel)
    assert world.qemu.ports == world.qemu.chardevs == {}
    assert not (world.folder / "a").exists()
    assert await reader.read() == b""
    assert not await world.store.exists(channel.backend)
    assert not await world.store.exists(channel.frontend)
    await eventually(lambda: not list((world.folder / "spools").iterdir()))
    assert not list((world.folder / "run").glob("channel-*"))
    writer.close()


async def test_attach_again_and_again(world):
    for _ in range(20):
        channel = await world.attach("a")
        assert channel.devid == 1
        world.guest(channel).send(b"x")
        reader, writer = await asyncio.open_unix_connection(world.folder / "a")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        await detach(world.store, channel)


async def test_thirty_and_no_more(world):
    for number in range(30):
        assert (await world.attach(f"c{number}", ChannelKind.NONE)).devid == number + 1
    with pytest.raises(Conflict, match="cannot attach"):
        await world.attach("one-more", ChannelKind.NONE)
    with pytest.raises(Conflict, match="c3"):
        await world.attach("c3", ChannelKind.NONE)


async def test_what_the_daemon_refuses(world):
    (world.folder / "taken").write_text("precious")
    with pytest.raises(Conflict, match="cannot listen on"):
        await world.attach("taken")
    assert await read_channels(world.store, DomId(5)) == []
    assert world.qemu.ports == {}
    await eventually(lambda: not list(world.server.channels()))


@pytest.mark.parametrize("command", ["getfd", "chardev-add", "device_add"])
async def test_what_qemu_refuses(world, command):
    world.qemu.refuse = command
    with pytest.raises(XenwireError, match="the bus is full"):
        await world.attach("a")
    assert await read_channels(world.store, DomId(5)) == []
    assert world.qemu.ports == world.qemu.chardevs == {}
    world.qemu.refuse = None
    await world.attach("a")


async def test_nobody_serves(world):
    await world.stop(world.serving)
    with pytest.raises(TimedOut, match="is not served"):
        await world.attach("a", timeout=0.05)
    assert await read_channels(world.store, DomId(5)) == []
    await world.serve()


async def test_a_restart_loses_nothing(world):
    channel = await world.attach("log", ChannelKind.PATH)
    guest, loop = world.guest(channel), asyncio.get_running_loop()
    text = b"".join(b"%07d\n" % number for number in range(20_000))

    async def write():
        for piece in itertools.batched(text, 999) if hasattr(itertools, "batched") else _pieces(text, 999):
            await loop.sock_sendall(guest, bytes(piece))

    writing = asyncio.create_task(write())
    for _ in range(5):
        for _ in range(20):
            await asyncio.sleep(0)
        await world.stop(world.serving)
        assert await world.store.get(channel.backend / "state") == b"4"
        await world.serve()
    await writing
    await eventually(lambda: (world.folder / "log").stat().st_size >= len(text))
    assert (world.folder / "log").read_bytes() == text


def _pieces(text, size):
    return (text[start : start + size] for start in range(0, len(text), size))


async def test_what_was_there_before_the_daemon(world):
    """A new domain's ports are there before anybody serves them; what the guest writes waits."""
    await world.stop(world.serving)
    channel = Channel(
        DomId(6), DevId(2), ChannelName("b"), ChannelKind.PATH, str(world.folder / "b"), type=OUR_TYPE
    )
    for node in channel.nodes():
        await world.store.write(node.path, node.value)
    model, launch = PluggedChannels(world.store, DomId(6)), Launch()
    await model.open(launch)
    with socket.socket(fileno=os.dup(launch.fds[0])) as guest:
        launch.close()
        assert launch.arguments[0::2] == ["-chardev", "-device"]
        assert "id=libxl-channel2" in launch.arguments[1]
        assert "nr=2" in launch.arguments[3]
        await model.publish(world.qemu)
        guest.send(b"early")
        await world.serve()
        await eventually(lambda: (world.folder / "b").read_bytes() == b"early")
        guest.send(b", last words")
    await model.close()
    await eventually(lambda: (world.folder / "b").read_bytes() == b"early, last words")
    await world.store.wait_for(channel.backend / "state", lambda state: state == b"6", 5)
    await detach_all(world.store, [channel])
    assert await world.store.get(channel.backend / "state") == b"6"


async def test_nodes_that_vanish(world):
    channel = await world.attach("a")
    await world.store.rm(channel.backend)
    await world.store.rm(channel.frontend)
    await eventually(lambda: world.qemu.ports == world.qemu.chardevs == {})
    await eventually(lambda: not (world.folder / "a").exists())
    assert not await world.store.exists(channel.backend)
    assert not await world.store.exists(channel.frontend)
