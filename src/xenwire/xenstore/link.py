"""Where the bytes of an asyncio client go: a Unix socket, or the kernel's device."""

from __future__ import annotations

import asyncio
import io
import queue
import socket
import threading
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Final, Protocol

from xenwire.errors import TimedOut
from xenwire.xenstore.address import DEVICE_MAX_PAYLOAD, failed_to_reach, find_store, open_device
from xenwire.xenstore.wire import MAX_PAYLOAD

__all__ = ["DeviceLink", "Link", "Receiver", "SocketLink", "open_link"]

_CHUNK: Final = 65536
_BACKLOG_PAUSE: Final = 0.01


class Receiver(Protocol):
    """What a link calls, on the event loop."""

    def received(self, data: bytes) -> None:
        """Take bytes that came in."""

    def refused(self, req_id: int, error: OSError) -> None:
        """Learn that the request will get no reply, only this errno."""

    def lost(self, cause: Exception | None) -> None:
        """Learn that nothing comes or goes any more; without a cause, the peer hung up. Called once."""


class Link(Protocol):
    """A way to the store, open but silent until it is started."""

    max_payload: int

    async def start(self, receiver: Receiver) -> None:
        """Begin to read."""

    def send(self, req_id: int, message: bytes) -> None:
        """Send a message some time after this; never blocks, never fails."""

    def answered(self) -> None:
        """Learn that a reply has come to what was sent."""

    def abort(self) -> None:
        """End at once, dropping what is not sent yet. May be called more than once."""

    async def wait_closed(self) -> None:
        """Wait, after `abort`, until the event loop has forgotten the link."""


async def open_link(address: str | PathLike[str] | None, timeout: float) -> Link:
    """Open the store at `address`, see `find_store`. Raises Unreachable, Denied, TimedOut."""
    path, device = find_store(address)
    return DeviceLink(open_device(path)) if device else SocketLink(await _connect(path, timeout))


async def _connect(path: Path, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    sock.connect(str(path))
                except BlockingIOError:  # its backlog is full (xenstored's is 1); a Unix socket cannot wait
                    await asyncio.sleep(_BACKLOG_PAUSE)
                else:
                    return sock
    except TimeoutError as error:
        sock.close()
        raise TimedOut(f"the store at {path} took no connection in {timeout:g} s") from error
    except OSError as error:
        sock.close()
        raise failed_to_reach(path, error) from error
    except BaseException:
        sock.close()
        raise


class SocketLink(asyncio.Protocol):
    """A connected Unix socket.

    The first message of a turn of the event loop leaves at once, so that the store can begin; what follows it
    in this turn leaves in one write.
    """

    max_payload = MAX_PAYLOAD

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._unsent = bytearray()
        self._sent = False  # in this turn of the event loop

    async def start(self, receiver: Receiver) -> None:
        """Begin to read."""
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._transport, _ = await self._loop.create_unix_connection(lambda: self, sock=self._socket)

    def send(self, req_id: int, message: bytes) -> None:
        """Send a message, at the latest at the end of this turn of the event loop."""
        if self._sent:
            self._unsent += message
        else:
            self._sent = True
            self._loop.call_soon(self._end_turn)
            self._transport.write(message)

    def _end_turn(self) -> None:
        self._sent = False
        if self._unsent:
            self._transport.write(bytes(self._unsent))
            self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        """Hand on bytes (called by asyncio)."""
        self._receiver.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on the end (called by asyncio)."""
        self._ended.set_result(None)
        self._receiver.lost(exc)

    def answered(self) -> None:
        """Do nothing: a socket takes any number of requests."""

    def abort(self) -> None:
        """End at once, dropping what is not sent yet."""
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait, after `abort`, until the socket is closed."""
        await asyncio.shield(self._ended)


class DeviceLink:
    """`/dev/xen/xenbus`, the kernel's way to the store for a domain's programs.

    Its poll never reports that one may write, and before Linux 4.11 a write waits for the reply: a
    thread of its own writes, one message a write. A failed write is the reply to its request.

    Each request waits for the reply to the one before. Linux from 4.11 on takes a request's bytes out of the
    buffer that the next write fills, sooner or later: replies to other paths than were asked for were seen
    with 6.1.
    """

    max_payload = DEVICE_MAX_PAYLOAD

    def __init__(self, device: io.FileIO) -> None:
        self._device = device
        self._messages: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._replies = threading.Semaphore(0)
        self._open = True

    async def start(self, receiver: Receiver) -> None:
        """Begin to read."""
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._device.fileno(), self._readable)
        threading.Thread(target=self._write, name="xenstore-writer", daemon=True).start()

    def send(self, req_id: int, message: bytes) -> None:
        """Send a message after those before it."""
        self._messages.put((req_id, message))

    def answered(self) -> None:
        """Send the next message."""
        self._replies.release()

    def abort(self) -> None:
        """End at once, dropping what is not sent yet; a write under way is still finished by its thread."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._device.fileno())
            self._messages.put(None)
            self._replies.release()

    async def wait_closed(self) -> None:
        """Do nothing: `abort` has told the event loop, and the thread closes the device."""

    def _readable(self) -> None:
        try:
            data = self._device.read(_CHUNK)
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._receiver.received(data)
        elif data is not None:
            self._lose(None)

    def _lose(self, cause: Exception | None) -> None:
        self.abort()
        self._receiver.lost(cause)

    def _write(self) -> None:
        with self._device as device:
            while (item := self._messages.get()) is not None and self._open:
                req_id, message = item
                try:
                    device.write(message)
                    self._replies.acquire()
                except OSError as error:
                    with suppress(RuntimeError):  # the event loop has closed: nobody waits for the reply
                        self._loop.call_soon_threadsafe(self._receiver.refused, req_id, error)
