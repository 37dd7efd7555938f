"""The device model's end of the protocol: a process that owns one domain's QEMU.

It starts QEMU, says in the store which backends that supports (seed 000) and that it runs, offers its
monitor, and carries out the commands that the toolstack leaves there (seed 001).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from xenwire.devicemodel.actions import Actions
from xenwire.devicemodel.control import Command
from xenwire.devicemodel.nodes import (
    RUNNING,
    DeviceModelNodes,
    RunState,
    monitor_sockets,
    pid_path,
)
from xenwire.errors import Conflict, Denied, NotFound, TimedOut, Unreachable, XenwireError
from xenwire.qemu.chardev import parse_filename
from xenwire.qemu.launch import Launch
from xenwire.qemu.process import Qemu
from xenwire.qemu.qmp.broker.access import Access
from xenwire.qemu.qmp.broker.broker import Broker
from xenwire.qemu.qmp.client import EventStream, QmpClient, QmpError
from xenwire.qemu.qmp.session import Event
from xenwire.runtime.places import run_dir
from xenwire.runtime.process import ExitStatus, ProcessRef
from xenwire.types import DomId, StorePath
from xenwire.xenstore.node import Node
from xenwire.xenstore.perms import Permissions

if TYPE_CHECKING:
    from xenwire.devicemodel.setup import Setup
    from xenwire.xenstore import Store, Transaction

__all__ = ["POWERED_OFF", "Agent", "Backend"]

POWERED_OFF: Final = "guest-shutdown"
"""`Agent.last_reason` of a guest that has powered off."""

_log = logging.getLogger(__name__)

_RUNSTATE_EVENTS: Final = frozenset({"STOP", "RESUME", "SUSPEND", "WAKEUP", "GUEST_PANICKED"})
_OWN_ENDS: Final = (POWERED_OFF, "guest-reset")
"""How a guest ends itself; with the second where it may not reboot."""
_LAST_EVENTS: Final = 1.0  # seconds that QEMU's last events have to arrive after its end
_SERIAL: Final = re.compile(r"serial(\d{1,2})")


class Backend(Protocol):
    """Something that QEMU serves to the guest besides what the toolstack's arguments name."""

    async def open(self, launch: Launch) -> None:
        """Open the host ends and add what QEMU needs for them."""

    async def publish(self, qmp: QmpClient) -> None:
        """Tell in the store what is open, once QEMU answers."""

    async def event(self, event: Event) -> None:
        """Take note of what QEMU tells."""

    async def follow(self, qmp: QmpClient) -> None:
        """Follow the store until cancelled, if there is anything to follow."""

    async def close(self) -> None:
        """Release everything; called on every path, also after a failed `open`."""


