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
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, Protocol, Self, TypeAlias, assert_never

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

__all__ = [
    "DEFAULT_TIMEOUT",
    "MAX_EVENTS",
    "EventSink",
    "EventStream",
    "Outcome",
    "QmpClient",
    "QmpError",
]

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


Outcome: TypeAlias = Reply | ErrorReply | Unreachable
"""What comes of a command."""


class EventSink(Protocol):
    """What takes events as they come."""

    def put(self, event: Event) -> None:
        """Take an event."""

    def fail(self, error: XenwireError) -> None:
        """Take note that no more come."""


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

    def put(self, event: Event) -> None:
        """Add an event, if it has a name that is wanted."""
        if self._failure or (self._names and event.name not in self._names):
            return
        if len(self._events) == MAX_EVENTS:
            self.fail(XenwireError("QMP events were lost", reason=f"their reader was {MAX_EVENTS} behind"))
            return
        self._events.append(event)
        self._changed.set()

    def fail(self, error: XenwireError) -> None:
        """End the stream with an error."""
        self._failure = self._failure or error
        self._changed.set()


class QmpClient:
    """One negotiated connection to a monitor. Make it with `connect`."""

    version: Version
    """QEMU's version."""

    out_of_band: bool = False
    """Whether commands can be carried out of band: QEMU offered it."""

    def __init__(self, transport: Transport, peer: str, *, resync: bool = False) -> None:
        self._transport = transport
        self._peer = peer
        # What a previous client left on a pty must not pass for an answer to this one.
        self._session = QmpSession(f"xenwire-{os.urandom(4).hex()}" if resync else "x")
        self._in_turn: _Call | None = None
        self._queue: deque[_Call] = deque()
        self._waiting: dict[str, _Call] = {}
        self._unsent: deque[_Call] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Greeting | Synchronised] = asyncio.get_running_loop().create_future()
        self._sinks: list[EventSink] = []
        self._loss: str | None = None
        self._cause: BaseException | None = None
        transport.start(self._received, self._ended)

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
        client = cls(transport, peer, resync=resync)
        try:
            await client._negotiate(timeout, resync)
            yield client
        finally:
            client._ready.cancel()
            client._end("it was closed here")
            if client._sender:
                await asyncio.wait([client._sender])
            await transport.closed()

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        fds: Sequence[int] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        out_of_band: bool = False,
        **more: Any,
    ) -> Any:
        """Carry out a command and give what it returns. Commands run one at a time, in the order of calls.

        `out_of_band`: at once, whatever QEMU is busy with. Few commands can (`allow-oob` in
        `query-qmp-schema`), and only where `QmpClient.out_of_band` is true.

        Its arguments are those in `arguments`, which can have names that are no keywords, QEMU's own `fds`
        and `timeout` too, and those in `more`. `fds` are duplicated into QEMU (Unix sockets only).
        `timeout`, in seconds, counts the wait for earlier commands; None waits for ever. After a timeout or
        a cancellation QEMU may still carry the command out.

        Raises QmpError if QEMU refuses it, TimedOut, Unreachable if the connection is or gets lost,
        UsageError for descriptors where they cannot travel, TypeError or ValueError for arguments that
        JSON has no form for.
        """
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        done = partial(_resolve, outcome)
        call = self.submit(command, {**(arguments or {}), **more}, done, fds=fds, out_of_band=out_of_band)
        try:
            async with asyncio.timeout(timeout):
                result = await outcome
        except TimeoutError:
            self._give_up(call)
            raise TimedOut(
                f"{self._peer} did not answer {command}", reason=f"waited {timeout:g} s for its reply"
            ) from None
        except asyncio.CancelledError:
            self._give_up(call)
            raise
        match result:
            case Reply():
                return result.value
            case ErrorReply():
                raise QmpError(self._peer, command, result)
            case error:
                raise error

    def submit(
        self,
        command: str,
        arguments: Mapping[str, Any],
        done: Callable[[Outcome], None],
        /,
        *,
        fds: Sequence[int] = (),
        out_of_band: bool = False,
    ) -> _Call:
        """Have a command carried out, as `execute` does, and `done` called with what comes of it.

        `fds` have to stay open until then. Raises UsageError, TypeError, ValueError, and Unreachable if the
        connection is lost already.
        """
        if fds and not self._transport.passes_fds:
            raise UsageError(
                f"cannot pass a file descriptor to {self._peer}", reason="its monitor is not on a Unix socket"
            )
        command_id, data = self._session.command(command, arguments, out_of_band=out_of_band)
        if self._loss:
            raise self._unreachable()
        call = _Call(command_id, data, fds, done)
        if out_of_band:
            self._begin(call)
        elif self._in_turn:
            self._queue.append(call)
        else:
            self._in_turn = call
            self._begin(call)
        return call

    @contextmanager
    def events(self, *names: str) -> Iterator[EventStream]:
        """Give the events with these names, or all of them, from now on until the end of the block."""
        stream = EventStream(names)
        with self.telling(stream):
            yield stream

    @contextmanager
    def telling(self, sink: EventSink) -> Iterator[None]:
        """Have a sink told of every event, in its order with the outcomes of commands, and of the end."""
        if self._loss:
            sink.fail(self._unreachable())
        self._sinks.append(sink)
        try:
            yield
        finally:
            self._sinks.remove(sink)

    async def _negotiate(self, timeout: float, resync: bool) -> None:
        awaited = f"the QMP greeting of {self._peer}"
        try:
            async with asyncio.timeout(timeout):
                if resync:
                    self._transport.send(self._session.resync(), ())
                ready = await self._ready
                awaited = f"the QMP negotiation with {self._peer}"
                if isinstance(ready, Greeting):
                    self.version = ready.version
                    self.out_of_band = "oob" in ready.capabilities
                    enable = {"enable": ["oob"]} if self.out_of_band else {}
                    await self.execute("qmp_capabilities", enable, timeout=None)
                else:
                    self.version = Version.parse(await self.execute("query-version", timeout=None))
        except TimeoutError:
            raise TimedOut(
                f"{self._peer} is not ready", reason=f"waited {timeout:g} s for {awaited}"
            ) from None

    def _begin(self, call: _Call) -> None:
        """Send a command, or have it sent once there is room for all of it."""
        self._waiting[call.id] = call
        if not self._unsent:
            try:
                sent = self._transport.send(call.data, call.fds)
            except ConnectionError:
                return  # the end is near, but what the peer said before it comes first
            except OSError as error:
                self._end(_reason(error), error)
                return
            if sent == len(call.data):
                return
            if sent:
                call.data, call.fds = call.data[sent:], ()
        self._unsent.append(call)
        if not self._sender or self._sender.done():
            self._sender = asyncio.create_task(self._send_rest(), name=f"QMP sender to {self._peer}")

    async def _send_rest(self) -> None:
        rest = self._unsent
        while rest:
            try:
                await self._transport.writable()
                sent = self._transport.send(rest[0].data, rest[0].fds)
            except ConnectionError:
                rest.clear()
                return
            except OSError as error:
                self._end(_reason(error), error)
                return
            if sent == len(rest[0].data):
                rest.popleft()
            elif sent:
                rest[0].data, rest[0].fds = rest[0].data[sent:], ()

    def _give_up(self, call: _Call) -> None:
        """Have nobody wait for a command any more. Its reply may still come, if it was sent."""
        call.done = _ignore
        if call in self._queue:
            self._queue.remove(call)
        elif call in self._unsent:
            self._end("a command was cut short in sending")
        elif call is self._in_turn:
            self._next_turn()

    def _next_turn(self) -> None:
        self._in_turn = self._queue.popleft() if self._queue else None
        if self._in_turn:
            self._begin(self._in_turn)

    def _received(self, data: bytes) -> None:
        try:
            for message in self._session.feed(data):
                if self._loss is None:
                    self._handle(message)
        except ProtocolError as error:
            self._end(str(error), error)

    def _handle(self, message: Message) -> None:
        match message:
            case Event():
                for sink in tuple(self._sinks):
                    sink.put(message)
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
            call = self._waiting.pop(reply.id)
        elif isinstance(reply, ErrorReply) and reply.id is None and len(self._waiting) == 1:
            _, call = self._waiting.popitem()  # what QEMU cannot parse it answers without an id
        else:
            raise ProtocolError(f"{self._peer} answered what was not asked", reason=f"{reply}"[:200])
        call.done(reply)
        if call is self._in_turn:
            self._next_turn()

    def _ended(self, cause: OSError | None) -> None:
        self._end(_reason(cause) if cause else "it closed the connection", cause)

    def _end(self, reason: str, cause: BaseException | None = None) -> None:
        """End the connection, for the first reason given, and tell everybody who waits."""
        if self._loss is not None:
            return
        self._loss, self._cause = reason, cause
        self._transport.close()
        self._unsent.clear()
        if self._sender:
            self._sender.cancel()
        if not self._ready.done():
            self._ready.set_exception(self._unreachable())
        for call in (*self._waiting.values(), *self._queue):
            call.done(self._unreachable())
        for sink in tuple(self._sinks):
            sink.fail(self._unreachable())

    def _unreachable(self) -> Unreachable:
        error = Unreachable(f"lost the monitor of {self._peer}", reason=self._loss)
        error.__cause__ = self._cause
        return error


class _Call:
    """A command, what is left of it to send, and who waits for what comes of it."""

    __slots__ = ("data", "done", "fds", "id")

    def __init__(
        self, command_id: str, data: bytes, fds: Sequence[int], done: Callable[[Outcome], None]
    ) -> None:
        self.id = command_id
        self.data = data
        self.fds = fds
        self.done = done


def _resolve(outcome: asyncio.Future[Outcome], result: Outcome) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _ignore(_outcome: Outcome) -> None:
    """Drop what comes of a command that nobody waits for."""


def _reason(error: BaseException) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
