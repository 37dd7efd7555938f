"""What joins a guest's end and a host's end of a channel. It moves bytes when told that one can go on."""

from __future__ import annotations

from typing import Final

from xenwire.channels.endpoints.base import Endpoint
from xenwire.channels.guest import GuestEnd
from xenwire.channels.spool import MOST_AT_ONCE, Spool

__all__ = ["Wire"]

_INPUT: Final = 4096
"""Bytes that a guest is given before it is the others' turn."""
_OUTPUT: Final = 8 * MOST_AT_ONCE
"""Bytes that a guest may write before it is the others' turn."""


class Wire:
    """The two ends of a channel, and the spool between them. Without a guest's end only the host's moves."""

    __slots__ = ("_block", "_hold", "endpoint", "guest", "received", "spool")

    def __init__(self, endpoint: Endpoint, spool: Spool, *, block: bool = False, hold: bool = False) -> None:
        """`block`: rather than dropping bytes nobody takes, have the guest wait, which stops a Linux guest's
        processor in the middle of its kernel. `hold`: the guest is given nothing before its first byte.
        """
        self.endpoint = endpoint
        self.spool = spool
        self.guest: GuestEnd | None = None
        self.received = 0
        """Bytes that the guest was given."""
        self._block, self._hold = block, hold

    def turn(self) -> bool:
        """Move what can be moved; tell whether anything was. Raises ProtocolError if the guest broke it."""
        guest = self.guest
        if guest is None:
            self.endpoint.deliver()
            self.endpoint.watch(want_input=False)
            return False
        if self._block:
            self.endpoint.deliver()  # it may make the room for which the guest has waited
        taken = self._take_output(guest)
        if not taken:
            self.endpoint.deliver()
        given = self._give_input(guest)
        guest.settle()
        return taken or given

    def _take_output(self, guest: GuestEnd) -> bool:
        """Take what is there, and what the guest writes while the endpoint has its bytes."""
        taken = 0
        while taken < _OUTPUT:
            # All or nothing: what is left behind in a ring that was full is told by no event.
            full = self._block and self.spool.room < MOST_AT_ONCE
            more = guest.take_output(self.spool, 0 if full else MOST_AT_ONCE)
            if not more:
                break
            guest.settle()  # it goes on while the endpoint has its bytes
            self.endpoint.deliver()
            taken += more
        return taken > 0

    def _give_input(self, guest: GuestEnd) -> bool:
        if self._hold and self.spool.appended == self.spool.began:
            self.endpoint.watch(want_input=False)
            return False
        given = 0
        while (room := min(guest.room(), _INPUT - given)) and (data := self.endpoint.peek(room)):
            guest.give_input(self.spool, data)
            self.endpoint.consume(len(data))
            given += len(data)
        self.received += given
        self.endpoint.watch(want_input=room > 0 or given == _INPUT)
        return given > 0
