"""Guests that do what the usual handshake has not: they vanish, begin anew, keep still, or never let go."""

import asyncio
import contextlib
import os
from collections import Counter
from dataclasses import replace

import pytest
from channel_host import channel, connected
from frontend import Guest, attach, eventually

from xenwire.channels import attach as toolstack
from xenwire.channels.keys import read_channels
from xenwire.channels.options import Options
from xenwire.errors import Conflict
from xenwire.rings.console import Frontend
from xenwire.types import ChannelKind, ChannelName, DevId, DomId
from xenwire.xenstore.wire import Op
from xenwire.xenstored.engine import Engine


@pytest.fixture
def requests(monkeypatch):
    """What has reached the store, as operation and payload; `requests.hook` is called with each before."""

    class Requests(list):
        hook = staticmethod(lambda op, payload: None)

    seen, handle = Requests(), Engine.handle

    def noted(self, connection, frame):
        seen.hook(frame.type, frame.payload)
        seen.append((frame.type, frame.payload))
        return handle(self, connection, frame)

    monkeypatch.setattr(Engine, "handle", noted)
    return seen


async def settled(backend):
    """Wait until the backend has no work left."""
    await eventually(lambda: not backend.server._working)


def writes_to(path, requests):
    """Give the values that were written to a node."""
    start = f"{path}\0".encode()
    return [payload[len(start) :] for op, payload in requests if op == Op.WRITE and payload.startswith(start)]


async def offer_another_ring(guest):
    """Do what Linux does when it is resumed: a new page and port, told at once (xencons_resume)."""
    old = guest.ring, guest.page
    guest.reference, guest.page = guest.grants.grant(0)
    guest.ring, guest.port = Frontend(guest.page.view), guest.events.offer(0)
    async with guest.store.transaction() as t:
        await t.write(guest.home / "ring-ref", str(guest.reference))
        await t.write(guest.home / "port", str(guest.port))
        await t.write(guest.home / "state", "3")
    return old


# --- another ring


async def test_another_ring_is_taken_and_the_state_stays(store, backend, guest, tmp_path, requests):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    reader, writer = await connected(tmp_path / "s")
    await guest.write(b"first ")
    assert await reader.readexactly(6) == b"first "
    requests.clear()
    ring, page = await offer_another_ring(guest)
    await store.wait_for(guest.backend / "generation", lambda value: value == b"2", 5)
    ring.output.put(b"nobody looks here any more")
    await guest.say(4)
    await guest.write(b"second")
    assert await reader.readexactly(6) == b"second"
    writer.write(b"answer")
    assert await guest.read(6) == b"answer"
    assert ring.input.available() == 0
    assert writes_to(guest.backend / "state", requests) == []
    assert (backend.grants.mapped, backend.events.bound) == (1, 1)
    ring.release()
    page.unmap()
    writer.close()


async def test_a_generation_is_told_once(store, backend, guest, tmp_path, requests):
    await attach(store, channel(ChannelKind.PATH, tmp_path / "log"))
    await guest.until(2)
    await guest.connect()
    ring, page = await offer_another_ring(guest)
    await store.wait_for(guest.backend / "generation", lambda value: value == b"2", 5)
    requests.clear()
    for _ in range(3):
        await guest.say(4)
        await settled(backend)
    await backend.stop()
    await backend.start()
    await guest.write(b"the same ring")
    await eventually(lambda: (tmp_path / "log").read_bytes() == b"the same ring")
    assert writes_to(guest.backend / "generation", requests) == []
    ring.release()
    page.unmap()


async def test_the_number_of_a_port_may_come_again(store, backend, guest, tmp_path):
    """Its events are the new ring's; what was queued for the old one does no harm."""
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    (old,) = backend.events.ports
    guest.events.notify(guest.port)
    ring, page = await offer_another_ring(guest)
    await store.wait_for(guest.backend / "generation", lambda value: value == b"2", 5)
    assert backend.events.ports == [old]
    reader, writer = await connected(tmp_path / "s")
    await guest.write(b"by its new meaning")
    assert await reader.readexactly(18) == b"by its new meaning"
    ring.release()
    page.unmap()
    writer.close()


