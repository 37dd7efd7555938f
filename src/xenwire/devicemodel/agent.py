"""The device model's end of the protocol: a process that owns one domain's QEMU.

It takes QEMU's arguments from the store, says there which backends QEMU supports (seed 000) and that it
runs, and carries out the commands that the toolstack leaves there (seed 001).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from xenwire.devicemodel.arguments import read_arguments
from xenwire.devicemodel.backends import served_types
from xenwire.devicemodel.nodes import PAUSED, RUNNING, Command, DeviceModelNodes, RunState, pid_path
from xenwire.errors import NotFound, Unreachable, XenwireError
from xenwire.qemu.chardev import parse_filename
from xenwire.qemu.launch import Launch
from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu, probe
from xenwire.qemu.qmp.client import EventStream, QmpClient, QmpError
from xenwire.qemu.qmp.session import Event
from xenwire.runtime.process import ExitStatus, ProcessRef
from xenwire.types import DomId, StorePath
from xenwire.xenstore.perms import Permissions

if TYPE_CHECKING:
    from xenwire.xenstore import Store

__all__ = ["Agent", "Backend"]

_log = logging.getLogger(__name__)

_RUNSTATE_EVENTS: Final = frozenset({"STOP", "RESUME", "SUSPEND", "WAKEUP", "GUEST_PANICKED"})
_SERIAL: Final = re.compile(r"serial(\d{1,2})")


class Backend(Protocol):
    """Something that QEMU serves to the guest besides what the toolstack's arguments name."""

    async def open(self, launch: Launch) -> None:
        """Open the host ends and add what QEMU needs for them."""

    async def publish(self, qmp: QmpClient) -> None:
        """Tell in the store what is open, once QEMU answers."""

    async def event(self, event: Event) -> None:
        """Take note of what QEMU tells."""

    async def close(self) -> None:
        """Release everything; called on every path, also after a failed `open`."""


