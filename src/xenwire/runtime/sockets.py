"""Listening on Unix sockets: nobody's listener is taken over, nobody's file is deleted."""

from __future__ import annotations

import os
import re
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from xenwire.errors import Conflict, Denied, NotFound, UsageError, XenwireError
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import run_dir

__all__ = ["MAX_SOCKET_PATH", "SocketFile", "listen_unix"]

MAX_SOCKET_PATH: Final = 107
"""Bytes in the path of a Unix socket (Linux: sun_path less its NUL)."""

_LOCK_TIMEOUT: Final = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class SocketFile:
    """A socket in the file system, told from a later one at the same path by its inode and birth.

    Its text form is `inode:birth`, birth in nanoseconds since 1970.
    """

    path: Path
    inode: int
    birth: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Give what is at `path`. Raises OSError."""
        found = path.lstat()
        return cls(path, found.st_ino, found.st_mtime_ns)

    @classmethod
    def parse(cls, path: Path, text: str) -> Self:
        """Read the text form of what was at `path`. Raises UsageError."""
        if not re.fullmatch(r"[0-9]{1,20}:[0-9]{1,20}", text):
            raise UsageError(f"not a socket's file: {text!r}", reason="expected inode:birth")
        inode, _, birth = text.partition(":")
        return cls(path, int(inode), int(birth))

    def __str__(self) -> str:
        return f"{self.inode}:{self.birth}"

    def remove(self) -> None:
        """Remove it, unless it is gone or something else is at its path. Raises OSError."""
        with suppress(FileNotFoundError):
            if self == type(self).of(self.path):
                self.path.unlink()


async def listen_unix(
    path: Path, *, mode: int = 0o600, owner: tuple[int, int] | None = None, backlog: int = 64
) -> socket.socket:
    """Give a non-blocking socket that listens at `path`, which nobody but `mode` and `owner` let in.

    A stale socket file there is replaced. The name that the socket itself tells (getsockname) is not `path`:
    QEMU unlinks that name at its end, whoever listens there by then. Raises UsageError (path too long),
    NotFound (no such folder), Denied (no permission), Conflict (somebody listens there, or the file is not a
    socket: it stays).
    """
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise UsageError(
            f"cannot listen on {path}",
            reason=f"the path has {length} bytes, a Unix socket's has at most {MAX_SOCKET_PATH}",
            hint="choose a shorter path",
            path=str(path),
        )
    # Two of us must not both find a stale socket, and the second remove what the first has put there.
    async with FileLock(run_dir() / "listen.lock").held(_LOCK_TIMEOUT):
        try:
            return _listen(path, mode, owner, backlog)
        except OSError as error:
            raise _refused(path, error) from error


def _listen(path: Path, mode: int, owner: tuple[int, int] | None, backlog: int) -> socket.socket:
    """Listen under a name of our own, then link it into place, which never replaces anything."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    own = f".{os.urandom(8).hex()}"
    try:
        listener.bind(f"/proc/self/fd/{folder}/{own}")
        try:
            # Nobody can connect before listen(), so the mode is right from the first moment that matters.
            os.chmod(own, mode, dir_fd=folder)
            if owner is not None:
                os.chown(own, *owner, dir_fd=folder, follow_symlinks=False)
            listener.listen(backlog)
            try:
                os.link(own, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except FileExistsError:
                with suppress(FileNotFoundError):
                    _remove_stale(path)
                os.link(own, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.unlink(own, dir_fd=folder)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket file at `path` if nobody listens on it. Raises Conflict if somebody does."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise Conflict(
            f"cannot listen on {path}",
            reason="a file that is not a socket is there",
            hint="choose another path, or move the file away",
            path=str(path),
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # a listener with a full backlog
    raise Conflict(
        f"cannot listen on {path}",
        reason="another program listens there already",
        hint="choose another path, or end that program",
        path=str(path),
    )


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
                reason=f"you may not make or remove files in {path.parent}",
                hint="choose a folder of your own",
                **context,
            )
        case FileExistsError():
            return Conflict(message, reason="another program has just put a file there", **context)
    return XenwireError(message, reason=error.strerror, **context)
