"""Kind PTY: a terminal whose other side is the guest (seed 004)."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import struct
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from xenwire.channels.endpoints.base import Endpoint
from xenwire.channels.options import Options
from xenwire.channels.spool import MOST_AT_ONCE
from xenwire.errors import XenwireError

if TYPE_CHECKING:
    from xenwire.channels.spool import Spool

__all__ = ["PtyEndpoint"]

_BLOCK: Final = 4095
"""What a terminal holds unread (linux: drivers/tty/n_tty.c, N_TTY_BUF_SIZE less 1)."""


class PtyEndpoint(Endpoint):
    """A pty, raw before anybody knows its name: else what the guest says first would be echoed to it.

    Its terminal side is held open here, so that it stays as it is while nobody uses it. Who sets it to echo,
    or to anything else, does so for all that come later.

    What lies in a terminal unread is gone when we are killed. So there is one block in it at a time, which
    counts as delivered once it was read, or was flushed by who did not want it.
    """

    clients = 0
    """Nobody can tell who has a terminal open."""

    def __init__(self, spool: Spool, options: Options, ready: Callable[[], object]) -> None:
        super().__init__(spool, ready)
        self._options = options
        self._pty: _Pty | None = None
        self._under_way: int | None = None  # the position behind the block in the terminal
        self._input = b""
        self._watching = False

    @property
    def place(self) -> str | None:
        """The terminal, once it is open."""
        return None if self._pty is None else self._pty.name

    async def open(self) -> None:
        """Make the pty. Raises XenwireError if there are none left."""
        try:
            self._pty = _Pty(self._options)
        except OSError as error:
            raise XenwireError(
                "cannot make a pty",
                reason=error.strerror,
                hint="see how many there may be: sysctl kernel.pty.max",
            ) from error
        asyncio.get_running_loop().add_reader(self._pty.progress, self._progressed)

    def deliver(self) -> None:
        """Put the next block into the terminal once the one before was read."""
        if self._pty is None:
            return
        spool = self.spool
        if self._under_way is not None:
            if self._pty.unread():
                # The terminal has it: it is not for the spool to drop it when it is full.
                if spool.room < MOST_AT_ONCE and not self._options.block:
                    spool.take(self._under_way)
                return
            spool.take(self._under_way)
            self._under_way = None
        start = spool.taken
        if block := spool.read(start, _BLOCK):
            self._under_way = start + os.write(self._pty.controller, block)

    def peek(self, limit: int) -> bytes:
        """Give what was typed. A terminal cannot be looked into: what is not consumed is held here."""
        if self._pty is not None and not self._input:
            self._input = self._pty.read(limit)
        return self._input[:limit]

    def consume(self, count: int) -> None:
        """Forget what is on its way."""
        self._input = self._input[count:]

    def watch(self, *, want_input: bool) -> None:
        """Have the loop tell when something was typed."""
        if self._pty is None or want_input == self._watching:
            return
        self._watching = want_input
        loop = asyncio.get_running_loop()
        if want_input:
            loop.add_reader(self._pty.controller, self.ready)
        else:
            loop.remove_reader(self._pty.controller)

    def close(self) -> None:
        """Hang up."""
        if self._pty is not None:
            self.watch(want_input=False)
            asyncio.get_running_loop().remove_reader(self._pty.progress)
            self._pty.close()
            self._pty, self._under_way, self._input = None, None, b""

    def _progressed(self) -> None:
        assert self._pty is not None
        self._pty.progress.poll(0)
        if self._under_way is not None:
            self.ready()


class _Pty:
    """A raw pty of which both sides are open, in packet mode (see ioctl_tty(2), TIOCPKT)."""

    def __init__(self, options: Options) -> None:
        """Raise OSError if there can be none."""
        self.controller, self._terminal = os.openpty()
        try:
            tty.setraw(self._terminal)
            if options.owner is not None:
                os.fchown(self._terminal, *options.owner)
            if options.mode is not None:
                os.fchmod(self._terminal, options.mode)
            self.name = os.ttyname(self._terminal)
            os.set_blocking(self.controller, False)
            # So that a flush of what is unread is told, as reading it is.
            fcntl.ioctl(self.controller, termios.TIOCPKT, struct.pack("i", 1))
            self.progress = select.epoll()
            """Readable when the terminal was read from, or flushed."""
            # Who has read nearly all, or flushed it, wakes the writers each time, though they could have
            # gone on before (linux: drivers/tty/n_tty.c): that is an edge.
            self.progress.register(self.controller, select.EPOLLOUT | select.EPOLLET)
        except BaseException:
            os.close(self.controller)
            os.close(self._terminal)
            raise
        self._readable = select.poll()
        self._readable.register(self._terminal, select.POLLIN)

    def unread(self) -> bool:
        """Tell whether the terminal has something to read. Asking so waits for what is on its way there."""
        return bool(self._readable.poll(0))

    def read(self, limit: int) -> bytes:
        """Give up to `limit` bytes that were typed."""
        with suppress(BlockingIOError):
            packet = os.read(self.controller, 1 + limit)
            if packet[0] == termios.TIOCPKT_DATA:
                return packet[1:]
        return b""

    def close(self) -> None:
        """Close both sides."""
        self.progress.close()
        os.close(self.controller)
        os.close(self._terminal)
