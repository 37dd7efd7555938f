"""The host ends of channels that are files or sockets, opened with care."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from xenwire.errors import Denied, NotFound, XenwireError

__all__ = ["open_log"]


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
