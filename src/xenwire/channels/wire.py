"""What joins a guest's end and a host's end of a channel. It moves bytes when told that one can go on."""

from __future__ import annotations

from typing import Final

from xenwire.channels.endpoints.base import Endpoint
from xenwire.channels.guest import GuestEnd
from xenwire.channels.spool import Spool

__all__ = ["Wire"]

_TURN: Final = 2048
"""Bytes that a guest may hand over before it is the others' turn: all that a console's ring holds."""

_BLOCK: Final = 1 << 16
"""Bytes that are offered to an endpoint at once."""


class Wire:
    """The two ends of a channel, and the spool between them. Without a guest's end only the host's moves."""

    def __init__(self, endpoint: Endpoint, spool: Spool, *, block: bool = False) -> None:
        """`block`: rather than dropping bytes nobody takes, have the guest wait, which stops a Linux guest's
        processor in the middle of its kernel.
        """
        self.endpoint = endpoint
        self.spool = spool
        self.guest: GuestEnd | None = None
        self.received = 0
        """Bytes that the guest was given."""
        self._block = block

    def turn(self) -> bool:
        """Move what can be moved; tell whether anything was. Raises ProtocolError if the guest broke it."""
        moved = self._take_output()
        self._deliver()
        # Delivering may have made the room for which a guest that blocks has waited.
        if self._block:
            moved |= self._take_output()
        moved |= self._give_input()
        if self.guest is not None:
            self.guest.settle()
        return moved

    def _take_output(self) -> bool:
        if self.guest is None:
            return False
        room = self.spool.limit - len(self.spool)
        return self.guest.take_output(self.spool, min(_TURN, room) if self._block else _TURN) > 0

    def _deliver(self) -> None:
        while block := self.spool.peek(_BLOCK):
            count = self.endpoint.write(block)
            self.spool.take(count)
            if count < len(block):
                break

    def _give_input(self) -> bool:
        room = self.guest.room() if self.guest is not None else 0
        data = self.endpoint.peek(room) if room else b""
        if data and self.guest is not None:
            self.guest.give_input(self.spool, data)
            self.endpoint.consume(len(data))
            self.received += len(data)
        self.endpoint.watch(want_input=room > len(data), want_output=len(self.spool) > 0)
        return len(data) > 0
