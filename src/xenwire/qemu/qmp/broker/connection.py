"""One client's socket: bytes and descriptors in, a bounded queue of bytes out."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from array import array
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = ["MAX_BACKLOG", "Connection", "Peer"]

_log = logging.getLogger(__name__)

MAX_BACKLOG: Final = 1024 * 1024
"""Bytes that may wait for a client that does not read; the message after them ends its connection."""

_READ_SIZE: Final = 65536
_BUSY_BACKLOG: Final = 65536  # as many waiting bytes keep a client from giving more commands
_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(array("i").itemsize)
_CREDENTIALS: Final = struct.Struct("3i")


class Peer(NamedTuple):
    """The process at the other end when it connected (unix(7), SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"pid={self.pid} uid={self.uid}"


class Connection:
    """A connected, non-blocking Unix socket, which it owns from now on.

    `receive` is called with what comes, empty at the end; `drained` once a client that had not read has read
    all; `lost` when the connection is gone, with the reason. None of them is called after `close`.
    """

    def __init__(
        self,
        sock: socket.socket,
        receive: Callable[[bytes], None],
        drained: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        self._sock = sock
        self._receive = receive
        self._drained = drained
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._outgoing: deque[memoryview] = deque()
        self._fd: int | None = None
        self._reading = False
        self.backlog = 0
        """Bytes that wait for the client to read."""
        self.peer = Peer(
            *_CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        )
        """Who it is."""

    @property
    def behind(self) -> bool:
        """Whether so much waits for the client that it should give no more commands."""
        return self.backlog >= _BUSY_BACKLOG

    @property
    def closed(self) -> bool:
        """Whether it was closed here."""
        return self._sock.fileno() < 0

    def read(self, wanted: bool) -> None:
        """Take what comes from now on, or leave it in the kernel."""
        if wanted == self._reading or self.closed:
            return
        self._reading = wanted
        if wanted:
            self._loop.add_reader(self._sock, self._readable)
        else:
            self._loop.remove_reader(self._sock)

    def take_fd(self) -> int | None:
        """Give the descriptor that came last, once; the caller closes it.

        QEMU likewise keeps one until a command takes it or another comes (qemu: chardev/char-socket.c). The
        kernel ends a read behind the bytes that a descriptor came with, so its command is the next that takes
        one, wherever a client cuts its bytes.
        """
        fd, self._fd = self._fd, None
        return fd

    def send(self, data: bytes) -> None:
        """Send, or queue what the client does not read now. Too slow a client is given up."""
        if self.closed:
            return
        if self.backlog >= MAX_BACKLOG:
            _log.warning("qmp client %s is given up: it left %d bytes unread", self.peer, self.backlog)
            self._lost("it did not read")
            return
        self._outgoing.append(memoryview(data))
        self.backlog += len(data)
        if len(self._outgoing) == 1 and not self._flush():
            self._loop.add_writer(self._sock, self._writable)

    def close(self) -> None:
        """Close the socket and a descriptor that nobody took. Safe to repeat."""
        if self.closed:
            return
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._outgoing.clear()
        self.backlog = 0
        self._drop_fd()

    def _readable(self) -> None:
        try:
            data, extra, _, _ = self._sock.recvmsg(_READ_SIZE, _ANCILLARY_SIZE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror or str(error))
            return
        for _level, _type, rights in extra:
            self._drop_fd()
            self._fd, *more = array("i", rights)  # there can be two in the room for one
            for fd in more:
                os.close(fd)
        self._receive(data)

    def _writable(self) -> None:
        if self._flush() and not self.closed:
            self._loop.remove_writer(self._sock)
            self._drained()

    def _flush(self) -> bool:
        """Send what waits; tell whether nothing does any more, or nobody will ever read it."""
        while self._outgoing:
            try:
                sent = self._sock.send(self._outgoing[0])
            except BlockingIOError:
                return False
            except OSError as error:
                self._lost(error.strerror or str(error))
                return True
            self.backlog -= sent
            if sent == len(self._outgoing[0]):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = self._outgoing[0][sent:]
        return True

    def _drop_fd(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
