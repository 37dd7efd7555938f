"""Kind PTY: a terminal whose other side is the guest (seed 004)."""

from __future__ import annotations

import asyncio
import os
import tty
from contextlib import suppress

from xenwire.channels.endpoints.base import Endpoint

__all__ = ["PtyEndpoint"]


class PtyEndpoint(Endpoint):
    """A pty, raw before anybody knows its name: else what the guest says first would be echoed to it.

    Its terminal side is held open here, so that it stays as it is while nobody uses it.
    """

    clients = 0
    """Nobody can tell who has a terminal open."""

    _controller: int | None = None
    _terminal: int | None = None
    _held = b""

    @property
    def place(self) -> str | None:
        """The terminal, once it is open."""
        return None if self._terminal is None else os.ttyname(self._terminal)

    async def open(self) -> None:
        """Make the pty. Raises OSError if there are none left."""
        self._controller, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        os.set_blocking(self._controller, False)

    def write(self, data: bytes) -> int:
        """Hand over what the terminal holds."""
        if self._controller is None:
            return 0
        try:
            return os.write(self._controller, data)
        except BlockingIOError:
            return 0

    def peek(self, limit: int) -> bytes:
        """Give what was typed. A terminal cannot be looked into: what is not consumed is held here."""
        if self._controller is not None and len(self._held) < limit:
            with suppress(BlockingIOError):
                self._held += os.read(self._controller, limit - len(self._held))
        return self._held[:limit]

    def consume(self, count: int) -> None:
        """Forget what is on its way."""
        self._held = self._held[count:]

    def watch(self, *, want_input: bool, want_output: bool) -> None:
        """Have the loop tell when something was typed, or can be shown."""
        if self._controller is None:
            return
        loop = asyncio.get_running_loop()
        if want_input:
            loop.add_reader(self._controller, self.ready)
        else:
            loop.remove_reader(self._controller)
        if want_output:
            loop.add_writer(self._controller, self.ready)
        else:
            loop.remove_writer(self._controller)

    def close(self) -> None:
        """Hang up."""
        if self._controller is not None and self._terminal is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._controller)
            loop.remove_writer(self._controller)
            os.close(self._controller)
            os.close(self._terminal)
            self._controller = self._terminal = None
