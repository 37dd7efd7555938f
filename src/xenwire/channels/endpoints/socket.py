"""Kind SOCKET: a Unix socket that serves one client after another, and proxies (seed 004)."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from xenwire.channels.endpoints.base import Endpoint
from xenwire.runtime.sockets import SocketFile, listen_unix

__all__ = ["SocketEndpoint"]


class SocketEndpoint(Endpoint):
    """Listens, and joins one client at a time to the guest; the next waits in the backlog.

    A client that has sent its last byte (half-closed) goes on to receive. What one does not take stays for
    the next, which may so begin in the middle of a message.
    """

    def __init__(self, path: Path, ready: Callable[[], None]) -> None:
        super().__init__(ready)
        self._path = path
        self._listener: socket.socket | None = None
        self._file: SocketFile | None = None
        self._client: socket.socket | None = None
        self._hangup: select.epoll | None = None

    @property
    def place(self) -> str | None:
        """The socket."""
        return str(self._path)

    @property
    def clients(self) -> int:
        """One or none."""
        return int(self._client is not None)

    async def open(self) -> None:
        """Listen. Raises what `listen_unix` raises."""
        self._listener = await listen_unix(self._path)
        self._file = SocketFile.of(self._path)
        self._await_client()

    def write(self, data: bytes) -> int:
        """Send what the client takes at once."""
        if self._client is None:
            return 0
        try:
            return self._client.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._leave()
            return 0

    def peek(self, limit: int) -> bytes:
        """Look at what the client has sent. The kernel keeps it until it is on its way."""
        if self._client is None or self._hangup is not None:
            return b""
        try:
            data = self._client.recv(limit, socket.MSG_PEEK)
        except BlockingIOError:
            return b""
        except OSError:
            self._leave()
            return b""
        if not data:
            self._half_closed()
        return data

    def consume(self, count: int) -> None:
        """Take what was looked at out of the kernel."""
        if self._client is not None:
            self._client.recv(count)

    def watch(self, *, want_input: bool, want_output: bool) -> None:
        """Have the loop tell when the client has sent, or takes, something."""
        if self._client is None:
            return
        loop = asyncio.get_running_loop()
        if want_input and self._hangup is None:
            loop.add_reader(self._client, self.ready)
        else:
            loop.remove_reader(self._client)
        if want_output:
            loop.add_writer(self._client, self.ready)
        else:
            loop.remove_writer(self._client)

    def close(self) -> None:
        """Send the client away, and remove the socket if it is still ours."""
        self._leave(again=False)
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        if self._file is not None:
            with suppress(OSError):
                self._file.remove()
            self._file = None

    def _await_client(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:  # it has left already, or there are no descriptors left for now
            return
        client.setblocking(False)
        self._client = client
        asyncio.get_running_loop().remove_reader(self._listener)
        self.ready()

    def _half_closed(self) -> None:
        """Listen to nothing any more but the client's end: its socket is readable for ever now."""
        assert self._client is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._client)
        self._hangup = select.epoll()
        self._hangup.register(self._client, 0)  # a hang-up is told unasked
        loop.add_reader(self._hangup, self._leave)

    def _leave(self, *, again: bool = True) -> None:
        """Let go of the client, and wait for the next."""
        if self._client is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._client)
        loop.remove_writer(self._client)
        if self._hangup is not None:
            loop.remove_reader(self._hangup)
            self._hangup.close()
            self._hangup = None
        self._client.close()
        self._client = None
        if again:
            self._await_client()
