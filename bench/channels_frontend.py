"""A guest on the loopback that does nothing but write and read, and waits for events as a kernel does.

As a program it is run with the loopback's folder and its domid; each line of its input, such as `write 1000`
or `read 1000`, is done, and answered with `done`.
"""

from __future__ import annotations

import asyncio
import select
import sys
from pathlib import Path

from xenwire.channels.keys import OUR_TYPE, Channel
from xenwire.hypervisor.loopback import LoopbackEventChannels, LoopbackGrants
from xenwire.rings.console import Frontend
from xenwire.types import ChannelKind, ChannelName, DevId, DomId
from xenwire.xenstore import Store

PIECE = 256
"""Bytes that Linux puts into a ring before each signal (linux: drivers/tty/hvc/hvc_xen.c)."""


class Guest:
    """A domain with a channel, whose host end is a socket in the loopback's folder."""

    def __init__(self, store: Store, folder: Path, domid: int, devid: int = 1) -> None:
        self.path = folder / f"{domid}-{devid}"
        name = ChannelName(f"org.example.{devid}")
        self._channel = Channel(
            DomId(domid), DevId(devid), name, ChannelKind.SOCKET, str(self.path), type=OUR_TYPE
        )
        self._store = store
        self._events = LoopbackEventChannels(folder, domid)
        self._grants = LoopbackGrants(folder, domid)
        self._poll = select.poll()
        self._poll.register(self._events.fileno(), select.POLLIN)

    async def attach(self) -> None:
        """Be given the channel, as by a toolstack, and wait until it is served."""
        async with self._store.transaction() as t:
            await t.write(f"/local/domain/{self._channel.domid}/vm", f"/vm/{self._channel.domid}")
            for node in self._channel.nodes():
                await t.write(node.path, node.value)
        await self._until(b"2")

    async def connect(self) -> None:
        """Offer a ring, as a driver does that has found the channel."""
        reference, self._page = self._grants.grant(0)
        self._ring = Frontend(self._page.view)
        self._port = self._events.offer(0)
        home = self._channel.frontend
        await self._store.write(home / "ring-ref", str(reference))
        await self._store.write(home / "port", str(self._port))
        await self._store.write(home / "state", "3")
        await self._until(b"4")
        await self._store.write(home / "state", "4")

    def write(self, count: int) -> None:
        """Write so many bytes, and wait for room where there is none."""
        piece = bytes(PIECE)
        while count:
            if put := self._ring.output.put(piece[: min(count, PIECE)]):
                self._events.notify(self._port)
                count -= put
            else:
                self._wait()

    def read(self, count: int) -> None:
        """Read so many bytes."""
        while count:
            if data := self._ring.input.peek(count):
                self._ring.input.consume(len(data))
                self._events.notify(self._port)
                count -= len(data)
            else:
                self._wait()

    def close(self) -> None:
        """Be gone, as a domain that was destroyed; its nodes stay."""
        self._events.close()
        self._ring.release()
        self._page.unmap()

    def _wait(self) -> None:
        self._poll.poll()
        self._events.unmask(self._events.pending())

    async def _until(self, state: bytes) -> None:
        await self._store.wait_for(self._channel.backend / "state", lambda value: value == state, 30)


async def main(folder: Path, domid: int) -> None:
    async with Store.connect(folder / "store.sock") as store:
        guest = Guest(store, folder, domid)
        await guest.attach()
        await guest.connect()
        print("ready", flush=True)
        for line in sys.stdin:
            what, count = line.split()
            (guest.write if what == "write" else guest.read)(int(count))
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
