"""Kind PATH: what the guest writes is appended to a file (seed 004)."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xenwire.channels.endpoints.base import BLOCK, Endpoint
from xenwire.errors import Denied, NotFound, XenwireError

if TYPE_CHECKING:
    from xenwire.channels.spool import Spool

__all__ = ["LogEndpoint", "open_log"]

_log = logging.getLogger(__name__)


class LogEndpoint(Endpoint):
    """A file that holds every byte once, whatever becomes of the daemon: the spool notes its length before
    each block. It is never emptied; one that was moved away or removed is made anew. What a full disk does
    not take is dropped: the guest must not wait for it.
    """

    clients = 0

    def __init__(self, path: Path, spool: Spool, ready: Callable[[], object]) -> None:
        super().__init__(spool, ready)
        self._path = path
        self._fd: int | None = None
        self._failing = False

    @property
    def place(self) -> str | None:
        """The file."""
        return str(self._path)

    async def open(self) -> None:
        """Open the file, and count what a predecessor had appended. Raises what `open_log` raises."""
        self._fd = open_log(self._path)
        found = os.fstat(self._fd)
        self.spool.catch_up_with_log(found.st_ino, found.st_size)

    def deliver(self) -> None:
        """Append all that waits."""
        while block := self.spool.peek(BLOCK):
            position = self.spool.taken
            written = self._append(block)
            self.spool.take(position + written)
            self.spool.drop(len(block) - written)

    def peek(self, limit: int) -> bytes:
        """Give nothing."""
        return b""

    def consume(self, count: int) -> None:
        """Do nothing."""

    def watch(self, *, want_input: bool) -> None:
        """Do nothing: there is never input."""

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, block: bytes) -> int:
        """Append the oldest bytes that wait, and tell how many the file has taken."""
        written = 0
        try:
            fd, found = self._follow_rotation()
            self.spool.mark_log(found.st_ino, found.st_size)
            while written < len(block):
                written += os.write(fd, block[written:])
            self._failing = False
        except (OSError, XenwireError) as error:
            if not self._failing:
                _log.warning("cannot write the log %s: %s; bytes are dropped", self._path, error)
            self._failing = True
        return written

    def _follow_rotation(self) -> tuple[int, os.stat_result]:
        """Give the file that is at the path now, and what is known of it."""
        if self._fd is not None:
            with suppress(FileNotFoundError):
                found = os.fstat(self._fd)
                if os.path.samestat(found, self._path.lstat()):
                    return self._fd, found
            self.close()
        self._fd = open_log(self._path)
        return self._fd, os.fstat(self._fd)


def open_log(path: Path) -> int:
    """Open the file of a channel of kind path for appending, made 0640 where it is missing.

    What is in it stays. Gives a descriptor. Raises NotFound (no such folder), Denied (not writable),
    XenwireError (a link, or not a regular file).
    """
    message, hint = f"cannot write the log {path}", "choose a file that you may write"
    # O_NONBLOCK keeps a fifo without a reader from hanging us; for a regular file it means nothing.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, 0o640)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(
            message,
            reason=f"there is no folder {path.parent}",
            hint=f"make it: mkdir -p {path.parent}",
            path=str(path),
        ) from error
    except PermissionError as error:
        raise Denied(message, reason=error.strerror, hint=hint, path=str(path)) from error
    except OSError as error:
        raise XenwireError(message, reason=error.strerror, hint=hint, path=str(path)) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise XenwireError(message, reason="it is not a regular file", hint=hint, path=str(path))
    return fd
