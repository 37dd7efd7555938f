"""Guests of Xen: their end of a channel is a ring in memory that they have granted us."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack
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

__all__ = ["Port", "RingEnd", "Rings"]

_REFERENCES: Final = range(8, 1 << 32)  # 0 to 7 are Xen's own
_PORTS: Final = range(1, 1 << 17)  # as many as x86-64 has
_EVENTS: Final = (60, 200.0)  # events without bytes that a guest may send: at once, and a second


class RingEnd(GuestEnd):
    """A console's ring (xen: xen/include/public/io/console.h)."""

    __slots__ = ("_moved", "_page", "_port", "_ring", "_rings")

    def __init__(self, rings: Rings, page: Page, ring: Backend, port: Port) -> None:
        """`ring` is the one in `page`."""
        self._rings, self._page, self._ring = rings, page, ring
        self._port = port
        self._moved = False

    @property
    def comes_again(self) -> bool:
        """Whether it is its turn, after which there is another one, without an event, if bytes have moved."""
        return self._port.busy

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
        """Move all that the guest has written out of the ring, if there may be so much."""
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
            self._rings.events.notify(self._port.number)
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
        self._joined: dict[int, Port] = {}

    async def offer(self, store: Nodes, channel: Channel, uuid: str) -> Offer | None:
        """Read the ring's reference and port: nothing that a guest writes is taken on trust."""
        told = await read_readable(store, [channel.frontend / "ring-ref", channel.frontend / "port"])
        reference, port = _number(told[0], _REFERENCES), _number(told[1], _PORTS)
        if reference is None or port is None:
            return None
        return _Ring(self, uuid, channel.domid, channel.devid, reference, port)

    def enter(self, domid: int, port: int, ready: Callable[[], bool]) -> Port:
        """Join an event channel that a domain offers, and give our end of it, whose events call `ready`.

        Raises NotFound if there is no such domain or offer.
        """
        ours = Port(self.events.bind(domid, port), ready)
        if not self._joined:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self.events.fileno(), self._take_events)
        self._joined[ours.number] = ours
        return ours

    def leave(self, port: Port) -> None:
        """Leave an event channel."""
        del self._joined[port.number]
        self.events.unbind(port.number)
        if not self._joined:
            self._loop.remove_reader(self.events.fileno())

    def _take_events(self) -> None:
        """Give each channel that was signalled its turn."""
        unmask = []
        for number in self.events.pending():
            port = self._joined.get(number)
            if port is None or port.busy or self._take_turn(port):
                continue
            if not port.moved and (wait := port.pace.spend(self._loop.time())):
                self._loop.call_later(wait, self._unmask, port)
            elif self._is_joined(port):
                unmask.append(number)
            port.moved = False
        self.events.unmask(unmask)

    def _take_turn(self, port: Port) -> bool:
        """Let bytes move, and tell whether any did: then it is its turn again soon, without an event."""
        port.busy = True
        try:
            port.busy = port.ready()
        except Exception as error:  # the others' events have been read with this one's, and do not come again
            port.busy = False
            self._loop.call_exception_handler({"message": "a channel's turn has failed", "exception": error})
        if port.busy:
            port.moved = True
            self._loop.call_soon(self._take_next_turn, port)
        return port.busy

    def _take_next_turn(self, port: Port) -> None:
        if self._is_joined(port) and not self._take_turn(port):
            self._unmask(port)

    def _unmask(self, port: Port) -> None:
        if self._is_joined(port):
            self.events.unmask([port.number])

    def _is_joined(self, port: Port) -> bool:
        return self._joined.get(port.number) is port  # numbers come again


@dataclass(slots=True, eq=False)
class Port:
    """Our end of an event channel."""

    number: int
    ready: Callable[[], bool]
    busy: bool = False
    """Whether it has its turn, or has it again soon."""
    moved: bool = True
    """Whether the last events were with bytes: then the next may be of what went with them."""
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
        with ExitStack() as undo:
            page = self.rings.grants.map(self.domid, self.reference)
            undo.callback(page.unmap)
            ring = Backend(page.view)
            undo.callback(ring.release)
            port = self.rings.enter(self.domid, self.port, ready)
            undo.callback(self.rings.leave, port)
            end = RingEnd(self.rings, page, ring, port)
            end.adopt(spool, identity(self.uuid, self.devid, self.reference, self.port))
            undo.pop_all()
        return end


def _number(value: bytes | None, possible: range) -> int | None:
    """Read a plain decimal number that can be."""
    if value is None or not re.fullmatch(rb"[0-9]{1,10}", value):
        return None
    number = int(value)
    return number if number in possible else None
