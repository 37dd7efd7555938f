"""One asyncio connection to the store, shared by any number of tasks: calls, and events for watches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, TypeVar

from xenwire.errors import ProtocolError, XenwireError
from xenwire.types import StorePath
from xenwire.xenstore import requests
from xenwire.xenstore.errors import StoreClosed
from xenwire.xenstore.link import Link
from xenwire.xenstore.requests import Request, no_reply
from xenwire.xenstore.session import Reply, Session
from xenwire.xenstore.wire import Op

__all__ = ["Connection", "Watcher"]

T = TypeVar("T")
_Outcome = asyncio.Future[bytes | XenwireError]


class _Call(NamedTuple):
    request: Request[Any]
    deadline: float
    outcome: _Outcome


class Watcher(Protocol):
    """Somebody who is told of the events that carry a token."""

    def changed(self, path: StorePath) -> None:
        """Learn that a path changed."""

    def ended(self) -> None:
        """Learn that the connection was lost."""


class Connection:
    """Gives each reply to the task that asked, and each event to its watcher.

    Requests leave in the order of the calls; none waits for the reply to the one before.
    """

    def __init__(self, link: Link, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._session = Session(link.max_payload)
        self._calls: dict[int, _Call] = {}  # the oldest first
        self._timer: asyncio.TimerHandle | None = None  # for the oldest call or one before it
        self._watchers: dict[str, Watcher] = {}
        self._last_token = 0
        self._open = True
        self._cause: Exception | None = None

    async def start(self) -> None:
        """Begin to read from the link."""
        await self._link.start(self)

    async def close(self) -> None:
        """Close the link; calls and watchers that still wait fail with StoreClosed."""
        self.lost(ConnectionAbortedError("this program closed it"))
        self._link.abort()
        await self._link.wait_closed()

    async def call(self, request: Request[T], tx_id: int = 0) -> T:
        """Send a request and wait for its reply. If the wait ends early, the late reply is thrown away.

        Raises StoreError, TimedOut, StoreClosed, or ProtocolError for a reply that makes no sense.
        """
        return request.value(await self._send(request, tx_id))

    async def call_all(self, wanted: Iterable[Request[T]], tx_id: int = 0) -> list[T]:
        """Send requests, waiting for no reply between, and give what the replies mean. Raises as `call`."""
        sent = [(request, self._send(request, tx_id)) for request in wanted]
        if sent:
            await sent[-1][1]  # the last to come: this task wakes once
        return [request.value(await outcome) for request, outcome in sent]

    async def begin(self) -> int:
        """Start a transaction and give its id. If the wait ends early, a late reply's one is aborted.

        Raises as `call` does.
        """
        request = requests.transaction_start()
        outcome = self._send(request)
        try:
            return request.value(await outcome)
        except asyncio.CancelledError:
            if not outcome.cancelled():  # the reply came in the same turn of the event loop
                self._abort(outcome.result())
            raise

    def post(self, request: Request[Any], tx_id: int = 0) -> None:
        """Send a request whose reply, and whose failure, matter to nobody."""
        if self._open:
            self._link.send(*self._session.send(request, tx_id))

    def subscribe(self, watcher: Watcher) -> str:
        """Give a new token, whose events go to `watcher` from now on."""
        self._last_token += 1
        token = str(self._last_token)
        self._watchers[token] = watcher
        return token

    def unsubscribe(self, token: str) -> None:
        """Throw away whatever still comes for the token."""
        self._watchers.pop(token, None)

    def closed(self) -> StoreClosed:
        """Give the error to raise once the connection is lost."""
        return StoreClosed.by(self._cause)

    def received(self, data: bytes) -> None:
        """Take bytes from the link."""
        try:
            for message in self._session.receive(data):
                if isinstance(message, Reply):
                    self._link.answered()
                    self._settle(message)
                elif watcher := self._watchers.get(message.token):
                    watcher.changed(message.path)
        except ProtocolError as error:
            self.lost(error)
            self._link.abort()

    def refused(self, req_id: int, error: OSError) -> None:
        """Take the link's refusal of a request for its reply."""
        if self._open:
            self._settle(self._session.refuse(req_id, error))

    def lost(self, cause: Exception | None) -> None:
        """Fail all that waits; only the first call counts."""
        if not self._open:
            return
        self._open = False
        self._cause = cause
        if self._timer:
            self._timer.cancel()
        for call in self._calls.values():
            if not call.outcome.done():
                call.outcome.set_result(self.closed())
        self._calls.clear()
        for watcher in self._watchers.values():
            watcher.ended()

    def _send(self, request: Request[Any], tx_id: int = 0) -> _Outcome:
        if not self._open:
            raise self.closed()
        req_id, message = self._session.send(request, tx_id)
        loop = asyncio.get_running_loop()
        call = _Call(request, loop.time() + self._timeout, loop.create_future())
        self._calls[req_id] = call
        if self._timer is None:
            self._timer = loop.call_at(call.deadline, self._expire)
        self._link.send(req_id, message)
        return call.outcome

    def _expire(self) -> None:
        """Fail the calls whose time is over. They were made in this order, so one timer serves all."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._calls:
            req_id, call = next(iter(self._calls.items()))
            if call.deadline > loop.time():
                self._timer = loop.call_at(call.deadline, self._expire)
                return
            del self._calls[req_id]
            if not call.outcome.done():
                call.outcome.set_result(no_reply(call.request, self._timeout))

    def _settle(self, reply: Reply) -> None:
        call = self._calls.pop(reply.req_id, None)
        if call is not None and not call.outcome.done():
            call.outcome.set_result(reply.result)
        elif reply.request.op == Op.TRANSACTION_START:
            self._abort(reply.result)

    def _abort(self, started: bytes | XenwireError) -> None:
        """End a transaction that nobody is interested in any more."""
        if isinstance(started, bytes):
            with suppress(ProtocolError):
                tx_id = requests.transaction_start().parse(started)
                self.post(requests.transaction_end(commit=False), tx_id)
