"""A child that dies with this process whoever it has become.

What `spawn` asks for, PR_SET_PDEATHSIG, the kernel forgets once a process changes its user (prctl(2)). Not so
the signal of a descriptor, sent in the name of who asked for it (fcntl(2); linux: fs/fcntl.c, sigio_perm).
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["Lifeline"]


class Lifeline:
    """A socket pair: the child inherits one end, `fd`, and is killed when the other is closed.

    In a user namespace, root's name counts for nothing: there it holds who keeps its user.
    """

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()

    @property
    def fd(self) -> int:
        """The descriptor that the child is to inherit and keep."""
        return self._theirs.fileno()

    def hold(self, pid: int) -> None:
        """Bind the child to this process, from now on. It may have ended."""
        fcntl.fcntl(self._theirs, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(self._theirs, fcntl.F_GETFL)
        fcntl.fcntl(self._theirs, fcntl.F_SETFL, flags | os.O_ASYNC)
        with suppress(ProcessLookupError):
            fcntl.fcntl(self._theirs, fcntl.F_SETOWN, pid)
        self._theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._theirs.close()
        self._ours.close()
