"""One channel that we serve: the backend's side of the xenbus handshake.

    state found   frontend            what is done                              state then
    1             any                 open the host end, tell its pty           2
    2             3 or 4              map the ring, join its event channel      4
    4             3 or 4, new ring    leave the old ring for the new one        4
    4             5                   take what is left, stop the input         5
    4, 5          6, 1 or gone        take what is left, unmap                  6
    6             1, and online       -                                         2
    5             online is 0         wait for the frontend's 6, 10 s           6

After a restart the states are found as they were left, and gone on from there: the guest notices nothing.

(xen: xen/include/public/io/xenbus.h, console.h; linux: drivers/tty/hvc/hvc_xen.c)
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from xenwire.channels.guest import RingEnd, ring_identity
from xenwire.channels.keys import XenbusState
from xenwire.channels.wire import Wire
from xenwire.errors import NotFound, ProtocolError, XenwireError
from xenwire.types import StorePath

if TYPE_CHECKING:
    from xenwire.hypervisor import EventChannels, Grants
    from xenwire.xenstore import Store, Transaction

__all__ = ["ServedChannel"]

_log = logging.getLogger(__name__)

_REFERENCES: Final = range(8, 1 << 32)  # 0 to 7 are Xen's own
_PORTS: Final = range(1, 1 << 17)  # as many as x86-64 has
_AWAY: Final = (XenbusState.CLOSED, XenbusState.UNKNOWN, XenbusState.INITIALISING)
"""What a frontend says, or does not say, that has let go of its ring."""

_DETACH_TIMEOUT: Final = 10.0  # seconds that a guest has to let go, as libxl gives it


class ServedChannel:
    """A channel of a guest, between its ring and an endpoint."""

    def __init__(
        self,
        store: Store,
        events: EventChannels,
        grants: Grants,
        domid: int,
        uuid: str,
        backend: StorePath,
        frontend: StorePath,
        wire: Wire,
        joined: Callable[[ServedChannel, int], None],
    ) -> None:
        """`joined` is told each event channel of this channel's rings, by our port."""
        self.domid = domid
        self.backend, self.frontend = backend, frontend
        self.wire = wire
        self.broken: str | None = None
        """Why the ring is not served any more; a guest that begins anew is served again."""
        self._store, self._events, self._grants = store, events, grants
        self._uuid = uuid
        self._joined = joined
        self._ring: tuple[int, int] | None = None
        self._opened = False
        self._closing_since: float | None = None

    async def reconcile(self) -> float | None:
        """Bring our state in line with what stands in the store.

        Gives the seconds after which to look again even if nothing changes; None: then there is no need.
        Raises XenwireError if the host end cannot be opened, or the store cannot be reached.
        """
        state = XenbusState.parse(await self._store.get(self.backend / "state"))
        online = await self._store.get(self.backend / "online") == b"1"
        guest = XenbusState.parse(await self._store.get(self.frontend / "state"))
        if not self._opened:
            await self._open()
        match state:
            case XenbusState.INITIALISING:
                await self._set(XenbusState.INIT_WAIT)
                await self._connect_when_ready(guest)
            case XenbusState.INIT_WAIT:
                await self._connect_when_ready(guest)
            case XenbusState.CONNECTED if guest in (XenbusState.INITIALISED, XenbusState.CONNECTED):
                await self._connect()
            case XenbusState.CONNECTED if guest is XenbusState.CLOSING:
                self.turn()
                await self._set(XenbusState.CLOSING)
            case XenbusState.CONNECTED | XenbusState.CLOSING if guest in _AWAY:
                await self._disconnect()
            case XenbusState.CLOSING if not online:
                return await self._detach(guest)
            case XenbusState.CLOSED if online and guest is XenbusState.INITIALISING:
                await self._set(XenbusState.INIT_WAIT)
        return None

    def turn(self) -> bool:
        """Move bytes, and tell whether any went. A guest that broke its ring is left alone from then on."""
        try:
            return self.wire.turn()
        except ProtocolError as error:
            self.broken = str(error)
            _log.warning("channel %s: %s", self.backend, error)
            self._let_go()
            return False

    def close(self) -> None:
        """Let go of the ring and the endpoint, without a word in the store: a successor may go on."""
        self._let_go()
        self.wire.endpoint.close()
        self._opened = False

    async def _open(self) -> None:
        await self.wire.endpoint.open()
        self._opened = True
        if (place := self.wire.endpoint.place) is not None and place.startswith("/dev/"):
            await self._write(self.frontend, "tty", place)

    async def _connect_when_ready(self, guest: XenbusState) -> None:
        if guest in (XenbusState.INITIALISED, XenbusState.CONNECTED):
            await self._connect()
            if self._ring is not None:
                await self._set(XenbusState.CONNECTED)

    async def _connect(self) -> None:
        """Take up the ring that the guest offers, unless it is the one that we have."""
        ring = await self._offered()
        if ring is None or ring == self._ring:
            return
        self._let_go()
        reference, port = ring
        try:
            end = RingEnd.connect(self._events, self._grants, self.domid, reference, port)
        except (NotFound, XenwireError) as error:
            self.broken = str(error)
            _log.warning("channel %s: %s", self.backend, error)
            await self._set(XenbusState.CLOSING)
            return
        end.adopt(self.wire.spool, ring_identity(self._uuid, self.frontend.name, reference, port))
        self.wire.guest, self._ring, self.broken = end, ring, None
        self._joined(self, end.port)
        # What the guest has written before stands in the ring, and no event may come for it.
        self.turn()

    async def _offered(self) -> tuple[int, int] | None:
        """Read what the guest has written of its ring: nothing that it writes is taken on trust."""
        reference = _number(await self._store.get(self.frontend / "ring-ref"), _REFERENCES)
        port = _number(await self._store.get(self.frontend / "port"), _PORTS)
        if reference is None or port is None:
            self.broken = "the guest offers no ring that can be"
            return None
        return reference, port

    async def _disconnect(self) -> None:
        self.turn()
        self._let_go()
        # Only now: by this the guest learns that its page is its own again.
        await self._set(XenbusState.CLOSED)

    async def _detach(self, guest: XenbusState) -> float | None:
        """Wait for a guest that is to let go of the channel, but not for ever."""
        now = asyncio.get_running_loop().time()
        if self._closing_since is None:
            self._closing_since = now
        left = self._closing_since + _DETACH_TIMEOUT - now
        if left <= 0:
            await self._disconnect()
            return None
        return left

    def _let_go(self) -> None:
        if self.wire.guest is not None:
            guest, self.wire.guest = self.wire.guest, None
            guest.close()
        self._ring = None

    async def _set(self, state: XenbusState) -> None:
        await self._write(self.backend, "state", str(int(state)))

    async def _write(self, folder: StorePath, key: str, value: str) -> None:
        """Write a key of a folder that may be gone, and then is not to come back."""

        async def write(t: Transaction) -> None:
            if await t.exists(folder):
                await t.write(folder / key, value)

        await self._store.transact(write)


def _number(value: bytes | None, possible: range) -> int | None:
    """Read a plain decimal number that can be."""
    if value is None or not re.fullmatch(rb"[0-9]{1,10}", value):
        return None
    number = int(value)
    return number if number in possible else None
