"""A spool in a file: it takes room only as it fills, and is there again after a restart."""

from __future__ import annotations

import errno
import logging
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from xenwire.channels.spool import HEADER, MAX_LIMIT, MIN_LIMIT, PAGE, Spool
from xenwire.errors import ProtocolError, XenwireError

__all__ = ["SpoolFile"]

_log = logging.getLogger(__name__)

_MADV_POPULATE_WRITE: Final = 23  # linux: include/uapi/asm-generic/mman-common.h; Linux 5.14


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
        XenwireError if there can be no such file. A file system that is full later costs bytes, not more.
        """
        size = HEADER + -(-min(max(limit, MIN_LIMIT), MAX_LIMIT) // PAGE) * PAGE
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                found = os.fstat(fd).st_size
                if found not in (0, size):
                    _log.warning("%s has another size: what it held is lost", path)
                    os.ftruncate(fd, 0)
                os.posix_fallocate(fd, 0, HEADER)
                os.ftruncate(fd, size)
                memory = mmap.mmap(fd, size)
            finally:
                os.close(fd)
        except OSError as error:
            raise XenwireError(f"cannot make the spool {path}", reason=error.strerror) from error
        view = memoryview(memory)
        back = partial(_populate, memory)
        spool = _take_over(view, back, path) if found == size else Spool.new(view, back)
        return cls(spool, path, memory, view)

    def close(self) -> None:
        """Let go of it; the file stays."""
        self.spool.release()
        self._view.release()
        self._memory.close()


def _take_over(view: memoryview, back: Callable[[int], bool], path: Path) -> Spool:
    try:
        return Spool(view, back)
    except ProtocolError as error:
        if any(view[:HEADER]):  # else its maker was killed before the first word
            _log.warning("%s: %s: what it held is lost", path, error)
        view[:HEADER] = bytes(HEADER)
        return Spool.new(view, back)


def _populate(memory: mmap.mmap, offset: int) -> bool:
    """Have the kernel find room for a page of the file now: when it is written to, there is only SIGBUS."""
    try:
        memory.madvise(_MADV_POPULATE_WRITE, offset, PAGE)
    except OSError as error:
        return error.errno == errno.EINVAL  # a kernel that cannot
    return True
