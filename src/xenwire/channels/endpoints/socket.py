"""Kind SOCKET: a Unix socket that serves one client after another, or several, and proxies (seed 004)."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.channels.endpoints.base import BLOCK, Endpoint
from xenwire.channels.options import Options
from xenwire.runtime.sockets import SocketFile, listen_unix

if TYPE_CHECKING:
    from xenwire.channels.spool import Spool

__all__ = ["SocketEndpoint"]

_log = logging.getLogger(__name__)

_MODE: Final = 0o600
_MOST_CLIENTS: Final = 32  # at once, with `broadcast`
_MOST_GONE: Final = 8  # of whom input is kept that the guest has not read yet
_RETRY: Final = 1.0  # seconds until a client is accepted for whom there was no descriptor


class SocketEndpoint(Endpoint):
    """Listens, and joins one client at a time to the guest; the next waits in the backlog.

    Each client has a position of its own in the spool. What one does not take stays for the next, which may
    so begin in the middle of a message. With `broadcast` several clients are served, and a byte is delivered
    once one of them has it; one that falls so far behind that the spool has lost its place is sent away.

    A client that has sent its last byte (half-closed) goes on to receive. One that is gone makes room for the
    next at once, though the guest may be long in reading what it has left behind.
    """

    def __init__(self, path: Path, spool: Spool, options: Options, ready: Callable[[], object]) -> None:
        super().__init__(spool, ready)
        self._path, self._options = path, options
        self._most = _MOST_CLIENTS if options.broadcast else 1
        self._listener: socket.socket | None = None
        self._file: SocketFile | None = None
        self._clients: dict[int, _Client] = {}  # by descriptor; who is to be heard next comes first
        self._speaker: _Client | None = None
        self._events: select.epoll  # one for all, which tells of a hang-up even if nothing else is asked for

    @property
    def place(self) -> str | None:
        """The socket."""
        return str(self._path)

    @property
    def clients(self) -> int:
        """How many are there."""
        return sum(not client.gone for client in self._clients.values())

    async def open(self) -> None:
        """Listen. Raises what `listen_unix` raises."""
        options = self._options
        mode = _MODE if options.mode is None else options.mode
        self._listener = await listen_unix(self._path, mode=mode, owner=options.owner)
        self._file = SocketFile.of(self._path)
        self._events = select.epoll()
        self._events.register(self._listener, select.EPOLLIN)
        asyncio.get_running_loop().add_reader(self._events, self._take_events)

    def deliver(self) -> None:
        """Send each client what it takes at once."""
        end = self.spool.appended
        for client in list(self._clients.values()):
            if client.takes and client.position < end:
                self._send(client)

    def peek(self, limit: int) -> bytes:
        """Look at what a client has sent. The kernel keeps it until it is on its way."""
        for client in list(self._clients.values()):
            if client.readable and (data := self._look(client, limit)):
                self._speaker = client
                return data
        return b""

    def consume(self, count: int) -> None:
        """Take what was looked at out of the kernel. With several clients it is the next one's turn."""
        assert self._speaker is not None
        connection = self._speaker.connection
        connection.recv(count)
        if self._options.broadcast and not self._speaker.gone:
            self._clients[connection.fileno()] = self._clients.pop(connection.fileno())

    def watch(self, *, want_input: bool) -> None:
        """Have the loop tell when a client has sent, or takes, something."""
        end = self.spool.appended
        for client in self._clients.values():
            mask = select.EPOLLIN if want_input and client.gives else 0
            if client.takes and client.position < end:
                mask |= select.EPOLLOUT
            # A hang-up is told unasked, and again and again.
            self._watch_client(client, None if client.gone and not mask else mask)

    def close(self) -> None:
        """Send the clients away, and remove the socket if it is still ours."""
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._events)
        for client in list(self._clients.values()):
            self._remove(client)
        self._events.close()
        self._listener.close()
        self._listener = None
        if self._file is not None:
            with suppress(OSError):
                self._file.remove()

    def _take_events(self) -> None:
        for descriptor, events in self._events.poll(0):
            client = self._clients.get(descriptor)
            if client is None:
                self._accept()
                continue
            client.readable |= client.gives and events != select.EPOLLOUT
            if events & (select.EPOLLHUP | select.EPOLLERR):
                self._hung_up(client)
        self.ready()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):  # it has left already
            return
        except OSError as error:
            _log.warning("%s: cannot accept a client: %s", self._path, error)
            self._events.modify(self._listener, 0)
            asyncio.get_running_loop().call_later(_RETRY, self._admit)
            return
        connection.setblocking(False)
        client = _Client(connection, self.spool.before(self._options.replay))
        self._clients[connection.fileno()] = client
        self._watch_client(client, 0)
        if self.clients == self._most:
            self._events.modify(self._listener, 0)

    def _admit(self) -> None:
        """Accept clients again, if there is room for one."""
        if self._listener is not None and self.clients < self._most:
            self._events.modify(self._listener, select.EPOLLIN)

    def _hung_up(self, client: _Client) -> None:
        """Keep a client that is gone only for what it has left behind, and not too many of them."""
        if client.gone:
            return
        client.gone, client.takes = True, False
        gone = [other for other in self._clients.values() if other.gone]
        if not client.gives:
            self._remove(client)
        elif len(gone) > _MOST_GONE:
            self._remove(gone[0])
        self._admit()

    def _send(self, client: _Client) -> None:
        spool = self.spool
        if client.position < spool.oldest:
            if self._options.broadcast:
                self.sent_away += 1
                _log.info("%s: a client was too slow", self._path)
                self._remove(client)
                self._admit()
                return
            client.position = spool.oldest
        try:
            client.position += client.connection.send(spool.read(client.position, BLOCK))
        except BlockingIOError:
            return
        except OSError:  # its end is told by an event of its own
            client.takes = False
        spool.take(client.position)

    def _look(self, client: _Client, limit: int) -> bytes:
        try:
            data = client.connection.recv(limit, socket.MSG_PEEK)
        except BlockingIOError:
            client.readable = False
            return b""
        except OSError:
            data = b""
        if len(data) < limit:
            client.readable = False  # until an event tells of more
        if not data:
            client.gives = False
            if client.gone:
                self._remove(client)
        return data

    def _remove(self, client: _Client) -> None:
        self._watch_client(client, None)
        if self._speaker is client:
            self._speaker = None
        del self._clients[client.connection.fileno()]
        client.connection.close()

    def _watch_client(self, client: _Client, mask: int | None) -> None:
        """Ask for a client's events; None: for nothing, not even its end."""
        if mask == client.mask:
            return
        if mask is None:
            self._events.unregister(client.connection)
        elif client.mask is None:
            self._events.register(client.connection, mask)
        else:
            self._events.modify(client.connection, mask)
        client.mask = mask


@dataclass(slots=True, eq=False)
class _Client:
    """One that is connected, or has left bytes behind that the guest has no room for yet."""

    connection: socket.socket
    position: int
    """In the spool: what it is sent next."""
    takes: bool = True
    gives: bool = True
    readable: bool = False
    """Whether there may be something to read."""
    gone: bool = False
    mask: int | None = None
    """The events that are asked for."""
