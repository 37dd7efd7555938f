"""How a channel stands in the store.

The guest's part is the frontend, /local/domain/$DOMID/device/console/$DEVID; the host's the backend,
/local/domain/$BACKEND/backend/console/$DOMID/$DEVID. libxl keeps a copy of its own below /libxl, by which
`xl destroy` and `xl channel-list` go (xen: tools/libs/light/libxl_console.c; seed 002).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from xenwire.errors import Conflict, NotFound, XenwireError
from xenwire.types import DOM0, ChannelKind, ChannelName, DevId, DomId, StorePath
from xenwire.xenstore.node import Node
from xenwire.xenstore.perms import Access, Permission, Permissions

if TYPE_CHECKING:
    from xenwire.config import ChannelConfig
    from xenwire.xenstore import Nodes

__all__ = ["OUTPUT_LIMIT", "Channel", "XenbusState", "assign_devids", "backends_of", "read_channels"]

OUTPUT_LIMIT: Final = 1048576
"""Bytes of guest output that a backend may keep for an absent consumer: libxl's value of `limit`."""

LAST_DEVID: Final = 30
"""A virtio-serial bus has 31 ports, of which 0 is kept for a console (qemu: hw/char/virtio-serial-bus.c)."""


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
        return StorePath(f"/local/domain/{self.domid}/device/console/{self.devid}")

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
        yield Node(self.frontend / "backend", self.backend, mine)
        yield Node(self.frontend / "backend-id", str(self.backend_domid), mine)
        yield Node(self.frontend / "state", str(int(XenbusState.INITIALISING)), mine)
        yield Node(self.frontend / "protocol", "vt100", mine)
        yield Node(self.frontend / "name", self.name, host)
        yield Node(self.frontend / "limit", str(OUTPUT_LIMIT), host)
        yield Node(self.frontend / "type", "ioemu", host)
        yield Node(self.frontend / "output", f"chardev:{self.label}", host)
        yield Node(self.frontend / "tty", "", host)

        yield Node(self.backend, "", host)
        for key, value in self._backend_keys():
            yield Node(self.backend / key, value, host)

        dom0 = Permissions.parse("n0")
        copy = StorePath(f"/libxl/{self.domid}/device/console/{self.devid}")
        yield Node(copy, "", dom0)
        yield Node(copy / "backend", self.backend, dom0)
        for key, value in self._backend_keys():
            # A name beside a connection that libxl does not know fails `xl channel-list` for the domain.
            if key != "name" or self.kind in (ChannelKind.PTY, ChannelKind.SOCKET):
                yield Node(copy / key, value, dom0)

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


def assign_devids(configs: Iterable[ChannelConfig], domid: DomId) -> list[Channel]:
    """Number a domain's channels: as they ask, else the lowest free from 1. 0 is the primary console.

    Relative paths count from this process's folder. Raises Conflict for a number asked for twice, 0, or one
    over 30.
    """
    configs = list(configs)
    taken: set[int] = set()
    for config in configs:
        if config.devid is not None:
            if config.devid in taken or not 1 <= config.devid <= LAST_DEVID:
                raise Conflict(
                    f"channel {config.name!r} cannot have devid {config.devid}",
                    reason="0 is the primary console"
                    if config.devid == 0
                    else f"another channel has it, or it is over {LAST_DEVID}",
                    hint="leave devid out: the lowest free number is taken",
                )
            taken.add(config.devid)
    free = (n for n in range(1, LAST_DEVID + 1) if n not in taken)
    channels = []
    for config in configs:
        devid = next(free, None) if config.devid is None else config.devid
        if devid is None:
            raise Conflict(
                f"there is no room for channel {config.name!r}", reason=f"a guest has at most {LAST_DEVID}"
            )
        path = None if config.path is None else str(Path(config.path).absolute())
        channels.append(Channel(domid, DevId(devid), config.name, config.kind, path))
    return channels


async def read_channels(store: Nodes, domid: DomId) -> list[Channel]:
    """Read a domain's channels back from their backend nodes, which the guest cannot write, by devid.

    Consoles without a name are none. Raises XenwireError for a channel whose nodes make no sense.
    """
    root = backends_of(domid)
    try:
        devids = sorted(int(name) for name in await store.list(root) if name.isdigit())
    except NotFound:
        return []
    return [channel for devid in devids if (channel := await _read_channel(store, domid, DevId(devid)))]


async def _read_channel(store: Nodes, domid: DomId, devid: DevId) -> Channel | None:
    backend = backends_of(domid) / devid
    name = await store.get_text(backend / "name")
    if name is None:
        return None
    # Seed 002 says `kind`, what was merged into Xen `connection`.
    kind = await store.get_text(backend / "connection") or await store.get_text(backend / "kind")
    frontend = StorePath(f"/local/domain/{domid}/device/console/{devid}")
    if kind not in list(ChannelKind):
        raise XenwireError(f"channel {name!r} of domain {domid} has an unknown kind", reason=f"kind {kind!r}")
    path = await store.get(backend / "path")
    if path is None and kind in (ChannelKind.PATH, ChannelKind.SOCKET):
        raise XenwireError(f"channel {name!r} of domain {domid} has no path", reason=f"kind {kind} needs one")
    return Channel(
        domid,
        devid,
        ChannelName(name),
        ChannelKind(kind),
        None if path is None else os.fsdecode(path),
        tty=await store.get_text(frontend / "tty") or None,
        listener=await store.get_text(backend / "listener"),
        state=XenbusState.parse(await store.get(backend / "state")),
    )
