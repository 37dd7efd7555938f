"""Writing cpio archives in the newc format, as the kernel reads its initial ramdisk.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["Entry", "archive"]

_MAGIC: Final = "070701"
_TRAILER: Final = "TRAILER!!!"
_MAX_SIZE: Final = 0xFFFF_FFFF  # each field is 8 hexadecimal digits


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of an archive, owned by root. `path` is relative to the archive's root, such as `bin/sh`."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device node."""

    @classmethod
    def folder(cls, path: str, permissions: int = 0o755) -> Self:
        """Give a folder. It must come before what is in it."""
        return cls(path, stat.S_IFDIR | permissions)

    @classmethod
    def file(cls, path: str, data: bytes, *, executable: bool = False) -> Self:
        """Give a regular file, mode 0755 or 0644."""
        return cls(path, stat.S_IFREG | (0o755 if executable else 0o644), data)

    @classmethod
    def link(cls, path: str, target: str) -> Self:
        """Give a symbolic link."""
        return cls(path, stat.S_IFLNK | 0o777, target.encode())

    @classmethod
    def char_device(cls, path: str, major: int, minor: int, permissions: int = 0o600) -> Self:
        """Give a character device node; nobody has to be root to write one into an archive."""
        return cls(path, stat.S_IFCHR | permissions, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """Give the archive of `entries`, in their order. The same entries always give the same bytes.

    Raises ValueError for a member of 4 GiB or more.
    """
    members = [_member(number, entry) for number, entry in enumerate(entries, 1)]
    return b"".join((*members, _member(0, Entry(_TRAILER, 0))))


def _member(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    if len(entry.data) > _MAX_SIZE:
        raise ValueError(f"{entry.path} is too large for a newc archive: {len(entry.data)} bytes")
    uid = gid = mtime = checksum = 0
    links = 1
    home = (0, 0)  # the device that holds the file
    fields = (
        number,
        entry.mode,
        uid,
        gid,
        links,
        mtime,
        len(entry.data),
        *home,
        *entry.device,
        len(name),
        checksum,
    )
    header = (_MAGIC + "".join(f"{field:08X}" for field in fields)).encode()
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
