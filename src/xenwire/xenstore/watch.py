"""Changes in the store, as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from typing import Self

from xenwire.types import StorePath
from xenwire.xenstore import requests
from xenwire.xenstore.connection import Connection
from xenwire.xenstore.errors import StoreError
from xenwire.xenstore.events import EventQueue

__all__ = ["Watch"]


class Watch:
    """Yields the path of each node that changes, at or below a root.

    The first event comes at once and names the root, whether or not it exists. An event says that
    something happened, not what: read the node again. Events for a path that still waits to be taken are
    merged, and when the reader falls far behind, the root alone stands for all: read everything again.

    Iteration ends with StoreClosed when the connection is lost, after what came before; it stops when
    the block is left. For one reader.
    """

    def __init__(self, connection: Connection, path: StorePath | str, limit: int = EventQueue.LIMIT) -> None:
        self._connection = connection
        self._path = StorePath(path)
        self._events = EventQueue(self._path, limit)
        self._news = asyncio.Event()
        self._left = False
        self._lost = False
        self._token = ""

    async def __aenter__(self) -> Self:
        self._token = self._connection.subscribe(self)
        try:
            await self._connection.call(requests.watch(self._path, self._token))
        except StoreError:
            self._connection.unsubscribe(self._token)
            raise
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        self._leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StorePath:
        while (path := self._events.take()) is None:
            if self._left:
                raise StopAsyncIteration
            if self._lost:
                raise self._connection.closed()
            self._news.clear()
            await self._news.wait()
        return path

    def changed(self, path: StorePath) -> None:
        """Take an event (called by the connection)."""
        self._events.put(path)
        self._news.set()

    def ended(self) -> None:
        """Learn that there will be no more (called by the connection)."""
        self._lost = True
        self._news.set()

    def _leave(self) -> None:
        self._connection.unsubscribe(self._token)
        self._connection.post(requests.unwatch(self._path, self._token))
        self._left = True
        self._news.set()
