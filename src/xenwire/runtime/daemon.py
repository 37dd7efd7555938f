"""Starting a daemon: it outlives the command that needed it, and its words go to a log."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from xenwire.errors import NotFound, TimedOut, XenwireError
from xenwire.runtime.files import tail
from xenwire.runtime.lock import FileLock
from xenwire.runtime.process import ExitStatus, ProcessRef
from xenwire.runtime.race import before

__all__ = ["Daemon", "ensure_running", "xenwire_command"]


def xenwire_command(*arguments: str) -> list[str]:
    """Give the command line of this very Xenwire."""
    return [sys.executable, "-m", "xenwire", *arguments]


class Daemon:
    """A process in a session of its own, so that no terminal's Ctrl-C reaches it.

    asyncio's own subprocesses are killed with their event loop; this one stays.
    """

    def __init__(self, name: str, pid: int, log: Path) -> None:
        self.name = name
        self.log = log
        self.pid = pid
        self._ref = ProcessRef.of(pid)
        self._status: ExitStatus | None = None

    @classmethod
    def start(
        cls, name: str, argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
    ) -> Self:
        """Start a program, its output appended to `log` (0600). `env` adds to this process's environment.

        It inherits no descriptor: what the user's shell has open here must be able to close.

        Raises NotFound if there is no such program.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        try:
            pid = os.posix_spawnp(
                argv[0],
                list(argv),
                {**os.environ, **(env or {})},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable() if fd > 2),
                ],
                setsid=True,
            )
        except FileNotFoundError as error:
            raise NotFound(f"cannot start {name}", reason=f"there is no program {argv[0]}") from error
        return cls(name, pid, log)

    async def wait(self) -> ExitStatus:
        """Wait for its end."""
        if self._status is None and self._ref is not None:
            await self._ref.wait()
        if self._status is None:
            code = os.waitpid(self.pid, 0)[1]  # noqa: ASYNC222  it has ended: this only reaps it
            self._status = ExitStatus(os.waitstatus_to_exitcode(code))
        return self._status

    async def end(self) -> None:
        """Send SIGTERM, after 5 s SIGKILL, and wait for its end."""
        if self._status is None and self._ref is not None:
            await self._ref.end()
        await self.wait()

    def failure(self, message: str, status: ExitStatus) -> XenwireError:
        """Give the error that tells of its early end, with its last words."""
        words = "\n".join(tail(self.log, 3)) or "it said nothing"
        return XenwireError(message, reason=f"{self.name} {status}: {words}", hint=f"see its log: {self.log}")

    @classmethod
    async def start_ready(cls, name: str, argv: Sequence[str], log: Path, timeout: float) -> Self:
        """Start it and wait until it says that it is ready (see `runtime.notify`).

        Raises XenwireError with its last words if it ends first, TimedOut after `timeout` seconds; then it
        has been ended.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
            ear.bind("")  # Linux picks an abstract name
            daemon = cls.start(name, argv, log, env={"NOTIFY_SOCKET": "@" + ear.getsockname()[1:].decode()})
            try:
                async with asyncio.timeout(timeout):
                    await daemon._ready(ear)
            except TimeoutError:
                await daemon.end()
                raise TimedOut(
                    f"{name} did not start",
                    reason=f"it was not ready after {timeout:g} s",
                    hint=f"see its log: {log}",
                ) from None
            except BaseException:
                await daemon.end()
                raise
        return daemon

    async def _ready(self, ear: socket.socket) -> None:
        if not await before(asyncio.get_running_loop().sock_recv(ear, 64), self.wait()):
            raise self.failure(f"{self.name} did not start", await self.wait())


async def ensure_running(
    name: str,
    argv: Sequence[str],
    log: Path,
    timeout: float,
    *,
    lock: FileLock,
    running: Callable[[], Awaitable[bool]],
) -> None:
    """Start a daemon as `Daemon.start_ready` does unless it is `running`, once however many ask.

    They agree by the lock. Who starts it without asking, as systemd does, may be first meanwhile: what was
    started here ends then, and that is as well.
    """
    if await running():
        return
    async with lock.held(timeout):
        if await running():
            return
        try:
            await Daemon.start_ready(name, argv, log, timeout)
        except XenwireError:
            if not await running():
                raise


def _inheritable() -> list[int]:
    found = []
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # the listing's own descriptor is closed by now
            if os.get_inheritable(int(entry.name)):
                found.append(int(entry.name))
    return found
