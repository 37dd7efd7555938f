"""Guests of a plain QEMU: their end of a channel is a stream to QEMU, which has a virtio-serial port.

The stream outlives this process (see `handover`), so that nothing is lost or repeated when it is killed: the
kernel keeps what was not taken, and how much was looked at (SO_PEEK_OFF, see socket(7)); the spool says where
that begins. Together they tell whether it is in the spool already.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.channels.guest import GuestEnd, Guests, Offer, identity
from xenwire.channels.handover import fetch
from xenwire.channels.spool import MOST_AT_ONCE, Spool

if TYPE_CHECKING:
    from xenwire.channels.keys import Channel
    from xenwire.xenstore import Nodes

__all__ = ["QemuEnd", "QemuGuests"]

_SO_PEEK_OFF: Final = 42  # linux: include/uapi/asm-generic/socket.h; Python has no name for it
_BLOCK: Final = 4096
"""Bytes that go to QEMU at once. Linux takes that many, or none, from a socket that is writable."""


class QemuEnd(GuestEnd):
    """A stream whose other end QEMU has, and which nobody else uses."""

    def __init__(self, stream: socket.socket, ready: Callable[[], bool]) -> None:
        self._stream, self._ready = stream, ready
        self._writable = select.poll()
        self._writable.register(stream, select.POLLOUT)
        self._ended = False
        self._wants_output = self._wants_room = False
        self._reading = self._writing = False

    def adopt(self, spool: Spool, identity: int) -> None:
        """Go on where the spool ends if it knows this stream, else begin with what comes."""
        if spool.knows(identity):
            looked_at = self._stream.getsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF)
            began, _ = spool.kept_input()
            if looked_at > 0 and began != spool.index:
                self._stream.recv(looked_at)  # a predecessor was killed between the spool and this
        else:
            spool.begin(identity, 0)
        self._stream.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)

    def take_output(self, spool: Spool, limit: int) -> int:
        """Move what QEMU has sent into the spool. At the stream's end there is nothing for ever."""
        self._wants_output = limit > 0 and not self._ended
        taken = 0
        while self._wants_output and taken < limit:
            most = min(limit - taken, MOST_AT_ONCE)
            more = self._take(spool, most)
            taken += more
            if more < most:
                break
        return taken

    def _take(self, spool: Spool, limit: int) -> int:
        spool.keep_input(spool.index, b"")
        try:
            data = self._stream.recv(limit, socket.MSG_PEEK)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self._ended = True
            return 0
        spool.append(data)
        self._stream.recv(len(data))
        return len(data)

    def room(self) -> int:
        """Tell what the stream takes at once. What it has taken waits there until the guest has room."""
        free = not self._ended and bool(self._writable.poll(0))
        self._wants_room = not free
        return _BLOCK if free else 0

    def give_input(self, spool: Spool, data: bytes) -> None:
        """Send bytes to QEMU."""
        with suppress(ConnectionError):  # it has ended: reading tells
            self._stream.send(data)

    def settle(self) -> None:
        """Have the loop tell when QEMU has sent, or takes, something."""
        self._watch(output=self._wants_output and not self._ended, room=self._wants_room and not self._ended)

    def close(self) -> None:
        """Let go of the stream. A successor may fetch it again."""
        self._watch(output=False, room=False)
        self._stream.close()

    def _watch(self, *, output: bool, room: bool) -> None:
        loop = asyncio.get_running_loop()
        if output and not self._reading:
            loop.add_reader(self._stream, self._ready)
        elif self._reading and not output:
            loop.remove_reader(self._stream)
        if room and not self._writing:
            loop.add_writer(self._stream, self._ready)
        elif self._writing and not room:
            loop.remove_writer(self._stream)
        self._reading, self._writing = output, room


class QemuGuests(Guests):
    """The guests of plain QEMUs, whose device models stand in for their frontends."""

    async def offer(self, store: Nodes, channel: Channel, uuid: str) -> Offer | None:
        """Read where the device model hands the stream over."""
        path, resets = await store.get_all([channel.backend / "chardev", channel.backend / "resets"])
        return _Stream(uuid, channel.devid, Path(os.fsdecode(path)), resets or b"") if path else None


@dataclass(frozen=True, slots=True)
class _Stream(Offer):
    """A stream, by the socket where it is handed over. Who has reset begins anew at the same one."""

    uuid: str
    devid: int
    path: Path
    resets: bytes

    async def join(self, spool: Spool, ready: Callable[[], bool]) -> QemuEnd:
        stream = await fetch(self.path)
        end = QemuEnd(stream, ready)
        inode = os.fstat(stream.fileno()).st_ino
        end.adopt(spool, identity(self.uuid, self.devid, inode, self.resets))
        return end
