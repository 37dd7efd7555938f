"""What the host end of a channel can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

__all__ = ["Endpoint"]


class Endpoint(ABC):
    """The host end of a channel: takes what the guest writes, gives what it is to read.

    Nothing in it waits. It calls `ready` when something that `watch` asked for can go on, and when a consumer
    has come or gone.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
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
    def write(self, data: bytes) -> int:
        """Hand over as much as goes at once, and tell how much that is; 0 while nobody is there."""

    @abstractmethod
    def peek(self, limit: int) -> bytes:
        """Give up to `limit` bytes that came for the guest, and keep them."""

    @abstractmethod
    def consume(self, count: int) -> None:
        """Forget bytes that `peek` has given: they are on their way."""

    @abstractmethod
    def watch(self, *, want_input: bool, want_output: bool) -> None:
        """Say what `ready` is to tell of: bytes for the guest, and that `write` may take more."""

    @abstractmethod
    def close(self) -> None:
        """Be gone, and leave no file of ours. Closing what is closed is fine."""
