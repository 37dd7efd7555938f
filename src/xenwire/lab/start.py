"""Starting a lab's machine: booted the first time, restored from then on."""

from __future__ import annotations

import asyncio
import logging
import shlex
import shutil
import socket
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from xenwire.errors import TimedOut, XenwireError
from xenwire.images import Dom0Image, Progress, build_dom0
from xenwire.images.cpio import Entry, archive
from xenwire.lab.machine import machine_arguments, monitor_socket, port_socket, root_disk
from xenwire.lab.profile import Profile
from xenwire.lab.session import LabSession
from xenwire.lab.snapshot import Snapshot
from xenwire.qemu.capabilities import capabilities
from xenwire.qemu.program import accelerator, find_qemu
from xenwire.qemu.qmp.client import QmpClient
from xenwire.qemu.qmp.transports import SocketTransport
from xenwire.runtime.daemon import Daemon
from xenwire.runtime.files import tail
from xenwire.runtime.process import ProcessRef, run
from xenwire.runtime.race import before

__all__ = ["start_machine"]

_log = logging.getLogger(__name__)

_BOOT_TIMEOUT: Final = 300.0  # seconds; 15 are usual, a busy machine takes its time
_RESTORE_TIMEOUT: Final = 60.0
_SAVE_TIMEOUT: Final = 120.0
_POLL: Final = 0.02  # seconds
_UNLIMITED: Final[dict[str, Any]] = {"max-bandwidth": 1 << 40}  # bytes a second; 128 MiB if nothing is said

_INJECTED: Final = ("dom0-init.sh", "dom0_agent.py", "frames.py")
"""Files that dom0 runs; they come with its ramdisk, so that changing them takes no new image."""


async def start_machine(profile: Profile, folder: Path, progress: Progress) -> ProcessRef:
    """Start a lab's QEMU, which outlives this process, and wait until dom0 takes commands.

    `folder`: where its sockets and logs are to be; what is there is removed. Raises NotFound where a tool is
    missing, TimedOut or XenwireError if it does not come up; then nothing of it is left.
    """
    qemu = find_qemu()
    image = await build_dom0(profile.release, progress)
    machine = _Machine(profile, folder, qemu, accelerator(), image)
    if not profile.restorable:
        progress("booting Xen")
        return await machine.boot(root_disk(image.root, "raw"))
    version = (await capabilities(qemu)).version
    root = image.root.stat()  # an image that is built again lays its disk out otherwise
    disk = (root.st_dev, root.st_ino, root.st_size, root.st_mtime_ns)
    snapshot = Snapshot.of(disk, _injected(), version, *machine.arguments(Path(), ""))
    async with snapshot.locked():
        if snapshot.exists:
            try:
                return await machine.restore(snapshot)
            except (XenwireError, OSError) as error:
                _log.info("cannot restore %s: %s", snapshot.folder, error)
                progress("the kept lab cannot be restored; booting anew")
        await machine.make(snapshot, progress)
        return await machine.restore(snapshot)


@dataclass(frozen=True, slots=True)
class _Machine:
    profile: Profile
    folder: Path
    qemu: Path
    accelerator: str
    image: Dom0Image

    def arguments(self, folder: Path, drive: str) -> list[str]:
        """Give QEMU's arguments."""
        return machine_arguments(self.profile, self.image, _initrd(folder), drive, folder, self.accelerator)

    async def make(self, snapshot: Snapshot, progress: Progress) -> None:
        """Boot, and keep what has booted."""
        async with snapshot.making() as made:
            await run(
                ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.image.root, made.disk],
                failure="cannot make the lab's disk",
            )
            progress("booting Xen, this once: it is kept, and restored from now on")
            process = await self.boot(root_disk(made.disk, "qcow2", keep=True))
            try:
                async with LabSession.open(port_socket(self.folder, 0), timeout=_RESTORE_TIMEOUT) as session:
                    await session.run(["sh", "-c", "sync; echo 3 >/proc/sys/vm/drop_caches"])
                progress("keeping it")
                await self._save(made.state)
            finally:
                await process.end()

    async def boot(self, drive: str) -> ProcessRef:
        """Start it and wait until dom0 takes commands."""
        return await self._start(drive, [], _BOOT_TIMEOUT)

    async def restore(self, snapshot: Snapshot) -> ProcessRef:
        """Start it where it was when it was kept."""
        drive, arguments = snapshot.restoring()
        return await self._start(drive, arguments, _RESTORE_TIMEOUT)

    async def _start(self, drive: str, more: list[str], timeout: float) -> ProcessRef:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(0o700)
        initrd = _initrd(self.folder)
        initrd.write_bytes(self.image.initrd.read_bytes() + _injected())
        argv = [str(self.qemu), *self.arguments(self.folder, drive), *more]
        lab = Daemon.start("the lab", argv, self.folder / "qemu.log")
        try:
            async with asyncio.timeout(timeout):
                if not await before(self._ready(timeout), lab.wait()):
                    raise lab.failure("the lab did not start", await lab.wait())
            initrd.unlink()
            process = ProcessRef.of(lab.pid)
            if process is None:
                raise lab.failure("the lab did not start", await lab.wait())
            return process
        except BaseException as error:
            words = "\n".join(tail(self.folder / "console.log", 3))
            await lab.end()
            shutil.rmtree(self.folder)
            if isinstance(error, TimeoutError):
                raise TimedOut(
                    "the lab did not start",
                    reason=f"dom0 took no command for {timeout:g} s; its console's last words: {words}",
                ) from error
            raise

    async def _ready(self, timeout: float) -> None:
        # The last one that QEMU makes.
        while not monitor_socket(self.folder).is_socket():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(_POLL)
        async with LabSession.open(port_socket(self.folder, 0), timeout=timeout) as session:
            await session.set_clock()

    async def _save(self, state: Path) -> None:
        """Have QEMU write its state to a file, and stop."""
        monitor = socket.socket(socket.AF_UNIX)
        monitor.connect(str(monitor_socket(self.folder)))
        async with (
            asyncio.timeout(_SAVE_TIMEOUT),
            QmpClient.connect(SocketTransport(monitor), peer="the lab's QEMU") as qmp,
        ):
            # Not stopped before: it would be restored as it was saved.
            await qmp.execute("migrate-set-parameters", **_UNLIMITED)
            await qmp.execute("migrate", uri=f"exec:cat >{shlex.quote(str(state))}")
            while (found := await qmp.execute("query-migrate")).get("status") != "completed":
                if found.get("status") == "failed":
                    raise XenwireError("the lab cannot be kept", reason=found.get("error-desc"))
                await asyncio.sleep(_POLL)


def _initrd(folder: Path) -> Path:
    return folder / "initrd"


def _injected() -> bytes:
    """Give what is added to the ramdisk of the image; dom0 finds it in /run/xenwire."""
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
