"""A toolstack's part in channels that we serve: attach one to a domain that runs, and detach it.

A frontend driver looks at the backend the moment it sees its own nodes, so both appear in one transaction;
and they may only be removed once the backend has let go of the guest's memory.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import Final

from xenwire.channels.keys import OUR_TYPE, Channel, XenbusState, backends_of, read_channels
from xenwire.errors import Conflict, NotFound, TimedOut
from xenwire.types import DevId, StorePath
from xenwire.xenstore import Store, Transaction

__all__ = ["MOST_CHANNELS", "attach", "detach", "remove"]

MOST_CHANNELS: Final = 7
"""Linux has eight terminals for consoles, the primary one included (linux: drivers/tty/hvc/hvc_console.h)."""

_DETACH_TIMEOUT: Final = 12.0  # seconds; the backend gives the guest ten
_SERVED: Final = {b"%d" % state for state in (XenbusState.INIT_WAIT, XenbusState.CONNECTED)}


async def attach(store: Store, channel: Channel, timeout: float = 5.0) -> Channel:
    """Attach a channel; its devid counts only if it is not 0, which stands for the lowest free one.

    Returns once it is served: the guest sees it, or will when it looks. Raises Conflict (the name or the
    devid is in use, there is no room), NotFound (no such domain), TimedOut (nobody serves it, or its host end
    cannot be opened; then nothing of it is left).
    """
    attached = await store.transact(lambda t: _write(t, channel))
    try:
        await store.wait_for(attached.backend / "state", lambda state: state in _SERVED, timeout)
    except TimedOut as error:
        await store.transact(lambda t: remove(t, attached))
        raise TimedOut(
            f"channel {channel.name} of domain {channel.domid} is not served",
            reason=f"waited {timeout:g} s for its backend",
            hint="see what `xenwire serve` says",
        ) from error
    except BaseException:
        await store.transact(lambda t: remove(t, attached))
        raise
    return attached


async def detach(store: Store, channel: Channel, timeout: float = _DETACH_TIMEOUT) -> None:
    """Detach a channel: the guest lets go of it, or has to after ten seconds.

    Raises TimedOut if its backend does not answer: then it stays as it is, half detached.
    """
    async with store.transaction() as t:
        await t.write(channel.backend / "online", "0")
        await t.write(channel.backend / "state", str(int(XenbusState.CLOSING)))
    gone = (None, str(int(XenbusState.CLOSED)).encode())
    await store.wait_for(channel.backend / "state", lambda state: state in gone, timeout)
    await store.transact(lambda t: remove(t, channel))


async def remove(t: Transaction, channel: Channel) -> None:
    """Remove a channel's nodes."""
    copy = StorePath(f"/libxl/{channel.domid}/device/console/{channel.devid}")
    for path in (channel.frontend, channel.backend, copy):
        with suppress(NotFound):
            await t.rm(path)


async def _write(t: Transaction, channel: Channel) -> Channel:
    home = StorePath(f"/local/domain/{channel.domid}")
    message = f"cannot attach channel {channel.name!r}"
    if not await t.exists(home):
        raise NotFound(message, reason=f"there is no domain {channel.domid}", hint="see: xenwire list")
    for other in await read_channels(t, channel.domid):
        if other.name == channel.name:
            raise Conflict(message, reason=f"domain {channel.domid} has a channel of this name")
    taken = {
        *await _names(t, home / "device" / "console"),
        *await _names(t, backends_of(channel.domid, channel.backend_domid)),
    }
    free = [n for n in range(1, MOST_CHANNELS + 1) if str(n) not in taken]
    devid = channel.devid or (free[0] if free else 0)
    if devid not in free:
        raise Conflict(
            message,
            reason=f"number {devid} is in use, or over {MOST_CHANNELS}"
            if devid
            else f"domain {channel.domid} has {MOST_CHANNELS} channels already, as many as Linux takes",
        )
    attached = replace(channel, devid=DevId(devid), type=OUR_TYPE)
    for node in attached.nodes():
        await t.write(node.path, os.fsencode(node.value))
        if node.perms is not None:
            await t.set_perms(node.path, node.perms)
    return attached


async def _names(t: Transaction, path: StorePath) -> list[str]:
    try:
        return await t.list(path)
    except NotFound:
        return []
