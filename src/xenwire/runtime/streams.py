"""Byte streams to Unix sockets and terminals, as asyncio's reader and writer."""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from xenwire.errors import Denied, NotFound, Unreachable, XenwireError

__all__ = ["open_stream"]


@asynccontextmanager
async def open_stream(
    path: Path, *, limit: int = 65536
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open the Unix socket or the terminal (set raw) at `path`, closed with the block.

    Raises NotFound, Denied, Unreachable (nobody listens), XenwireError (neither of both).
    """
    try:
        if path.is_socket():
            reader, writer = await asyncio.open_unix_connection(str(path), limit=limit)
        elif path.is_char_device():
            reader, writer = await _open_tty(path, limit)
        elif path.exists():
            raise XenwireError(f"cannot open {path}", reason="it is neither a socket nor a terminal")
        else:
            raise NotFound(f"cannot open {path}", reason="it does not exist", path=str(path))
    except FileNotFoundError as error:
        raise NotFound(f"cannot open {path}", reason="it does not exist", path=str(path)) from error
    except PermissionError as error:
        raise Denied(f"cannot open {path}", reason="you may not read and write it", path=str(path)) from error
    except OSError as error:
        raise Unreachable(f"cannot open {path}", reason=error.strerror, path=str(path)) from error
    try:
        yield reader, writer
    finally:
        if not writer.transport.is_closing():
            writer.transport.abort()


async def _open_tty(path: Path, limit: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        tty.setraw(fd, termios.TCSANOW)  # not TCSAFLUSH: what waits there is the other end's
        other = os.dup(fd)
    except BaseException:
        os.close(fd)
        raise
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    incoming, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(fd, "rb", buffering=0))
    try:
        outgoing, _ = await loop.connect_write_pipe(
            lambda: _Paired(incoming), os.fdopen(other, "wb", buffering=0)
        )
    except BaseException:
        incoming.close()
        raise
    return reader, asyncio.StreamWriter(outgoing, protocol, reader, loop)


class _Paired(asyncio.streams.FlowControlMixin):
    """The protocol of a terminal's outgoing half, which takes the incoming half along when it ends."""

    def __init__(self, incoming: asyncio.ReadTransport) -> None:
        super().__init__()
        self._incoming = incoming

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._incoming.close()
