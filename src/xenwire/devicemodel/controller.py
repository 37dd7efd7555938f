"""The toolstack's end of the control protocol (seed 001): one command at a time, and what comes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from xenwire.devicemodel.control import ANSWERS, Command, PciAddress, PciInsertion, state_before
from xenwire.devicemodel.nodes import PAUSED, RUNNING, DeviceModelNodes
from xenwire.errors import Conflict, TimedOut, Unreachable, XenwireError
from xenwire.runtime.lock import FileLock
from xenwire.runtime.process import ProcessRef
from xenwire.runtime.race import before

if TYPE_CHECKING:
    from xenwire.xenstore import Store, Transaction
    from xenwire.xenstore.watch import Watch

__all__ = ["Controller"]

_TIMEOUT: Final = 60.0  # seconds, as libxl gives a device model
_DIRTY_TIMEOUT: Final = 10.0  # seconds, as libxl gives it for this
_ABANDONED: Final = 2.0
"""Seconds after which an answer that nobody takes away was for a toolstack that has gone."""
_LEFT_BEHIND: Final = {word for answer in ANSWERS.values() for word in answer} - {RUNNING, PAUSED}

_DEVFN: Final = re.compile(r"0x([0-9a-fA-F]{1,2})")


class Controller:
    """Commands a domain's device model, ours or another that speaks the protocol.

    Every method waits until the device model is `running`, or until a command of another toolstack's is over,
    and raises Conflict if it is `paused`, Unreachable at once if it is not there or dies meanwhile, TimedOut,
    and XenwireError with the device model's own reason if it refuses.
    """

    def __init__(
        self,
        store: Store,
        nodes: DeviceModelNodes,
        lock: FileLock,
        process: Callable[[], Awaitable[ProcessRef | None]],
    ) -> None:
        """`lock` keeps two toolstacks apart, `process` gives the device model's process."""
        self._store, self._nodes = store, nodes
        self._lock, self._process = lock, process

    async def insert_pci(self, device: PciInsertion, timeout: float = _TIMEOUT) -> int:
        """Give the guest a PCI device of the host; tell its devfn there, slot * 8 + function."""
        answer = await self._command(Command.PCI_INSERT, str(device), timeout)
        found = _DEVFN.fullmatch(answer)
        if found is None:
            raise self._error(Command.PCI_INSERT, f"its answer is no devfn: {answer[:80]!r}")
        return int(found[1], 16)

    async def remove_pci(self, address: PciAddress, timeout: float = _TIMEOUT) -> None:
        """Take a PCI device away; the guest has to give it back."""
        await self._command(Command.PCI_REMOVE, str(address), timeout)

    async def add_usb(self, device: str, timeout: float = _TIMEOUT) -> None:
        """Give the guest a USB device (see `Command.USB_ADD`)."""
        await self._command(Command.USB_ADD, device, timeout)

    async def remove_usb(self, address: str, timeout: float = _TIMEOUT) -> None:
        """Take a USB device away, by `BUS.ADDR`."""
        await self._command(Command.USB_DELETE, address, timeout)

    async def save(self, timeout: float = _TIMEOUT) -> None:
        """Stop the guest, and have the device model's state saved. It stays `paused`, until `resume`.

        So it does where that fails.
        """
        await self._command(Command.SAVE, None, timeout)

    async def resume(self, timeout: float = _TIMEOUT) -> None:
        """Let a guest go on that was saved. One that is not `paused` is left as it is, as libxl does."""
        await self._command(Command.CONTINUE, None, timeout)

    async def log_dirty(self, enable: bool, timeout: float = _DIRTY_TIMEOUT) -> None:
        """Have the device model tell the hypervisor which memory it writes, or not any more."""
        word = "enable" if enable else "disable"
        asked, answer = self._nodes.log_dirty / "cmd", self._nodes.log_dirty / "ret"

        async def ask(t: Transaction) -> None:
            await clear(t)
            await t.write(asked, word)

        async def answered() -> None:
            await self._store.transact(ask)
            try:
                await self._store.wait_for(answer, lambda value: value == word.encode(), timeout)
            finally:
                await self._store.transact(clear)

        async def clear(t: Transaction) -> None:
            """Leave nothing: libxl takes an old word without its echo for a broken device model."""
            await t.discard(asked, answer)

        async with self._lock.held(timeout):
            await self._unless_it_dies(f"switch log-dirty to {word}", answered)

    async def _command(self, command: Command, parameter: str | None, timeout: float) -> str:
        """Give a command, and what the device model leaves in `parameter`."""
        async with self._lock.held(timeout):
            outcome: list[str] = []

            async def ask() -> None:
                outcome.append(await self._ask(command, parameter, timeout))

            await self._unless_it_dies(f"{command} it", ask)
            return outcome[0]

    async def _unless_it_dies(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        process = await self._process()
        dead = asyncio.sleep(0) if process is None else process.wait()
        if not await before(work(), dead):
            raise Unreachable(
                f"cannot {what}: the device model of domain {self._nodes.domid} is gone",
                reason="there is none" if process is None else f"its process {process.pid} has ended",
                hint=None if process is None else f"destroy it: xenwire destroy {self._nodes.domid}",
            )

    async def _ask(self, command: Command, parameter: str | None, timeout: float) -> str:
        asked = False
        try:
            async with asyncio.timeout(timeout), self._store.watch(self._nodes.root) as changes:
                await anext(changes)
                if not await self._until_ready(command, changes):
                    return ""
                try:
                    asked = True
                    await self._store.transact(lambda t: self._write(t, command, parameter))
                    while (answer := await self._answer(command, (parameter or "").encode())) is None:
                        await anext(changes)
                finally:
                    taken = await self._store.transact(lambda t: self._clean_up(t, command))
                return answer
        except TimeoutError:
            if not asked:
                reason = f"it is not ready for it: its state is {await self._state()!r}"
            elif taken:
                reason = f"it took the command, and has not answered within {timeout:g} s"
            else:
                reason = f"it has not taken the command within {timeout:g} s"
            raise TimedOut(
                f"{command} failed for domain {self._nodes.domid}",
                reason=reason,
                hint=f"see its log, and: xenwire dm status {self._nodes.domid}",
            ) from None

    async def _until_ready(self, command: Command, changes: Watch) -> bool:
        """Wait until the device model can take a command; False: there is nothing to do."""
        ready = state_before(command)
        while (state := await self._state()) != ready:
            if command is Command.CONTINUE and state == RUNNING:
                return False
            if state == PAUSED:
                raise Conflict(
                    f"cannot {command}: the guest of domain {self._nodes.domid} is paused",
                    hint=f"let it go on first: xenwire dm command {self._nodes.domid} continue",
                )
            try:
                async with asyncio.timeout(_ABANDONED if state in _LEFT_BEHIND else None):
                    await anext(changes)
            except TimeoutError:
                await self._store.transact(partial(self._put_back, state=state))
        return True

    async def _put_back(self, t: Transaction, *, state: str) -> None:
        """Put `running` back for a toolstack that has not, if nothing has changed meanwhile."""
        if await t.get(self._nodes.state) == state.encode() and not await t.exists(self._nodes.command):
            await t.write(self._nodes.state, RUNNING)

    async def _write(self, t: Transaction, command: Command, parameter: str | None) -> None:
        if parameter is None:
            await t.discard(self._nodes.parameter)
        else:
            await t.write(self._nodes.parameter, parameter)
        await t.write(self._nodes.command, command)

    async def _clean_up(self, t: Transaction, command: Command) -> bool:
        """Take back what was not taken, and an answer, which would be taken for that to the next command.

        A device model that has died leaves no state. Tells whether the command was taken.
        """
        answers = ANSWERS[command]
        state = (await t.get(self._nodes.state) or b"").decode(errors="replace")
        if state in (answers.done, answers.failed) and state != PAUSED:
            await t.write(self._nodes.state, state_before(command) if state == answers.failed else RUNNING)
        if await t.get(self._nodes.command) == command.encode():
            await t.rm(self._nodes.command)  # it must not be carried out later, unasked
            return False
        return True

    async def paused(self) -> bool:
        """Tell whether the device model is `paused`, as after `save`."""
        return await self._state() == PAUSED

    async def _state(self) -> str:
        return (await self._store.get(self._nodes.state) or b"").decode(errors="replace")

    async def _answer(self, command: Command, ours: bytes) -> str | None:
        """Give the answer, None while there is none. Raises XenwireError if the command has failed."""
        state, parameter = await asyncio.gather(self._state(), self._store.get(self._nodes.parameter))
        told = (parameter or b"").decode(errors="replace")
        if state == ANSWERS[command].done and not (command is Command.SAVE and told):
            return told
        if state == ANSWERS[command].failed:
            raise self._error(command, told)
        # qemu-xen-traditional says why it does not insert a device, and leaves the state as it is.
        if command is Command.PCI_INSERT and parameter not in (ours, None) and not _DEVFN.fullmatch(told):
            raise self._error(command, told)
        return None

    def _error(self, command: Command, reason: str) -> XenwireError:
        return XenwireError(
            f"the device model of domain {self._nodes.domid} refused {command}",
            reason=reason[:200] or "it gave no reason",
        )
