"""The daemon's Unix socket: a thin shell around the engine.

All requests that one read brings are answered with one write. A client that does not read its replies is not
read from either; what others' changes bring it, bounded, waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from xenwire.errors import ProtocolError
from xenwire.runtime import notify
from xenwire.runtime.sockets import SocketFile, listen_unix
from xenwire.xenstore.wire import Decoder, Frame
from xenwire.xenstored.connection import Connection
from xenwire.xenstored.effects import Log, error_reply
from xenwire.xenstored.engine import Engine
from xenwire.xenstored.outbox import Outbox

__all__ = ["MAX_OUTPUT", "Daemon", "serve"]

MAX_OUTPUT: Final = 16 << 20
"""Bytes that may wait for a client. More, and it is disconnected."""

_WRITE_BYTES: Final = 64 << 10
"""Output of one turn that is sent before the turn is over, so that a slow reader is noticed."""
_TURN_REQUESTS: Final = 256
"""Requests of one client that are answered before the others get their turn."""

_log = logging.getLogger("xenwire.xenstored")


async def serve(socket_path: Path, *, ready: Callable[[], None] = notify.ready) -> None:
    """Serve a new, empty store at a Unix socket (mode 0600) until cancelled; then remove the socket.

    `ready` is called once clients can connect. Raises what `runtime.sockets.listen_unix` raises.
    """
    listener = await listen_unix(socket_path)
    ours = SocketFile.of(socket_path)
    daemon = Daemon()
    try:
        server = await asyncio.get_running_loop().create_unix_server(daemon.client, sock=listener)
        try:
            ready()
            # Not serve_forever(): once cancelled it would wait for the clients to leave.
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            daemon.close()
    finally:
        listener.close()
        ours.remove()


class Daemon:
    """An engine, and the clients that are connected to it."""

    def __init__(self) -> None:
        self.engine = Engine()
        self._clients: dict[Connection, _Client] = {}
        self._unsent: dict[_Client, None] = {}
        self.closed = False
        """Whether whoever comes now comes too late."""

    def client(self) -> asyncio.Protocol:
        """Give the protocol of a new connection from this host: domain 0, privileged."""
        return _Client(self)

    def close(self) -> None:
        """Disconnect all clients, and those whose connection is under way; what waits for them is lost."""
        self.closed = True
        for client in list(self._clients.values()):
            client.abort()

    def add(self, client: _Client) -> Connection:
        """Take note of a new client."""
        connection = self.engine.connect()
        self._clients[connection] = client
        return connection

    def discard(self, connection: Connection) -> None:
        """Forget a client that is gone, or as good as gone."""
        if self._clients.pop(connection, None) is not None:
            self.engine.disconnect(connection)

    def handle(self, connection: Connection, frame: Frame) -> None:
        """Carry out a request and queue what it has to tell to whom."""
        try:
            effects = self.engine.handle(connection, frame)
        except Exception:
            _log.exception("request %d of %d bytes failed", frame.type, len(frame.payload))
            effects = [error_reply(connection, frame, "EIO")]
        for effect in effects:
            if isinstance(effect, Log):
                _log.info("%s", effect.text)
            elif (client := self._clients.get(effect.connection)) is not None:
                client.outbox.add(effect)
                self._unsent[client] = None

    def flush(self) -> None:
        """Send what is queued, with one write to each client."""
        unsent, self._unsent = self._unsent, {}
        for client in unsent:
            client.flush()


class _Client(asyncio.Protocol):
    """One connection to the socket."""

    def __init__(self, daemon: Daemon) -> None:
        self.outbox = Outbox()
        self._daemon = daemon
        self._decoder = Decoder()
        self._requests: Iterator[Frame] = iter(())
        self._blocked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connection = self._daemon.add(self)
        if self._daemon.closed:
            self.abort()

    def data_received(self, data: bytes) -> None:
        self._requests = self._decoder.feed(data)
        self._answer()

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self.flush()
        self._answer()

    def connection_lost(self, error: Exception | None) -> None:
        self._daemon.discard(self._connection)

    def flush(self) -> None:
        """Send what waits, as far as the client reads."""
        if self._transport.is_closing():
            return
        if not self._blocked:
            self._transport.write(self.outbox.take())
        elif (waiting := self.outbox.size + self._transport.get_write_buffer_size()) > MAX_OUTPUT:
            _log.warning("a client does not read: %d bytes wait for it; disconnected", waiting)
            self.abort()

    def abort(self) -> None:
        """Disconnect at once."""
        self._daemon.discard(self._connection)
        self._transport.abort()

    def _answer(self) -> None:
        """Answer requests, until none is left, or the others' turn comes, or the client does not read."""
        try:
            self._answer_some()
        except ProtocolError as error:
            _log.warning("%s; disconnected", error)
            self._daemon.flush()
            self._daemon.discard(self._connection)
            self._transport.close()
            return
        self._daemon.flush()

    def _answer_some(self) -> None:
        for _ in range(_TURN_REQUESTS):
            if self._blocked or self._transport.is_closing():
                break
            frame = next(self._requests, None)
            if frame is None:
                self._transport.resume_reading()
                return
            self._daemon.handle(self._connection, frame)
            if self.outbox.size >= _WRITE_BYTES:
                self.flush()
        else:
            asyncio.get_running_loop().call_soon(self._answer)
        self._transport.pause_reading()
