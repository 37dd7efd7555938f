"""Labs: started, found again, stopped.

A lab is one QEMU in a session of its own. What belongs to it is in `$XENWIRE_RUN/labs/NAME`: its sockets, its
logs, and `lab.json`, which says which process it is. What its disk takes is gone with QEMU.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from xenwire.errors import Conflict, TimedOut, UsageError
from xenwire.images import Progress
from xenwire.lab.machine import PORTS, console_socket, port_socket
from xenwire.lab.profile import Profile
from xenwire.lab.session import LabSession
from xenwire.lab.start import start_machine
from xenwire.runtime.files import write_atomic
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import run_dir
from xenwire.runtime.process import ProcessRef

__all__ = ["Lab"]

_LOCK_TIMEOUT: Final = 900.0  # seconds; another command may have to build the image
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}")


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that runs, or did when it was found."""

    folder: Path
    """Where its sockets and logs are."""
    profile: Profile
    process: ProcessRef
    started: datetime.datetime

    @property
    def name(self) -> str:
        """Its name, by which `find` gives it."""
        return self.folder.name

    @classmethod
    async def start(cls, name: str, profile: Profile | None, progress: Progress) -> Self:
        """Give the lab of this name, started if it does not run. A start that is interrupted leaves nothing.

        `profile`: None takes one that runs as it is. Raises UsageError for an impossible name, Conflict if it
        runs with another profile, NotFound where a tool is missing, TimedOut or XenwireError if it does not
        come up.
        """
        folder = _folder(name)
        async with _locked(folder):
            lab = cls.find(name)
            if lab is not None and lab.process.alive:
                if profile not in (None, lab.profile):
                    raise Conflict(
                        f"lab {name} runs with another profile",
                        reason=f"it has {lab.profile}",
                        hint=f"stop it (xenwire lab stop --name {name}), or choose another name",
                    )
                return lab
            profile = profile or Profile()
            process = await start_machine(profile, folder, progress)
            lab = cls(folder, profile, process, datetime.datetime.now(datetime.UTC).replace(microsecond=0))
            try:
                write_atomic(folder / "lab.json", json.dumps(lab._fields()).encode(), 0o600)
            except OSError:
                await process.end()  # nobody would ever find it
                raise
            return lab

    @classmethod
    def find(cls, name: str) -> Self | None:
        """Give the lab of this name, if it has been started and not been stopped. It may have died since."""
        try:
            return cls._read(_folder(name))
        except FileNotFoundError:
            return None

    @classmethod
    def _read(cls, folder: Path) -> Self:
        fields = json.loads((folder / "lab.json").read_bytes())
        return cls(
            folder,
            Profile.parse(fields["profile"]),
            ProcessRef.parse(fields["process"]),
            datetime.datetime.fromisoformat(fields["started"]),
        )

    @classmethod
    def all(cls) -> list[Self]:
        """Give all labs of this run folder, by name."""
        names = sorted(entry.parent.name for entry in _root().glob("*/lab.json"))
        return [lab for name in names if (lab := cls.find(name))]

    @property
    def console(self) -> Path:
        """The socket of the serial console of Xen and dom0."""
        return console_socket(self.folder)

    @asynccontextmanager
    async def session(self, timeout: float = 30.0) -> AsyncIterator[LabSession]:
        """Give a session in its dom0, for one command at a time.

        Raises Conflict if all of its ports are in use, and what `LabSession.open` raises.
        """
        async with AsyncExitStack() as stack:
            port = await self._free_port(stack)
            yield await stack.enter_async_context(LabSession.open(port, timeout=timeout))

    async def _free_port(self, stack: AsyncExitStack) -> Path:
        for number in range(PORTS):
            with suppress(TimedOut):
                await stack.enter_async_context(FileLock(self.folder / f"port{number}.lock").held(0))
                return port_socket(self.folder, number)
        raise Conflict(f"lab {self.name} is busy", reason=f"{PORTS} commands run in it", hint="wait for one")

    async def stop(self) -> None:
        """End it at once, and remove what it left in its folder."""
        async with _locked(self.folder):
            await self.process.end()
            with suppress(ChildProcessError):
                os.waitpid(self.process.pid, os.WNOHANG)  # noqa: ASYNC222  reaps it if it is our child
            with suppress(FileNotFoundError):
                if self._read(self.folder) == self:
                    shutil.rmtree(self.folder)

    def _fields(self) -> dict[str, object]:
        return {
            "profile": asdict(self.profile),
            "process": str(self.process),
            "started": self.started.isoformat(),
        }


def _locked(folder: Path) -> AbstractAsyncContextManager[None]:
    return FileLock(folder.with_suffix(".lock")).held(_LOCK_TIMEOUT)


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
