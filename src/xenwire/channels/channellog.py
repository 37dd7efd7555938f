"""What is logged of one channel: with its numbers as fields, and no more than its guest may have us write."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from xenwire.channels.pace import Pace

if TYPE_CHECKING:
    from xenwire.types import DevId, DomId

__all__ = ["LINES", "ChannelLog"]

LINES: Final = (10, 1 / 60)
"""Lines that a channel may have: at once, and a second after that, which is one a minute."""

_log = logging.getLogger("xenwire.channels")


class ChannelLog:
    """A log in which a guest cannot fill a disk: of the lines that are too many only the number is told."""

    __slots__ = ("_clock", "_devid", "_domid", "_left_out", "_pace", "_silent_until")

    def __init__(self, domid: DomId, devid: DevId, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._domid, self._devid = int(domid), int(devid)
        self._clock = clock
        burst, rate = LINES
        self._pace = Pace(burst - 1, rate)  # the line after which there is silence goes too
        self._silent_until = clock()
        self._left_out = 0

    def info(self, message: str, *args: object) -> None:
        """Tell of what is usual."""
        self._say(logging.INFO, message, args)

    def warning(self, message: str, *args: object) -> None:
        """Tell of what is wrong."""
        self._say(logging.WARNING, message, args)

    def _say(self, level: int, message: str, args: tuple[object, ...]) -> None:
        if not _log.isEnabledFor(level):
            return
        now = self._clock()
        if now < self._silent_until:
            self._left_out += 1
            return
        self._silent_until = now + self._pace.spend(now)
        fields: dict[str, Any] = {"domid": self._domid, "devid": self._devid}
        if self._left_out:
            message += " (%d lines before this one were left out)"
            args = (*args, self._left_out)
            fields["left_out"], self._left_out = self._left_out, 0
        _log.log(level, "channel %d of domain %d: " + message, self._devid, self._domid, *args, extra=fields)
