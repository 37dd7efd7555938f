"""What carries QMP's bytes: a Unix socket, which also passes descriptors, or any other stream."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

__all__ = ["SocketTransport", "StreamTransport", "Transport"]

_READ_SIZE: Final = 65536

Received: TypeAlias = Callable[[bytes], None]
Ended: TypeAlias = Callable[[OSError | None], None]


class Transport(Protocol):
    """A connected stream to a monitor."""

    passes_fds: bool
    """Whether descriptors can travel over it."""

    def start(self, received: Received, ended: Ended) -> None:
        """Have `received` called with what comes, `ended` once at the end of the stream, with its error."""

    def send(self, data: bytes, fds: Sequence[int]) -> int:
        """Send what there is room for now, and give how many bytes; descriptors go with the first of them.

        Raises OSError.
        """

    async def writable(self) -> None:
        """Wait until there is room for more. Raises OSError."""

    def close(self) -> None:
        """Close the stream, if it owns it; nothing is called any more. Safe to repeat."""

    async def closed(self) -> None:
        """Wait until nothing of it runs any more; after `close`."""


class SocketTransport:
    """A connected Unix stream socket, which it owns from now on."""

    passes_fds = True

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    def start(self, received: Received, ended: Ended) -> None:
        """Have `received` called with what comes, `ended` once at the end of the stream, with its error."""
        self._received, self._ended = received, ended
        self._loop.add_reader(self._sock, self._readable)

    def send(self, data: bytes, fds: Sequence[int]) -> int:
        """Send what there is room for now, and give how many bytes; descriptors go with the first of them.

        Raises OSError.
        """
        try:
            return socket.send_fds(self._sock, [data], fds) if fds else self._sock.send(data)
        except BlockingIOError:
            return 0

    async def writable(self) -> None:
        """Wait until there is room for more."""
        room = asyncio.Event()
        self._loop.add_writer(self._sock, room.set)
        try:
            await room.wait()
        finally:
            if self._sock.fileno() >= 0:
                self._loop.remove_writer(self._sock)

    def close(self) -> None:
        """Close the socket. Safe to repeat."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    async def closed(self) -> None:
        """Do nothing: nothing of it runs by itself."""

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._loop.remove_reader(self._sock)
            self._ended(error)
            return
        if data:
            self._received(data)
        else:
            self._loop.remove_reader(self._sock)
            self._ended(None)


class StreamTransport:
    """Any pair of asyncio streams, to a pty, a pipe or a proxy. Who opened them closes them, afterwards."""

    passes_fds = False

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def start(self, received: Received, ended: Ended) -> None:
        """Have `received` called with what comes, `ended` once at the end of the stream, with its error."""
        self._pump = asyncio.create_task(self._read(received, ended), name="QMP stream reader")

    def send(self, data: bytes, fds: Sequence[int]) -> int:
        """Send all of `data`, now or soon, or nothing while too much waits; there must be no descriptors."""
        assert not fds
        transport = self._writer.transport
        if transport.get_write_buffer_size() > transport.get_write_buffer_limits()[1]:
            return 0
        self._writer.write(data)
        return len(data)

    async def writable(self) -> None:
        """Wait until there is room for more. Raises OSError."""
        await self._writer.drain()

    def close(self) -> None:
        """Read no more; who opened the streams closes them. Safe to repeat."""
        self._pump.cancel()

    async def closed(self) -> None:
        """Wait until nothing of it runs any more; after `close`."""
        await asyncio.wait([self._pump])

    async def _read(self, received: Received, ended: Ended) -> None:
        try:
            while data := await self._reader.read(_READ_SIZE):
                received(data)
                await asyncio.sleep(0)  # a peer that never stops sending must not keep the loop to itself
        except OSError as error:
            ended(error)
        else:
            ended(None)
