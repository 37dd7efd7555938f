"""The control socket of `xenwire serve`: it tells statistics, and takes no orders.

HTTP/1.0 in its simplest form (RFC 1945): a GET, one answer, and the connection is closed. `curl` and
Prometheus speak it.
"""

from __future__ import annotations

import asyncio
import errno
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeAlias

from xenwire.channels.pace import Pace
from xenwire.channels.statistics import ChannelStatistics
from xenwire.daemon.metrics import CONTENT_TYPE, metrics
from xenwire.errors import Conflict, Denied, NotFound, XenwireError
from xenwire.runtime.sockets import SocketFile, listen_unix

__all__ = ["Address", "Pages", "answering", "listen_tcp", "telling"]

Address: TypeAlias = tuple[str, int]
"""An IP address, and a TCP port of it."""

Pages: TypeAlias = Mapping[str, Callable[[], tuple[str, str]]]
"""What may be got: a path, and what gives its content type and its text."""

_MAX_REQUEST: Final = 8192
"""Bytes of a request's first line and headers."""
_MOST_CLIENTS: Final = 16  # at once, of each listener
_DEADLINE: Final = 5.0  # seconds from the connection to the last byte of the answer
_ANSWERS: Final = (20, 10.0)  # of each listener: at once, and a second; one of 1,000 channels takes 30 ms
_METRICS: Final = "/metrics"


@asynccontextmanager
async def telling(
    channels: Callable[[], Iterable[ChannelStatistics]], path: Path, address: Address | None = None
) -> AsyncIterator[None]:
    """Tell of channels while the block lasts: /channels as JSON and /metrics for Prometheus.

    Both at a Unix socket at `path` (mode 0600), /metrics only at a TCP port too, if there is one. Raises what
    `listen_unix` and `listen_tcp` raise.
    """
    pages: Pages = {
        "/channels": lambda: ("application/json", json.dumps([c.as_dict() for c in channels()]) + "\n"),
        _METRICS: lambda: (CONTENT_TYPE, metrics(channels())),
    }
    listener = await listen_unix(path)
    ours = SocketFile.of(path)
    try:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(answering(listener, pages))
            if address is not None:
                metrics_only = {_METRICS: pages[_METRICS]}
                await stack.enter_async_context(answering(listen_tcp(address), metrics_only))
            yield
    finally:
        listener.close()
        with suppress(OSError):
            ours.remove()


@asynccontextmanager
async def answering(listener: socket.socket, pages: Pages) -> AsyncIterator[None]:
    """Answer whoever connects to a listening socket while the block lasts, then close it.

    There are limits to what clients can cost: the length of a request, the time that it may take with its
    answer, the clients at once, and the answers a second.
    """
    pace, turn = Pace(*_ANSWERS), asyncio.Lock()
    clients: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_DEADLINE):
                request = await _request(reader)
                # Here and not before: who waits for its turn has sent what it wanted.
                async with turn:
                    await asyncio.sleep(pace.spend(asyncio.get_running_loop().time()))
                writer.write(_reply(request, pages))
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(clients) == _MOST_CLIENTS:
            writer.transport.abort()
            return

        def done(client: asyncio.Task[None]) -> None:
            clients.discard(client)
            writer.transport.abort()

        client = asyncio.get_running_loop().create_task(answer(reader, writer))
        clients.add(client)
        client.add_done_callback(done)

    server = await asyncio.start_server(connected, sock=listener, limit=_MAX_REQUEST)
    try:
        yield
    finally:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> bytes:
    """Receive a request; none that is longer than one may be."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return b""


def _reply(request: bytes, pages: Pages) -> bytes:
    line = re.match(rb"([A-Z]{1,16}) (/[!-~]{0,255}) HTTP/1\.[0-9]\r\n", request)
    if line is None:
        return _message(HTTPStatus.BAD_REQUEST)
    path = line[2].decode("ascii").partition("?")[0]
    if path not in pages:
        return _message(HTTPStatus.NOT_FOUND)
    if line[1] != b"GET":
        return _message(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET\r\n")
    type_, text = pages[path]()
    return _message(HTTPStatus.OK, f"Content-Type: {type_}\r\n", text)


def _message(status: HTTPStatus, fields: str = "", text: str = "") -> bytes:
    body = (text or f"{status.phrase}\n").encode()
    head = f"HTTP/1.0 {status.value} {status.phrase}\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


def listen_tcp(address: Address) -> socket.socket:
    """Give a non-blocking socket that listens at a TCP port.

    Raises Conflict (somebody listens there), Denied (a port below 1024), NotFound (no such address here).
    """
    host, port = address
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family, backlog=_MOST_CLIENTS)
    except OSError as error:
        group, hint = _REFUSALS.get(error.errno or 0, (XenwireError, None))
        raise group(
            f"cannot listen on {host} port {port}", reason=error.strerror, hint=hint, address=host, port=port
        ) from error
    listener.setblocking(False)
    return listener


_REFUSALS: Final[Mapping[int, tuple[type[XenwireError], str]]] = {
    errno.EADDRINUSE: (Conflict, "choose another port, or end the program that has this one"),
    errno.EACCES: (Denied, "choose a port over 1023"),
    errno.EADDRNOTAVAIL: (NotFound, "name an address of this host; 0.0.0.0 stands for all of them"),
}
