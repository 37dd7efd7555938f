"""Bringing channels back: to a domain that has rebooted, or was restored.

They are attached as soon as the toolstack has written /vm/$UUID for a domain, long before its processors run.
A guest that is restored looks for the channels that it knew, under their numbers, and gives up those that
come later: they are hidden from it for a while, so that it lets go of them (linux:
drivers/xen/xenbus/xenbus_probe.c, xenbus_dev_resume, xenbus_dev_changed). One that boots finds its terminals
best if they are numbered without a gap. The two are told apart by the toolstack's word, which had the guest
suspend.
"""

from __future__ import annotations

import asyncio
import logging
import uuid as uuids
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from xenwire.channels.attach import attach, show
from xenwire.channels.keys import OUR_TYPE, Channel, XenbusState, read_channels
from xenwire.channels.persistent import PERSISTENT, forget, known, remember, remembered, uuid_of
from xenwire.errors import Conflict, TimedOut, XenwireError
from xenwire.types import DevId, DomId
from xenwire.xenstore.errors import StoreClosed

if TYPE_CHECKING:
    from xenwire.channels.persistent import Remembered
    from xenwire.xenstore import Store, Transaction
    from xenwire.xenstore.listener import Listener

__all__ = ["Returning"]

_log = logging.getLogger(__name__)

_ABSENCE: Final = 60.0
"""Seconds that a domain may take to reboot before the channels of its configuration are forgotten."""
_TIMEOUT: Final = 30.0  # seconds that a channel has to be served
_ANSWER: Final = 10.0  # seconds that a guest that was restored has to look for a channel
_HIDDEN: Final = (0.5, 1.0, 2.0, 4.0, *(8.0,) * 8)
"""Seconds that a channel is hidden from a guest: one that is slow to look would not see it go."""


