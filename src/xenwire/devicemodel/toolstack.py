"""The toolstack's end of the protocol: waiting for a device model, asking what it supports, commanding it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.devicemodel.backends import Backends, read_backends
from xenwire.devicemodel.control import ANSWERS, Command, state_before
from xenwire.devicemodel.controller import Controller
from xenwire.devicemodel.nodes import (
    RUNNING,
    DeviceModelNodes,
    RunState,
    monitor_sockets,
    pid_path,
    saved_state,
)
from xenwire.errors import TimedOut, Unreachable, UsageError, XenwireError
from xenwire.runtime.daemon import Daemon
from xenwire.runtime.lock import FileLock
from xenwire.runtime.process import ProcessRef
from xenwire.runtime.race import before
from xenwire.types import DomId, StorePath

if TYPE_CHECKING:
    from xenwire.xenstore import Store

__all__ = ["DeviceModel"]

_COMMAND_TIMEOUT: Final = 10.0  # seconds
_LOCK_TIMEOUT: Final = 60.0  # seconds: as long as another's command may take


class DeviceModel:
    """A domain's device model, as the toolstack sees it.

    `locks`: a folder for the lock that keeps two toolstacks from commanding at once, since `$QEMU/command`
    holds one command.
    """

    def __init__(self, store: Store, domid: DomId, locks: Path) -> None:
        self._store = store
        self._domid = domid
        self._nodes = DeviceModelNodes(domid)
        self._folder = locks
        self._lock = FileLock(locks / f"dm-{domid}.lock")

    @property
    def nodes(self) -> DeviceModelNodes:
        """Where it stands in the store."""
        return self._nodes

    @property
    def control(self) -> Controller:
        """Its commands, by the control protocol (seed 001)."""
        return Controller(self._store, self._nodes, self._lock, self._any_process)

    async def wait_running(self, agent: Daemon, timeout: float) -> None:
        """Wait until it says `running`.

        Raises the error that it left in the store, XenwireError with its last words if it just ended, or
        TimedOut after `timeout` seconds.
        """

        running = self._store.wait_for(self._nodes.state, lambda value: value == RUNNING.encode(), timeout)
        message = f"the device model of domain {self._domid} did not start"
        try:
            ready = await before(running, agent.wait())
        except TimedOut as error:
            raise TimedOut(
                message,
                reason=f"{self._nodes.state} was not 'running' after {timeout:g} s",
                hint=f"see its log: {agent.log}",
            ) from error
        if not ready:
            raise await self.failure() or agent.failure(message, await agent.wait())

    async def failure(self) -> XenwireError | None:
        """Give the error with which it gave up, if it did."""
        text = await self._store.get(self._nodes.failure)
        return XenwireError.from_dict(json.loads(text)) if text else None

    async def backends(self) -> Backends:
        """Give the backends that it supports (seed 000)."""
        return await read_backends(self._store, self._nodes)

    async def runstate(self) -> str | None:
        """Give what it says of the guest (see `RunState`), `crashed` if it died without a word, None if
        it has not said anything yet.
        """
        told = await self._store.get_text(self._nodes.runstate)
        process = await self.process()
        if process is not None and not process.alive and told != RunState.SHUTDOWN:
            return RunState.CRASHED
        return told

    async def monitor(self) -> Path:
        """Give the socket where it offers QEMU's monitor. Raises Unreachable if it offers none."""
        path = await self._store.get_text(self._nodes.qmp)
        if path is None:
            raise Unreachable(
                f"domain {self._domid} has no monitor",
                reason=f"its device model has written no {self._nodes.qmp}",
                hint=f"see: xenwire dm status {self._domid}",
            )
        return Path(path)

    async def process(self) -> ProcessRef | None:
        """Give the agent's process, as it announced itself."""
        return await self._process(self._nodes.agent)

    async def _any_process(self) -> ProcessRef | None:
        """Give the process of the device model, ours or that of another toolstack's."""
        process = await self.process()
        pid = await self._store.get_text(pid_path(self._domid))
        if process is None and pid is not None and pid.isdecimal():
            process = ProcessRef.of(int(pid))
        return process

    async def end(self) -> None:
        """End it, if it runs. An agent that was killed has its QEMU killed, which may take a moment."""
        qemu = await self._process(self._nodes.qemu)
        for process in (await self.process(), qemu):
            if process is not None:
                await process.end()
        for left in (*monitor_sockets(self._folder, self._domid), saved_state(self._folder, self._domid)):
            left.unlink(missing_ok=True)

    async def _process(self, path: StorePath) -> ProcessRef | None:
        """Read a process; nonsense is none."""
        text = await self._store.get(path)
        try:
            return ProcessRef.parse(text.decode("ascii", errors="replace")) if text else None
        except UsageError:
            return None

    async def unpause(self) -> None:
        """Let the guest's processors run. Raises as `command`."""
        await self.command(Command.CONTINUE, lambda state: state == RunState.RUNNING)

    async def pause(self) -> None:
        """Stop the guest's processors. Raises as `command`."""
        await self.command(Command.PAUSE, lambda state: state != RunState.RUNNING)

    async def command(
        self, command: Command, done: Callable[[str], bool], timeout: float = _COMMAND_TIMEOUT
    ) -> None:
        """Leave a command and wait until `$QEMU/runstate` shows that it is done.

        Raises Unreachable at once if the device model is gone or dies meanwhile, TimedOut after `timeout`
        seconds.
        """
        async with self._lock.held(timeout + _LOCK_TIMEOUT):
            process = await self.process()
            if process is None or not process.alive:
                raise self._gone(command)
            await self._store.write(self._nodes.command, command)
            if not await before(self._carried_out(command, done, timeout), process.wait()):
                raise self._gone(command)

    async def _carried_out(self, command: Command, done: Callable[[str], bool], timeout: float) -> None:
        failed = ANSWERS[command].failed
        try:
            async with asyncio.timeout(timeout), self._store.watch(self._nodes.root) as changes:
                async for _ in changes:
                    if await self._store.exists(self._nodes.command):
                        continue
                    if await self._store.get_text(self._nodes.state) == failed:
                        raise await self._refused(command)
                    told = await self._store.get_text(self._nodes.runstate)
                    if told is not None and done(told):
                        return
        except TimeoutError:
            raise TimedOut(
                f"cannot {command} domain {self._domid}",
                reason=f"its device model has not done it within {timeout:g} s",
                hint=f"see: xenwire dm status {self._domid}",
            ) from None

    async def _refused(self, command: Command) -> XenwireError:
        """Give the device model's reason, and put back the state from before."""
        reason = await self._store.get_text(self._nodes.parameter)
        await self._store.write(self._nodes.state, state_before(command))
        return XenwireError(f"cannot {command} domain {self._domid}", reason=reason)

    def _gone(self, command: Command) -> Unreachable:
        return Unreachable(
            f"cannot {command} domain {self._domid}",
            reason="its device model is not running",
            hint=f"destroy it: xenwire destroy {self._domid}",
        )
