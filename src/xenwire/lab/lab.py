"""Labs: started, found again, stopped.

A lab is one QEMU in a session of its own. What belongs to it is in `$XENWIRE_RUN/labs/NAME`: its sockets, and
`lab.json`, which says which process it is. What its disk takes is gone with QEMU.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from xenwire.errors import Conflict, NotFound, TimedOut, UsageError
from xenwire.images import Progress
from xenwire.lab.machine import PORTS, console_socket, port_socket
from xenwire.lab.profile import Profile
from xenwire.lab.session import LabSession
from xenwire.lab.start import inside, start_machine
from xenwire.runtime.files import write_atomic
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import run_dir
from xenwire.runtime.process import ProcessRef

__all__ = ["Lab", "LabState"]

_LOCK_TIMEOUT: Final = 900.0  # seconds; another command may have to build the image
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}")


class LabState(StrEnum):
    """How a lab is."""

    STARTING = "starting"
    RUNNING = "running"
    DEAD = "dead"
    """Its QEMU has ended, or who started it has before dom0 took commands."""
    FOREIGN = "foreign"
    """It runs, and another version of Xenwire has started it: it can be stopped."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab, as it was when it was found."""

    folder: Path
    """Where its sockets are."""
    process: ProcessRef
    """Its QEMU."""
    starter: ProcessRef
    """The process that started it."""
    profile: Profile | None
    """None if another version of Xenwire has started it."""
    started: datetime.datetime
    ready: bool
    """Whether dom0 has taken commands."""

    @property
    def name(self) -> str:
        """Its name, by which `find` gives it."""
        return self.folder.name

    @property
    def state(self) -> LabState:
        """How it is now."""
        if not self.process.alive or not (self.ready or self.starter.alive):
            return LabState.DEAD
        if not self.ready:
            return LabState.STARTING
        return LabState.FOREIGN if self.profile is None else LabState.RUNNING

    @property
    def console(self) -> Path:
        """The socket of the serial console of Xen and dom0."""
        return console_socket(self.folder)

    @classmethod
    async def start(cls, name: str, profile: Profile | None, progress: Progress) -> Self:
        """Give the lab of this name, started if it does not run.

        A start that is interrupted leaves nothing; if its process is killed, the next start, or `stop`,
        cleans up. `profile`: None takes one that runs as it is. Raises UsageError for an impossible name,
        Conflict if it runs with another profile or was started by another version of Xenwire, NotFound where
        a tool is missing, TimedOut or XenwireError if it does not come up.
        """
        folder = _folder(name)
        async with _locked(folder, lambda: progress("waiting for another command that starts it")):
            lab = cls.find(name)
            if lab is not None and lab.state in (LabState.RUNNING, LabState.FOREIGN):
                lab._check(profile)
                return lab
            if lab is not None:
                await lab.process.end()
            wanted = profile or Profile()
            started = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
            me = ProcessRef.of(os.getpid())
            assert me is not None

            def record(process: ProcessRef) -> None:
                cls(folder, process, me, wanted, started, ready=False)._write()

            process = await start_machine(wanted, folder, progress, record)
            lab = cls(folder, process, me, wanted, started, ready=True)
            try:
                lab._write()
            except OSError:
                await process.end()
                raise
            return lab

    @classmethod
    def find(cls, name: str) -> Self | None:
        """Give the lab of this name, if it has been started and not been stopped. It may have died since."""
        return cls._read(_folder(name))

    @classmethod
    def all(cls) -> list[Self]:
        """Give all labs of this run folder, by name."""
        folders = sorted(entry.parent for entry in _root().glob("*/lab.json"))
        return [lab for folder in folders if (lab := cls._read(folder))]

    @classmethod
    def _read(cls, folder: Path) -> Self | None:
        try:
            fields = json.loads((folder / "lab.json").read_bytes())
            process, starter = ProcessRef.parse(fields["process"]), ProcessRef.parse(fields["starter"])
            started, ready = datetime.datetime.fromisoformat(fields["started"]), bool(fields["ready"])
        except (OSError, ValueError, KeyError, TypeError, UsageError):
            return None
        profile = None
        if fields.get("inside") == _inside():
            with suppress(ValueError, TypeError, UsageError):
                profile = Profile.parse(fields.get("profile"))
        return cls(folder, process, starter, profile, started, ready)

    def _write(self) -> None:
        assert self.profile is not None
        fields = {
            "process": str(self.process),
            "starter": str(self.starter),
            "profile": dataclasses.asdict(self.profile),
            "inside": _inside(),
            "started": self.started.isoformat(),
            "ready": self.ready,
        }
        write_atomic(self.folder / "lab.json", json.dumps(fields).encode(), 0o600)

    def _check(self, wanted: Profile | None) -> None:
        if self.profile is None:
            raise Conflict(
                f"cannot use lab {self.name}",
                reason="another version of Xenwire has started it",
                hint=f"stop it: xenwire lab stop --name {self.name}",
            )
        if wanted not in (None, self.profile):
            assert wanted is not None
            has, wants = dataclasses.asdict(self.profile), dataclasses.asdict(wanted)
            other = [f"its {key} is {has[key]}, not {wants[key]}" for key in has if has[key] != wants[key]]
            raise Conflict(
                f"lab {self.name} runs with another profile",
                reason=", ".join(other),
                hint=f"stop it (xenwire lab stop --name {self.name}), or choose another name",
            )

    @asynccontextmanager
    async def session(self, timeout: float = 30.0) -> AsyncIterator[LabSession]:
        """Give a session in its dom0, for one command at a time.

        Raises Conflict if all of its ports are in use, NotFound if it has been stopped, and what
        `LabSession.open` raises.
        """
        async with AsyncExitStack() as stack:
            for number in range(PORTS):
                if await self._take(stack, number):
                    break
            else:
                raise Conflict(
                    f"lab {self.name} is busy",
                    reason=f"{PORTS} commands run in it",
                    hint="wait for one to end",
                )
            port = port_socket(self.folder, number)
            yield await stack.enter_async_context(LabSession.open(port, timeout=timeout))

    async def idle(self) -> bool:
        """Tell whether nobody has a session in it."""
        async with AsyncExitStack() as stack:
            return all([await self._take(stack, number) for number in range(PORTS)])

    async def _take(self, stack: AsyncExitStack, number: int) -> bool:
        try:
            await stack.enter_async_context(FileLock(self.folder / f"port{number}.lock").held(0))
        except TimedOut:
            return False
        except FileNotFoundError as error:
            raise NotFound(
                f"lab {self.name} is gone", reason="it has been stopped", hint="see: xenwire lab status"
            ) from error
        return True

    async def stop(self) -> None:
        """End it at once, also while it starts, and remove its folder."""
        await self.process.end()
        async with _locked(self.folder):
            with suppress(ChildProcessError):
                os.waitpid(self.process.pid, os.WNOHANG)  # noqa: ASYNC222  reaps it if it is our child
            lab = self._read(self.folder)
            if lab is None or lab.process == self.process:
                shutil.rmtree(self.folder, ignore_errors=True)


def _locked(folder: Path, waiting: Callable[[], None] = lambda: None) -> AbstractAsyncContextManager[None]:
    return FileLock(folder.with_suffix(".lock")).held(_LOCK_TIMEOUT, waiting=waiting)


def _inside() -> str:
    return hashlib.sha256(inside()).hexdigest()


def _folder(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a lab cannot have the name {name!r}",
            reason="a name has 1 to 31 letters, digits, dashes and underscores",
            hint="choose another name",
        )
    return _root() / name


def _root() -> Path:
    root = run_dir() / "labs"
    root.mkdir(mode=0o700, exist_ok=True)
    return root
