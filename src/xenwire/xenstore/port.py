"""Where the bytes of a blocking client go: a Unix socket, or the kernel's device."""

from __future__ import annotations

import io
import socket
import struct
from os import PathLike
from pathlib import Path
from typing import Final, Protocol

from xenwire.errors import TimedOut
from xenwire.xenstore.address import DEVICE_MAX_PAYLOAD, failed_to_reach, find_store, open_device
from xenwire.xenstore.errors import StoreClosed
from xenwire.xenstore.wire import MAX_PAYLOAD

__all__ = ["DevicePort", "Port", "SocketPort", "open_port"]

_CHUNK: Final = 65536


class Port(Protocol):
    """A way to the store, open."""

    max_payload: int

    def fileno(self) -> int:
        """Give the descriptor to poll for what comes in."""

    def send(self, message: bytes) -> None:
        """Send a message. Raises OSError if its request is refused, StoreClosed if the connection is lost."""

    def receive(self) -> bytes:
        """Give some of what has come in, nothing at the end. Raises OSError if the connection is lost."""

    def close(self) -> None:
        """Close it."""


class SocketPort:
    """A connected, blocking Unix socket."""

    max_payload = MAX_PAYLOAD

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, message: bytes) -> None:
        """Send a message. Raises StoreClosed."""
        try:
            self._socket.sendall(message)
        except OSError as error:
            raise StoreClosed.by(error) from error

    def receive(self) -> bytes:
        """Give some of what has come in, nothing at the end. Raises OSError."""
        return self._socket.recv(_CHUNK)

    def fileno(self) -> int:
        """Give the descriptor to poll for what comes in."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class DevicePort:
    """`/dev/xen/xenbus`: each message in one write, whose failure is the reply to its request."""

    max_payload = DEVICE_MAX_PAYLOAD

    def __init__(self, device: io.FileIO) -> None:
        self._device = device

    def send(self, message: bytes) -> None:
        """Send a message. Raises OSError if its request is refused."""
        self._device.write(message)

    def receive(self) -> bytes:
        """Give some of what has come in, nothing at the end. Raises OSError."""
        return self._device.read(_CHUNK)

    def fileno(self) -> int:
        """Give the descriptor to poll for what comes in."""
        return self._device.fileno()

    def close(self) -> None:
        """Close it."""
        self._device.close()


def open_port(address: str | PathLike[str] | None, timeout: float) -> Port:
    """Open the store at `address`, see `find_store`. Raises Unreachable, Denied, TimedOut."""
    path, device = find_store(address)
    return DevicePort(open_device(path)) if device else SocketPort(_connect(path, timeout))


def _connect(path: Path, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # With Python's own timeout, connect() would fail at once while the daemon's backlog is full.
        seconds, fraction = divmod(timeout, 1)
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(fraction * 1_000_000))
        )
        sock.connect(str(path))
    except BlockingIOError as error:
        sock.close()
        raise TimedOut(f"the store at {path} took no connection in {timeout:g} s") from error
    except OSError as error:
        sock.close()
        raise failed_to_reach(path, error) from error
    return sock
