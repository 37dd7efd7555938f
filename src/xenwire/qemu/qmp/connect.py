"""Connecting to a monitor on each kind of character device that can carry one.

Sockets greet every client, and QEMU forgets what the one before it left. Terminals and pipes do not: there
the session begins with a resync. Any other stream, such as QEMU's standard input and output or a channel, is
`QmpClient.connect(StreamTransport(reader, writer), resync=True)`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from xenwire.errors import Denied, NotFound, TimedOut, Unreachable, XenwireError
from xenwire.qemu.qmp.client import DEFAULT_TIMEOUT, QmpClient
from xenwire.qemu.qmp.transports import SocketTransport, StreamTransport
from xenwire.runtime.streams import open_stream

__all__ = ["connect_pipe", "connect_tcp", "connect_tty", "connect_unix"]


@asynccontextmanager
async def connect_unix(
    path: Path, *, peer: str | None = None, timeout: float = DEFAULT_TIMEOUT
) -> AsyncIterator[QmpClient]:
    """Connect to the Unix socket at `path`: a broker's, or QEMU's own, which takes one client at a time.

    `peer` names the other end in errors (default: the path).
    Raises NotFound, Denied, Unreachable (nobody listens), and what `QmpClient.connect` raises.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, os.fspath(path))
    except OSError as error:  # a TimeoutError too
        sock.close()
        raise _refused(str(path), error, timeout) from error
    except BaseException:
        sock.close()
        raise
    async with QmpClient.connect(SocketTransport(sock), peer=peer or str(path), timeout=timeout) as qmp:
        yield qmp


@asynccontextmanager
async def connect_tcp(host: str, port: int, *, timeout: float = DEFAULT_TIMEOUT) -> AsyncIterator[QmpClient]:
    """Connect to a TCP socket (without `telnet` and `websocket`).

    Raises Unreachable, TimedOut, and what `QmpClient.connect` raises.
    """
    peer = f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise _refused(peer, error, timeout) from error
    try:
        async with QmpClient.connect(StreamTransport(reader, writer), peer=peer, timeout=timeout) as qmp:
            yield qmp
    finally:
        writer.transport.abort()


@asynccontextmanager
async def connect_tty(path: Path, *, timeout: float = DEFAULT_TIMEOUT) -> AsyncIterator[QmpClient]:
    """Connect to a terminal: the pty of chardev `pty`, or the line at whose other end chardev `serial` is.

    Raises NotFound, Denied, Unreachable, and what `QmpClient.connect` raises.
    """
    async with (
        open_stream(path) as streams,
        QmpClient.connect(StreamTransport(*streams), peer=str(path), timeout=timeout, resync=True) as qmp,
    ):
        yield qmp


@asynccontextmanager
async def connect_pipe(path: Path, *, timeout: float = DEFAULT_TIMEOUT) -> AsyncIterator[QmpClient]:
    """Connect to chardev `pipe`, which reads the fifo `PATH.in` and writes the fifo `PATH.out`.

    Raises NotFound, Denied, Unreachable (no QEMU has them open), and what `QmpClient.connect` raises.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    incoming, _ = await loop.connect_read_pipe(lambda: protocol, _open(f"{path}.out", os.O_RDONLY, timeout))
    try:
        outgoing, flow = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, _open(f"{path}.in", os.O_WRONLY, timeout)
        )
        try:
            writer = asyncio.StreamWriter(outgoing, flow, None, loop)
            transport = StreamTransport(reader, writer)
            async with QmpClient.connect(transport, peer=str(path), timeout=timeout, resync=True) as qmp:
                yield qmp
        finally:
            outgoing.abort()
    finally:
        incoming.close()


def _open(path: str, flags: int, timeout: float) -> IO[bytes]:
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(path, error, timeout) from error
    return os.fdopen(fd, "rb" if flags == os.O_RDONLY else "wb", buffering=0)


def _refused(peer: str, error: OSError, timeout: float) -> XenwireError:
    message = f"cannot connect to the monitor at {peer}"
    match error:
        case FileNotFoundError():
            return NotFound(message, reason="it does not exist")
        case PermissionError():
            return Denied(message, reason="you may not read and write it")
        case TimeoutError():
            return TimedOut(message, reason=f"waited {timeout:g} s")
    return Unreachable(message, reason=error.strerror or str(error))
