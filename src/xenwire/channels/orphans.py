"""Channels whose driver domain has ended.

The store has removed what that domain owned, the backend and the frontend's name; the rest is removed here,
by which the guest learns that nobody is there any more. That must not wait for long: a Linux that has filled
a ring which nobody empties waits for room with interrupts off, and lets go of nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from xenwire.channels.keys import backend_domids, backends_of, copy_of, frontend_of
from xenwire.errors import XenwireError
from xenwire.types import DOM0, DevId, DomId
from xenwire.xenstore.errors import StoreClosed

if TYPE_CHECKING:
    from xenwire.xenstore import Store, Transaction

__all__ = ["release_orphans", "remove_orphans"]

_log = logging.getLogger(__name__)


async def release_orphans(store: Store) -> None:
    """Release guests from channels whose driver domain ends, until cancelled. Raises StoreClosed."""
    async with store.watch("@releaseDomain") as ended:
        async for _ in ended:
            try:
                for name in await store.names("/local/domain"):
                    if name.isdecimal():
                        await _release(store, DomId(name))
            except StoreClosed:
                raise
            except XenwireError as error:
                _log.warning("cannot see to channels whose driver domain has ended: %s", error)


async def _release(store: Store, domid: DomId) -> None:
    served_by = await backend_domids(store, domid)
    if all(where == DOM0 for where in served_by.values()):
        return

    async def remove(t: Transaction) -> list[tuple[DevId, DomId]]:
        served_by = await backend_domids(t, domid)
        return [(devid, served_by[devid]) for devid in await remove_orphans(t, domid, served_by)]

    for devid, where in await store.transact(remove):
        _log.info("channel %d of domain %d: domain %d, which served it, has ended", devid, domid, where)


async def remove_orphans(t: Transaction, domid: DomId, served_by: Mapping[DevId, DomId]) -> list[DevId]:
    """Remove what is left of a domain's channels whose driver domain is no more, and tell which these are."""
    elsewhere = [(devid, where) for devid, where in served_by.items() if where != DOM0]
    backends = await t.get_all(backends_of(domid, where) / devid for devid, where in elsewhere)
    orphans = [devid for (devid, _), backend in zip(elsewhere, backends, strict=True) if backend is None]
    for orphan in orphans:
        await t.discard(frontend_of(domid, orphan), copy_of(domid, orphan))
    return orphans
