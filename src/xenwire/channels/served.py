"""One channel that we serve: the backend's side of the xenbus handshake.

    state found   frontend            what is done                              state then
    1             3 or 4              open the host end, tell its pty, join     4
    1             another             the first of these                        2
    2             3 or 4              join the guest's end                      4
    4             3 or 4, new end     leave the old end for the new one         4
    1, 2, 4       3 or 4, and no end  take what is left, say so in the log      5
    1, 2, 4       3 or 4, breaks it   leave the guest's end, say so in the log  5
    4             5                   take what is left, stop the input         5
    4, 5          6, 1 or gone        take what is left, leave the guest's end  6
    6             1, and online       -                                         2
    5             online is 0         wait for the frontend's 6, 10 s           6

The host end is closed before the last 6 of a channel that is detached: then nothing of it is left.

After a restart the states are found as they were left, and gone on from there: the guest notices nothing.

(xen: xen/include/public/io/xenbus.h, console.h; linux: drivers/tty/hvc/hvc_xen.c)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from xenwire.channels.channellog import ChannelLog
from xenwire.channels.guest import Guests, Offer
from xenwire.channels.keys import Channel, XenbusState
from xenwire.channels.nodes import read_readable, write_key
from xenwire.channels.wire import Wire
from xenwire.errors import ProtocolError, TimedOut, Unreachable, XenwireError
from xenwire.types import ChannelKind
from xenwire.xenstore.node import Node

if TYPE_CHECKING:
    from xenwire.xenstore import Store, Transaction

__all__ = ["ServedChannel"]

_READY: Final = (XenbusState.INITIALISED, XenbusState.CONNECTED)
"""What a frontend says that offers an end."""
_AWAY: Final = (XenbusState.CLOSED, XenbusState.UNKNOWN, XenbusState.INITIALISING)
"""What a frontend says, or does not say, that has let go of its end."""

_DETACH_TIMEOUT: Final = 10.0  # seconds that a guest has to let go, as libxl gives it
_LAST_TURNS: Final = 32
"""Turns that a guest has for its last words: more than a ring or a socket holds, and not for ever."""


class _Changed(Exception):
    """A state is another one than was found before."""


class ServedChannel:
    """A channel of a guest, between the guest's end and an endpoint."""

    def __init__(
        self,
        store: Store,
        guests: Guests,
        channel: Channel,
        uuid: str,
        wire: Wire,
        log: ChannelLog,
        look_again: Callable[[], None],
    ) -> None:
        """`uuid` is that of the channel's domain. `look_again` is to have `reconcile` called."""
        self.channel = channel
        self.wire = wire
        self.broken: str | None = None
        """Why the guest's end is not served any more; a guest that begins anew is served again."""
        self._store, self._guests = store, guests
        self._uuid, self._log, self._look_again = uuid, log, look_again
        self._joined: Offer | None = None
        self._opened = False
        self._state = XenbusState.UNKNOWN  # as it was found last
        self._closing_since: float | None = None

    async def reconcile(self) -> float | None:
        """Bring our state in line with what stands in the store.

        Gives the seconds after which to look again even if nothing changes; None: then there is no need.
        Raises XenwireError if the host end cannot be opened, or the store cannot be reached.
        """
        backend = self.channel.backend
        (ours, told, error), guests = await asyncio.gather(
            self._store.get_all([backend / "state", backend / "online", backend / "error"]),
            read_readable(self._store, [self.channel.frontend / "state"]),
        )
        state = self._state = XenbusState.parse(ours)
        guest, online = XenbusState.parse(guests[0]), told == b"1"
        if not online or self._opened:
            return await self._follow(state, guest, online=online)
        try:
            await self._open(failed_before=error is not None)
        except XenwireError:
            # A guest that is connected spins while nobody takes what it writes.
            if state in (XenbusState.CONNECTED, XenbusState.CLOSING):
                await self._follow(state, guest, online=online)
            raise
        return await self._follow(state, guest, online=online)

    async def _follow(self, state: XenbusState, guest: XenbusState, *, online: bool) -> float | None:
        """Do what the states ask for."""
        match state:
            case XenbusState.INITIALISING if online:
                await self._connect_when_ready(guest)
                if self._state is XenbusState.INITIALISING:
                    await self._set(XenbusState.INIT_WAIT)
            case XenbusState.INIT_WAIT:
                await self._connect_when_ready(guest)
            case XenbusState.CONNECTED if guest in _READY and self.broken is not None:
                await self._set(XenbusState.CLOSING)
            case XenbusState.CONNECTED if guest in _READY:
                if await self._connect():
                    await self._tell_generation()
            case XenbusState.CONNECTED if guest is XenbusState.CLOSING:
                self.last_turns()
                await self._set(XenbusState.CLOSING)
            case XenbusState.CONNECTED | XenbusState.CLOSING if guest in _AWAY:
                await self._disconnect(online=online)
            case XenbusState.CLOSING if not online:
                return await self._detach(guest)
            case XenbusState.CLOSED if online and guest is XenbusState.INITIALISING:
                await self._set(XenbusState.INIT_WAIT)
        return None

    def turn(self) -> bool:
        """Move bytes, and tell whether any went. A guest that broke its end has to begin anew."""
        try:
            return self.wire.turn()
        except ProtocolError as error:
            self.broken = str(error)
            self._log.warning("%s", error)
            self._let_go()
            self._look_again()
            return self.wire.turn()  # what it has written before is delivered

    def close(self) -> None:
        """Let go of both ends, without a word in the store: a successor may go on."""
        self._let_go()
        self.wire.endpoint.close()
        self._opened = False

    def last_turns(self) -> None:
        """Take what the guest has handed over, as far as it cannot go on for ever."""
        for _ in range(_LAST_TURNS):
            if not self.turn():
                break
        else:
            self.wire.endpoint.deliver()  # what may have been kept for one turn more

    async def _open(self, *, failed_before: bool) -> None:
        await self.wire.endpoint.open()
        self._opened = True
        if failed_before:
            await self._store.discard(self.channel.backend / "error")
        if self.channel.kind is ChannelKind.PTY and (place := self.wire.endpoint.place) is not None:
            await write_key(self._store, self.channel.frontend, "tty", place)

    async def _connect_when_ready(self, guest: XenbusState) -> None:
        if guest in _READY:
            await self._connect()
            if self._joined is not None:
                await self._set(XenbusState.CONNECTED, generation=str(self.wire.spool.generation))
            elif self.broken is not None and self._state is not XenbusState.CLOSING:
                await self._set(XenbusState.CLOSING)

    async def _connect(self) -> bool:
        """Join the end that the guest offers, unless it is the one that we have; tell whether it is new.

        Raises Unreachable and TimedOut if that may be tried again.
        """
        offer = await self._guests.offer(self._store, self.channel, self._uuid)
        if offer is not None and offer == self._joined:
            self.broken = None
            return False
        self.last_turns()
        if offer is None:
            (state,) = await read_readable(self._store, [self.channel.frontend / "state"])
            if XenbusState.parse(state) in _READY:  # else it is just going
                await self._refuse("the guest offers nothing that can be")
            return False
        self._let_go()
        try:
            self.wire.guest = await offer.join(self.wire.spool, self.turn)
        except (Unreachable, TimedOut):
            raise
        except XenwireError as error:
            await self._refuse(str(error))
            return False
        self._joined, self.broken = offer, None
        # What the guest has written before is there, and no event may come for it.
        self.turn()
        return True

    async def _refuse(self, reason: str) -> None:
        """Have a guest begin anew that offers no end which can be joined."""
        self._let_go()
        self._log.warning("%s", reason)
        self.broken = reason
        await self._set(XenbusState.CLOSING)

    async def _tell_generation(self) -> None:
        """Say which of the guest's ends this is: by that clients learn that the guest has begun anew."""
        generation = str(self.wire.spool.generation)
        if await self._store.get_text(self.channel.backend / "generation") != generation:
            await write_key(self._store, self.channel.backend, "generation", generation)

    async def _disconnect(self, *, online: bool) -> None:
        self.last_turns()
        self._let_go()
        self.wire.spool.end()
        if not online:
            self.close()
        # Only now: by this the guest learns that its page is its own again, the toolstack that all is gone.
        await self._set(XenbusState.CLOSED)

    async def _detach(self, guest: XenbusState) -> float | None:
        """Wait for a guest that is to let go of the channel, but not for ever."""
        now = asyncio.get_running_loop().time()
        if self._closing_since is None:
            self._closing_since = now
        left = self._closing_since + _DETACH_TIMEOUT - now
        if left <= 0:
            await self._disconnect(online=False)
            return None
        return left

    def _let_go(self) -> None:
        if self.wire.guest is not None:
            guest, self.wire.guest = self.wire.guest, None
            guest.close()
        self._joined = None

    async def _set(self, state: XenbusState, **more: str) -> bool:
        """Change our state, and more keys with it, unless the toolstack has changed the state meanwhile.

        Tells whether it did. Else what was found before is old, and nothing more can be set by it.
        """
        backend = self.channel.backend
        wanted = [Node(backend / key, value) for key, value in {**more, "state": str(int(state))}.items()]

        async def change(t: Transaction) -> None:
            # It is read first: they are sent in this order. What is written is taken back where it turns out
            # that it should not be: that saves a wait.
            found, _ = await asyncio.gather(t.get(backend / "state"), t.write_all(wanted))
            if XenbusState.parse(found) is not self._state:
                raise _Changed

        try:
            await self._store.transact(change)
        except _Changed:
            return False
        self._state = state
        return True
