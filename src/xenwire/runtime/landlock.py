"""Which files a process may open, whoever it is: Linux's Landlock, where the kernel has it (from 5.13 on).

What is open stays so. (linux: Documentation/userspace-api/landlock.rst, include/uapi/linux/landlock.h)
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from xenwire.errors import XenwireError
from xenwire.runtime.libc import syscall

__all__ = ["confine_files"]

_log = logging.getLogger(__name__)

# From 5.1 on new system calls have the same number everywhere.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446

_VERSION: Final = 1  # flag of _CREATE_RULESET
_PATH_BENEATH: Final = 1

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_REMOVE_FILE: Final = 1 << 5
_MAKE_DIR: Final = 1 << 7
_MAKE_REG: Final = 1 << 8
_MAKE_SOCK: Final = 1 << 9
_TRUNCATE: Final = 1 << 14

_HANDLED: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
"""By version: all that it can forbid, but ioctl, which Landlock knows since its fifth."""

_READ: Final = _READ_FILE | _READ_DIR
_WRITE: Final = _WRITE_FILE | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _TRUNCATE
_OF_FILES: Final = _READ_FILE | _WRITE_FILE | _TRUNCATE


def confine_files(read: Iterable[Path], write: Iterable[Path]) -> bool:
    """Open, from here on and for good, only files that are these or below them; start none of them.

    Below `write` files, sockets and folders may be made, and the former two removed; links and devices are
    not made anywhere. What is not there now is passed over. This holds for the calling thread and those that
    it starts; `privileges.limit` comes before, unless root does this.

    Tells whether the kernel can. Raises XenwireError if it is refused.
    """
    try:
        version = syscall(_CREATE_RULESET, None, 0, _VERSION)
    except OSError as error:
        # EPERM: a filter of system calls knows nothing of it yet
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            _log.info("files are not restricted: this kernel has no Landlock, or may not use it")
            return False
        raise _refused(error) from error
    handled = _HANDLED[min(version, max(_HANDLED))]
    try:
        ruleset = syscall(_CREATE_RULESET, struct.pack("=Q", handled), 8, 0)
        try:
            for paths, access in ((read, _READ), (write, _READ | _WRITE)):
                for path in paths:
                    with suppress(FileNotFoundError):
                        _allow(ruleset, path, access & handled)
            syscall(_RESTRICT_SELF, ruleset, 0)
        finally:
            os.close(ruleset)
    except OSError as error:
        raise _refused(error) from error
    return True


def _allow(ruleset: int, path: Path, access: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= _OF_FILES
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, fd), 0)
    finally:
        os.close(fd)


def _refused(error: OSError) -> XenwireError:
    return XenwireError("cannot restrict files", reason=error.strerror)
