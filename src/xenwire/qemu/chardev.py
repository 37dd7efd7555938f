"""Character devices: the host ends of a guest's wires, as QEMU is told of them. Pure.

Facts: qemu-system(1), "Character device options"; qemu: qapi/char.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from xenwire.errors import UsageError
from xenwire.qemu.options import check_id, format_option
from xenwire.runtime.sockets import MAX_SOCKET_PATH

__all__ = [
    "Chardev",
    "FdAddress",
    "File",
    "Filename",
    "Null",
    "Pty",
    "Socket",
    "UnixAddress",
    "fdset_path",
    "parse_filename",
]


@dataclass(frozen=True, slots=True)
class Null:
    """Output is thrown away; there never is input, and a guest that reads gets end-of-file."""

    def to_option(self, chardev_id: str) -> str:
        """Give the argument of `-chardev`. Raises UsageError for a bad id."""
        return _option("null", chardev_id, {})

    def to_qmp(self, chardev_id: str) -> dict[str, Any]:
        """Give the arguments of QMP's `chardev-add`. Raises UsageError for a bad id."""
        return _backend("null", chardev_id, {})


@dataclass(frozen=True, slots=True)
class Pty:
    """A new pseudo-terminal, raw; QEMU tells its path (see `parse_filename`)."""

    def to_option(self, chardev_id: str) -> str:
        """Give the argument of `-chardev`. Raises UsageError for a bad id."""
        return _option("pty", chardev_id, {})

    def to_qmp(self, chardev_id: str) -> dict[str, Any]:
        """Give the arguments of QMP's `chardev-add`. Raises UsageError for a bad id."""
        return _backend("pty", chardev_id, {})


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket by its path: 1 to 107 bytes, no NUL. Raises UsageError for any other."""

    path: str

    def __post_init__(self) -> None:
        size = len(_checked(self.path))
        if size > MAX_SOCKET_PATH:
            raise UsageError(
                f"the socket path is too long: {self.path}",
                reason=f"it has {size} bytes, at most {MAX_SOCKET_PATH} are possible",
                hint="use a shorter folder",
                path=self.path,
            )


@dataclass(frozen=True, slots=True)
class FdAddress:
    """A socket that QEMU has already: the number of an inherited descriptor, or the name given to `getfd`."""

    name: int | str


@dataclass(frozen=True, slots=True)
class Socket:
    """A stream socket, listening (`server`) or connecting; one peer at a time.

    With a FdAddress and `server` the descriptor is a listening socket, and QEMU unlinks its path at its
    end; without `server` it is a connected one. `wait`: QEMU starts only once the first peer is there.
    Raises UsageError for `wait` without `server`.
    """

    address: UnixAddress | FdAddress
    server: bool = False
    wait: bool = False

    def __post_init__(self) -> None:
        if self.wait and not self.server:
            raise UsageError("a socket that connects cannot wait for a peer", reason="wait is for server=on")

    def to_option(self, chardev_id: str) -> str:
        """Give the argument of `-chardev`. Raises UsageError for a bad id."""
        address: dict[str, str | int] = (
            {"path": self.address.path}
            if isinstance(self.address, UnixAddress)
            else {"fd": self.address.name}
        )
        return _option("socket", chardev_id, address | self._role())

    def to_qmp(self, chardev_id: str) -> dict[str, Any]:
        """Give the arguments of QMP's `chardev-add`. Raises UsageError for a bad id."""
        address: dict[str, Any] = (
            {"type": "unix", "data": {"path": self.address.path}}
            if isinstance(self.address, UnixAddress)
            else {"type": "fd", "data": {"str": str(self.address.name)}}
        )
        return _backend("socket", chardev_id, {"addr": address, **self._role()})

    def _role(self) -> dict[str, bool]:
        """Both defaults differ between command line and QMP; `wait` is refused without `server`."""
        return {"server": True, "wait": self.wait} if self.server else {"server": False}


@dataclass(frozen=True, slots=True)
class File:
    """Output goes to a file, emptied first unless `append`; there never is input, and guest reads block.

    Raises UsageError for a path that is empty or has a NUL.
    """

    path: str
    append: bool = False

    def __post_init__(self) -> None:
        _checked(self.path)

    def to_option(self, chardev_id: str) -> str:
        """Give the argument of `-chardev`. Raises UsageError for a bad id."""
        return _option("file", chardev_id, {"path": self.path, "append": self.append})

    def to_qmp(self, chardev_id: str) -> dict[str, Any]:
        """Give the arguments of QMP's `chardev-add`. Raises UsageError for a bad id."""
        return _backend("file", chardev_id, {"out": self.path, "append": self.append})


Chardev = Null | Pty | Socket | File


def fdset_path(fdset: int) -> str:
    """Give the path under which QEMU opens a duplicate of a descriptor in an fd set (`-add-fd`, `add-fd`).

    It takes the member whose access mode (read-only, write-only, read-write) equals the wanted one; a File
    wants write-only. One that cannot be truncated, a pipe say, needs `append`.
    """
    return f"/dev/fdset/{fdset}"


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


def _option(kind: str, chardev_id: str, values: Mapping[str, str | int | bool]) -> str:
    return format_option(kind, {"id": check_id(chardev_id), **values})


def _backend(kind: str, chardev_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": check_id(chardev_id), "backend": {"type": kind, "data": dict(data)}}


def _checked(path: str) -> bytes:
    """Give the bytes of a path that QEMU can be told of on both ways in."""
    try:
        raw = path.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"not a path for QEMU: {path!r}", reason="it is not UTF-8") from error
    if not raw or b"\0" in raw:
        raise UsageError(f"not a path: {path!r}", reason="a path is not empty and has no NUL")
    return raw
