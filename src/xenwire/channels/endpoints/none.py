"""Kind NONE: what the guest writes is thrown away, and what it would read never comes (seed 004)."""

from __future__ import annotations

from xenwire.channels.endpoints.base import Endpoint

__all__ = ["NoEndpoint"]


class NoEndpoint(Endpoint):
    """Swallows all, gives nothing."""

    place = None
    clients = 0

    async def open(self) -> None:
        """Do nothing."""

    def deliver(self) -> None:
        """Take all of it."""
        self.spool.take(self.spool.appended)

    def peek(self, limit: int) -> bytes:
        """Give nothing."""
        return b""

    def consume(self, count: int) -> None:
        """Do nothing."""

    def watch(self, *, want_input: bool) -> None:
        """Do nothing: there is never input."""

    def close(self) -> None:
        """Do nothing."""
