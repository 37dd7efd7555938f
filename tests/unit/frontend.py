"""A guest's driver for a channel, over the loopback: what Linux's hvc_xen does, without the terminal."""

import asyncio

from xenwire.hypervisor.loopback import LoopbackEventChannels, LoopbackGrants
from xenwire.rings.console import Frontend
from xenwire.types import StorePath

UUID = "5aff0001-1c2d-4e3f-8a9b-c0ffee00ffff"


class Guest:
    """A channel's frontend in a domain that does not exist but in the store and in a folder."""

    def __init__(self, store, folder, domid=5, devid=1, host=0):
        self.store, self.domid, self.devid, self.host = store, domid, devid, host
        self.home = StorePath(f"/local/domain/{domid}/device/console/{devid}")
        self.backend = StorePath(f"/local/domain/{host}/backend/console/{domid}/{devid}")
        self.events = LoopbackEventChannels(folder, domid)
        self.grants = LoopbackGrants(folder, domid)
        self.page = None

    async def probe(self, *, broken=False):
        """Offer a ring, as a driver does that has found a device in state 1."""
        self.reference, self.page = self.grants.grant(self.host)
        self.ring = Frontend(self.page.view)
        if broken:
            self.page.view.cast("I")[771] = 77777
        self.port = self.events.offer(self.host)
        await self.store.write(self.home / "ring-ref", str(self.reference))
        await self.store.write(self.home / "port", str(self.port))
        await self.say(3)

    async def connect(self):
        await self.probe()
        await self.until(4)
        await self.say(4)

    async def say(self, state):
        await self.store.write(self.home / "state", str(state))

    async def until(self, state):
        await self.store.wait_for(self.backend / "state", lambda value: value == b"%d" % state, 5)

    async def event(self):
        """Wait for a signal."""
        loop = asyncio.get_running_loop()
        signalled = asyncio.Event()
        loop.add_reader(self.events.fileno(), signalled.set)
        try:
            async with asyncio.timeout(5):  # wait_for may lose a cancellation
                await signalled.wait()
        finally:
            loop.remove_reader(self.events.fileno())
        self.events.unmask(self.events.pending())

    async def write(self, data):
        """Write all of it, and wait for room as Linux does."""
        while data:
            count = self.ring.output.put(data[:256])
            data = data[count:]
            self.events.notify(self.port)
            if not count:
                await self.event()

    async def read(self, count):
        """Read exactly so many bytes."""
        data = b""
        while len(data) < count:
            piece = self.ring.input.peek(count - len(data))
            if piece:
                self.ring.input.consume(len(piece))
                self.events.notify(self.port)
                data += piece
            else:
                await self.event()
        return data

    def close(self):
        self.events.close()
        if self.page is not None:
            self.ring.release()
            self.page.unmap()


async def attach(store, channel, uuid=UUID):
    """Write a channel's nodes into a domain, as a toolstack does."""
    await store.write(f"/local/domain/{channel.domid}/vm", f"/vm/{uuid}")
    async with store.transaction() as t:
        for node in channel.nodes():
            await t.write(node.path, node.value)


async def eventually(happened):
    """Wait until something is so of which nobody tells."""
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.001)
