"""One QEMU, many clients.

    async with Broker.serve(qmp, {Path("qmp.sock"): Access.FULL, Path("qmp-ro.sock"): Access.MONITOR}):
        ...

QEMU carries out one command at a time, so the clients take turns: each has at most one command with QEMU, and
stands last in the row with its next.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from xenwire.errors import UsageError, XenwireError
from xenwire.qemu.qmp.broker.access import Access
from xenwire.qemu.qmp.broker.client import Client, Owner
from xenwire.qemu.qmp.broker.descriptors import Descriptors, Registry
from xenwire.qemu.qmp.broker.session import ServerSession, encode_event
from xenwire.qemu.qmp.client import QmpClient
from xenwire.qemu.qmp.session import Event
from xenwire.runtime.sockets import SocketFile, listen_unix

__all__ = ["MAX_CLIENTS", "Broker", "ClientInfo"]

MAX_CLIENTS: Final = 200
"""Clients at once; more wait to be accepted."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_log = logging.getLogger(__name__)


class ClientInfo(NamedTuple):
    """A client as others may know it."""

    pid: int
    uid: int
    access: Access
    commands: int
    """Commands that QEMU carried out, or refused, for it."""


class Broker:
    """Offers one QmpClient's connection to any number of clients. Make it with `serve`."""

    def __init__(
        self,
        qmp: QmpClient,
        everybodys: Collection[int],
        listeners: Mapping[socket.socket, Access],
        given: Collection[socket.socket],
    ) -> None:
        self._qmp = qmp
        self._registry = Registry(everybodys)
        self._numbers = itertools.count(1)
        self._clients: dict[Client, socket.socket] = {}  # and by which of the listeners each came
        self._row: deque[Client] = deque()
        self._busy = False
        self._turning = False
        self._listeners = listeners
        self._given = given
        self.given_was_used = asyncio.Event()
        """Whether a client has come and gone by a descriptor that listened already."""
        self._left = False
        self._owner = Owner(qmp.submit, self._line_up, self._free, self._forget, self._told)

    @classmethod
    @asynccontextmanager
    async def serve(
        cls, qmp: QmpClient, sockets: Mapping[Path, Access], listening: Mapping[int, Access] | None = None
    ) -> AsyncIterator[Self]:
        """Listen at these paths (sockets of mode 0600), and on these descriptors of sockets that listen
        already, which are its own from now on, until the end of the block.

        When QEMU goes, its clients are left. Raises what `listen_unix` and `QmpClient.execute` raise, and
        UsageError for a descriptor that is no socket.
        """
        async with AsyncExitStack() as stack:
            listeners: dict[socket.socket, Access] = {}
            for fd in listening or {}:
                stack.callback(os.close, fd)
            for fd, access in (listening or {}).items():
                listeners[stack.enter_context(_duplicate(fd))] = access
            given = frozenset(listeners)
            for path, access in sockets.items():
                listeners[stack.enter_context(await listen_unix(path))] = access
                stack.callback(_remove, SocketFile.of(path))
            everybodys = [each["fdset-id"] for each in await qmp.execute("query-fdsets")]
            broker = cls(qmp, everybodys, listeners, given)
            stack.enter_context(qmp.telling(broker))
            stack.callback(broker._leave, "the broker ends")
            broker._accept(True)
            yield broker

    @property
    def clients(self) -> list[ClientInfo]:
        """Who is connected."""
        return [
            ClientInfo(each.peer.pid, each.peer.uid, each.access, each.commands)
            for each in self._clients
            if not each.ended
        ]

    def put(self, event: Event) -> None:
        """Tell the clients what QEMU tells."""
        data = encode_event(event)
        for client in tuple(self._clients):
            client.tell(data)

    def fail(self, error: XenwireError) -> None:
        """Leave the clients: QEMU has gone."""
        self._leave(str(error))

    def _accept(self, wanted: bool) -> None:
        loop = asyncio.get_running_loop()
        for listener, access in self._listeners.items():
            if wanted:
                loop.add_reader(listener, self._welcome, listener, access)
            else:
                loop.remove_reader(listener)

    def _welcome(self, listener: socket.socket, access: Access) -> None:
        try:
            sock, _ = listener.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                _log.warning("no more qmp clients until one leaves: %s", error.strerror)
                self._accept(False)
            return  # else it has gone already
        sock.setblocking(False)
        offered = {"oob"} if self._qmp.out_of_band else set()
        session = ServerSession(self._qmp.version, offered, access)
        descriptors = Descriptors(f"client{next(self._numbers)}", self._registry)
        client = Client(sock, access, session, descriptors, self._owner)
        self._clients[client] = listener
        if len(self._clients) == MAX_CLIENTS:
            self._accept(False)
        client.start()

    def _leave(self, reason: str) -> None:
        """Take no clients any more."""
        self._left = True
        self._accept(False)
        for client in list(self._clients):
            client.end(reason)

    def _line_up(self, client: Client) -> None:
        self._row.append(client)
        self._take_turns()

    def _free(self) -> None:
        self._busy = False
        self._take_turns()

    def _take_turns(self) -> None:
        """Have QEMU carry out one command of each client in turn."""
        if self._turning:  # a turn that ended at once: the loop below goes on
            return
        self._turning = True
        try:
            while self._row and not self._busy:
                self._busy = True
                self._row.popleft().carry_out_next()
        finally:
            self._turning = False

    def _told(self) -> list[dict[str, Any]]:
        return [client._asdict() for client in self.clients]

    def _forget(self, client: Client) -> None:
        if self._clients.pop(client) in self._given:
            self.given_was_used.set()
        if not self._left:
            self._accept(True)


def _duplicate(fd: int) -> socket.socket:
    duplicate = os.dup(fd)
    try:
        listener = socket.socket(fileno=duplicate)
    except OSError as error:
        os.close(duplicate)
        raise UsageError(f"cannot listen on descriptor {fd}", reason=error.strerror) from error
    listener.setblocking(False)
    return listener


def _remove(file: SocketFile) -> None:
    with suppress(OSError):
        file.remove()
