"""The guest's end of a channel, as its backend sees it: a ring in shared memory."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Self

from xenwire.channels.spool import Spool
from xenwire.hypervisor import EventChannels, Grants, Page
from xenwire.rings.console import Backend

__all__ = ["GuestEnd", "RingEnd", "ring_identity"]


class GuestEnd(ABC):
    """Where a guest's bytes come from and go to. Nothing in it waits.

    Every method raises ProtocolError if the guest broke it.
    """

    @abstractmethod
    def take_output(self, spool: Spool, limit: int) -> int:
        """Move up to `limit` bytes that the guest has written into the spool; tell how many."""

    @abstractmethod
    def room(self) -> int:
        """Tell how many bytes the guest takes now."""

    @abstractmethod
    def give_input(self, spool: Spool, data: bytes) -> None:
        """Hand the guest bytes for which there is room. The spool keeps them until they are there."""

    @abstractmethod
    def settle(self) -> None:
        """Tell the guest what has moved, and listen to it again."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class RingEnd(GuestEnd):
    """A console's ring that a guest has granted us (xen: xen/include/public/io/console.h)."""

    def __init__(self, events: EventChannels, page: Page, port: int) -> None:
        self._events, self._page = events, page
        self.port = port
        """Our end of the ring's event channel."""
        self._ring = Backend(page.view)
        self._moved = False

    @classmethod
    def connect(
        cls, events: EventChannels, grants: Grants, domid: int, reference: int, remote_port: int
    ) -> Self:
        """Map the ring and join its event channel. Raises NotFound if the domain has offered us none."""
        page = grants.map(domid, reference)
        try:
            return cls(events, page, events.bind(domid, remote_port))
        except BaseException:
            page.unmap()
            raise

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
        data = self._ring.output.peek(limit)
        if data:
            spool.append(data)
            self._ring.output.consume(len(data))
            self._moved = True
        return len(data)

    def room(self) -> int:
        return self._ring.input.room()

    def give_input(self, spool: Spool, data: bytes) -> None:
        spool.keep_input(self._ring.input.index, data)
        self._ring.input.put(data)
        spool.forget_input()
        self._moved = True

    def settle(self) -> None:
        # Linux holds back the interrupts of whoever sends them without a cause.
        if self._moved:
            self._events.notify(self.port)
            self._moved = False

    def close(self) -> None:
        self._ring.release()
        self._events.unbind(self.port)
        self._page.unmap()


def ring_identity(*parts: object) -> int:
    """Give 64 bits that tell one ring from all others: of a domain's uuid, its devid, reference and port."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
