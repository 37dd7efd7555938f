"""A backend in a domain that is not privileged: it has the rights that the nodes give it, and no more."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from channel_host import Backend
from frontend import Guest, eventually

from xenwire.channels.attach import attach, detach, wait_served
from xenwire.channels.keys import Channel, backends_of, read_channels
from xenwire.channels.orphans import release_orphans
from xenwire.channels.server import ChannelServer
from xenwire.errors import NotFound, TimedOut, XenwireError
from xenwire.types import ChannelKind, ChannelName, DevId, DomId
from xenwire.xenstore import Permissions, Store
from xenwire.xenstored.engine import Engine
from xenwire.xenstored.quotas import DEFAULT_QUOTAS, Quotas
from xenwire.xenstored.server import Daemon

GUEST, HOST = DomId(5), DomId(9)


class Host(Daemon):
    """A store whose next client is a program of domain `domid`."""

    domid = 0

    def __init__(self, quotas):
        super().__init__()
        self.engine = Engine(quotas)

    def add(self, client):
        connection = self.engine.connect(self.domid)
        self._clients[connection] = client
        return connection

    def tell(self, effects):
        """Have clients told what has become of a domain."""
        for effect in effects:
            if client := self._clients.get(effect.connection):
                client.outbox.add(effect)
                client.flush()


@pytest.fixture
async def host(short_tmp, request):
    daemon = Host(getattr(request, "param", DEFAULT_QUOTAS))
    server = await asyncio.get_running_loop().create_unix_server(daemon.client, short_tmp / "store.sock")
    yield daemon
    server.close()
    daemon.close()


@pytest.fixture
async def store(host, short_tmp):
    """A client in dom0, which has made both domains as libxl does."""
    async with Store.connect(short_tmp / "store.sock") as store:
        for domid in (GUEST, HOST):
            await store.introduce(domid, 1, 2)
            await store.mkdir(f"/local/domain/{domid}")
            await store.set_perms(f"/local/domain/{domid}", Permissions.parse("n0", f"r{domid}"))
            await store.write(f"/local/domain/{domid}/domid", str(domid))
        yield store


@pytest.fixture
async def theirs(host, store, short_tmp):
    """A client in the driver domain."""
    host.domid = HOST
    async with Store.connect(short_tmp / "store.sock") as theirs:
        assert await theirs.get_text("domid") == str(HOST)
        host.domid = 0
        yield theirs


async def ended(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def backend(theirs, tmp_path):
    backend = Backend(theirs, tmp_path, HOST)
    await backend.start()
    yield backend
    await backend.stop()


@pytest.fixture
async def guest(store, tmp_path):
    guest = Guest(store, tmp_path, GUEST, host=HOST)
    yield guest
    guest.close()


def channel(kind, path=None, name="org.example.0"):
    return Channel(GUEST, DevId(0), ChannelName(name), kind, None if path is None else str(path), HOST)


async def test_bytes_go_both_ways(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.connect()
    reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
    writer.write(b"to the guest")
    await guest.write(b"from the guest")
    assert await reader.readexactly(14) == b"from the guest"
    assert await guest.read(12) == b"to the guest"
    writer.close()


async def test_a_pty_is_told_to_the_toolstack(store, backend):
    attached = await attach(store, channel(ChannelKind.PTY))
    assert Path(attached.tty).is_char_device()


@pytest.mark.parametrize("host", [Quotas(nodes=10)], indirect=True)
async def test_it_owns_as_many_nodes_as_it_may(store, backend, guest):
    """What the toolstack makes for it counts, but is not refused."""
    attached = await attach(store, channel(ChannelKind.NONE))
    await guest.connect()
    assert await store.read(attached.backend / "generation") == b"1"


@pytest.mark.parametrize("host", [Quotas(watches=2)], indirect=True)
async def test_it_watches_as_much_as_it_may(store, backend, guest):
    """One watch for all, and one for each channel."""
    await attach(store, channel(ChannelKind.NONE))
    await guest.connect()
    with pytest.raises(XenwireError, match="a quota of the domain is used up"):
        await attach(store, channel(ChannelKind.NONE, name="org.example.1"))
    assert [one.name for one in await read_channels(store, GUEST)] == ["org.example.0"]
    assert [told.joined for told in backend.server.channels()] == [True]


async def test_detached_it_leaves_nothing(store, backend, guest):
    attached = await attach(store, channel(ChannelKind.NONE))
    await guest.connect()
    gone = asyncio.create_task(detach(store, attached))
    await guest.until(5)
    await guest.say(6)
    await gone
    assert not await store.exists(backends_of(GUEST, HOST))
    assert await read_channels(store, GUEST) == []


@pytest.mark.parametrize("kind", [ChannelKind.PTY, ChannelKind.SOCKET])
async def test_a_guest_has_deleted_its_directory_before_the_backend_begins(
    store, backend, guest, kind, tmp_path
):
    """What is gone there is denied to this domain, not missing."""
    path = tmp_path / "s" if kind is ChannelKind.SOCKET else None
    attached = await attach(store, channel(kind, path))
    await guest.connect()
    await backend.stop()
    await store.rm(guest.home)
    await backend.start()
    await guest.until(6)
    assert not await store.exists(attached.backend / "error")
    assert [told.error for told in backend.server.channels()] == [None]


async def test_a_guest_hides_what_it_offers(store, backend, guest):
    await attach(store, channel(ChannelKind.NONE))
    await guest.probe()
    await guest.until(4)
    await store.set_perms(guest.home / "ring-ref", Permissions.parse(f"n{GUEST}"))
    await guest.say(4)
    await eventually(
        lambda: [told.error for told in backend.server.channels()] == ["the guest offers nothing that can be"]
    )


async def test_a_toolstack_has_destroyed_the_guest(store, backend, guest, tmp_path):
    """xl 4.17 and 4.20 remove all of a console, wherever its backend is."""
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.connect()
    async with store.transaction() as t:
        await t.rm(guest.home.parent.parent.parent)
        await t.rm(backends_of(GUEST, HOST).parent.parent)
    await eventually(lambda: not list(backend.server.channels()))
    assert not (tmp_path / "s").exists()
    assert not list((tmp_path / "spools").iterdir())


async def test_the_driver_domain_dies(host, store, backend, guest):
    """The store removes what it owned; what is left goes with the next channel, which gets another number."""
    old = await attach(store, channel(ChannelKind.NONE))
    await guest.connect()
    await backend.stop()
    host.engine.kill(HOST)
    assert await read_channels(store, GUEST) == []
    assert await store.exists(old.frontend)

    server = ChannelServer(store, backend.server._guests, backend.folder / "spools")
    serving = asyncio.create_task(server.run())
    here = Channel(GUEST, DevId(0), old.name, ChannelKind.NONE)
    new = await attach(store, here)
    assert (old.devid, new.devid) == (1, 2)
    assert not await store.exists(old.frontend)
    assert not await store.exists(f"/libxl/{GUEST}/device/console/{old.devid}")
    await ended(serving)


async def test_a_guest_learns_that_its_driver_domain_has_died(host, store, backend, guest, tmp_path):
    """Its directory goes at once, and no other's does."""
    server = ChannelServer(store, backend.server._guests, tmp_path / "spools")
    serving = [asyncio.create_task(each) for each in (server.run(), release_orphans(store))]
    far = await attach(store, channel(ChannelKind.NONE))
    here = await attach(store, Channel(GUEST, DevId(0), ChannelName("org.example.1"), ChannelKind.NONE))
    await guest.connect()
    await backend.stop()
    host.tell(host.engine.shut_down(HOST))
    assert await store.exists(far.frontend)
    host.tell(host.engine.kill(HOST))
    await store.wait_for(far.frontend, lambda value: value is None, 5)
    assert await store.exists(here.frontend)
    assert [one.name for one in await read_channels(store, GUEST)] == [here.name]
    # The guest may not have seen yet that it went.
    another = await attach(store, Channel(GUEST, DevId(0), far.name, ChannelKind.NONE))
    assert (far.devid, here.devid, another.devid) == (1, 2, 3)
    assert not await store.exists(f"/libxl/{GUEST}/device/console/{far.devid}")
    for task in serving:
        await ended(task)


