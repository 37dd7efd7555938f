"""Guests of Xen: their end of a channel is a ring in memory that they have granted us."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xenwire.channels.guest import GuestEnd, Guests, Offer, identity
from xenwire.channels.nodes import read_readable
from xenwire.channels.pace import Pace
from xenwire.channels.spool import Spool
from xenwire.hypervisor import EventChannels, Grants, Page
from xenwire.rings.console import Backend

if TYPE_CHECKING:
    from xenwire.channels.keys import Channel
    from xenwire.xenstore import Nodes

__all__ = ["RingEnd", "Rings"]

_REFERENCES: Final = range(8, 1 << 32)  # 0 to 7 are Xen's own
_PORTS: Final = range(1, 1 << 17)  # as many as x86-64 has
_EVENTS: Final = (60, 200.0)  # events without bytes that a guest may send: at once, and a second


class RingEnd(GuestEnd):
    """A console's ring (xen: xen/include/public/io/console.h)."""

    __slots__ = ("_moved", "_page", "_port", "_ring", "_rings")

    def __init__(self, rings: Rings, page: Page, port: int) -> None:
        self._rings, self._page = rings, page
        self._port = port  # our end of the ring's event channel
        self._ring = Backend(page.view)
        self._moved = False

    def adopt(self, spool: Spool, identity: int) -> None:
        """Go on where the spool ends if it knows this ring, else begin with what stands in the ring now.

        A predecessor may have been killed between the spool's word and the ring's.
        """
        if spool.knows(identity):
            self._ring.output.resume(spool.index)
            index, data = spool.kept_input()
            if data and self._ring.input.index == index:
                self._ring.input.put(data)
            spool.forget_input()
            self._moved = True
        else:
            spool.begin(identity, self._ring.output.index)
        self._ring.say_connected(True)

    def take_output(self, spool: Spool, limit: int) -> int:
        """Move what the guest has written out of the ring."""
        data = self._ring.output.peek(limit)
        if data:
            spool.append(data)
            self._ring.output.consume(len(data))
            self._moved = True
        return len(data)

    def room(self) -> int:
        """Tell what the ring has room for."""
        return self._ring.input.room()

    def give_input(self, spool: Spool, data: bytes) -> None:
        """Put bytes into the ring. The spool keeps them until they are there."""
        spool.keep_input(self._ring.input.index, data)
        self._ring.input.put(data)
        spool.forget_input()
        self._moved = True

    def settle(self) -> None:
        """Signal the guest, if there is a cause: Linux holds back the interrupts of whoever has none."""
        if self._moved:
            self._rings.events.notify(self._port)
            self._moved = False

    def close(self) -> None:
        """Unmap the ring, and leave its event channel."""
        self._ring.release()
        self._rings.leave(self._port)
        self._page.unmap()


class Rings(Guests):
    """The guests of this hypervisor."""

    def __init__(self, events: EventChannels, grants: Grants) -> None:
        self.events, self.grants = events, grants
        self._joined: dict[int, _Joined] = {}

    async def offer(self, store: Nodes, channel: Channel, uuid: str) -> Offer | None:
        """Read the ring's reference and port: nothing that a guest writes is taken on trust."""
        told = await read_readable(store, [channel.frontend / "ring-ref", channel.frontend / "port"])
        reference, port = _number(told[0], _REFERENCES), _number(told[1], _PORTS)
        if reference is None or port is None:
            return None
        return _Ring(self, uuid, channel.domid, channel.devid, reference, port)

    def enter(self, domid: int, port: int, ready: Callable[[], bool]) -> int:
        """Join an event channel that a domain offers, and give our port, whose events call `ready`.

        Raises NotFound if there is no such domain or offer.
        """
        ours = self.events.bind(domid, port)
        if not self._joined:
            asyncio.get_running_loop().add_reader(self.events.fileno(), self._take_events)
        self._joined[ours] = _Joined(ready)
        return ours

    def leave(self, port: int) -> None:
        """Leave an event channel."""
        del self._joined[port]
        self.events.unbind(port)
        if not self._joined:
            asyncio.get_running_loop().remove_reader(self.events.fileno())

    def _take_events(self) -> None:
        """Give each channel that was signalled its turn."""
        loop = asyncio.get_running_loop()
        unmask = []
        for port in self.events.pending():
            joined = self._joined.get(port)
            if joined is None:
                continue
            moved = joined.ready()
            if not (moved or joined.moved) and (wait := joined.pace.spend(loop.time())):
                loop.call_later(wait, self._unmask, port, joined)
            else:
                unmask.append(port)
            joined.moved = moved
        self.events.unmask(port for port in unmask if port in self._joined)

    def _unmask(self, port: int, joined: _Joined) -> None:
        if self._joined.get(port) is joined:  # numbers come again
            self.events.unmask([port])


@dataclass(slots=True)
class _Joined:
    """What is kept of an event channel."""

    ready: Callable[[], bool]
    moved: bool = True
    """Whether the last event was with bytes: then the next may be of what went with them."""
    pace: Pace = field(default_factory=lambda: Pace(*_EVENTS))


@dataclass(frozen=True, slots=True)
class _Ring(Offer):
    """A ring, by what its guest says of it."""

    rings: Rings
    uuid: str
    domid: int
    devid: int
    reference: int
    port: int

    async def join(self, spool: Spool, ready: Callable[[], bool]) -> RingEnd:
        page = self.rings.grants.map(self.domid, self.reference)
        try:
            port = self.rings.enter(self.domid, self.port, ready)
        except BaseException:
            page.unmap()
            raise
        end = RingEnd(self.rings, page, port)
        end.adopt(spool, identity(self.uuid, self.devid, self.reference, self.port))
        return end


def _number(value: bytes | None, possible: range) -> int | None:
    """Read a plain decimal number that can be."""
    if value is None or not re.fullmatch(rb"[0-9]{1,10}", value):
        return None
    number = int(value)
    return number if number in possible else None