# --- a frontend that is gone


async def test_a_frontend_that_was_deleted_is_closed_and_stays_away(store, backend, guest, requests):
    await attach(store, channel(ChannelKind.PTY))
    await guest.until(2)
    (wire,) = await read_channels(store, DomId(5))
    await guest.connect()
    guest.ring.output.put(b"last words")
    await store.rm(guest.home)
    await guest.until(6)
    assert (backend.grants.mapped, backend.events.bound) == (0, 0)
    requests.clear()
    for again in ("1", "1"):  # whenever the backend looks
        await store.write(guest.backend / "online", again)
        await settled(backend)
    await backend.stop()
    await backend.start()
    assert not await store.exists(guest.home)
    assert await store.read(guest.backend / "state") == b"6"
    at_home = f"{guest.home}/".encode()
    assert [op for op, payload in requests if op == Op.WRITE and payload.startswith(at_home)] == []

    await store.transact(lambda t: toolstack.show(t, wire))
    await guest.until(2)
    guest.ring.release()
    guest.page.unmap()
    await guest.connect()
    terminal = os.open(await tty_of(backend), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    await guest.write(b", and first")
    seen = b""
    while len(seen) < 21:
        with contextlib.suppress(BlockingIOError):
            seen += os.read(terminal, 100)
        await asyncio.sleep(0)
    assert seen == b"last words, and first"
    os.close(terminal)


async def tty_of(backend):
    (found,) = (entry.served.wire.endpoint.place for entry in backend.server._entries.values())
    return found


async def test_a_terminal_is_named_once(store, backend, guest, requests):
    await attach(store, channel(ChannelKind.PTY))
    await guest.until(2)
    await guest.connect()
    for state in (5, 6, 1):
        await guest.say(state)
        await settled(backend)
    await guest.until(2)
    named = [value for value in writes_to(guest.home / "tty", requests) if value]
    assert named == [(await tty_of(backend)).encode()]


async def test_a_frontend_that_has_lost_its_keys_is_served(store, backend, guest, tmp_path):
    """Once a channel is taken up, nothing of its directory is needed but what the driver writes there."""
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    for key in ("name", "limit", "type", "tty", "backend", "backend-id", "protocol"):
        await store.rm(guest.home / key)
    await guest.connect()
    reader, writer = await connected(tmp_path / "s")
    await guest.write(b"served")
    assert await reader.readexactly(6) == b"served"
    writer.close()


# --- before the backend says 6


@pytest.fixture
def at_the_end(requests, backend, guest):
    """Give what is mapped and bound as the store hears of the backend's 6."""
    left, closed = [], f"{guest.backend}/state\0006".encode()

    def look(op, payload):
        if op == Op.WRITE and payload == closed:
            left.append((backend.grants.mapped, backend.events.bound))

    requests.hook = look
    return left


async def go_offline(store, guest):
    async with store.transaction() as t:
        await t.write(guest.backend / "online", "0")
        await t.write(guest.backend / "state", "5")


@pytest.mark.parametrize("way", ["closes", "says 6 at once", "vanishes", "is initialised", "is detached"])
async def test_all_is_given_back_before_the_guest_hears_of_it(
    store, backend, guest, tmp_path, at_the_end, way
):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    assert (backend.grants.mapped, backend.events.bound) == (1, 1)
    match way:
        case "closes":
            await guest.say(5)
            await guest.until(5)
            assert (backend.grants.mapped, backend.events.bound) == (1, 1)
            await guest.say(6)
        case "says 6 at once":
            await guest.say(6)
        case "vanishes":
            await store.rm(guest.home)
        case "is initialised":
            await guest.say(1)
        case "is detached":
            await go_offline(store, guest)
            await guest.say(6)
    await eventually(lambda: at_the_end)
    assert at_the_end == [(0, 0)]


def taken():
    """Give how many descriptors this process has, and what files it has mapped."""
    with open("/proc/self/maps") as lines:
        return len(os.listdir("/proc/self/fd")), Counter(line.split()[5] for line in lines if "/" in line)


@pytest.mark.parametrize("kind", list(ChannelKind))
async def test_a_domain_that_is_destroyed_leaves_nothing(store, backend, guest, tmp_path, kind):
    """xl removes the nodes without a word to anybody, and whoever has a page mapped keeps a zombie."""
    path = {ChannelKind.SOCKET: tmp_path / "s", ChannelKind.PATH: tmp_path / "log"}.get(kind)
    await store.mkdir("/local/domain/0/backend/console")
    before = taken()
    await attach(store, channel(kind, path))
    await guest.until(2)
    await guest.connect()
    client = await connected(path) if kind is ChannelKind.SOCKET else None
    await guest.write(b"more than " + bytes(3000))
    await store.discard("/local/domain/5", guest.backend.parent, "/libxl/5")
    await eventually(lambda: not list(backend.server.channels()) and not backend.server._working)
    assert (backend.grants.mapped, backend.events.bound) == (0, 0)
    assert not (tmp_path / "s").exists()
    assert list((tmp_path / "spools").iterdir()) == []
    assert not await store.exists("/local/domain/0/backend/console/5")
    assert not await store.exists("/local/domain/5")

    if client is not None:  # what is left is the test's
        await client[0].read()
        client[1].close()
        await client[1].wait_closed()
    guest.ring.release()
    guest.page.unmap()
    guest.page = None
    guest.events.unbind(guest.port)
    assert taken() == before


# --- detaching


@pytest.mark.parametrize("state", [1, 6])
async def test_a_guest_that_has_nothing_of_it_is_not_waited_for(store, backend, guest, tmp_path, state):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    if state == 6:
        await guest.connect()
        await guest.say(6)
        await guest.until(6)
    (wire,) = await read_channels(store, DomId(5))
    await toolstack.detach(store, wire, timeout=5)  # half of what a guest is given
    assert not await store.exists(guest.home)
    assert not await store.exists(guest.backend)
    await eventually(lambda: not (tmp_path / "s").exists())
    await settled(backend)
    assert list(backend.server.channels()) == []


async def test_a_guest_that_hangs_has_to_let_go(store, backend, guest, tmp_path, at_the_end, monkeypatch):
    clock = asyncio.get_running_loop().time
    late = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock() + late)
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    await go_offline(store, guest)
    await eventually(lambda: next(iter(backend.server._entries.values())).timer)
    await settled(backend)
    late = 9.0
    await store.write(guest.home / "state", "4")
    await settled(backend)
    assert (backend.grants.mapped, at_the_end) == (1, [])
    assert (tmp_path / "s").exists()
    late = 10.0
    await guest.until(6)
    assert (backend.grants.mapped, at_the_end) == (0, [(0, 0)])
    assert not (tmp_path / "s").exists()


