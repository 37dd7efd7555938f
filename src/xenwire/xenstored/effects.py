"""What the engine wants done: values, for a transport to carry out in this order."""

from __future__ import annotations

from typing import NamedTuple

from xenwire.xenstore.wire import Frame, Op, join
from xenwire.xenstored.connection import Connection
from xenwire.xenstored.refusal import ErrorName

__all__ = ["Effect", "Event", "Log", "Reply", "error_reply"]


class Reply(NamedTuple):
    """Send the answer to a request."""

    connection: Connection
    frame: Frame


class Event(NamedTuple):
    """Send a watch event."""

    connection: Connection
    frame: Frame
    mergeable: bool
    """It may be dropped while one like it waits to be sent to the same connection."""


class Log(NamedTuple):
    """Write a line to the daemon's log."""

    text: str


Effect = Reply | Event | Log


def error_reply(connection: Connection, request: Frame, name: ErrorName) -> Reply:
    """Give the answer that a request failed."""
    return Reply(connection, Frame(Op.ERROR, request.req_id, request.tx_id, join(name)))
