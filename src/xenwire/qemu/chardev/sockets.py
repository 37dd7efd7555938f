"""Stream and datagram sockets. Pure.

Facts: qemu: chardev/char-socket.c, chardev/char-udp.c, util/qemu-sockets.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Self

from xenwire.errors import UsageError
from xenwire.qemu.chardev.addresses import (
    Address,
    FdAddress,
    InetAddress,
    UnixAddress,
    address_from_members,
    address_from_options,
    address_members,
)
from xenwire.qemu.chardev.base import Chardev
from xenwire.qemu.chardev.forms import BOOL, ID, number
from xenwire.qemu.chardev.record import (
    Record,
    Version,
    members_of,
    options_of,
    read_members,
    read_options,
    said,
)

__all__ = ["Socket", "Udp"]

_MILLISECONDS: Final[Version] = (9, 2)
"""The first QEMU with `reconnect-ms`; `reconnect`, in seconds, is gone from 10.2 on."""

_INTERVAL: Final = number(0, 2**32 - 1)


@dataclass(frozen=True, slots=True)
class _Seconds(Record):
    """The interval of a socket in older QEMUs."""

    kind: ClassVar[str] = "socket"
    noun: ClassVar[str] = "chardev"

    reconnect: int = field(default=0, metadata=said(number(0, 2**32 // 1000), "reconnect", "reconnect"))


@dataclass(frozen=True, slots=True)
class _Delay(Record):
    """The opposite of `nodelay`: an old option, and what the flag `nodelay` without a value sets."""

    kind: ClassVar[str] = "socket"
    noun: ClassVar[str] = "chardev"

    delay: bool = field(default=True, metadata=said(BOOL, "delay", None))


@dataclass(frozen=True, slots=True)
class Socket(Chardev):
    """A stream socket, listening (`server`) or connecting; one peer at a time.

    With a FdAddress and `server` the descriptor is a listening socket, and QEMU unlinks its path at its
    end; without `server` it is a connected one. `wait`: QEMU starts only once the first peer is there.
    `telnet`, `tn3270` and `websocket` are what is spoken on a listener, in place of plain bytes; `telnet`
    sends 12 bytes of negotiation first. `nodelay`: TCP sends small pieces at once. `reconnect_ms`:
    milliseconds between tries of a client to connect, also at the start; 0 for one try. `tls_creds` and
    `tls_authz` are ids of QEMU's objects.

    Raises UsageError for what does not go together: `wait` or `websocket` without `server`, a client of no
    host or of port 0, `reconnect_ms` with `server` or a FdAddress, TLS on anything but TCP, …
    """

    kind: ClassVar[str] = "socket"

    address: Address
    server: bool = field(default=False, metadata=said(BOOL, "server", "server"))
    wait: bool = field(default=False, metadata=said(BOOL, "wait", "wait"))
    telnet: bool = field(default=False, metadata=said(BOOL, "telnet", "telnet"))
    tn3270: bool = field(default=False, metadata=said(BOOL, "tn3270", "tn3270"))
    websocket: bool = field(default=False, metadata=said(BOOL, "websocket", "websocket"))
    nodelay: bool = field(default=False, metadata=said(BOOL, "nodelay", "nodelay"))
    reconnect_ms: int = field(
        default=0,
        metadata=said(
            _INTERVAL,
            "reconnect-ms",
            "reconnect-ms",
            option_since=_MILLISECONDS,
            member_since=_MILLISECONDS,
        ),
    )
    tls_creds: str | None = field(default=None, metadata=said(ID, "tls-creds", "tls-creds"))
    tls_authz: str | None = field(default=None, metadata=said(ID, "tls-authz", "tls-authz"))

    @property
    def passes_fds(self) -> bool:
        """Whether descriptors can come along: on Unix sockets, and on descriptors if they are such."""
        return isinstance(self.address, UnixAddress | FdAddress) and not (self.websocket or self.tls_creds)

    def _check(self) -> None:
        if self.server:
            self._check_listener()
        else:
            self._check_client()
        if self.telnet + self.tn3270 + self.websocket > 1:
            raise UsageError(
                "a socket of several protocols",
                reason="at most one of telnet, tn3270 and websocket is possible",
            )
        if self.nodelay and not isinstance(self.address, InetAddress | FdAddress):
            raise UsageError("nodelay on a socket without TCP", reason="it is an option of TCP")
        if self.tls_creds is not None and not (
            isinstance(self.address, InetAddress) or (isinstance(self.address, FdAddress) and self.server)
        ):
            raise UsageError(
                f"TLS on a {self.address.kind} address",
                reason="QEMU has it for TCP, and for listeners that it has as a descriptor",
            )
        if self.tls_authz is not None and self.tls_creds is None:
            raise UsageError("tls-authz without tls-creds", reason="without TLS nobody is authenticated")

    def _check_listener(self) -> None:
        if self.reconnect_ms:
            raise UsageError("a socket that listens cannot reconnect", reason="reconnect is for server=off")

    def _check_client(self) -> None:
        if self.wait:
            raise UsageError("a socket that connects cannot wait for a peer", reason="wait is for server=on")
        if self.websocket:
            raise UsageError("QEMU is no client of websockets", reason="websocket is for server=on")
        match self.address:
            case FdAddress() if self.reconnect_ms:
                raise UsageError("a descriptor cannot reconnect", reason="it is connected once and for all")
            case InetAddress(host="") | InetAddress(port=0):
                raise UsageError(
                    "a socket that connects to nowhere", reason="a client needs a host and a port"
                )
            case InetAddress(to=int()):
                raise UsageError("a socket that connects has one port", reason="to is for server=on")

    def options(self, version: Version) -> dict[str, str | int | bool]:
        """Give its options but the kind and the id. Raises what `to_option` raises."""
        rest, interval = self._split(version)
        return (
            options_of(self.address, version)
            | self._role()
            | options_of(rest, version)
            | options_of(interval, version)
        )

    def members(self, version: Version) -> dict[str, Any]:
        """Give its `data` in QMP. Raises what `to_qmp` raises."""
        rest, interval = self._split(version)
        address = {"addr": address_members(self.address, version)}
        return address | self._role() | members_of(rest, version) | members_of(interval, version)

    def _role(self) -> dict[str, bool]:
        """Both defaults differ between command line and QMP; `wait` is refused without `server`."""
        return {"server": True, "wait": self.wait} if self.server else {"server": False}

    def _split(self, version: Version) -> tuple[Socket, _Seconds]:
        """Give the socket and the interval in seconds, if `version` wants it so."""
        if version >= _MILLISECONDS:
            return self, _Seconds()
        if self.reconnect_ms % 1000:
            raise UsageError(
                f"a socket that reconnects after {self.reconnect_ms} ms",
                reason="QEMU counts in seconds before 9.2",
                hint="use whole seconds, or say the version of a newer QEMU",
            )
        return replace(self, reconnect_ms=0), _Seconds(self.reconnect_ms // 1000)

    @classmethod
    def from_options(cls, options: dict[str, str]) -> Self:
        """Take its options out of `options`. Raises UsageError."""
        address = address_from_options(options)
        found = read_options(cls, options)
        if found.get("server"):
            found.setdefault("wait", True)
        if "delay" in options:
            _once("nodelay", "delay", found)
            found["nodelay"] = not read_options(_Delay, options)["delay"]
        return cls(address, **found, **_interval(found, read_options(_Seconds, options)))

    @classmethod
    def from_members(cls, members: dict[str, Any]) -> Self:
        """Take its members out of QMP's `data`. Raises UsageError."""
        address = address_from_members(members.pop("addr", None))
        found = {"server": True} | read_members(cls, members)
        return cls(address, **found, **_interval(found, read_members(_Seconds, members)))


