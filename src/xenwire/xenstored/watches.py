"""Watches, found by the path that changed.

They are kept by path. An event asks for its own path and each one above it, so that its cost grows with the
depth of the path, not with the number of watches or connections.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from xenwire.xenstored.connection import Connection

__all__ = ["Watch", "WatchIndex"]


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """The wish of a connection to hear of changes at `path` and below."""

    connection: Connection
    path: str
    """Canonical."""
    token: bytes
    depth: int | None
    """Levels below `path` that count, 0 for `path` alone; None for all."""
    prefix: int
    """Bytes to leave out where an event tells the path: the home of its domain, for a relative watch."""
    number: int
    """Counts registrations."""

    def event_path(self, path: str) -> str:
        """Give a changed path as this watch's owner knows it."""
        return path[self.prefix :]


class WatchIndex:
    """All watches of all connections. The only owner of the connections' own lists of watches too."""

    def __init__(self) -> None:
        self._by_path: dict[str, dict[Watch, None]] = {}
        self._numbers = itertools.count()

    def add(
        self, connection: Connection, path: str, token: bytes, *, depth: int | None, prefix: int
    ) -> Watch:
        """Add a watch; the connection has none of this path and token."""
        watch = Watch(connection, path, token, depth, prefix, next(self._numbers))
        connection.watches[path, token] = watch
        self._by_path.setdefault(path, {})[watch] = None
        return watch

    def remove(self, connection: Connection, path: str, token: bytes) -> None:
        """Remove a watch. Raises KeyError."""
        watch = connection.watches.pop((path, token))
        others = self._by_path[path]
        del others[watch]
        if not others:
            del self._by_path[path]

    def remove_all(self, connection: Connection) -> None:
        """Remove all watches of a connection."""
        for path, token in list(connection.watches):
            self.remove(connection, path, token)

    def at(self, path: str) -> list[Watch]:
        """Give the watches on `path` itself, by age."""
        return sorted(self._by_path.get(path, ()), key=_age)

    def covering(self, path: str) -> list[Watch]:
        """Give the watches that hear of a change at `path`: those on it or above, by age.

        Special nodes have nothing above them.
        """
        found: list[Watch] = []
        here, level = path, 0
        while here:
            if here in self._by_path:
                found += self._reaching(here, level)
            here, level = here.rpartition("/")[0], level + 1
        if path[0] == "/" and path != "/":
            found += self._reaching("/", level)
        found.sort(key=_age)
        return found

    def _reaching(self, path: str, level: int) -> list[Watch]:
        """Give the watches on `path` that reach so many levels below it."""
        watches = self._by_path.get(path, ())
        return [watch for watch in watches if watch.depth is None or level <= watch.depth]


def _age(watch: Watch) -> tuple[int, int]:
    """Order by the age of the connection, then of the watch."""
    return watch.connection.number, watch.number
