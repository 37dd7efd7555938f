"""The bounded queue between a watch and its reader. Pure."""

from __future__ import annotations

from typing import Final

from xenwire.types import StorePath

__all__ = ["EventQueue"]


class EventQueue:
    """The paths that a watch of `root` has reported and that nobody has taken yet; bounded.

    A path that waits already is not added again. When `limit` paths wait and another comes, all are
    replaced with one `root`, which then stands for every change until it is taken.
    """

    LIMIT: Final = 1024

    def __init__(self, root: StorePath, limit: int = LIMIT) -> None:
        self._root = root
        self._limit = limit
        self._paths: dict[StorePath, None] = {}
        self._overflown = False

    def put(self, path: StorePath) -> None:
        """Add a path."""
        if self._overflown or path in self._paths:
            return
        if len(self._paths) == self._limit:
            self._overflown = True
            self._paths = {self._root: None}
        else:
            self._paths[path] = None

    def take(self) -> StorePath | None:
        """Remove and give the oldest path, or None if there is none."""
        if not self._paths:
            return None
        self._overflown = False
        path = next(iter(self._paths))
        del self._paths[path]
        return path
