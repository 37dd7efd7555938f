"""How a channel stands in the store.

The guest's part is the frontend, /local/domain/$DOMID/device/console/$DEVID; the host's the backend,
/local/domain/$BACKEND/backend/console/$DOMID/$DEVID. libxl keeps a copy of its own below /libxl, by which
`xl destroy` and `xl channel-list` go (xen: tools/libs/light/libxl_console.c; seed 002).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

from xenwire.channels.nodes import read_readable
from xenwire.channels.options import PLAIN, Options
from xenwire.errors import XenwireError
from xenwire.types import DOM0, ChannelKind, ChannelName, DevId, DomId, StorePath
from xenwire.xenstore.node import Node
from xenwire.xenstore.perms import Access, Permission, Permissions

if TYPE_CHECKING:
    from xenwire.xenstore import Nodes

__all__ = [
    "OUR_TYPE",
    "OUTPUT_LIMIT",
    "QEMU_TYPE",
    "Channel",
    "XenbusState",
    "backend_domids",
    "backends_of",
    "copy_of",
    "frontend_of",
    "read_channel",
    "read_channels",
]

OUTPUT_LIMIT: Final = 1048576
"""Bytes of guest output that a backend may keep for an absent consumer: libxl's value of `limit`."""

QEMU_TYPE: Final = "ioemu"
"""The `type` of a console that QEMU serves (seed 002)."""

OUR_TYPE: Final = "xenwire"
"""The `type` of a channel that we serve: in the frontend, so that QEMU and xenconsoled decline, and in the
backend, which no guest can write."""


_KEYS: Final = frozenset({"name", "connection", "kind", "path", "listener", "state", "type"})
"""What of a backend says what its channel is."""
_BACKEND: Final = re.compile(r"/local/domain/([0-9]{1,5})/backend/console/[0-9]+/([0-9]{1,10})")


class XenbusState(IntEnum):
    """States of a frontend or backend (xen: xen/include/public/io/xenbus.h)."""

    UNKNOWN = 0
    INITIALISING = 1
    INIT_WAIT = 2
    INITIALISED = 3
    CONNECTED = 4
    CLOSING = 5
    CLOSED = 6

    @classmethod
    def parse(cls, value: bytes | None) -> Self:
        """Read a `state` node; a missing node and nonsense are UNKNOWN."""
        known = {str(int(state)).encode(): state for state in cls}
        return known.get(value or b"", cls(cls.UNKNOWN))


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of a domain: who it is, what its host end is, and where.

    `path` is the file of kind path, the socket of kind socket; `tty` the pty of kind pty once it is open;
    `listener` tells the socket that was opened there from later ones (see `runtime.sockets.SocketFile`).
    """

    domid: DomId
    devid: DevId
    name: ChannelName
    kind: ChannelKind
    path: str | None = None
    backend_domid: DomId = DOM0
    tty: str | None = None
    listener: str | None = None
    state: XenbusState = XenbusState.INITIALISING
    type: str = QEMU_TYPE
    """Who serves it: QEMU_TYPE or OUR_TYPE."""
    options: Options = PLAIN
    """What is asked of its host end when it is attached. Only who serves it reads that back."""

    @property
    def label(self) -> str:
        """The id of its character device (seed 002)."""
        return f"libxl-channel{self.devid}"

    @property
    def place(self) -> str | None:
        """Where on the host its bytes are found: pty, file or socket; none for kind none."""
        return self.tty if self.kind is ChannelKind.PTY else self.path

    @property
    def frontend(self) -> StorePath:
        """The guest's directory."""
        return frontend_of(self.domid, self.devid)

    @property
    def backend(self) -> StorePath:
        """The host's directory."""
        return backends_of(self.domid, self.backend_domid) / self.devid

    def nodes(self) -> Iterator[Node]:
        """Give all that a toolstack writes to attach it, parents first; to be written in one transaction.

        The guest owns its directory; what it has to trust in there it may only read.
        """
        mine = Permissions([Permission(self.domid, Access.NONE), Permission(self.backend_domid, Access.READ)])
        host = Permissions([Permission(self.backend_domid, Access.NONE), Permission(self.domid, Access.READ)])
        yield Node(self.frontend, "", mine)
        yield Node(self.frontend / "backend", self.backend)
        yield Node(self.frontend / "backend-id", str(self.backend_domid))
        yield Node(self.frontend / "state", str(int(XenbusState.INITIALISING)))
        yield Node(self.frontend / "protocol", "vt100")
        yield Node(self.frontend / "name", self.name, host)
        yield Node(self.frontend / "limit", str(OUTPUT_LIMIT), host)
        yield Node(self.frontend / "type", self.type, host)
        if self.type == QEMU_TYPE:
            yield Node(self.frontend / "output", f"chardev:{self.label}", host)
        yield Node(self.frontend / "tty", "", host)

        yield Node(self.backend, "", host)
        for key, value in self._backend_keys():
            yield Node(self.backend / key, value)
        if self.type == OUR_TYPE:
            yield Node(self.backend / "type", self.type)
            if self.backend_domid != DOM0:
                # Another domain may own a thousand nodes, these among them; then it can still write to them,
                # but make no new ones.
                yield Node(self.backend / "generation", "0")
        for key, value in self.options.nodes():
            yield Node(self.backend / key, value)

        copy = copy_of(self.domid, self.devid)
        yield Node(copy, "", Permissions.parse("n0"))
        yield Node(copy / "backend", self.backend)
        for key, value in self._backend_keys():
            # A name beside a connection that libxl does not know fails `xl channel-list` for the domain.
            if key != "name" or self.kind in (ChannelKind.PTY, ChannelKind.SOCKET):
                yield Node(copy / key, value)

    def _backend_keys(self) -> Iterator[tuple[str, str]]:
        yield "frontend", self.frontend
        yield "frontend-id", str(self.domid)
        yield "online", "1"
        yield "state", str(int(XenbusState.INITIALISING))
        yield "protocol", "vt100"
        yield "name", self.name
        yield "connection", self.kind
        if self.path is not None:
            yield "path", self.path


