"""A backend on the loopback hypervisor that can be killed, and notes what it has asked the hypervisor for."""

import asyncio
import contextlib
from collections import Counter

from xenwire.channels.keys import OUR_TYPE, Channel
from xenwire.channels.ringend import Rings
from xenwire.channels.server import ChannelServer
from xenwire.hypervisor import Page
from xenwire.hypervisor.loopback import LoopbackEventChannels, LoopbackGrants
from xenwire.types import DOM0, ChannelName, DevId, DomId


def channel(kind, path=None, devid=1, domid=5):
    return Channel(
        DomId(domid),
        DevId(devid),
        ChannelName(f"org.example.{devid}"),
        kind,
        None if path is None else str(path),
        type=OUR_TYPE,
    )


async def connected(path):
    return await asyncio.open_unix_connection(path)


class Events(LoopbackEventChannels):
    """Counts signals and unmaskings, by our port."""

    def __init__(self, folder, domid):
        super().__init__(folder, domid)
        self.notified, self.unmasked = Counter(), Counter()

    @property
    def ports(self):
        return list(self._ports)

    @property
    def bound(self):
        return len(self._ports)

    def notify(self, port):
        self.notified[port] += 1
        super().notify(port)

    def unmask(self, ports):
        ports = list(ports)
        self.unmasked.update(ports)
        super().unmask(ports)


class Grants(LoopbackGrants):
    """Counts the pages that are mapped."""

    mapped = 0

    def map(self, domid, reference):
        page = CountedPage(self, super().map(domid, reference))
        self.mapped += 1
        return page


class CountedPage(Page):
    def __init__(self, grants, page):
        self.grants, self.page, self.view = grants, page, page.view

    def unmap(self):
        self.page.unmap()
        self.grants.mapped -= 1


class Backend:
    """What serves channels in a domain; it can be killed and started again."""

    def __init__(self, store, folder, domid=DOM0):
        self.store, self.folder, self.domid = store, folder, domid
        self.task = None

    async def start(self):
        self.events, self.grants = Events(self.folder, self.domid), Grants(self.folder, self.domid)
        rings = Rings(self.events, self.grants)
        (self.folder / "spools").mkdir(exist_ok=True)
        self.server = ChannelServer(self.store, rings, self.folder / "spools", self.domid)
        ready = asyncio.Event()
        self.task = asyncio.create_task(self.server.run(ready.set))
        await ready.wait()

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self.events.close()
