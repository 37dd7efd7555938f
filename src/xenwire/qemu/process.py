"""One QEMU process with a private monitor."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from xenwire.errors import Denied, TimedOut, Unreachable, XenwireError
from xenwire.qemu.chardev import FdAddress, Socket
from xenwire.qemu.qmp.client import QmpClient
from xenwire.qemu.qmp.transports import SocketTransport
from xenwire.runtime.files import tail
from xenwire.runtime.process import ExitStatus, end, spawn

__all__ = ["MONITOR_ID", "Qemu", "monitor_arguments"]

MONITOR_ID: Final = "xenwire-monitor"
"""The id of the private monitor's character device."""

_EXIT_GRACE: Final = 1.0  # seconds between the end of the monitor and that of the process
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def monitor_arguments(fd: int) -> list[str]:
    """Give the arguments that put the private monitor on an inherited, connected socket."""
    chardev = Socket(FdAddress(fd)).to_option(MONITOR_ID)
    return ["-chardev", chardev, "-mon", f"chardev={MONITOR_ID},mode=control"]


class Qemu:
    """A QEMU of this process's own; the kernel kills it if this process goes.

        async with await Qemu.start(program, ["-machine", "q35"], log=path) as qemu:
            await qemu.qmp.execute("cont")

    Leaving the block stops it.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, qmp: QmpClient, log: _Log, resources: AsyncExitStack
    ) -> None:
        self._process = process
        self._log = log
        self._resources = resources
        self.qmp = qmp
        """Its private monitor."""

    @classmethod
    async def start(
        cls,
        program: Path,
        arguments: Sequence[str],
        *,
        log: Path,
        pass_fds: Sequence[int] = (),
        user: str | None = None,
        timeout: float = 30.0,
    ) -> Self:
        """Start QEMU, with its processors stopped, and wait until its monitor answers.

        What it prints is appended to `log`. `pass_fds` keep their numbers. `user`: `name` or `uid:gid`, its
        user from the first instruction on.

        Raises XenwireError with its last words if it ends first, TimedOut if its monitor is not ready after
        `timeout` seconds, Unreachable if it leaves its monitor or speaks no QMP, NotFound if there is no such
        user. No process is left then.
        """
        output = _Log(log)
        async with AsyncExitStack() as resources:
            ours, theirs = socket.socketpair()
            resources.enter_context(ours)
            with theirs, output.open() as file:
                process = await spawn(
                    [program, *monitor_arguments(theirs.fileno()), "-S", *arguments],
                    stdout=file,
                    stderr=file,
                    pass_fds=[theirs.fileno(), *pass_fds],
                    user=user,
                    die_with_parent=True,
                )
            resources.push_async_callback(end, process, 0)
            monitor = QmpClient.connect(SocketTransport(ours), peer=str(program), timeout=timeout)
            try:
                qmp = await resources.enter_async_context(monitor)
            except (Unreachable, TimedOut) as error:
                error.hint = f"see its log: {log}"
                status = await _ended(process) if isinstance(error, Unreachable) else None
                if status is None:
                    raise
                words = "\n".join(output.tail(10)) or "it said nothing"
                raise XenwireError(
                    "QEMU did not start",
                    reason=f"{program} {status}: {words}",
                    hint=error.hint,
                    status=status,
                ) from error
            return cls(process, qmp, output, resources.pop_all())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def wait(self) -> ExitStatus:
        """Wait for its end."""
        return ExitStatus(await self._process.wait())

    async def ended(self) -> ExitStatus | None:
        """Give how it ended, None if it goes on: what fails because of its end does so a moment earlier."""
        return await _ended(self._process)

    async def stop(self, timeout: float = 5.0) -> ExitStatus:
        """Send SIGTERM, on which QEMU ends in order, after `timeout` seconds SIGKILL. Safe to repeat."""
        try:
            return await end(self._process, timeout)
        finally:
            await self._resources.aclose()

    def last_words(self, lines: int = 10) -> list[str]:
        """Give the last lines that it printed, at most 8 KiB of them."""
        return self._log.tail(lines)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


class _Log:
    """The file that takes what one QEMU prints, after what earlier ones did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0

    def open(self) -> IO[bytes]:
        """Open it for QEMU. Raises XenwireError, Denied for one that may not be written."""
        try:
            file = os.fdopen(os.open(self.path, _APPEND, 0o600), "ab")
        except OSError as error:
            kind = Denied if isinstance(error, PermissionError) else XenwireError
            raise kind(
                "cannot start QEMU", reason=f"its log {self.path} cannot be written: {error.strerror}"
            ) from error
        self._start = file.tell()
        return file

    def tail(self, lines: int) -> list[str]:
        """Give the last lines since it was opened, at most 8 KiB of them; none if the file is gone."""
        return tail(self.path, lines, self._start)


async def _ended(process: asyncio.subprocess.Process) -> ExitStatus | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_EXIT_GRACE):
            return ExitStatus(await process.wait())
    return None
