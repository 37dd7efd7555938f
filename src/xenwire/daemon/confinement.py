"""What is left to `xenwire serve` once it has opened what it needs: see docs/security.md."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from xenwire.errors import Denied, XenwireError
from xenwire.runtime.landlock import confine_files
from xenwire.runtime.places import run_dir
from xenwire.runtime.privileges import Capability, become, limit
from xenwire.runtime.process import resolve_user
from xenwire.runtime.seccomp import confine

__all__ = ["Confinement"]

_AS_ROOT: Final = (Capability.CHOWN, Capability.DAC_OVERRIDE, Capability.FOWNER)
"""What host ends need to be at any path, and anyone's."""
_TO_CHANGE_USER: Final = (Capability.SETUID, Capability.SETGID)

_NOT_WRITABLE: Final = frozenset(
    ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys", "usr")
)
"""Folders of the root in which nobody has a log or a socket."""
_READ_DEVICES: Final = (Path("/dev/urandom"), Path("/dev/random"))
_WRITE_DEVICES: Final = (Path("/dev/null"), Path("/dev/ptmx"), Path("/dev/pts"), Path("/dev/xen/xenbus"))


@dataclass(frozen=True, slots=True)
class Confinement:
    """How the process gives up what it does not need, in two steps: threads do not share privileges."""

    user: str | None
    folder: Path
    """The run folder: the user's own, if root serves as another user."""

    @classmethod
    def of(cls, user: str | None) -> Self:
        """Prepare to serve as a user, None for the present one.

        Raises NotFound (no such user), Denied (only root may be another; the folder is not that user's).
        """
        if user is None:
            return cls(None, run_dir())
        uid, gid, _ = resolve_user(user)
        if uid == os.geteuid():
            return cls(None, run_dir())
        if os.geteuid() != 0:
            raise Denied(f"cannot serve as user {user}", reason="only root may change the user")
        return cls(user, _folder_of(user, uid, gid))

    def begin(self) -> None:
        """Give up capabilities, and most files. The devices are open; no thread has been started yet.

        Raises XenwireError if the kernel refuses.
        """
        limit(_TO_CHANGE_USER if self.user else _AS_ROOT)
        confine_files(_readable(), [self.folder, *_writable()])

    def complete(self) -> None:
        """Be the user, and give up most system calls. Store and listening sockets are open.

        Raises XenwireError if the kernel refuses.
        """
        if self.user:
            become(self.user)
            os.environ["XENWIRE_RUN"] = str(self.folder)
        confine()


def _folder_of(user: str, uid: int, gid: int) -> Path:
    """Give the run folder of a user whom root serves as, beside root's, made where it is missing."""
    folder = run_dir().with_name(f"{run_dir().name}-{uid}")
    try:
        folder.mkdir(0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid == 0:
            os.chown(folder, uid, gid, follow_symlinks=False)
        elif found.st_uid != uid:
            raise Denied(f"cannot use the run folder {folder}", reason=f"it is not that of user {user}")
    except OSError as error:
        raise XenwireError(f"cannot make the run folder {folder}", reason=error.strerror) from error
    return folder


def _readable() -> Iterator[Path]:
    """Give all but most devices."""
    yield from _READ_DEVICES
    yield from _folders_but(frozenset(("dev",)))


def _writable() -> Iterator[Path]:
    """Give where logs and sockets may be."""
    yield from _WRITE_DEVICES
    yield from _folders_but(_NOT_WRITABLE)


def _folders_but(names: frozenset[str]) -> Iterator[Path]:
    """Give the root's folders but these. What a link stands for is below one of them anyway."""
    for path in Path("/").iterdir():
        if path.name not in names and not path.is_symlink():
            yield path
