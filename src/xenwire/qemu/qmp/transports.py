"""What carries QMP's bytes: a Unix socket, which also passes descriptors, or any other stream."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final, Protocol

__all__ = ["SocketTransport", "StreamTransport", "Transport"]

_READ_SIZE: Final = 65536


class Transport(Protocol):
    """A connected stream to a monitor. At most one task receives and one sends."""

    passes_fds: bool
    """Whether descriptors can travel over it."""

    async def receive(self) -> bytes:
        """Give the next bytes, none at the end of the stream. Raises OSError."""

    async def send(self, data: bytes, fds: Sequence[int]) -> None:
        """Send all of `data`, the descriptors along with its first byte. Raises OSError.

        When it is cancelled, a part may have been sent.
        """

    def close(self) -> None:
        """Close the stream, if it owns it, while nobody receives; a sender is woken. Safe to repeat."""


class SocketTransport:
    """A connected Unix stream socket, which it owns from now on."""

    passes_fds = True

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._wake_sender = asyncio.Event()

    async def receive(self) -> bytes:
        """Give the next bytes, none at the end of the stream. Raises OSError."""
        return await asyncio.get_running_loop().sock_recv(self._sock, _READ_SIZE)

    async def send(self, data: bytes, fds: Sequence[int]) -> None:
        """Send all of `data`, the descriptors along with its first byte. Raises OSError."""
        rest = memoryview(data)
        while rest:
            try:
                sent = socket.send_fds(self._sock, [rest], fds) if fds else self._sock.send(rest)
            except BlockingIOError:
                await self._writable()
            else:
                rest = rest[sent:]
                fds = ()

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        self._wake_sender.clear()
        loop.add_writer(self._sock, self._wake_sender.set)
        try:
            await self._wake_sender.wait()
        finally:
            self._forget_sender()

    def _forget_sender(self) -> None:
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_writer(self._sock)

    def close(self) -> None:
        """Close the socket; a sender gets an OSError. Safe to repeat."""
        self._forget_sender()
        self._sock.close()
        self._wake_sender.set()


class StreamTransport:
    """Any pair of asyncio streams, to a pty, a pipe or a proxy. Who opened them closes them, afterwards."""

    passes_fds = False

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes:
        """Give the next bytes, none at the end of the stream. Raises OSError."""
        return await self._reader.read(_READ_SIZE)

    async def send(self, data: bytes, fds: Sequence[int]) -> None:
        """Send all of `data`; there must be no descriptors. Raises OSError."""
        assert not fds
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """Do nothing: who opened the streams closes them."""
