"""Locks between processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from xenwire.errors import TimedOut

__all__ = ["FileLock"]

_RETRY: Final = 0.02  # seconds; flock cannot be waited for with a deadline
_A_WHILE: Final = 25  # tries


class FileLock:
    """A lock that one process holds at a time, gone with the process that held it.

    The file stays: removing it would let two holders in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_held(self) -> bool:
        """Whether a process holds it now, maybe this one. Raises OSError if its file cannot be opened."""
        fd = self._open()
        try:
            return not _try(fd)
        finally:
            os.close(fd)

    @asynccontextmanager
    async def held(
        self, timeout: float, *, waiting: Callable[[], None] = lambda: None
    ) -> AsyncIterator[None]:
        """Hold the lock; `waiting` is called once if that takes a while.

        Raises TimedOut if others keep it for `timeout` seconds, OSError if its file cannot be opened.
        """
        deadline = time.monotonic() + timeout
        fd = self._open()
        try:
            tries = 0
            while not _try(fd):
                if time.monotonic() >= deadline:
                    raise TimedOut(
                        f"another process holds the lock {self.path}",
                        reason=f"waited {timeout:g} s for it",
                        hint=f"see who does: fuser -v {self.path}",
                        path=str(self.path),
                    )
                await asyncio.sleep(_RETRY)
                tries += 1
                if tries == _A_WHILE:
                    waiting()
            yield
        finally:
            os.close(fd)

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