class Agent:
    """The device model of one domain.

    `prepare`: tells what QEMU to start; another device model may still have the domain then. `log`: where
    QEMU's own words go. `user`: who it runs as, from its first instruction on. `timeout`: seconds that QEMU
    has to answer.
    """

    def __init__(
        self,
        store: Store,
        domid: DomId,
        prepare: Callable[[], Awaitable[Setup]],
        *,
        log: Path,
        backends: Sequence[Backend] = (),
        user: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._store = store
        self._domid = domid
        self._prepare = prepare
        self._log = log
        self._backends = backends
        self._user = user
        self._timeout = timeout
        self._nodes = DeviceModelNodes(domid)
        self._me = str(ProcessRef.of(os.getpid()))
        self.last_reason: str | None = None
        """Why QEMU has ended, by its own word (qemu: qapi/run-state.json, ShutdownCause)."""
        self._served = False
        self.lost = False
        """Whether QEMU has gone from under a guest whose toolstack still counts on it."""

    async def run(self) -> None:
        """Serve until QEMU ends or until cancelled, which ends QEMU.

        Raises NotFound if there is no such domain, Conflict if it has a device model already, and
        XenwireError, which the toolstack finds in the store as well: QEMU could not be started, or ended
        though the guest did not end itself; its context has the `phase`.
        """
        preparing = asyncio.ensure_future(self._prepare())
        try:
            await self._announce()
        except BaseException:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)
            raise
        phase = "preparing"
        try:
            setup = await preparing
            await self._advertise(setup.advertised)
            phase = "opening the host ends of its channels"
            async with self._opened() as launch:
                launch.fds += setup.fds
                phase = "starting QEMU"
                qemu = await Qemu.start(
                    setup.program,
                    [*setup.arguments, *launch.arguments],
                    pass_fds=launch.fds,
                    user=self._user,
                    log=self._log,
                    timeout=self._timeout,
                )
                phase = "serving"
                async with qemu:
                    launch.close()
                    status = await self._serve(qemu, setup)
            if self.last_reason not in _OWN_ENDS:
                raise self._crash("\n".join([f"QEMU {status}", *qemu.last_words(3)]))
        except BaseException as error:
            told = error if isinstance(error, XenwireError) else self._crash(_reason(error))
            told.context.setdefault("phase", phase)
            self.lost = await self._tell_end(RunState.CRASHED, told) and self._served
            raise
        await self._tell_end(RunState.SHUTDOWN)

    async def _announce(self) -> None:
        """Say who we are, in place of what an earlier device model left, a stale `running` above all."""

        async def announce(t: Transaction) -> None:
            vm, earlier = await t.get_all([f"/local/domain/{self._domid}/vm", self._nodes.agent])
            if vm is None:
                raise NotFound(f"there is no domain {self._domid}", hint="see: xenwire list")
            if earlier and (process := ProcessRef.parse(earlier.decode(errors="replace"))).alive:
                raise Conflict(
                    f"domain {self._domid} has a device model already",
                    reason=f"process {process.pid} says so",
                    hint=f"see: xenwire dm status {self._domid}",
                )
            us = [Node(self._nodes.agent, self._me), Node(pid_path(self._domid), str(os.getpid()))]
            await asyncio.gather(t.discard(*self._nodes.told), t.write_all(us))

        await self._store.transact(announce)

    async def _advertise(self, types: Sequence[str] | None) -> None:
        """Tell which backends QEMU supports (seed 000)."""
        if types is None:
            return
        paths = [self._nodes.backends, *(self._nodes.backends / type_ for type_ in types)]
        perms = Permissions.parse("n0", f"n{self._domid}")
        try:
            await self._store.write_all(Node(path, "", perms) for path in paths)
        except Denied as error:
            # Only domain 0 gives nodes to others. That these are there is what counts.
            _log.warning("%s", error)
            await self._store.write_all(Node(path) for path in paths)

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

    async def _serve(self, qemu: Qemu, setup: Setup) -> ExitStatus:
        """Tell that QEMU runs, then follow it and the toolstack until it ends."""
        try:
            with qemu.qmp.events() as events:
                process = ProcessRef.of(qemu.pid)
                full, read_only = monitor_sockets(run_dir(), self._domid)
                sockets = {full: Access.FULL, read_only: Access.MONITOR, **setup.monitors}
                async with Broker.serve(qemu.qmp, sockets, setup.listening) as broker:
                    offered = [
                        Node(self._nodes.qmp, str(full)),
                        Node(self._nodes.qmp_read_only, str(read_only)),
                        *([Node(self._nodes.qemu, str(process))] if process else []),
                    ]
                    await self._publish(qemu.qmp, setup, offered)
                    self._served = True
                    return await self._follow_all(qemu, events, setup, broker)
        except XenwireError as error:
            failed = error
        # Where QEMU ends, whatever is being asked of it fails, and that is not the reason.
        ended = await qemu.ended()
        if ended is None:
            raise failed
        return ended

    async def _follow_all(self, qemu: Qemu, events: EventStream, setup: Setup, broker: Broker) -> ExitStatus:
        """Follow QEMU and the toolstack until QEMU ends."""
        actions = Actions(qemu.qmp, setup.saved, setup.passthrough)
        try:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self._follow(qemu.qmp, events))
                obeying = [
                    tasks.create_task(self._obey(actions, qemu.qmp)),
                    tasks.create_task(self._log_dirty(actions)),
                    *([tasks.create_task(self._tell_libxl(broker))] if setup.listening else []),
                    *(tasks.create_task(backend.follow(qemu.qmp)) for backend in self._backends),
                ]
                status = await qemu.wait()
                for task in obeying:
                    task.cancel()
                # The reason of its end may be among what it said last.
                await asyncio.wait([following], timeout=_LAST_EVENTS)
                following.cancel()
            return status
        except* XenwireError as group:
            failed = group.exceptions[0]
        raise failed

    async def _publish(self, qmp: QmpClient, setup: Setup, offered: Sequence[Node]) -> None:
        """Tell what is open, and that it runs; set the processors going if that is our part."""
        for backend in self._backends:
            await backend.publish(qmp)
        if setup.start:
            await qmp.execute("cont")
        ports, runstate = await asyncio.gather(
            self._serial_ports(qmp, console=not setup.under_xen), self._runstate(qmp)
        )
        later = setup.tells_running or setup.listening
        running = [] if later else [Node(self._nodes.state, RUNNING)]
        await self._store.write_all([*offered, *ports, *runstate, *running])

    async def _tell_libxl(self, broker: Broker) -> None:
        """Say that it runs to a libxl that asks the monitor, too, once that has had its answer.

        It ends by an assertion if it hears of both at once (xen: tools/libs/light/libxl_dm.c,
        device_model_spawn_outcome).
        """
        await broker.given_was_used.wait()
        await self._store.write(self._nodes.state, RUNNING)

    async def _follow(self, qmp: QmpClient, events: EventStream) -> None:
        try:
            async for event in events:
                _log.debug("event %s %s", event.name, event.data)
                for backend in self._backends:
                    await backend.event(event)
                if event.name in _RUNSTATE_EVENTS:
                    await self._tell_runstate(qmp)
                if event.name == "SHUTDOWN":
                    self.last_reason = event.data.get("reason")
        except Unreachable:
            _log.info("QEMU has closed its monitor")

    async def _obey(self, actions: Actions, qmp: QmpClient) -> None:
        """Carry out the toolstack's commands, one after the other (seed 001)."""
        async with self._store.watch(self._nodes.command) as changes:
            async for _ in changes:
                word, parameter = await self._store.transact(self._take_command)
                if word is not None:
                    await self._carry_out(word, parameter or b"", actions, qmp)

    async def _take_command(self, t: Transaction) -> tuple[bytes | None, bytes | None]:
        """Read a command and remove it: one that was taken back meanwhile is not carried out."""
        word, parameter = await t.get_all([self._nodes.command, self._nodes.parameter])
        if word is not None:
            await t.rm(self._nodes.command)
        return word, parameter

    async def _carry_out(self, word: bytes, parameter: bytes, actions: Actions, qmp: QmpClient) -> None:
        """Do what a command says. Only whole words count: qemu-xen-traditional took a prefix for `save`."""
        about = parameter.decode(errors="replace")
        try:
            command = Command(word.decode("ascii", errors="replace"))
        except ValueError:
            _log.warning("unknown command %.40r", word)
            await self._store.write(self._nodes.last_command, f"unknown: {word[:40]!r}")
            return
        try:
            answer = await actions.carry_out(command, about)
            await self._tell_runstate(qmp)
        except Unreachable as error:
            _log.error("command %s failed: %s", command, error)
            return
        _log.info("command %s %.80s: %s %s", command, about, answer.state, answer.parameter or "")

        async def tell(t: Transaction) -> None:
            if answer.parameter is not None:
                await t.write(self._nodes.parameter, answer.parameter)
            await t.write(self._nodes.state, answer.state)
            await t.write(self._nodes.last_command, f"{command} {about[:80]}: {answer.state}")

        await self._store.transact(tell)

    async def _log_dirty(self, actions: Actions) -> None:
        """Switch the dirty log, and say so by the same word. Nonsense gets no answer."""
        async with self._store.watch(self._nodes.log_dirty / "cmd") as changes:
            async for _ in changes:
                word = await self._store.get(self._nodes.log_dirty / "cmd")
                if word not in (b"enable", b"disable"):
                    if word is not None:
                        _log.warning("unknown log-dirty command %.40r", word)
                    continue
                try:
                    await actions.log_dirty(word == b"enable")
                except (QmpError, TimedOut, Unreachable) as error:
                    _log.error("log-dirty %s failed: %s", word.decode(), error)
                else:
                    await self._store.write(self._nodes.log_dirty / "ret", word.decode())

    async def _tell_runstate(self, qmp: QmpClient) -> None:
        await self._store.write_all(await self._runstate(qmp))

    async def _runstate(self, qmp: QmpClient) -> list[Node]:
        """Give what tells whether the guest runs."""
        try:
            status = await qmp.execute("query-status")
        except TimedOut as error:  # it is busy with somebody's command; its next event asks again
            _log.warning("cannot tell whether the guest runs: %s", error)
            return []
        return [Node(self._nodes.runstate, str(status["status"]))]

    async def _serial_ports(self, qmp: QmpClient, *, console: bool) -> list[Node]:
        """Give the ptys of serial ports where libxl has them; with `console` the first is that, too."""
        home = StorePath(f"/local/domain/{self._domid}")
        nodes: list[Node] = []
        for chardev in await qmp.execute("query-chardev"):
            port = _SERIAL.fullmatch(chardev["label"])
            tty = parse_filename(chardev["filename"]).pty
            if port and tty:
                nodes.append(Node(home / "serial" / port[1] / "tty", tty))
                if console and port[1] == "0":
                    nodes.append(Node(home / "console" / "tty", tty))
        return nodes

    def _crash(self, reason: str) -> XenwireError:
        """Give the error that tells of an end that the guest did not ask for."""
        return XenwireError(
            f"the device model of domain {self._domid} ended",
            reason=reason,
            hint=f"see its log: {self._log}",
        )

    async def _tell_end(self, state: RunState, error: XenwireError | None = None) -> bool:
        """Leave the last words, unless the toolstack has removed our nodes: then it counts on us no more.

        Tells whether it does, as far as the store can be asked.
        """
        ours = False

        async def tell(t: Transaction) -> None:
            nonlocal ours
            ours = await t.get_text(self._nodes.agent) == self._me
            if not ours:
                return
            await t.write(self._nodes.runstate, state)
            await t.discard(self._nodes.state, self._nodes.qmp, self._nodes.qmp_read_only)
            if error is not None:
                await t.write(self._nodes.failure, error.as_json())

        try:
            await self._store.transact(tell)
        except XenwireError as failed:
            _log.error("cannot tell the toolstack: %s", failed)
        return ours


def _reason(error: BaseException) -> str:
    return "it was told to end" if isinstance(error, asyncio.CancelledError) else f"it failed: {error!r}"
