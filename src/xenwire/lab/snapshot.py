"""Booted labs, kept: QEMU's state and the disk that belongs to it, in `$XDG_CACHE_HOME/xenwire/labs/KEY`.

KEY is a hash of all that must be the same when a machine is restored: image, QEMU and its arguments. What
nobody has used for a week is removed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from xenwire.lab.machine import root_disk
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import cache_dir

__all__ = ["Snapshot"]

_LOCK_TIMEOUT: Final = 600.0  # seconds; another boots it
_UNUSED: Final = 7 * 24 * 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A booted lab. `state` is what QEMU wrote of it, `disk` the overlay that was its disk by then."""

    folder: Path

    @classmethod
    def of(cls, *parts: object) -> Self:
        """Give the place of the snapshot of a machine that `parts` tell from others."""
        return cls(_folder() / hashlib.sha256(repr(parts).encode()).hexdigest()[:16])

    @property
    def exists(self) -> bool:
        """Whether it has been made."""
        return self.state.is_file() and self.disk.is_file()

    @property
    def state(self) -> Path:
        """QEMU's state."""
        return self.folder / "state"

    @property
    def disk(self) -> Path:
        """The disk: a qcow2 file over the image's."""
        return self.folder / "disk.qcow2"

    def restoring(self) -> tuple[str, list[str]]:
        """Give the drive's option, and the arguments that have QEMU restore it."""
        with suppress(OSError):  # a cache that may only be read serves as well
            os.utime(self.folder)
        return root_disk(self.disk, "qcow2"), ["-incoming", f"exec:cat {shlex.quote(str(self.state))}"]

    def locked(self) -> AbstractAsyncContextManager[None]:
        """Hold its lock: who makes it, or decides that it has to be made anew, does so alone."""
        return FileLock(self.folder.with_suffix(".lock")).held(_LOCK_TIMEOUT)

    @asynccontextmanager
    async def making(self) -> AsyncIterator[Self]:
        """Give a place to make it in; it is there once the block has ended well."""
        with tempfile.TemporaryDirectory(dir=_folder(), prefix=".work-") as work:
            made = type(self)(Path(work) / "made")
            made.folder.mkdir()
            yield made
            self.remove()
            made.folder.rename(self.folder)
        for other in _folder().iterdir():
            if other != self.folder and other.stat().st_mtime < time.time() - _UNUSED:
                shutil.rmtree(other, ignore_errors=True)  # locks, which are files, stay

    def remove(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _folder() -> Path:
    folder = cache_dir() / "labs"
    folder.mkdir(exist_ok=True)
    return folder
