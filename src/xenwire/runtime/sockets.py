"""Listening on Unix sockets: nobody's listener is taken over, nobody's file is deleted."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from xenwire.errors import Conflict, Denied, NotFound, UsageError, XenwireError

__all__ = ["MAX_SOCKET_PATH", "check_path", "listen_unix", "remove_socket", "remove_stale"]

MAX_SOCKET_PATH: Final = 107
"""Bytes in the path of a Unix socket (Linux: sun_path less its NUL)."""


def listen_unix(path: Path, *, mode: int = 0o600, backlog: int = 64) -> socket.socket:
    """Give a non-blocking socket that listens at `path`, which nobody but `mode` lets in.

    A stale socket file there is replaced. Raises UsageError (path too long), NotFound (no such folder),
    Denied (no permission), Conflict (somebody listens there, or the file is not a socket: it stays).
    """
    check_path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with _folder_locked(path):
            remove_stale(path)
            listener.bind(str(path))
            # Nobody can connect before listen(), so the mode is right from the first moment that matters.
            path.chmod(mode)
            listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise _refused(path, error) from error
    except BaseException:
        listener.close()
        raise
    return listener


def check_path(path: Path) -> None:
    """Raise UsageError if `path` cannot be the path of a Unix socket."""
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise UsageError(
            f"cannot listen on {path}",
            reason=f"the path has {length} bytes, a Unix socket's has at most {MAX_SOCKET_PATH}",
            hint="choose a shorter path",
            path=str(path),
        )


def remove_stale(path: Path) -> None:
    """Remove the socket file at `path` if nobody listens on it; nothing there is fine.

    Raises Conflict if somebody does, or if the file is not a socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise Conflict(
                f"cannot listen on {path}",
                reason="a file that is not a socket is there",
                hint="choose another path, or move the file away",
                path=str(path),
            )
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # a listener with a full backlog
    raise Conflict(
        f"cannot listen on {path}",
        reason="another program listens there already",
        hint="choose another path, or end that program",
        path=str(path),
    )


def remove_socket(path: Path, inode: int) -> None:
    """Remove the socket file at `path` if it is still the one with this inode: ours."""
    with suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


@contextmanager
def _folder_locked(path: Path) -> Iterator[None]:
    """Let one of us at a time look and listen: what another has bound must not look stale."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _refused(path: Path, error: OSError) -> XenwireError:
    message, context = f"cannot listen on {path}", {"path": str(path)}
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return NotFound(
                message,
                reason=f"there is no folder {path.parent}",
                hint=f"make it: mkdir -p {path.parent}",
                **context,
            )
        case PermissionError():
            return Denied(
                message,
                reason=f"you may not write in {path.parent}",
                hint="choose a folder of your own",
                **context,
            )
    return XenwireError(message, reason=error.strerror, **context)
