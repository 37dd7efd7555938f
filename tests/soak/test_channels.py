"""Channels that come and go a thousand times: what they took of the machine is given back."""

import asyncio
import contextlib
import gc
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.channel_host import Backend, channel, connected
from tests.unit.frontend import Guest
from xenwire.channels import attach as toolstack
from xenwire.channels.options import Options
from xenwire.types import ChannelKind
from xenwire.xenstore import Store
from xenwire.xenstored.server import Daemon

pytestmark = pytest.mark.soak

CYCLES = int(os.environ.get("XENWIRE_SOAK_CYCLES", "1000"))
UUID = "5aff0001-1c2d-4e3f-8a9b-c0ffee00ffff"


@pytest.fixture
async def host(short_tmp):
    """A store whose daemon can be looked into, and a backend."""
    daemon = Daemon()
    server = await asyncio.get_running_loop().create_unix_server(daemon.client, short_tmp / "store.sock")
    async with Store.connect(short_tmp / "store.sock") as store:
        await store.write("/local/domain/5/vm", f"/vm/{UUID}")
        backend = Backend(store, short_tmp)
        await backend.start()
        yield daemon, store, backend
        await backend.stop()
    server.close()
    daemon.close()


async def cycle(store, backend, folder, moments):
    """Attach a channel, use it perhaps, and have it go, in one of many ways."""
    kind = moments.choice(list(ChannelKind))
    path = {ChannelKind.SOCKET: folder / "s", ChannelKind.PATH: folder / "log"}.get(kind)
    options = Options(broadcast=True, replay=4096) if kind is ChannelKind.SOCKET else Options()
    wire = await toolstack.attach(store, replace(channel(kind, path), options=options))
    guest, client = Guest(store, folder), None
    if kind is ChannelKind.SOCKET and moments.random() < 0.5:
        client = await connected(path)
    how_far = moments.choice(["not at all", "connected", "broken"])
    if how_far != "not at all":
        await guest.connect()
        await guest.write(bytes(3000))
    if how_far == "broken":
        guest.page.view.cast("I")[771] = 77777
        guest.events.notify(guest.port)
    if moments.random() < 0.3:  # as xl destroys a domain
        async with store.transaction() as t:
            await t.discard(wire.frontend, wire.backend.parent, "/libxl/5")
    else:
        gone = asyncio.create_task(toolstack.detach(store, wire))
        if how_far != "not at all":
            await guest.until(5)
            await guest.say(6)
        await gone
    async with asyncio.timeout(10):
        while list(backend.server.channels()) or backend.server._working:  # noqa: ASYNC110
            await asyncio.sleep(0)
    if client is not None:
        client[1].close()
        with contextlib.suppress(ConnectionError):
            await client[1].wait_closed()
    guest.close()
    for left in folder.glob("port-*"):
        left.unlink()


def taken(daemon, store, backend):
    """Give what can leak, counted."""
    gc.collect()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "mappings": len([line for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line]),
        "pages": backend.grants.mapped,
        "ports": backend.events.bound,
        "watches": sum(len(list(connection.watches)) for connection in daemon._clients),
        "watchers": len(store._connection._watchers),
        "calls": len(store._connection._calls),
        "tasks": len(asyncio.all_tasks()),
        "timers": len([t for t in asyncio.get_running_loop()._scheduled if not t.cancelled()]),
        "spools": len(list((backend.folder / "spools").iterdir())),
        "files": sorted(path.name for path in backend.folder.iterdir()),
    }


async def test_a_thousand_channels_leave_nothing(host, short_tmp):
    _, store, backend = host
    moments = random.Random(25)
    for _ in range(30):
        await cycle(store, backend, short_tmp, moments)
    before = taken(*host)
    for _ in range(CYCLES):
        await cycle(store, backend, short_tmp, moments)
    assert taken(*host) == before
    assert (before["pages"], before["ports"], before["spools"]) == (0, 0, 0)
