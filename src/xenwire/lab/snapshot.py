"""Booted labs, kept in `$XDG_CACHE_HOME/xenwire/labs`:

    KEY/state         what QEMU wrote of the machine
    KEY/disk.qcow2    the overlay that was its disk by then
    KEY/sizes         of both: what a crash of this host has cut short is not taken
    KEY.lock          held while one is restored, made or removed
    .work-KEY         one being made, or left by a maker that was killed

KEY is a hash of all that must be the same when a machine is restored. What nobody has used for a week is
removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from xenwire.errors import TimedOut, XenwireError
from xenwire.lab.machine import root_disk
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import cache_dir

__all__ = ["Snapshot"]

_LOCK_TIMEOUT: Final = 600.0  # seconds; another boots it
_ROOM: Final = 1 << 30  # bytes; 180 MB are usual, and a dom0 of 1500 MiB may have touched more
_UNUSED: Final = 7 * 24 * 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A booted lab."""

    folder: Path

    @classmethod
    def of(cls, *parts: object) -> Self:
        """Give the place of the snapshot of a machine that `parts` tell from others."""
        return cls(_root() / hashlib.sha256(repr(parts).encode()).hexdigest()[:16])

    @property
    def state(self) -> Path:
        """QEMU's state."""
        return self.folder / "state"

    @property
    def disk(self) -> Path:
        """The disk: a qcow2 file over the image's."""
        return self.folder / "disk.qcow2"

    @property
    def exists(self) -> bool:
        """Whether it has been made, and is whole."""
        try:
            return bool(self._sizes() == json.loads((self.folder / "sizes").read_bytes()))
        except (OSError, ValueError):
            return False

    def _sizes(self) -> list[int]:
        return [self.state.stat().st_size, self.disk.stat().st_size]

    def restoring(self) -> tuple[str, list[str]]:
        """Give the drive's option, and the arguments that have QEMU restore it."""
        with suppress(OSError):  # a cache that may only be read serves as well
            os.utime(self.folder)
        return root_disk(self.disk, "qcow2"), ["-incoming", f"exec:cat {shlex.quote(str(self.state))}"]

    def locked(self, waiting: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Hold its lock, for at least as long as QEMU reads it. Raises TimedOut, OSError."""
        return FileLock(_lock(self.folder)).held(_LOCK_TIMEOUT, waiting=waiting)

    @staticmethod
    def check_room() -> None:
        """Raise XenwireError if there is no room for another."""
        root = _root()
        free = shutil.disk_usage(root).free
        if free < _ROOM:
            raise XenwireError(
                "the lab cannot be kept",
                reason=f"{root} has {free >> 20} MiB free, and a booted lab may need {_ROOM >> 20}",
                hint="make room, or set XDG_CACHE_HOME to a folder with more",
            )

    @asynccontextmanager
    async def making(self) -> AsyncIterator[Self]:
        """Give a place to make it in; it is there once the block has ended well. Its lock is held."""
        made = type(self)(_root() / f".work-{self.folder.name}")
        made.remove()
        made.folder.mkdir()
        try:
            yield made
            for path in (made.state, made.disk):
                _sync(path)
            (made.folder / "sizes").write_text(json.dumps(made._sizes()))
            self.remove()
            made.folder.rename(self.folder)
        finally:
            made.remove()
        await self._forget_unused()

    def remove(self) -> None:
        """Remove it. A QEMU that uses it has its files open, and goes on."""
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _forget_unused(self) -> None:
        for other in _root().iterdir():
            key = other.name.removeprefix(".work-")
            if other.suffix == ".lock" or key == self.folder.name:
                continue
            with suppress(TimedOut, FileNotFoundError):
                async with FileLock(_lock(other.with_name(key))).held(0):
                    if other.stat().st_mtime < time.time() - _UNUSED:
                        shutil.rmtree(other)


def _lock(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _root() -> Path:
    root = cache_dir() / "labs"
    root.mkdir(exist_ok=True)
    return root
