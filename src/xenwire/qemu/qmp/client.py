"""A client of QEMU's monitor.

async with QmpClient.connect(SocketTransport(sock), peer="guest 3") as qmp:
    with qmp.events("STOP") as events:
        await qmp.execute("stop")
        async for event in events:
            ...
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self, assert_never

from xenwire.errors import ProtocolError, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.qemu.qmp.session import (
    ErrorReply,
    Event,
    Greeting,
    Message,
    QmpSession,
    Reply,
    Synchronised,
    Version,
)
from xenwire.qemu.qmp.transports import Transport

__all__ = ["DEFAULT_TIMEOUT", "MAX_EVENTS", "EventStream", "QmpClient", "QmpError"]

DEFAULT_TIMEOUT: Final = 10.0
"""Seconds that an answer may take where nothing else is asked for; what libxl allows."""

MAX_EVENTS: Final = 1000
"""Events that a reader may be behind."""


class QmpError(XenwireError):
    """QEMU refused a command."""

    def __init__(self, peer: str, command: str, error: ErrorReply) -> None:
        super().__init__(
            f"{peer} refused {command}",
            reason=error.description,
            command=command,
            error_class=error.error_class,
        )
        self.error_class = error.error_class
        """`GenericError`, `CommandNotFound`, `DeviceNotActive`, `DeviceNotFound` or `KVMMissingCap`."""
        self.description = error.description


class EventStream:
    """The events of one subscription, in their order, as an async iterator for one reader.

    It never ends silently: once the connection is gone it raises Unreachable, and XenwireError if the
    reader fell more than MAX_EVENTS behind; what came before that is given first.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._failure: XenwireError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._failure:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()

    def _put(self, event: Event) -> None:
        if self._failure or (self._names and event.name not in self._names):
            return
        if len(self._events) == MAX_EVENTS:
            self._fail(XenwireError("QMP events were lost", reason=f"their reader was {MAX_EVENTS} behind"))
            return
        self._events.append(event)
        self._changed.set()

    def _fail(self, error: XenwireError) -> None:
        self._failure = self._failure or error
        self._changed.set()


