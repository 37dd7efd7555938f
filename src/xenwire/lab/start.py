"""Starting a lab's machine: booted the first time, restored from then on."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from xenwire.errors import NotFound, ProtocolError, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.images import Dom0Image, Progress, build_dom0
from xenwire.images.cpio import Entry, archive
from xenwire.lab.machine import console_socket, machine_arguments, monitor_socket, port_socket, root_disk
from xenwire.lab.profile import Profile
from xenwire.lab.session import LabSession
from xenwire.lab.snapshot import Snapshot
from xenwire.qemu.accelerator import accelerator
from xenwire.qemu.capabilities import capabilities
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.client import QmpClient
from xenwire.qemu.qmp.transports import SocketTransport
from xenwire.runtime.daemon import Daemon
from xenwire.runtime.files import tail
from xenwire.runtime.process import ProcessRef, run
from xenwire.runtime.race import before
from xenwire.runtime.sockets import MAX_SOCKET_PATH
from xenwire.runtime.streams import open_stream

__all__ = ["inside", "start_machine"]

_BOOT_TIMEOUT: Final = 300.0  # seconds; 15 are usual, a busy machine takes its time
_RESTORE_TIMEOUT: Final = 60.0
_SAVE_TIMEOUT: Final = 120.0
_POLL: Final = 0.02  # seconds
_END: Final = 5.0  # seconds that QEMU has to end once it has closed its ports
_CONSOLE: Final = 16384  # bytes of the console that are kept until dom0 is up
_UNLIMITED: Final[dict[str, Any]] = {"max-bandwidth": 1 << 40}  # bytes a second; 128 MiB if nothing is said

_INJECTED: Final = ("dom0-init.sh", "dom0_agent.py", "frames.py")
"""Files that dom0 runs; they come with its ramdisk, so that changing them takes no new image."""

Record = Callable[[ProcessRef], None]
"""Notes down a QEMU that has been started, so that it is found whatever happens to the one who starts it."""


class _Ended(XenwireError):
    """QEMU has ended while it was to start."""


async def start_machine(profile: Profile, folder: Path, progress: Progress, record: Record) -> ProcessRef:
    """Start a lab's QEMU, which outlives this process, and wait until dom0 takes commands.

    `folder`: where its sockets are to be; what is there is removed. Raises UsageError (an impossible folder),
    NotFound (a tool is missing), TimedOut or XenwireError if it does not come up; then only logs are left.
    """
    _check(folder)
    qemu = find_qemu()
    able = await capabilities(qemu)
    able.require_recent(qemu)
    image = await build_dom0(profile.release, progress)
    machine = _Machine(profile, folder, qemu, await accelerator(), image, record)
    try:
        if not profile.restorable:
            progress("booting Xen")
            return _running(await machine.boot(root_disk(image.root, "raw")))
        snapshot = Snapshot.of(able.version, *machine.identity())
        async with snapshot.locked(lambda: progress("waiting for another lab that boots")):
            if snapshot.exists:
                with suppress(_Ended):
                    return _running(await machine.restore(snapshot))
                progress("what was kept cannot be restored: booting anew")
            await machine.make(snapshot, progress)
            return _running(await machine.restore(snapshot))
    except asyncio.CancelledError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except OSError as error:
        raise XenwireError(
            "the lab did not start",
            reason=f"{error.filename or folder}: {error.strerror}",
            hint="have its folder and the cache room, and may you write there?",
        ) from error


@cache
def inside() -> bytes:
    """Give what is added to the ramdisk of the image: the lab's own files. Dom0 finds it in /run/xenwire."""
    files = resources.files("xenwire.lab")
    return archive(
        [
            Entry.folder("xenwire"),
            *(
                Entry.file(f"xenwire/{name}", files.joinpath(name).read_bytes(), executable=True)
                for name in _INJECTED
            ),
        ]
    )


