"""A spool in a file: it takes room only as it fills, and is there again after a restart."""

from __future__ import annotations

import logging
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from xenwire.channels.spool import HEADER, MAX_LIMIT, MIN_LIMIT, Spool
from xenwire.errors import ProtocolError, XenwireError

__all__ = ["SpoolFile"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A spool and the file that holds it."""

    spool: Spool
    path: Path
    _memory: mmap.mmap
    _view: memoryview

    @classmethod
    def open(cls, path: Path, limit: int) -> Self:
        """Take over the spool at `path`, or make one that holds `limit` bytes, in whole pages.

        One that is damaged, or has another limit, is made anew, and what is in it is lost. Raises
        XenwireError if there can be no such file.
        """
        pages = -(-min(max(limit, MIN_LIMIT), MAX_LIMIT) // mmap.PAGESIZE)
        size = HEADER + pages * mmap.PAGESIZE
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                found = os.fstat(fd).st_size
                if found not in (0, size):
                    _log.warning("%s has another size: what it held is lost", path)
                    os.ftruncate(fd, 0)
                os.ftruncate(fd, size)
                memory = mmap.mmap(fd, size)
            finally:
                os.close(fd)
        except OSError as error:
            raise XenwireError(f"cannot make the spool {path}", reason=error.strerror) from error
        view = memoryview(memory)
        return cls(_take_over(view, path) if found == size else Spool.new(view), path, memory, view)

    def close(self) -> None:
        """Let go of it; the file stays."""
        self.spool.release()
        self._view.release()
        self._memory.close()

    def remove(self) -> None:
        """Remove the file: nobody is to take over."""
        self.path.unlink(missing_ok=True)


def _take_over(view: memoryview, path: Path) -> Spool:
    try:
        return Spool(view)
    except ProtocolError as error:
        if any(view[:HEADER]):  # else its maker was killed before the first word
            _log.warning("%s: %s: what it held is lost", path, error)
        view[:HEADER] = bytes(HEADER)
        return Spool.new(view)
