"""Locks between processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from xenwire.errors import TimedOut

__all__ = ["FileLock"]

_RETRY: Final = 0.02  # seconds; flock cannot be waited for with a deadline


class FileLock:
    """A lock that one process holds at a time, gone with the process that held it.

    The file stays: removing it would let two holders in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def held(self, timeout: float) -> AsyncIterator[None]:
        """Hold the lock. Raises TimedOut if others keep it for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        fd = self._open()
        try:
            while not _try(fd):
                self._check(deadline, timeout)
                await asyncio.sleep(_RETRY)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def held_blocking(self, timeout: float) -> Iterator[None]:
        """Hold the lock, outside asyncio. Raises TimedOut if others keep it for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        fd = self._open()
        try:
            while not _try(fd):
                self._check(deadline, timeout)
                time.sleep(_RETRY)
            yield
        finally:
            os.close(fd)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def _check(self, deadline: float, timeout: float) -> None:
        if time.monotonic() >= deadline:
            raise TimedOut(
                f"another process holds the lock {self._path}",
                reason=f"waited {timeout:g} s for it",
                hint=f"see who does: fuser -v {self._path}",
                path=str(self._path),
            )


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