@dataclass(frozen=True, slots=True)
class _Machine:
    profile: Profile
    folder: Path
    qemu: Path
    accelerator: str
    image: Dom0Image
    record: Record

    def identity(self) -> list[object]:
        """Give all that has to be the same for a restore, but QEMU's version."""
        root = self.image.root.stat()  # an image that is built again lays its disk out otherwise
        disk = (root.st_dev, root.st_ino, root.st_size, root.st_mtime_ns)
        return [disk, inside(), _processor(self.accelerator), *self._arguments(Path(), "")]

    async def make(self, snapshot: Snapshot, progress: Progress) -> None:
        """Boot, and keep what has booted."""
        snapshot.check_room()
        async with snapshot.making() as made:
            await run(
                ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.image.root, made.disk],
                failure="cannot make the lab's disk",
            )
            progress("booting Xen, this once: it is kept, and restored from now on")
            lab = await self.boot(root_disk(made.disk, "qcow2", keep=True))
            try:
                async with LabSession.open(port_socket(self.folder, 0), timeout=_RESTORE_TIMEOUT) as session:
                    await session.run(["sh", "-c", "sync; echo 3 >/proc/sys/vm/drop_caches"])
                progress("keeping it")
                await self._save(made.state)
            finally:
                await lab.end()

    async def boot(self, drive: str) -> Daemon:
        """Start it and wait until dom0 takes commands."""
        return await self._start(drive, [], _BOOT_TIMEOUT)

    async def restore(self, snapshot: Snapshot) -> Daemon:
        """Start it where it was when it was kept."""
        drive, arguments = snapshot.restoring()
        return await self._start(drive, arguments, _RESTORE_TIMEOUT)

    async def _start(self, drive: str, more: list[str], timeout: float) -> Daemon:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(0o700)
        # A blank in the paths of these would end them: see `machine`.
        _kernel(self.folder).symlink_to(self.image.kernel)
        _initrd(self.folder).write_bytes(self.image.initrd.read_bytes() + inside())
        argv = [str(self.qemu), *self._arguments(self.folder, drive), *more]
        lab = Daemon.start("QEMU", argv, self.folder / "qemu.log")
        try:
            self.record(_running(lab))
            async with self._console_heard() as heard:
                await self._up(lab, timeout, heard)
            _initrd(self.folder).unlink()
        except BaseException:
            await lab.end()
            self._keep_logs()
            raise
        return lab

    async def _up(self, lab: Daemon, timeout: float, heard: bytearray) -> None:
        """Wait until dom0 takes commands."""
        message = "the lab did not start"
        try:
            async with asyncio.timeout(timeout):
                if await before(self._answers(lab, timeout), lab.wait()):
                    return
        except (TimeoutError, TimedOut) as error:
            reason = f"dom0 took no command for {timeout:g} s; its console's last words: {_words(heard)}"
            raise TimedOut(message, reason=reason, hint=self._hint(heard)) from error
        status = await lab.wait()
        words = "\n".join(tail(lab.log, 3)) or _words(heard) or "it said nothing"
        raise _Ended(message, reason=f"QEMU {status}: {words}", hint=self._hint(heard))

    async def _answers(self, lab: Daemon, timeout: float) -> None:
        # The monitor is the last socket that QEMU makes.
        while not monitor_socket(self.folder).is_socket():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(_POLL)
        try:
            async with LabSession.open(port_socket(self.folder, 0), timeout=timeout) as session:
                await session.set_clock()
        except (Unreachable, ProtocolError):
            # A machine that ends closes its ports first; then its end is the reason.
            if await before(asyncio.sleep(_END), lab.wait()):
                raise

    @asynccontextmanager
    async def _console_heard(self) -> AsyncIterator[bytearray]:
        """Give the last that the console says, while the block lasts."""
        heard = bytearray()

        async def listen() -> None:
            path = console_socket(self.folder)
            while not path.is_socket():  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(_POLL)
            with suppress(OSError, XenwireError):  # QEMU has ended
                async with open_stream(path) as (reader, _):
                    while data := await reader.read(_CONSOLE):
                        heard.extend(data)
                        del heard[:-_CONSOLE]

        listening = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _hint(self, heard: bytearray) -> str:
        with suppress(OSError):
            (self.folder / "console.log").write_bytes(heard)
        return f"see {self.folder}/console.log and qemu.log"

    def _keep_logs(self) -> None:
        for path in self.folder.iterdir():
            if path.suffix != ".log":
                path.unlink()

    def _arguments(self, folder: Path, drive: str) -> list[str]:
        return machine_arguments(
            self.profile,
            self.image.hypervisor,
            _kernel(folder),
            _initrd(folder),
            drive,
            folder,
            self.accelerator,
        )

    async def _save(self, state: Path) -> None:
        """Have QEMU write its state to a file, and stop."""
        monitor = socket.socket(socket.AF_UNIX)
        monitor.connect(str(monitor_socket(self.folder)))
        try:
            async with (
                asyncio.timeout(_SAVE_TIMEOUT),
                QmpClient.connect(SocketTransport(monitor), peer="the lab's QEMU") as qmp,
            ):
                # Not stopped before: it would be restored as it was saved.
                await qmp.execute("migrate-set-parameters", **_UNLIMITED)
                await qmp.execute("migrate", uri=f"exec:cat >{shlex.quote(str(state))}")
                while (found := await qmp.execute("query-migrate")).get("status") != "completed":
                    if found.get("status") == "failed":
                        raise XenwireError(
                            "the lab cannot be kept",
                            reason=str(found.get("error-desc")),
                            hint=f"has {state.parent.parent} room?",
                        )
                    await asyncio.sleep(_POLL)
        except TimeoutError as error:
            raise TimedOut(
                "the lab cannot be kept", reason=f"QEMU did not write its state in {_SAVE_TIMEOUT:g} s"
            ) from error


def _check(folder: Path) -> None:
    """Refuse what would only fail later."""
    message, hint = "cannot start a lab", "set XENWIRE_RUN to another folder"
    if " " in str(folder):
        raise UsageError(message, reason=f"QEMU cannot load Xen's modules from {folder}: a blank", hint=hint)
    longest = len(str(console_socket(folder)).encode())
    if longest > MAX_SOCKET_PATH:
        raise UsageError(
            message,
            reason=f"sockets in {folder} have {longest} bytes in their paths, {MAX_SOCKET_PATH} are possible",
            hint=hint,
        )
    if shutil.which("qemu-img") is None:
        raise NotFound(message, reason="there is no program qemu-img", hint="apt-get install qemu-utils")


def _processor(accelerator: str) -> list[str]:
    """Give what tells this host's processor from others, where guests see it."""
    if accelerator != "kvm":
        return []
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return sorted({line for line in lines if line.startswith(("model name", "flags"))})


def _running(lab: Daemon) -> ProcessRef:
    process = ProcessRef.of(lab.pid)
    if process is None:
        raise _Ended("the lab did not start", reason="QEMU has ended", hint=f"see its log: {lab.log}")
    return process


def _words(heard: bytearray) -> str:
    return "\n".join(heard.decode(errors="replace").splitlines()[-5:])


def _kernel(folder: Path) -> Path:
    return folder / "kernel"


def _initrd(folder: Path) -> Path:
    return folder / "initrd"
