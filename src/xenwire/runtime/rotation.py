"""Logs that cannot fill a disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from xenwire.runtime.files import TAIL_BYTES

__all__ = ["BoundedLog", "older"]

_LIMIT: Final = 1 << 20
_FLAGS: Final = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def older(path: Path) -> Path:
    """Give where the words go that a log has no room for. (libxl's own older logs are `PATH.1` and so on.)"""
    return path.with_name(f"{path.name}.old")


class BoundedLog:
    """A file (0600) that is appended to; when it is full, what it holds moves to another (see `older`).

    It is emptied in place, so that others who append to it go on doing so. `limit`: its most, in bytes; a
    single piece may go beyond. Each write is the disk's to do at once, as with any log.
    """

    def __init__(self, path: Path, limit: int = _LIMIT) -> None:
        """Raise OSError if it cannot be written."""
        self.path = path
        self._limit = limit
        self._last = b""
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | _FLAGS, 0o600)

    def write(self, data: bytes) -> None:
        """Append. What the disk does not take is lost, but for `tail`."""
        self._last = (self._last + data)[-TAIL_BYTES:]
        with suppress(OSError):  # whose words these are must not have to wait for room
            if os.fstat(self._fd).st_size + len(data) > self._limit:
                self._rotate()
            os.write(self._fd, data)

    def tail(self, lines: int) -> list[str]:
        """Give the last lines that were written here, at most 8 KiB of them."""
        return self._last.decode(errors="replace").splitlines()[-lines:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def _rotate(self) -> None:
        size = os.fstat(self._fd).st_size
        with suppress(OSError):  # what cannot be kept is given up
            old = os.open(older(self.path), os.O_WRONLY | os.O_TRUNC | _FLAGS, 0o600)
            try:
                done = 0
                while done < size and (sent := os.sendfile(old, self._fd, done, size - done)):
                    done += sent
            finally:
                os.close(old)
        os.ftruncate(self._fd, 0)