async def test_a_guest_that_is_in_the_way_of_its_release_is_in_no_others(
    host, store, backend, short_tmp, monkeypatch
):
    """Its directory is its own to change, as often as it likes."""
    monkeypatch.setattr("xenwire.channels.orphans._RETRY", 0.01)
    other = DomId(7)
    await store.introduce(other, 1, 2)
    await store.mkdir(f"/local/domain/{other}")
    near = await attach(store, channel(ChannelKind.NONE))
    far = await attach(store, Channel(other, DevId(0), near.name, ChannelKind.NONE, None, HOST))
    await backend.stop()
    host.domid = GUEST
    async with Store.connect(short_tmp / "store.sock") as theirs, asyncio.TaskGroup() as tasks:

        async def change():
            while True:
                await asyncio.gather(*(theirs.write(near.frontend / "state", "1") for _ in range(8)))

        changing = tasks.create_task(change())
        host.tell(host.engine.kill(HOST))
        releasing = tasks.create_task(release_orphans(store))
        await store.wait_for(far.frontend, lambda value: value is None, 5)
        assert await store.exists(near.frontend)
        changing.cancel()
        await store.wait_for(near.frontend, lambda value: value is None, 5)
        releasing.cancel()


async def test_a_channel_whose_driver_domain_ends_is_waited_for_no_longer(host, store, backend):
    await backend.stop()
    attaching = asyncio.create_task(attach(store, channel(ChannelKind.NONE), timeout=30))
    await store.wait_for(f"/local/domain/{GUEST}/device/console/1", lambda value: value is not None, 5)
    host.tell(host.engine.kill(HOST))
    with pytest.raises(NotFound, match="is not served"):
        async with asyncio.timeout(5):
            await attaching
    assert not await store.names(f"/libxl/{GUEST}/device/console")


