"""The toolstack's end of the protocol: waiting for a device model, asking what it supports, commanding it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.devicemodel.backends import Backends, read_backends
from xenwire.devicemodel.control import ANSWERS, Command, state_before
from xenwire.devicemodel.controller import Controller
from xenwire.devicemodel.libxls_own import find_process, monitor_path, takes_commands
from xenwire.devicemodel.nodes import (
    RUNNING,
    DeviceModelNodes,
    RunState,
    monitor_sockets,
    saved_state,
)
from xenwire.devicemodel.status import Status, monitor_clients
from xenwire.errors import Conflict, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.qemu.qmp.connect import connect_unix
from xenwire.runtime.daemon import Daemon
from xenwire.runtime.files import tail
from xenwire.runtime.lock import FileLock
from xenwire.runtime.process import ProcessRef
from xenwire.runtime.race import before
from xenwire.types import DomId, StorePath

if TYPE_CHECKING:
    from xenwire.xenstore import Store

__all__ = ["DeviceModel"]

_COMMAND_TIMEOUT: Final = 10.0  # seconds
_MONITOR_TIMEOUT: Final = 5.0  # seconds that its monitor has to answer to whoever asks how it is
_LAST_LINES: Final = 3  # of its log, where it does not start
_LOCK_TIMEOUT: Final = 60.0  # seconds: as long as another's command may take


class DeviceModel:
    """A domain's device model, as the toolstack sees it.

    `locks`: a folder for the lock that keeps two toolstacks from commanding at once, since `$QEMU/command`
    holds one command. `libxls`: where libxl has the monitors of its own QEMUs, on a Xen host.
    """

    def __init__(self, store: Store, domid: DomId, locks: Path, *, libxls: Path | None = None) -> None:
        self._store = store
        self._libxls = libxls
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
        return Controller(self._store, self._nodes, self._lock, self._obedient)

    async def wait_running(self, agent: Daemon, timeout: float) -> None:
        """Wait until it says `running`.

        Raises the error that it left in the store, XenwireError with its last words if it just ended, or
        TimedOut with them after `timeout` seconds.
        """
        running = self._store.wait_for(self._nodes.state, lambda value: value == RUNNING.encode(), timeout)
        message = f"the device model of domain {self._domid} did not start"
        try:
            ready = await before(running, agent.wait())
        except TimedOut as error:
            reason = f"{self._nodes.state} was not 'running' after {timeout:g} s"
            raise TimedOut(
                message,
                reason="\n".join([reason, *tail(agent.log, _LAST_LINES)]),
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
        return await read_backends(self._store, self._nodes, under_xen=self._libxls is not None)

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
        """Give the socket where it offers QEMU's monitor, or where libxl has that of a QEMU of its own.

        Raises Unreachable if there is none.
        """
        path = await self._store.get_text(self._nodes.qmp)
        if path is None and self._libxls is not None:
            own = monitor_path(self._libxls, self._domid)
            path = str(own) if own.is_socket() else None
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

    async def status(self) -> Status:
        """Tell how it is, ours or libxl's own."""
        agent, told, backends, failure = await asyncio.gather(
            self.process(), self.runstate(), self.backends(), self.failure()
        )
        state, last_command = [
            text if text is None else text.decode(errors="replace")
            for text in await self._store.get_all([self._nodes.state, self._nodes.last_command])
        ]
        qemu = await (self._process(self._nodes.qemu) if agent else find_process(self._store, self._domid))
        running = qemu if qemu is not None and qemu.alive else None
        clients = None
        if running:
            # Where it does not answer, or ends just now, what the store has is all that there is.
            with suppress(XenwireError, TimeoutError):
                async with asyncio.timeout(_MONITOR_TIMEOUT), connect_unix(await self.monitor()) as monitor:
                    clients = await monitor_clients(monitor)
                    told = told or str((await monitor.execute("query-status"))["status"])
        model = agent if agent is not None and agent.alive else running
        return Status(
            pid=model.pid if model else None,
            qemu=running.pid if running else None,
            state=state,
            runstate=told,
            backends=backends,
            memory=running.memory if running else None,
            uptime=running.uptime if running else None,
            clients=clients,
            last_command=last_command,
            failure=failure,
        )

    async def _obedient(self) -> ProcessRef | None:
        """Give the process of the device model, ours or another that takes commands through the store.

        Raises Conflict if it takes none.
        """
        process = await self.process()
        if process is not None:
            return process
        process = await find_process(self._store, self._domid)
        if process is not None and not await takes_commands(self._store, self._domid):
            raise Conflict(
                f"the device model of domain {self._domid} takes no commands through the store",
                reason="it is a QEMU that libxl has started",
                hint="use xl, or xenwire dm qmp; or have libxl start xenwire-dm (docs/devicemodel.md)",
            )
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