# --- nothing to do


async def test_a_guest_that_does_not_come_costs_nothing(store, backend, guest, tmp_path, requests):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await settled(backend)
    (entry,) = backend.server._entries.values()
    assert entry.timer is None
    requests.clear()
    for _ in range(500):
        await asyncio.sleep(0)
    assert requests == []
    await guest.connect()


async def test_events_without_bytes_are_not_answered(store, backend, guest, tmp_path):
    """Linux holds back the interrupts of whoever sends some without a cause."""
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    (port,) = backend.events.ports
    reader, writer = await connected(tmp_path / "s")
    await eventually(lambda: backend.events.unmasked[port])  # the event of the beginning

    async def event():
        before = backend.events.unmasked[port]
        guest.events.notify(guest.port)
        await eventually(lambda: backend.events.unmasked[port] > before)

    assert backend.events.notified[port] == 0
    for _ in range(20):
        await event()
    assert backend.events.notified[port] == 0
    guest.ring.output.put(b"bytes")
    await event()
    assert await reader.readexactly(5) == b"bytes"
    assert backend.events.notified[port] == 1
    writer.write(b"answer")
    await eventually(lambda: guest.ring.input.available() == 6)
    assert backend.events.notified[port] == 2
    guest.ring.input.consume(6)
    await event()
    writer.write_eof()
    writer.close()
    await event()
    assert backend.events.notified[port] == 2


