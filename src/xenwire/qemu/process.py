"""One QEMU process with a private monitor."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from xenwire.errors import Denied, TimedOut, Unreachable, XenwireError
from xenwire.qemu.chardev import FdAddress, Socket
from xenwire.qemu.qmp.client import QmpClient
from xenwire.qemu.qmp.transports import SocketTransport
from xenwire.runtime.lifeline import Lifeline
from xenwire.runtime.process import ExitStatus, end, spawn
from xenwire.runtime.rotation import BoundedLog

__all__ = ["MONITOR_ID", "Qemu", "monitor_arguments"]

MONITOR_ID: Final = "xenwire-monitor"
"""The id of the private monitor's character device."""

_EXIT_GRACE: Final = 1.0  # seconds between the end of the monitor and that of the process


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
        self,
        process: asyncio.subprocess.Process,
        qmp: QmpClient,
        log: BoundedLog,
        words: _Words,
        resources: AsyncExitStack,
    ) -> None:
        self._process = process
        self._log = log
        self._words = words
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

        What it prints is appended to `log` (see `BoundedLog`). `pass_fds` keep their numbers. `user`: `name`
        or `uid:gid`, its user from the first instruction on.

        Raises XenwireError if it ends first, and TimedOut if its monitor is not ready after `timeout`
        seconds, both with its last words; Unreachable if it leaves its monitor or speaks no QMP, NotFound if
        there is no such user. No process is left then.
        """
        async with AsyncExitStack() as resources:
            output = resources.enter_context(_open(log))
            reading, writing = os.pipe()
            with ExitStack() as given_away:
                heard = resources.enter_context(os.fdopen(reading, "rb", 0))
                pipe = given_away.enter_context(os.fdopen(writing, "wb", 0))
                ours, theirs = map(resources.enter_context, socket.socketpair())
                given_away.callback(theirs.close)
                lifeline = resources.enter_context(Lifeline())
                transport, words = await asyncio.get_running_loop().connect_read_pipe(
                    lambda: _Words(output), heard
                )
                resources.callback(transport.close)
                process = await spawn(
                    [program, *monitor_arguments(theirs.fileno()), "-S", *arguments],
                    stdout=pipe,
                    stderr=pipe,
                    pass_fds=[theirs.fileno(), lifeline.fd, *pass_fds],
                    user=user,
                    die_with_parent=True,
                )
            resources.push_async_callback(words.all)
            resources.push_async_callback(end, process, 0)
            lifeline.hold(process.pid)  # it may be told to change its user
            monitor = QmpClient.connect(SocketTransport(ours), peer=str(program), timeout=timeout)
            try:
                qmp = await resources.enter_async_context(monitor)
            except (Unreachable, TimedOut) as error:
                error.hint = f"see its log: {log}"
                if isinstance(error, TimedOut):
                    error.reason = "\n".join([error.reason or "", *output.tail(10)])
                    raise
                status = await _ended(process)
                if status is None:
                    raise
                await words.all()
                last = "\n".join(output.tail(10)) or "it said nothing"
                raise XenwireError(
                    "QEMU did not start",
                    reason=f"{program} {status}: {last}",
                    hint=error.hint,
                    status=status,
                ) from error
            return cls(process, qmp, output, words, resources.pop_all())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def wait(self) -> ExitStatus:
        """Wait for its end, and for its last words."""
        status = await self._process.wait()
        await self._words.all()
        return ExitStatus(status)

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


def _open(path: Path) -> BoundedLog:
    try:
        return BoundedLog(path)
    except OSError as error:
        kind = Denied if isinstance(error, PermissionError) else XenwireError
        raise kind(
            "cannot start QEMU", reason=f"its log {path} cannot be written: {error.strerror}"
        ) from error


class _Words(asyncio.Protocol):
    """Takes what QEMU prints to its log, until it and whom it has started are gone."""

    def __init__(self, log: BoundedLog) -> None:
        self._log = log
        self._over = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._log.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._over.set()

    async def all(self) -> None:
        """Wait until QEMU has said all, which may be after its end; not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_GRACE):
                await self._over.wait()


async def _ended(process: asyncio.subprocess.Process) -> ExitStatus | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_EXIT_GRACE):
            return ExitStatus(await process.wait())
    return None
