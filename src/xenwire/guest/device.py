"""A channel's device, open: a terminal (PV) made raw, or a virtio-serial port."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import termios
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from xenwire.errors import Conflict, Denied, NotFound, XenwireError

__all__ = ["Device"]

_GONE: Final = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.EPIPE)
"""What a terminal that was hung up, or a port that was taken away, gives."""


class Device:
    """A channel's device: raw and non-blocking from its opening on. Leave the block to close it.

    A terminal is cooked when it is opened first, and again once nobody has it open: it gives back what comes,
    and changes it. That meets what already waits in the ring, which the kernel takes while it opens the
    terminal; nothing here can prevent it. Two readers would each get a part: it is locked (flock), as the
    kernel lets only one open a port.

    Raises NotFound (nothing is behind it), Denied, Conflict (another has it), XenwireError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(path, error) from error
        self.is_terminal = _make_raw(self._fd)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise _busy(path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Give its descriptor."""
        return self._fd

    def close(self) -> None:
        """Close it. A port throws away what has come and was not read."""
        os.close(self._fd)

    def read(self, limit: int) -> bytes | None:
        """Give what has come; None if there is nothing, nothing at the end (see `is_there`)."""
        try:
            return os.read(self._fd, limit)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return b""

    def write(self, data: bytes) -> int:
        """Give how many bytes it has taken; none where it has gone."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return 0

    def is_there(self) -> bool:
        """Tell, after its end, whether it still is: a port reads as ended while its host end is empty."""
        try:
            return not self.is_terminal and os.path.samestat(os.fstat(self._fd), self.path.stat())
        except OSError:
            return False

    def has_peer(self) -> bool:
        """Tell whether somebody is at the host's end. Of a terminal that is there it is always so."""
        poll = select.poll()
        poll.register(self._fd, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def is_hung_up(self) -> bool:
        """Tell whether it is a terminal that leads nowhere any more: another may have its name by now."""
        return self.is_terminal and not self.has_peer()

    def drain(self) -> None:
        """Wait until all that was written has left. A port keeps nothing back."""
        with suppress(termios.error):  # it has gone meanwhile
            if self.is_terminal:
                termios.tcdrain(self._fd)


def _make_raw(fd: int) -> bool:
    """Let every byte through as it is, and tell whether it is a terminal. A port is always so."""
    try:
        _, _, cflag, _, ispeed, ospeed, cc = termios.tcgetattr(fd)
    except termios.error as error:
        return bool(error.args[0] != errno.ENOTTY)  # else one that has gone already
    cflag = (cflag & ~(termios.CSIZE | termios.PARENB)) | termios.CS8 | termios.CREAD
    cc[termios.VMIN], cc[termios.VTIME] = 1, 0
    with suppress(termios.error):  # it has gone meanwhile
        # Now, and without a flush: what has come already is the host's.
        termios.tcsetattr(fd, termios.TCSANOW, [0, 0, cflag, 0, ispeed, ospeed, cc])
    return True


def _refused(path: Path, error: OSError) -> XenwireError:
    message = f"cannot open {path}"
    match error.errno:
        case errno.ENOENT:
            return NotFound(message, reason="it does not exist", hint="see that devtmpfs is mounted")
        case errno.ENODEV | errno.ENXIO:
            return NotFound(
                message, reason="no channel is behind it", hint="see those that are: xenwire guest channels"
            )
        case errno.EACCES | errno.EPERM:
            return Denied(message, reason="you may not read and write it", hint="channels are root's")
        case errno.EBUSY:
            return _busy(path)
    return XenwireError(message, reason=error.strerror)


def _busy(path: Path) -> Conflict:
    return Conflict(
        f"cannot open {path}",
        reason="another program has it open",
        hint=f"see which: fuser -v {path}",
        path=str(path),
    )