# --- ends that echo


@pytest.mark.parametrize("kind", [ChannelKind.PTY, ChannelKind.SOCKET])
async def test_what_a_guest_says_does_not_come_back(store, backend, guest, tmp_path, kind):
    await attach(store, channel(kind, tmp_path / "s" if kind is ChannelKind.SOCKET else None))
    await guest.until(2)
    await guest.connect()
    (port,) = backend.events.ports
    await guest.write(b"login: \r\n" * 1000)
    await eventually(lambda: guest.ring.output.room() == 2048)
    before = backend.events.unmasked[port]
    guest.events.notify(guest.port)
    await eventually(lambda: backend.events.unmasked[port] > before)
    assert guest.ring.input.available() == 0
    assert next(backend.server.channels()).to_guest == 0


async def test_two_ends_that_echo_are_not_heard_until_the_guest_is_ready(store, backend, guest, tmp_path):
    """Linux's terminal echoes until a program has made it raw; a client may echo too."""
    wire = replace(channel(ChannelKind.SOCKET, tmp_path / "s"), options=Options(hold=True))
    await attach(store, wire)
    await guest.until(2)
    await guest.connect()
    (port,) = backend.events.ports
    reader, writer = await connected(tmp_path / "s")
    writer.write(b"echo me\n")
    for _ in range(10):  # whatever wakes the backend
        before = backend.events.unmasked[port]
        guest.events.notify(guest.port)
        await eventually(lambda before=before: backend.events.unmasked[port] > before)
    assert guest.ring.input.available() == 0
    await guest.write(b"I am raw\n")
    assert await guest.read(8) == b"echo me\n"
    assert await reader.readexactly(9) == b"I am raw\n"
    writer.close()


# --- in the toolstack's order


async def test_nobody_sees_a_frontend_without_its_backend(store, backend, tmp_path):
    """A driver looks at its backend the moment it sees its own nodes, once."""
    guest, seen, looking = Guest(store, tmp_path), [], []
    ends = [guest.home / "state", guest.backend / "state"]
    await store.mkdir("/local/domain/5")

    def look():
        looking.append(asyncio.create_task(store.get_all(ends)))

    for _ in range(3):
        listener = await store.listen(guest.home, look)
        wire = await toolstack.attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
        listener.close()
        seen += await asyncio.gather(*looking)
        looking.clear()
        await toolstack.detach(store, wire)
    assert len(seen) > 10
    assert not [backend for frontend, backend in seen if frontend is not None and backend is None]


async def test_a_guest_has_room_for_seven(store, backend, tmp_path):
    await store.mkdir("/local/domain/5")
    for number in range(1, 8):
        named = replace(channel(ChannelKind.NONE, devid=0), name=ChannelName(f"c{number}"))
        assert (await toolstack.attach(store, named)).devid == number
    before = await store.read_tree("/local/domain")
    eighth = replace(named, name=ChannelName("c8"))
    with pytest.raises(Conflict) as caught:
        await toolstack.attach(store, eighth)
    assert "7 channels already, as many as its guest can have" in caught.value.reason
    for devid in (7, 8, 11):
        with pytest.raises(Conflict) as caught:
            await toolstack.attach(store, replace(eighth, devid=DevId(devid)))
        assert caught.value.reason == f"number {devid} is in use, or over 7"
    assert await store.read_tree("/local/domain") == before