def backends_of(domid: DomId, backend_domid: DomId = DOM0) -> StorePath:
    """Give the directory of the backends of a domain's consoles."""
    return StorePath(f"/local/domain/{backend_domid}/backend/console/{domid}")


def frontend_of(domid: DomId, devid: DevId) -> StorePath:
    """Give the directory of a guest's console."""
    return StorePath(f"/local/domain/{domid}/device/console/{devid}")


def copy_of(domid: DomId, devid: DevId) -> StorePath:
    """Give libxl's own directory of a guest's console."""
    return _copies_of(domid) / devid


def _copies_of(domid: DomId) -> StorePath:
    return StorePath(f"/libxl/{domid}/device/console")


async def backend_domids(store: Nodes, domid: DomId) -> dict[DevId, DomId]:
    """Find the consoles of a domain, and where each is served."""
    # Those that another domain serves are only in the toolstack's copy, which no guest can write.
    copies = _copies_of(domid)
    ours, copied = await asyncio.gather(store.names(backends_of(domid)), store.names(copies))
    found = {DevId(name): DOM0 for name in ours if name.isdecimal()}
    others = [name for name in copied if name not in ours]
    for path in await store.get_all(copies / name / "backend" for name in others):
        if served := _BACKEND.fullmatch((path or b"").decode("ascii", "replace")):
            found[DevId(served[2])] = DomId(served[1])
    return found


async def read_channels(store: Nodes, domid: DomId) -> list[Channel]:
    """Read a domain's channels back from their backend nodes, which the guest cannot write, by devid.

    Consoles without a name are none. Raises XenwireError for a channel whose nodes make no sense.
    """
    backends = await backend_domids(store, domid)
    found = await asyncio.gather(
        *(read_channel(store, domid, devid, backend) for devid, backend in sorted(backends.items()))
    )
    return [channel for channel in found if channel is not None]


async def read_channel(
    store: Nodes, domid: DomId, devid: DevId, backend_domid: DomId = DOM0
) -> Channel | None:
    """Read one channel back; None if it is a console without a name. Raises as `read_channels`."""
    backend = backends_of(domid, backend_domid) / devid
    frontend = frontend_of(domid, devid)
    values, (tty,) = await asyncio.gather(
        store.get_all(backend / key for key in _KEYS), read_readable(store, [frontend / "tty"])
    )
    found = {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}
    told = {key: value.decode("utf-8", "replace") for key, value in found.items()}
    if "name" not in told:
        return None
    # Seed 002 says `kind`, what was merged into Xen `connection`.
    name, kind, path = told["name"], told.get("connection") or told.get("kind"), found.get("path")
    if kind not in list(ChannelKind):
        raise XenwireError(f"channel {name!r} of domain {domid} has an unknown kind", reason=f"kind {kind!r}")
    if path is None and kind in (ChannelKind.PATH, ChannelKind.SOCKET):
        raise XenwireError(f"channel {name!r} of domain {domid} has no path", reason=f"kind {kind} needs one")
    if path is not None and b"\0" in path:
        raise XenwireError(f"channel {name!r} of domain {domid} has a path that cannot be", reason=repr(path))
    return Channel(
        domid,
        devid,
        ChannelName(name),
        ChannelKind(kind),
        None if path is None else os.fsdecode(path),
        backend_domid,
        tty=os.fsdecode(tty) if tty else None,
        listener=told.get("listener"),
        state=XenbusState.parse(found.get("state")),
        type=told.get("type", QEMU_TYPE),
    )