class Agent:
    """The device model of one domain.

    `log`: where QEMU's own words go. `program`: the QEMU to start (default: see `find_qemu`). `user`: who it
    runs as, from its first instruction on. `timeout`: seconds that QEMU has to answer.
    """

    def __init__(
        self,
        store: Store,
        domid: DomId,
        *,
        log: Path,
        backends: Sequence[Backend] = (),
        program: str | None = None,
        user: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._store = store
        self._domid = domid
        self._log = log
        self._backends = backends
        self._program = program
        self._user = user
        self._timeout = timeout
        self._nodes = DeviceModelNodes(domid)

    async def run(self) -> None:
        """Serve until QEMU ends or until cancelled, which ends QEMU and removes `$QEMU`.

        Raises XenwireError, which the toolstack finds in the store as well: QEMU could not be started, or
        did not end by itself.
        """
        arguments = await read_arguments(self._store, self._domid)
        await self._announce()
        try:
            program = find_qemu(self._program)
            # QEMU may run as another user from its first instruction on, so what it supports is asked of
            # another run, and written before this one's privileges are dropped (seed 000).
            capabilities = await probe(program, user=self._user, timeout=self._timeout)
            await self._advertise(served_types(capabilities.devices))
            async with self._opened() as launch:
                qemu = await Qemu.start(
                    program,
                    [*arguments, *launch.arguments],
                    pass_fds=launch.fds,
                    user=self._user,
                    log=self._log,
                    timeout=self._timeout,
                )
                async with qemu:
                    await self._store.write(self._nodes.qemu, str(ProcessRef.of(qemu.pid)))
                    launch.close()
                    status = await self._serve(qemu)
            await self._ended(status, qemu)
        except XenwireError as error:
            await self._give_up(error)
            raise
        except asyncio.CancelledError:
            await self._leave()
            raise

    async def _announce(self) -> None:
        """Remove what an earlier device model left, a stale `running` above all, and say who we are."""
        me = ProcessRef.of(os.getpid())
        async with self._store.transaction() as t:
            if await t.exists(self._nodes.root):
                await t.rm(self._nodes.root)
            await t.write(self._nodes.agent, str(me))
            await t.write(pid_path(self._domid), str(os.getpid()))

    async def _advertise(self, types: Sequence[str]) -> None:
        owned = Permissions.parse("n0", f"n{self._domid}")
        for path in (self._nodes.backends, *(self._nodes.backends / type_ for type_ in types)):
            await self._store.mkdir(path)
            await self._store.set_perms(path, owned)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Launch]:
        launch = Launch()
        try:
            for backend in self._backends:
                await backend.open(launch)
            yield launch
        finally:
            launch.close()
            for backend in self._backends:
                await backend.close()

    async def _serve(self, qemu: Qemu) -> ExitStatus:
        """Tell that QEMU runs, then follow it and the toolstack until it ends."""
        with qemu.qmp.events() as events:
            for backend in self._backends:
                await backend.publish(qemu.qmp)
            await self._publish_serial_ports(qemu.qmp)
            await self._tell_runstate(qemu.qmp)
            await self._store.write(self._nodes.state, RUNNING)
            try:
                async with asyncio.TaskGroup() as tasks:
                    following = [
                        tasks.create_task(self._follow(qemu.qmp, events)),
                        tasks.create_task(self._obey(qemu.qmp)),
                    ]
                    status = await qemu.wait()
                    for task in following:
                        task.cancel()
            except* XenwireError as group:
                raise group.exceptions[0] from None
        return status

    async def _follow(self, qmp: QmpClient, events: EventStream) -> None:
        try:
            async for event in events:
                _log.debug("event %s %s", event.name, event.data)
                for backend in self._backends:
                    await backend.event(event)
                if event.name in _RUNSTATE_EVENTS:
                    await self._tell_runstate(qmp)
        except Unreachable:
            _log.info("QEMU has closed its monitor")

    async def _obey(self, qmp: QmpClient) -> None:
        async with self._store.watch(self._nodes.command) as changes:
            async for _ in changes:
                word = await self._store.get(self._nodes.command)
                if word is not None:
                    await self._store.rm(self._nodes.command)
                    await self._carry_out(word, qmp)

    async def _carry_out(self, word: bytes, qmp: QmpClient) -> None:
        """Do what a command says. Only whole words count: qemu-xen-traditional took a prefix for `save`."""
        try:
            match word.decode("ascii", errors="replace"):
                case Command.CONTINUE:
                    await qmp.execute("cont")
                    result = RUNNING
                case Command.PAUSE:
                    await qmp.execute("stop")
                    result = PAUSED
                case unknown:
                    _log.warning("unknown command %.40r", unknown)
                    return
        except (QmpError, Unreachable) as error:
            _log.error("command %r failed: %s", word, error)
            return
        await self._tell_runstate(qmp)
        await self._store.write(self._nodes.state, result)

    async def _tell_runstate(self, qmp: QmpClient) -> None:
        status = await qmp.execute("query-status")
        await self._store.write(self._nodes.runstate, str(status["status"]))

    async def _publish_serial_ports(self, qmp: QmpClient) -> None:
        """Write the ptys of serial ports where libxl has them; the first is the primary console."""
        home = StorePath(f"/local/domain/{self._domid}")
        for chardev in await qmp.execute("query-chardev"):
            port = _SERIAL.fullmatch(chardev["label"])
            tty = parse_filename(chardev["filename"]).pty
            if port and tty:
                await self._store.write(home / "serial" / port[1] / "tty", tty)
                if port[1] == "0":
                    await self._store.write(home / "console" / "tty", tty)

    async def _ended(self, status: ExitStatus, qemu: Qemu) -> None:
        """Tell how QEMU ended. A guest that powers off ends it with status 0."""
        if status == 0:
            await self._store.write(self._nodes.runstate, RunState.SHUTDOWN)
            await self._store.rm(self._nodes.state)
            return
        await self._store.write(self._nodes.runstate, RunState.CRASHED)
        words = "\n".join(qemu.last_words(3))
        raise XenwireError(
            f"the device model of domain {self._domid} crashed",
            reason=f"QEMU {status}" + (f": {words}" if words else ""),
            hint=f"see its log: {self._log}",
        )

    async def _give_up(self, error: XenwireError) -> None:
        """Leave the error to the toolstack, unless it is the store that has failed."""
        try:
            await self._store.rm(self._nodes.state)
            await self._store.write(self._nodes.failure, json.dumps(error.as_dict(), default=str))
        except (Unreachable, NotFound) as failed:
            _log.error("cannot tell the toolstack: %s", failed)

    async def _leave(self) -> None:
        """Take our nodes away; the toolstack may have removed them already."""
        for path in (self._nodes.root, pid_path(self._domid)):
            with suppress(NotFound):
                await self._store.rm(path)
