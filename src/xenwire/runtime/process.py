"""Starting and ending other programs."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from xenwire.errors import Denied, NotFound, UsageError, XenwireError

__all__ = ["ExitStatus", "ProcessRef", "end", "finish", "processes_with", "resolve_user", "run", "spawn"]

_KILL_GRACE: Final = 5.0  # seconds
_NO_ID: Final = 2**32 - 1  # to the kernel it means: leave it as it is


class ExitStatus(int):
    """How a process ended: its status, or minus the signal that killed it, as asyncio tells it."""

    __slots__ = ()

    def __str__(self) -> str:
        if self >= 0:
            return f"exited with status {int(self)}"
        try:
            return f"killed by {signal.Signals(-self).name}"
        except ValueError:
            return f"killed by signal {-int(self)}"


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A process that is not our child, told from a later one with the same pid by its start time.

    Its text form is `pid:start`, start in clock ticks since boot (proc(5), /proc/PID/stat field 22).
    """

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Give the process that has this pid now, if there is one that has not ended."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The program's name, in parentheses, may hold anything; what follows it are plain fields.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `pid:start`. Raises UsageError."""
        pid, _, start = text.partition(":")
        if not (pid.isascii() and pid.isdigit() and start.isascii() and start.isdigit()):
            raise UsageError(f"not a process: {text!r}", reason="expected pid:start")
        return cls(int(pid), int(start))

    def __str__(self) -> str:
        return f"{self.pid}:{self.start}"

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return type(self).of(self.pid) == self

    @property
    def memory(self) -> int | None:
        """Bytes of its memory that are in RAM, with what it shares (proc(5), statm); None if it has ended."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except OSError:
            return None
        return pages * os.sysconf("SC_PAGESIZE") if self.alive else None

    @property
    def uptime(self) -> float:
        """Seconds since its start."""
        now = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, now - self.start / os.sysconf("SC_CLK_TCK"))

    async def wait(self) -> None:
        """Wait until it has ended. Cancel to stop waiting."""
        fd = self._open()
        if fd is None:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(fd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    async def end(self, grace: float = _KILL_GRACE) -> None:
        """Send SIGTERM, after `grace` seconds SIGKILL, and wait for its end; as `end` does for a child."""
        self._send(signal.SIGTERM)
        ending = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait([ending], timeout=grace)
        finally:
            if not ending.done():
                self._send(signal.SIGKILL)
            await asyncio.wait([ending])

    def _send(self, number: signal.Signals) -> None:
        fd = self._open()
        if fd is not None:
            try:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, number)
            finally:
                os.close(fd)

    def _open(self) -> int | None:
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive:
            return fd
        os.close(fd)
        return None


def processes_with(name: str, value: str) -> list[ProcessRef]:
    """Find the other processes, of those that we may look at, that were started with a variable set so."""
    mark = os.fsencode(f"{name}={value}")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environ = (entry / "environ").read_bytes().split(b"\0")
            except OSError:  # it has ended, or is not ours to look at
                continue
            if mark in environ and (process := ProcessRef.of(int(entry.name))):
                found.append(process)
    return found


def resolve_user(user: str) -> tuple[int, int, list[int]]:
    """Give uid, gid and groups of `name` or `uid:gid` (which has no other groups).

    Raises NotFound for a name that does not exist.
    """
    if numbers := re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", user):
        uid, gid = int(numbers[1]), int(numbers[2])
        if max(uid, gid) >= _NO_ID:
            raise UsageError(f"not a user: {user}", reason=f"ids are below {_NO_ID}")
        return uid, gid, []
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise NotFound(f"there is no user {user!r}", hint="name a user of this host, or UID:GID") from None
    return entry.pw_uid, entry.pw_gid, os.getgrouplist(user, entry.pw_gid)


async def spawn(
    argv: Sequence[str | Path],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    user: str | None = None,
    die_with_parent: bool = False,
) -> asyncio.subprocess.Process:
    """Start a program: without shell, input from /dev/null unless given, no descriptor but `pass_fds`.

    `user`: its user from the first instruction on (see `resolve_user`). `die_with_parent`: the kernel kills
    it when this process goes. A program that is to outlive this process is a daemon: see `runtime.daemon`.
    Raises NotFound or Denied if the program cannot be started.
    """
    command = [str(word) for word in argv]
    if die_with_parent:
        if shutil.which(command[0]) is None:  # setpriv could only tell by its exit status
            missing = not Path(command[0]).exists()
            raise _cannot_start(command[0], FileNotFoundError() if missing else PermissionError())
        # setpriv, of util-linux, does between fork and exec what Python cannot do there safely.
        command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
    uid, gid, groups = resolve_user(user) if user else (None, None, None)
    if (uid, gid) == (os.geteuid(), os.getegid()):
        uid = gid = groups = None  # only root may set groups, even to what they are
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd=cwd,
            pass_fds=pass_fds,
            user=uid,
            group=gid,
            extra_groups=groups,
        )
    except OSError as error:
        raise _cannot_start(argv[0], error, user) from error


async def run(argv: Sequence[str | Path], *, failure: str) -> bytes:
    """Run a program to its end and give its output.

    Raises NotFound or Denied if it cannot be started, XenwireError with `failure` and its words if it fails.
    """
    process = await spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, die_with_parent=True)
    try:
        output, words = await process.communicate()
    finally:
        await finish(process)
    if process.returncode:
        text = words.decode(errors="replace").strip() or ExitStatus(process.returncode)
        raise XenwireError(failure, reason=f"{argv[0]}: {text}")
    return output


async def finish(process: asyncio.subprocess.Process, grace: float = _KILL_GRACE) -> None:
    """End a program with pipes, unless it has ended, as `end` does; and close the pipes."""
    if process.returncode is None:
        await end(process, grace)
        await process.communicate()  # what it still had to say, else they stay open


def _cannot_start(program: str | Path, error: OSError, user: str | None = None) -> XenwireError:
    message = f"cannot start {program}" + (f" as user {user}" if user else "")
    match error:
        case FileNotFoundError():
            return NotFound(message, reason="there is no such program")
        case PermissionError():
            changes_user = user is not None and os.geteuid() != 0
            hint = "only root may change the user" if changes_user else "check its mode and owner"
            return Denied(message, reason=error.strerror or "it may not be run", hint=hint)
    return XenwireError(message, reason=error.strerror)


async def end(process: asyncio.subprocess.Process, grace: float = _KILL_GRACE) -> ExitStatus:
    """Send SIGTERM, after `grace` seconds SIGKILL, and give how it ended.

    When cancelled it sends SIGKILL at once, and still waits for the end.
    """
    with suppress(ProcessLookupError):
        process.terminate()
    # Not asyncio.timeout: before Python 3.11.3 it raises no TimeoutError in a task that is being cancelled.
    ending = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait([ending], timeout=grace)
    finally:
        if not ending.done():
            with suppress(ProcessLookupError):
                process.kill()
        await asyncio.wait([ending])
    return ExitStatus(ending.result())
