"""Channels whose driver domain has ended.

The store has removed what that domain owned, the backend and the frontend's name; the rest is removed here,
by which the guest learns that nobody is there any more. That must not wait for long: a Linux that has filled
a ring which nobody empties waits for room with interrupts off, and lets go of nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from xenwire.channels.keys import backend_domids, backends_of, copy_of, frontend_of
from xenwire.errors import XenwireError
from xenwire.types import DOM0, DevId, DomId
from xenwire.xenstore.errors import StoreClosed

if TYPE_CHECKING:
    from xenwire.xenstore import Nodes, Store, Transaction

__all__ = ["release_orphans", "remove_orphans"]

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 8  # to release a guest, which can be in the way as often as it likes
_RETRY: Final = 2.0  # seconds until the next ones


async def release_orphans(store: Store) -> None:
    """Release guests from channels whose driver domain ends, until cancelled. Raises StoreClosed.

    The toolstack's copy stays until the guest's next channel is attached, which so gets another number: a
    guest that has not seen the old one go would take the new one for it.
    """
    async with store.watch("@releaseDomain") as ended:
        await anext(ended)
        while True:
            domids = [DomId(name) for name in await store.names("/local/domain") if name.isdecimal()]
            async with asyncio.TaskGroup() as tasks:
                releases = [tasks.create_task(_release(store, domid)) for domid in domids]
            done = all(release.result() for release in releases)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if done else _RETRY):
                    await anext(ended)


async def _release(store: Store, domid: DomId) -> bool:
    """Release a guest; tell whether that is done. One that keeps us from it keeps us from no other."""
    try:
        if await _held(store, domid):
            ended = await store.transact(partial(_take_away, domid=domid), attempts=_ATTEMPTS)
            for devid, where in ended.items():
                _log.info("channel %d of domain %d: its driver domain %d has ended", devid, domid, where)
    except StoreClosed:
        return False  # whoever waits for the next event is told
    except XenwireError as error:
        _log.warning("cannot see to domain %d's channels whose driver domain has ended: %s", domid, error)
        return False
    return True


async def _take_away(t: Transaction, domid: DomId) -> dict[DevId, DomId]:
    """Take a guest's directories of such channels away, and tell where these were served."""
    held = await _held(t, domid)
    await t.discard(*(frontend_of(domid, devid) for devid in held))
    return held


async def remove_orphans(t: Transaction, domid: DomId, served_by: Mapping[DevId, DomId]) -> list[DevId]:
    """Remove what is left of a domain's channels whose driver domain is no more, and tell which these are."""
    orphans = await _orphans(t, domid, served_by)
    for orphan in orphans:
        await t.discard(frontend_of(domid, orphan), copy_of(domid, orphan))
    return orphans


async def _orphans(store: Nodes, domid: DomId, served_by: Mapping[DevId, DomId]) -> list[DevId]:
    elsewhere = [(devid, where) for devid, where in served_by.items() if where != DOM0]
    backends = await store.get_all(backends_of(domid, where) / devid for devid, where in elsewhere)
    return [devid for (devid, _), backend in zip(elsewhere, backends, strict=True) if backend is None]


async def _held(store: Nodes, domid: DomId) -> dict[DevId, DomId]:
    """Give those whose directory the guest still has, and where each was served."""
    served_by = await backend_domids(store, domid)
    orphans = await _orphans(store, domid, served_by)
    frontends = await store.get_all(frontend_of(domid, devid) for devid in orphans)
    return {
        devid: served_by[devid] for devid, told in zip(orphans, frontends, strict=True) if told is not None
    }
