"""The client's half of the protocol on one connection: requests out, replies and events in. Pure.

Replies are matched by `req_id`, in whatever order they come, and events may stand between any two.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any, NamedTuple

from xenwire.errors import ProtocolError, UsageError
from xenwire.types import StorePath
from xenwire.xenstore.errors import StoreError, store_error
from xenwire.xenstore.requests import Request
from xenwire.xenstore.wire import MAX_PAYLOAD, Decoder, Frame, Op

__all__ = ["Event", "Reply", "Session"]


class Reply(NamedTuple):
    """The answer to a request, which was sent as `req_id`: its payload, or the store's refusal."""

    req_id: int
    request: Request[Any]
    result: bytes | StoreError


class Event(NamedTuple):
    """`path` changed, says the watch that was registered with `token`."""

    path: StorePath
    token: str


class Session:
    """Numbers requests and recognises what comes back.

    A request is remembered until its reply, whether or not somebody still waits for it.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_payload = max_payload
        self._decoder = Decoder()
        self._sent: dict[int, Request[Any]] = {}
        self._last_id = 0

    def send(self, request: Request[Any], tx_id: int = 0) -> tuple[int, bytes]:
        """Give the request's new id and its bytes. Raises StoreError E2BIG if it is too long to be sent."""
        if len(request.payload) > self._max_payload:
            raise store_error("E2BIG", request.op, request.subject)
        req_id = self._last_id % 0xFFFF_FFFF + 1
        while req_id in self._sent:
            req_id = req_id % 0xFFFF_FFFF + 1
        self._last_id = req_id
        self._sent[req_id] = request
        return req_id, Frame(request.op, req_id, tx_id, request.payload).encode()

    def refuse(self, req_id: int, error: OSError) -> Reply:
        """Give the answer that a failed write to /dev/xen/xenbus stands for: the store sends none."""
        request = self._sent.pop(req_id)
        name = errno.errorcode.get(error.errno or 0, "EIO")
        return Reply(req_id, request, store_error(name, request.op, request.subject))

    def receive(self, data: bytes) -> Iterator[Reply | Event]:
        """Yield what is complete with `data`; the iterator must be run to its end.

        Raises ProtocolError for anything a store does not send: the connection is of no use any more.
        """
        for frame in self._decoder.feed(data):
            if frame.type == Op.WATCH_EVENT:  # its ids are garbage when the Linux kernel sends it
                yield _event(frame.payload)
            else:
                yield self._reply(frame)

    def _reply(self, frame: Frame) -> Reply:
        req_id = frame.req_id
        if req_id == 0 and frame.type in (Op.WATCH, Op.UNWATCH):  # Linux before 4.11 lost the id of these
            req_id = next((id_ for id_, sent in self._sent.items() if sent.op == frame.type), 0)
        request = self._sent.pop(req_id, None)
        if request is None:
            raise ProtocolError("the store answered what was not asked", reason=f"its request id is {req_id}")
        if frame.type == request.op:
            return Reply(req_id, request, frame.payload)
        if frame.type == Op.ERROR:
            name = frame.payload.removesuffix(b"\0").decode(errors="backslashreplace")
            return Reply(req_id, request, store_error(name, request.op, request.subject))
        raise ProtocolError(
            "the store answered with another operation", reason=f"to {request.op.name} with type {frame.type}"
        )


def _event(payload: bytes) -> Event:
    try:
        path, token, rest = payload.decode().split("\0")
        if not rest:
            return Event(StorePath(path), token)
    except (ValueError, UsageError):
        pass
    raise ProtocolError("the store sent a watch event that makes no sense", reason=f"it is {payload[:80]!r}")