class QmpClient:
    """One negotiated connection to a monitor. Make it with `connect`."""

    version: Version
    """QEMU's version."""

    def __init__(self, transport: Transport, peer: str) -> None:
        self._transport = transport
        self._peer = peer
        # What a previous client left on a pty must not pass for an answer to this one.
        self._session = QmpSession(f"xenwire-{os.urandom(4).hex()}")
        self._turn = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[Reply | ErrorReply]] = {}
        self._ready: asyncio.Future[Greeting | Synchronised] = asyncio.get_running_loop().create_future()
        self._streams: list[EventStream] = []
        self._loss: str | None = None
        self._cause: BaseException | None = None
        self._reader = asyncio.create_task(self._read(), name=f"QMP reader of {peer}")
        self._reader.add_done_callback(self._ended)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        transport: Transport,
        *,
        peer: str = "QEMU",
        timeout: float = DEFAULT_TIMEOUT,
        resync: bool = False,
    ) -> AsyncIterator[Self]:
        """Wait for the greeting, negotiate; the connection ends with the block.

        `peer` names the other end in errors. `resync`: for a pty, pipe or serial line, where a previous
        client's remains may be in the way and a greeting may never come.

        Raises TimedOut after `timeout` seconds, QmpError if the negotiation is refused, Unreachable if the
        connection ends, with ProtocolError as its cause if the peer speaks no QMP.
        """
        client = cls(transport, peer)
        try:
            await client._negotiate(timeout, resync)
            yield client
        finally:
            client._ready.cancel()
            client._end("it was closed here")
            await asyncio.wait([client._reader])

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        fds: Sequence[int] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        **more: Any,
    ) -> Any:
        """Carry out a command and give what it returns. Commands run one at a time, in the order of calls.

        Its arguments are those in `arguments`, which can have names that are no keywords, QEMU's own `fds`
        and `timeout` too, and those in `more`. `fds` are duplicated into QEMU (Unix sockets only).
        `timeout`, in seconds, counts the wait for earlier commands; None waits for ever. After a timeout or
        a cancellation QEMU may still carry the command out.

        Raises QmpError if QEMU refuses it, TimedOut, Unreachable if the connection is or gets lost,
        UsageError for descriptors where they cannot travel, TypeError or ValueError for arguments that
        JSON has no form for.
        """
        try:
            async with asyncio.timeout(timeout), self._turn:
                reply = await self._ask(command, {**(arguments or {}), **more}, fds)
        except TimeoutError:
            raise TimedOut(
                f"{self._peer} did not answer {command}", reason=f"waited {timeout:g} s for its reply"
            ) from None
        if isinstance(reply, ErrorReply):
            raise QmpError(self._peer, command, reply)
        return reply.value

    @contextmanager
    def events(self, *names: str) -> Iterator[EventStream]:
        """Give the events with these names, or all of them, from now on until the end of the block."""
        stream = EventStream(names)
        if self._loss:
            stream._fail(self._unreachable())
        self._streams.append(stream)
        try:
            yield stream
        finally:
            self._streams.remove(stream)

    async def _negotiate(self, timeout: float, resync: bool) -> None:
        awaited = f"the QMP greeting of {self._peer}"
        try:
            async with asyncio.timeout(timeout):
                if resync:
                    await self._send(self._session.resync())
                ready = await self._ready
                awaited = f"the QMP negotiation with {self._peer}"
                if isinstance(ready, Greeting):
                    self.version = ready.version
                    await self.execute("qmp_capabilities", timeout=None)
                else:
                    self.version = Version.parse(await self.execute("query-version", timeout=None))
        except TimeoutError:
            raise TimedOut(
                f"{self._peer} is not ready", reason=f"waited {timeout:g} s for {awaited}"
            ) from None

    async def _ask(self, command: str, arguments: dict[str, Any], fds: Sequence[int]) -> Reply | ErrorReply:
        if fds and not self._transport.passes_fds:
            raise UsageError(
                f"cannot pass a file descriptor to {self._peer}", reason="its monitor is not on a Unix socket"
            )
        command_id, data = self._session.command(command, arguments)
        if self._loss:
            raise self._unreachable()
        reply: asyncio.Future[Reply | ErrorReply] = asyncio.get_running_loop().create_future()
        # Kept until the reply comes, which it does even if nobody waits for it any more.
        self._waiting[command_id] = reply
        try:
            await self._send(data, fds)
            return await reply
        finally:
            reply.cancel()

    async def _send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send; if that fails the connection ends, which the waiter for the answer is told."""
        try:
            await self._transport.send(data, fds)
        except ConnectionError:
            pass  # the reader comes to the end too, but first to what the peer said before it
        except OSError as error:
            self._end(_reason(error), error)
        except asyncio.CancelledError:
            self._end("a command was cut short in sending")
            raise

    async def _read(self) -> None:
        while data := await self._transport.receive():
            for message in self._session.feed(data):
                self._handle(message)
            await asyncio.sleep(0)  # a peer that never stops sending must not keep the loop to itself

    def _handle(self, message: Message) -> None:
        match message:
            case Event():
                for stream in self._streams:
                    stream._put(message)
            case Reply() | ErrorReply():
                self._answer(message)
            case Greeting() | Synchronised():
                if self._ready.done():
                    raise ProtocolError(f"{self._peer} greeted again")
                self._ready.set_result(message)
            case _:
                assert_never(message)

    def _answer(self, reply: Reply | ErrorReply) -> None:
        if isinstance(reply.id, str) and reply.id in self._waiting:
            waiter = self._waiting.pop(reply.id)
        elif isinstance(reply, ErrorReply) and reply.id is None and len(self._waiting) == 1:
            _, waiter = self._waiting.popitem()  # what QEMU cannot parse it answers without an id
        else:
            raise ProtocolError(f"{self._peer} answered what was not asked", reason=f"{reply}"[:200])
        if not waiter.done():
            waiter.set_result(reply)

    def _end(self, reason: str, cause: BaseException | None = None) -> None:
        """Have the connection end, for the first reason given."""
        if self._loss is None:
            self._loss, self._cause = reason, cause
        self._reader.cancel()

    def _ended(self, reader: asyncio.Task[None]) -> None:
        self._transport.close()
        cause = None if reader.cancelled() else reader.exception()
        if self._loss is None:
            self._cause = cause
            self._loss = _reason(cause) if cause else "it closed the connection"
        waiters: list[asyncio.Future[Any]] = [self._ready, *self._waiting.values()]
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(self._unreachable())
        for stream in self._streams:
            stream._fail(self._unreachable())

    def _unreachable(self) -> Unreachable:
        error = Unreachable(f"lost the monitor of {self._peer}", reason=self._loss)
        error.__cause__ = self._cause
        return error


def _reason(error: BaseException) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
