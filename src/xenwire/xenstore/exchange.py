"""One blocking connection to the store, for one thread: a request at a time, events set aside."""

from __future__ import annotations

import select
import time
from typing import TypeVar

from xenwire.errors import ProtocolError
from xenwire.types import StorePath
from xenwire.xenstore.errors import StoreClosed
from xenwire.xenstore.events import EventQueue
from xenwire.xenstore.port import Port
from xenwire.xenstore.requests import Request, no_reply
from xenwire.xenstore.session import Reply, Session

__all__ = ["Exchange"]

T = TypeVar("T")


class Exchange:
    """Sends a request, reads until its reply, and keeps the events that come between for their watches."""

    def __init__(self, port: Port, timeout: float) -> None:
        self._port = port
        self._timeout = timeout
        self._session = Session(port.max_payload)
        self._poll = select.poll()
        self._poll.register(port.fileno(), select.POLLIN)
        self._queues: dict[str, EventQueue] = {}
        self._last_token = 0
        self._open = True
        self._cause: BaseException | None = None

    def close(self, cause: BaseException | None = None) -> None:
        """Close the port; every later call raises StoreClosed by `cause`."""
        if self._open:
            self._open = False
            self._cause = cause or ConnectionAbortedError("this program closed it")
            self._port.close()

    def call(self, request: Request[T], tx_id: int = 0) -> T:
        """Send a request and give what its reply means.

        Raises StoreError, StoreClosed, TimedOut, or ProtocolError for a reply that makes no sense. A reply
        that does not come closes the connection: nobody could tell what it did later.
        """
        if not self._open:
            raise StoreClosed.by(self._cause)
        req_id, message = self._session.send(request, tx_id)
        try:
            self._port.send(message)
        except OSError as error:
            return request.value(self._session.refuse(req_id, error).result)
        except StoreClosed as error:
            self.close(error.__cause__)
            raise
        deadline = time.monotonic() + self._timeout
        while (replies := self._receive(deadline)) is not None:
            for reply in replies:
                if reply.req_id == req_id:
                    return request.value(reply.result)
        late = no_reply(request, self._timeout)
        self.close(late)
        raise late

    def subscribe(self, queue: EventQueue) -> str:
        """Give a new token, whose events go into `queue` from now on."""
        self._last_token += 1
        token = str(self._last_token)
        self._queues[token] = queue
        return token

    def unsubscribe(self, token: str) -> None:
        """Throw away whatever still comes for the token."""
        self._queues.pop(token, None)

    def next_event(self, queue: EventQueue, timeout: float | None) -> StorePath | None:
        """Give the next path from a queue, or None after `timeout` seconds. Raises StoreClosed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (path := queue.take()) is None:
            if not self._open:
                raise StoreClosed.by(self._cause)
            if self._receive(deadline) is None:
                return None
        return path

    def _receive(self, deadline: float | None) -> list[Reply] | None:
        """Wait for input and file its events; give its replies, or None at the deadline."""
        wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not self._poll.poll(wait):
            return None
        replies = []
        try:
            data = self._port.receive()
            if not data:
                raise ConnectionResetError("the daemon hung up")
            for message in self._session.receive(data):
                if isinstance(message, Reply):
                    replies.append(message)
                elif queue := self._queues.get(message.token):
                    queue.put(message.path)
        except (OSError, ProtocolError) as error:
            self.close(error)
            raise StoreClosed.by(error) from error
        return replies