class Returning:
    """Sees to it that domains have the channels that are remembered of them."""

    def __init__(self, store: Store, most: int) -> None:
        """`most`: the highest devid that a guest can have."""
        self._store, self._most = store, most
        self._there: dict[uuids.UUID, tuple[DomId, Listener]] = {}
        self._awaited: dict[uuids.UUID, Listener] = {}
        self._away_since: dict[uuids.UUID, float] = {}
        self._to_note: set[uuids.UUID] = set()
        self._noting: set[uuids.UUID] = set()
        self._words: dict[uuids.UUID, bytes | None] = {}  # as they were read last
        self._perhaps_saved: set[uuids.UUID] = set()

    async def run(self) -> None:
        """Attach channels to their domains as those come, until cancelled. Raises StoreClosed."""
        changed = asyncio.Event()
        paths = ("@introduceDomain", "@releaseDomain", PERSISTENT)
        listeners = [await self._store.listen(path, changed.set) for path in paths]
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_ABSENCE if self._away_since else None):
                            await changed.wait()
                    changed.clear()
                    await _guarded(self._look(tasks, changed))
        finally:
            for listener in listeners:
                listener.close()
            self._let_go_of(set(self._awaited))

    async def _await(self, uuid: uuids.UUID, changed: asyncio.Event) -> None:
        """Learn of a domain of this uuid before it is introduced, as far as its memory is restored first."""
        if uuid not in self._awaited:
            self._awaited[uuid] = await self._store.listen(f"/vm/{uuid}", changed.set)

    def _let_go_of(self, forgotten: set[uuids.UUID]) -> None:
        for uuid in forgotten:
            self._awaited.pop(uuid).close()
            self._away_since.pop(uuid, None)
            self._words.pop(uuid, None)
            self._perhaps_saved.discard(uuid)
            if uuid in self._there:
                self._there.pop(uuid)[1].close()

    async def _look(self, tasks: asyncio.TaskGroup, changed: asyncio.Event) -> None:
        # While one is migrated within a host, two have one uuid: the later counts.
        domids = sorted(DomId(name) for name in await self._store.names("/local/domain") if name.isdecimal())
        domains = {uuid: domid for domid in domids if (uuid := await uuid_of(self._store, domid))}
        wanted = await known(self._store)
        self._let_go_of(self._awaited.keys() - wanted)
        for uuid in wanted:
            await self._await(uuid, changed)
            domid = domains.get(uuid)
            found, listener = self._there.get(uuid, (None, None))
            if domid != found and listener is not None:
                listener.close()
                del self._there[uuid]
                self._words.pop(uuid, None)
            if domid is None:
                await self._away(uuid)
            elif domid != found:
                self._away_since.pop(uuid, None)
                tasks.create_task(_guarded(self._attach_missing(uuid, domid)))
                word = f"/local/domain/{domid}/control/shutdown"
                asked = partial(self._asked, tasks, uuid, domid)
                self._there[uuid] = domid, await self._store.listen(word, asked)

    async def _away(self, uuid: uuids.UUID) -> None:
        """Forget what is not for good of a domain that does not come back."""
        now = asyncio.get_running_loop().time()
        if now - self._away_since.setdefault(uuid, now) >= _ABSENCE:
            del self._away_since[uuid]
            if not any(each.saved for each in await remembered(self._store, uuid)):
                await self._store.transact(partial(forget, uuid=uuid))

    def _asked(self, tasks: asyncio.TaskGroup, uuid: uuids.UUID, domid: DomId) -> None:
        self._to_note.add(uuid)
        if uuid not in self._noting:
            self._noting.add(uuid)
            tasks.create_task(_guarded(self._note_suspend(uuid, domid)))

    async def _note_suspend(self, uuid: uuids.UUID, domid: DomId) -> None:
        """Note whether a domain is to be saved, and so will have its channels where it had them.

        The guest can write that word too, as often as it likes: it counts once. A Linux takes it away as soon
        as it has read it; one that came and went before we could read it is taken for this one.
        """
        try:
            while uuid in self._to_note:
                self._to_note.discard(uuid)
                before = self._words.get(uuid)
                word = self._words[uuid] = await self._store.get(f"/local/domain/{domid}/control/shutdown")
                if word == before == b"":
                    self._perhaps_saved.add(uuid)
                if word == b"suspend" and not all(e.saved for e in await remembered(self._store, uuid)):
                    await self._store.transact(lambda t: _note_saved(t, uuid))
        finally:
            self._noting.discard(uuid)

    async def _attach_missing(self, uuid: uuids.UUID, domid: DomId) -> None:
        """Attach what a domain lacks of what is remembered of it."""
        found = await read_channels(self._store, domid)
        for channel in found:
            if channel.type == OUR_TYPE:  # a predecessor may have been killed while it was hidden
                await self._store.transact(partial(show, channel=channel))
        there = {channel.name for channel in found}
        perhaps = uuid in self._perhaps_saved
        self._perhaps_saved.discard(uuid)
        missing = [
            replace(each, saved=each.saved or perhaps)
            for each in await remembered(self._store, uuid, domid)
            if each.channel.name not in there
        ]
        restored = []
        for each in missing:
            try:
                attached = await self._attach(uuid, each)
            except StoreClosed:
                raise
            except XenwireError as error:
                _log.warning("domain %s: channel %s does not come back: %s", domid, each.channel.name, error)
            else:
                restored += [attached] * each.saved
        await asyncio.gather(*(_guarded(self._have_found(channel)) for channel in restored))

    async def _have_found(self, channel: Channel) -> None:
        """See to it that a guest that was restored finds a channel, if it has looked too early."""
        initialising = str(int(XenbusState.INITIALISING)).encode()
        for hidden in _HIDDEN:
            with suppress(TimedOut):
                path = channel.frontend / "state"
                await self._store.wait_for(path, lambda state: state != initialising, _ANSWER)
                return
            _log.info("%s: its guest has looked too early; it is hidden for %g s", channel.frontend, hidden)
            async with self._hide(channel):
                await asyncio.sleep(hidden)

    @asynccontextmanager
    async def _hide(self, channel: Channel) -> AsyncIterator[None]:
        """Hide a channel from its guest. Its host end stays, with its clients."""
        await self._store.discard(channel.frontend)
        try:
            yield
        finally:
            await self._store.transact(partial(show, channel=channel))

    async def _attach(self, uuid: uuids.UUID, wanted: Remembered) -> Channel:
        numbers = (
            [wanted.channel.devid] if wanted.saved else range(wanted.above + 1, wanted.channel.devid + 1)
        )
        attached = None
        for number in numbers:
            with suppress(Conflict):  # another has it
                channel = replace(wanted.channel, devid=DevId(number))
                attached = await attach(self._store, channel, most=self._most, timeout=_TIMEOUT)
                break
        if attached is None:
            anywhere = replace(wanted.channel, devid=DevId(0))
            attached = await attach(self._store, anywhere, most=self._most, timeout=_TIMEOUT)
        again = replace(wanted, channel=attached, saved=False)
        await self._store.transact(lambda t: remember(t, uuid, [again]))
        return attached


async def _guarded(work: Coroutine[None, None, None]) -> None:
    """Do something for one domain: where that fails, the others go on. Raises StoreClosed."""
    try:
        await work
    except StoreClosed:
        raise
    except XenwireError as error:
        _log.warning("cannot see to the channels that come back: %s", error)


async def _note_saved(t: Transaction, uuid: uuids.UUID) -> None:
    await remember(t, uuid, [replace(each, saved=True) for each in await remembered(t, uuid)])