def _interval(found: dict[str, Any], seconds: dict[str, Any]) -> dict[str, Any]:
    if not seconds:
        return {}
    _once("reconnect_ms", "reconnect", found)
    return {"reconnect_ms": _Seconds(**seconds).reconnect * 1000}


def _once(name: str, other: str, found: dict[str, Any]) -> None:
    if name in found:
        raise UsageError(f"a socket with {name} and {other}", reason="the two say the same thing")


@dataclass(frozen=True, slots=True)
class Udp(Chardev):
    """Datagrams to `remote`, sent from `local` (by default any address and port), one for each write.

    Raises UsageError for a remote without host or port, and for what only listeners or TCP have.
    """

    kind: ClassVar[str] = "udp"
    _obstacle: ClassVar[str | None] = (
        "a monitor on it is never told of a peer and greets nobody; the first datagram ends QEMU 7.2"
    )

    remote: InetAddress
    local: InetAddress | None = None

    def _check(self) -> None:
        remote, local = self.remote, self.local
        if remote.host == "" or remote.port == 0:
            raise UsageError("UDP to nowhere", reason="the remote end needs a host and a port")
        if remote != replace(remote, to=None, keep_alive=False, mptcp=False):
            raise UsageError(
                "UDP has one port and no connection", reason="to, keep-alive and mptcp are TCP's"
            )
        if local is not None and local != InetAddress(local.host, local.port):
            raise UsageError(
                "the local end of UDP is a host and a port", reason="the remote one says the protocol"
            )

    def options(self, version: Version) -> dict[str, str | int | bool]:
        """Give its options but the kind and the id. Raises what `to_option` raises."""
        options = options_of(self.remote, version)
        if self.local is not None:
            options |= {"localaddr": self.local.host} if self.local.host else {}
            options["localport"] = self.local.port
        return options | options_of(self, version)

    def members(self, version: Version) -> dict[str, Any]:
        """Give its `data` in QMP. Raises what `to_qmp` raises."""
        ends = {"remote": self.remote, "local": self.local}
        addresses = {name: address_members(end, version) for name, end in ends.items() if end is not None}
        return addresses | members_of(self, version)

    @classmethod
    def from_options(cls, options: dict[str, str]) -> Self:
        """Take its options out of `options`. Raises UsageError."""
        here = {"host": options.pop("localaddr", ""), "port": options.pop("localport", "")}
        options["host"] = options.get("host") or "localhost"
        remote = InetAddress(**read_options(InetAddress, options))
        local = None
        if any(here.values()):
            local = InetAddress(**read_options(InetAddress, here | {"port": here["port"] or "0"}))
        return cls(remote, local, **read_options(cls, options))

    @classmethod
    def from_members(cls, members: dict[str, Any]) -> Self:
        """Take its members out of QMP's `data`. Raises UsageError."""
        remote = _inet(members.pop("remote", None))
        local = _inet(members.pop("local")) if "local" in members else None
        return cls(remote, local, **read_members(cls, members))


def _inet(members: Any) -> InetAddress:
    address = address_from_members(members)
    if not isinstance(address, InetAddress):
        raise UsageError(f"UDP on a {address.kind} address", reason="QEMU has it for inet addresses only")
    return address
