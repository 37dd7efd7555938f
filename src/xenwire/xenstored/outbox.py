"""What waits to be sent on one connection."""

from __future__ import annotations

from xenwire.xenstored.effects import Event, Reply

__all__ = ["Outbox"]


class Outbox:
    """Replies and events in order, as bytes. An event is dropped while one like it waits."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes that wait."""
        self._waiting: list[bytes] = []
        self._events: set[bytes] = set()

    def add(self, effect: Reply | Event) -> None:
        """Add a message."""
        data = effect.frame.encode()
        if isinstance(effect, Event):
            if effect.mergeable and data in self._events:
                return
            self._events.add(data)
        self._waiting.append(data)
        self.size += len(data)

    def take(self) -> bytes:
        """Give all that waits, and forget it."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._events.clear()
        self.size = 0
        return data
