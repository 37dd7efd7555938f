"""What QEMU tells of its character devices, and the paths of descriptors that it has. Pure."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Filename", "fdset_path", "parse_filename"]


class Filename(NamedTuple):
    """What `query-chardev` tells of a character device in `filename`."""

    kind: str
    """`pty`, `unix`, `file`, …"""
    target: str
    """What follows the kind: a pty's path; a socket's path with its options. Empty for many kinds."""
    connected: bool
    """False for a socket without a peer."""

    @property
    def pty(self) -> str | None:
        """The path of the pseudo-terminal, if it is one."""
        return self.target if self.kind == "pty" else None


def parse_filename(filename: str) -> Filename:
    """Take apart a `filename` of `query-chardev`: `pty:/dev/pts/3`, `disconnected:unix:/x,server=on`."""
    rest = filename.removeprefix("disconnected:")
    kind, _, target = rest.partition(":")
    return Filename(kind, target, connected=rest == filename)


def fdset_path(fdset: int) -> str:
    """Give the path under which QEMU opens a duplicate of a descriptor in an fd set (`-add-fd`, `add-fd`).

    It takes the member whose access mode (read-only, write-only, read-write) equals the wanted one; a File
    wants write-only. One that cannot be truncated, a pipe say, needs `append`.
    """
    return f"/dev/fdset/{fdset}"
