"""What an operation is: a function of the store and a request that gives the payload of the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from xenwire.xenstored.connection import Connection
from xenwire.xenstored.effects import Effect
from xenwire.xenstored.store import Store
from xenwire.xenstored.transaction import Transaction

__all__ = ["OK", "Handler", "Operation", "Request"]

OK: Final = b"OK\0"


@dataclass(slots=True)
class Request:
    """One request on its way through the daemon."""

    connection: Connection
    payload: bytes
    tx_id: int
    transaction: Transaction | None = None
    """The one that `tx_id` names."""
    before: list[Effect] = field(default_factory=list)
    """What is to happen before the reply: the events that the request causes."""
    after: list[Effect] = field(default_factory=list)


Handler = Callable[[Store, Request], bytes]
"""Gives the payload of the reply, or raises Refused and has changed nothing."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, and who may ask for it."""

    handler: Handler
    privileged: bool = False
    ignores_transaction: bool = False
