"""The addresses of sockets. Pure.

Facts: qemu: qapi/sockets.json, util/qemu-sockets.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from xenwire.errors import UsageError
from xenwire.qemu.chardev.forms import BOOL, FD, HOST, PORT, SOCKET_PATH, number
from xenwire.qemu.chardev.record import (
    Record,
    Version,
    members_of,
    read_members,
    read_options,
    refuse_rest,
    said,
)

__all__ = [
    "Address",
    "FdAddress",
    "InetAddress",
    "UnixAddress",
    "VsockAddress",
    "address_from_members",
    "address_from_options",
    "address_members",
]

_U32: Final = number(0, 2**32 - 1, json=str)


@dataclass(frozen=True, slots=True)
class UnixAddress(Record):
    """A Unix socket by its path: 1 to 107 bytes.

    `abstract`: the path is a name in Linux' abstract namespace, and no file; it is padded to 107 bytes unless
    `tight`. Raises UsageError for a bad path, and without `tight` if it is not abstract.
    """

    kind: ClassVar[str] = "unix"
    noun: ClassVar[str] = "address"

    path: str = field(metadata=said(SOCKET_PATH, "path", "path"))
    abstract: bool = field(default=False, metadata=said(BOOL, "abstract", "abstract"))
    tight: bool = field(default=True, metadata=said(BOOL, "tight", "tight"))

    def _check(self) -> None:
        if not self.tight and not self.abstract:
            raise UsageError(
                f"tight=off for {self.path}",
                reason="only abstract names are padded",
                hint="leave it out, or say abstract=on",
            )


@dataclass(frozen=True, slots=True)
class InetAddress(Record):
    """A TCP or UDP address.

    `port` is a number or the name of a service; a listener takes any free one for 0, and the first free one
    up to `to`. An empty `host` is for listeners: all of the machine's addresses. `ipv4` and `ipv6` say what
    may be used, by default both. `numeric` (nothing is looked up), `keep_alive` and `mptcp` can be said in
    QMP only. Raises UsageError if neither protocol may be used, and if `to` is less than `port`.
    """

    kind: ClassVar[str] = "inet"
    noun: ClassVar[str] = "address"

    host: str = field(metadata=said(HOST, "host", "host"))
    port: int | str = field(metadata=said(PORT, "port", "port"))
    to: int | None = field(default=None, metadata=said(number(0, 65535), "to", "to"))
    ipv4: bool | None = field(default=None, metadata=said(BOOL, "ipv4", "ipv4"))
    ipv6: bool | None = field(default=None, metadata=said(BOOL, "ipv6", "ipv6"))
    numeric: bool = field(default=False, metadata=said(BOOL, None, "numeric"))
    keep_alive: bool = field(default=False, metadata=said(BOOL, None, "keep-alive"))
    mptcp: bool = field(default=False, metadata=said(BOOL, None, "mptcp"))

    def _check(self) -> None:
        if self.ipv4 is False and self.ipv6 is False:
            raise UsageError(
                "neither IPv4 nor IPv6 may be used", reason="one has to be", hint="leave one of the two out"
            )
        if self.to is not None and isinstance(self.port, int) and self.to < self.port:
            raise UsageError(
                f"no port is from {self.port} to {self.to}", reason="the last one comes before the first"
            )


@dataclass(frozen=True, slots=True)
class VsockAddress(Record):
    """A socket between a virtual machine and its host, by context id and port. QMP only."""

    kind: ClassVar[str] = "vsock"
    noun: ClassVar[str] = "address"

    cid: int = field(metadata=said(_U32, None, "cid"))
    port: int = field(metadata=said(_U32, None, "port"))


@dataclass(frozen=True, slots=True)
class FdAddress(Record):
    """A socket that QEMU has already: the number of an inherited descriptor, or the name given to `getfd`.

    Raises UsageError for a name that begins with a digit.
    """

    kind: ClassVar[str] = "fd"
    noun: ClassVar[str] = "address"

    name: int | str = field(metadata=said(FD, "fd", "str"))


Address = UnixAddress | InetAddress | VsockAddress | FdAddress

_BY_OPTION: Final[Mapping[str, type[Address]]] = {"path": UnixAddress, "host": InetAddress, "fd": FdAddress}
_BY_TYPE: Final[Mapping[str, type[Address]]] = {
    address.kind: address for address in (UnixAddress, InetAddress, VsockAddress, FdAddress)
}


def address_members(address: Address, version: Version) -> dict[str, Any]:
    """Give QMP's object for an address (SocketAddressLegacy)."""
    return {"type": address.kind, "data": members_of(address, version)}


def address_from_options(options: dict[str, str]) -> Address:
    """Take an address out of a socket's options. Raises UsageError."""
    given = [option for option in _BY_OPTION if option in options]
    if len(given) != 1:
        raise UsageError(
            f"a socket with {' and '.join(given) if given else 'no address'}",
            reason="exactly one of path, host and fd says what it is",
            hint="an empty host= listens on all of the machine's addresses",
        )
    kind = _BY_OPTION[given[0]]
    return kind(**read_options(kind, options))


def address_from_members(address: Any) -> Address:
    """Read QMP's object for an address. Raises UsageError."""
    match address:
        case {"type": str(kind), "data": dict(data), **rest} if kind in _BY_TYPE:
            members = dict(data)
            found = _BY_TYPE[kind](**read_members(_BY_TYPE[kind], members))
            refuse_rest(f"{kind} address", members | rest)
            return found
    raise UsageError(
        "not an address of a socket",
        reason=f"expected an object with type, one of {', '.join(_BY_TYPE)}, and data",
    )
