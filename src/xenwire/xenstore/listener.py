"""Changes in the store, as calls: for whoever watches thousands of nodes and acts on few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from xenwire.types import StorePath
from xenwire.xenstore import requests
from xenwire.xenstore.connection import Connection
from xenwire.xenstore.errors import StoreError

__all__ = ["Listener"]


class Listener:
    """Calls a function whenever something changes at or below a path, once at first. Made by `Store.listen`.

    The function must not wait. When the connection is lost, it is not called again.
    """

    def __init__(self, connection: Connection, path: StorePath | str, changed: Callable[[], None]) -> None:
        self._connection = connection
        self._path = StorePath(path)
        self._changed = changed
        self._token = connection.subscribe(self)

    async def start(self) -> Self:
        """Begin. Raises StoreError."""
        try:
            await self._connection.call(requests.watch(self._path, self._token))
        except StoreError:
            self._connection.unsubscribe(self._token)
            raise
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Call no more."""
        self._connection.unsubscribe(self._token)
        self._connection.post(requests.unwatch(self._path, self._token))

    def changed(self, path: StorePath) -> None:
        """Take an event (called by the connection)."""
        self._changed()

    def ended(self) -> None:
        """Learn that there will be no more (called by the connection)."""
