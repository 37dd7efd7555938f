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
_STREAM: Final = MOST_AT_ONCE // 2
"""Bytes at once of a guest that is likely to write more at once."""
_BATCH: Final = 4 * MOST_AT_ONCE
"""Bytes of such a guest that are delivered together."""


class Wire:
    """The two ends of a channel, and the spool between them. Without a guest's end only the host's moves."""

    __slots__ = ("_block", "_hold", "_kept", "endpoint", "guest", "received", "spool")

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
        self._kept = 0  # bytes that the guest has written, and that wait for more

    def turn(self) -> bool:
        """Move what can be moved; tell whether anything was. Raises ProtocolError if the guest broke it."""
        guest = self.guest
        if guest is None:
            self.endpoint.deliver()
            self.endpoint.watch(want_input=False)
            return False
        taken = self._take_output(guest)
        if taken >= _STREAM:
            guest.settle()  # it writes on while the endpoint has its bytes
            self._kept += taken
            if guest.comes_again and self._kept < _BATCH:
                return True
        self._kept = 0
        self.endpoint.deliver()
        given = self._give_input(guest)
        guest.settle()
        return taken > 0 or given

    def _take_output(self, guest: GuestEnd) -> int:
        if self.spool.room >= _OUTPUT:
            return guest.take_output(self.spool, _OUTPUT)
        self.endpoint.deliver()  # it may make room
        # All or nothing: what is left behind in a ring that was full is told by no event.
        full = self._block and self.spool.room < MOST_AT_ONCE
        return guest.take_output(self.spool, 0 if full else MOST_AT_ONCE)

    def _give_input(self, guest: GuestEnd) -> bool:
        if self._hold and self.spool.appended == self.spool.began:
            self.endpoint.watch(want_input=False)
            return False
        given = 0
        while room := min(guest.room(), _INPUT - given):
            data = self.endpoint.peek(room)
            all_there_is = len(data) < room
            if data:
                guest.give_input(self.spool, data)
                if all_there_is:
                    guest.settle()  # it may begin at once
                self.endpoint.consume(len(data))
                given += len(data)
            if all_there_is:
                break
        self.received += given
        self.endpoint.watch(want_input=room > 0 or given == _INPUT)
        return given > 0