async def test_who_gives_up_leaves_the_one_that_has_the_number_by_then(host, store, backend, monkeypatch):
    await backend.stop()
    server = ChannelServer(store, backend.server._guests, backend.folder / "spools")
    serving = asyncio.create_task(server.run())
    others = []

    async def others_come(*_, **__):
        monkeypatch.setattr("xenwire.channels.attach.wait_served", wait_served)
        host.tell(host.engine.kill(HOST))
        for name in ("org.example.1", "org.example.2"):
            here = Channel(GUEST, DevId(0), ChannelName(name), ChannelKind.NONE)
            others.append(await attach(store, here))
        raise TimedOut("it is not served")

    monkeypatch.setattr("xenwire.channels.attach.wait_served", others_come)
    with pytest.raises(TimedOut):
        await attach(store, channel(ChannelKind.NONE))
    assert [other.devid for other in others] == [2, 1]
    assert await read_channels(store, GUEST) == sorted(others, key=lambda other: other.devid)
    assert await store.exists(others[1].frontend)
    await ended(serving)


async def test_what_was_left_of_a_driver_domain_goes_once_somebody_looks(host, store, backend):
    """Nobody served in dom0 as it died."""
    far = await attach(store, channel(ChannelKind.NONE))
    await backend.stop()
    host.tell(host.engine.kill(HOST))
    assert await store.exists(far.frontend)
    releasing = asyncio.create_task(release_orphans(store))
    await store.wait_for(far.frontend, lambda value: value is None, 5)
    await ended(releasing)
