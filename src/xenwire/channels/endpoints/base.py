"""What the host end of a channel can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xenwire.channels.spool import Spool

__all__ = ["BLOCK", "Endpoint"]

BLOCK = 1 << 16
"""Bytes that a consumer is offered at once, so that it does not hold up other channels for long."""


class Endpoint(ABC):
    """The host end of a channel: takes what the guest writes, gives what it is to read.

    Nothing in it waits. It calls `ready` when output can go on that `deliver` had to leave, when there is
    input that `watch` asked for, and when a consumer has come or gone.
    """

    sent_away = 0
    """Consumers that had to leave, since they were too slow."""

    def __init__(self, spool: Spool, ready: Callable[[], object]) -> None:
        """`spool` holds what is to be delivered."""
        self.spool = spool
        self.ready = ready

    @property
    @abstractmethod
    def place(self) -> str | None:
        """Where on the host its bytes are found: the pty, the log or the socket."""

    @property
    @abstractmethod
    def clients(self) -> int:
        """How many consumers there are now, as far as can be told."""

    @abstractmethod
    async def open(self) -> None:
        """Be there for consumers. Raises XenwireError if that cannot be; it may be opened again later."""

    @abstractmethod
    def deliver(self) -> None:
        """Hand over as much of the spool as goes at once, and tell it what a consumer has."""

    @abstractmethod
    def peek(self, limit: int) -> bytes:
        """Give up to `limit` bytes that came for the guest, and keep them."""

    @abstractmethod
    def consume(self, count: int) -> None:
        """Forget bytes that the last `peek` has given: they are on their way."""

    @abstractmethod
    def watch(self, *, want_input: bool) -> None:
        """Say whether `ready` is to tell of bytes for the guest. To be called at the end of each turn."""

    @abstractmethod
    def close(self) -> None:
        """Be gone, and leave no file of ours. Closing what is closed is fine."""
