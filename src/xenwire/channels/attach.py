"""A toolstack's part in channels that we serve: attach one to a domain that runs, and detach it.

A frontend driver looks at the backend the moment it sees its own nodes, so both appear in one transaction;
and they may only be removed once the backend has let go of the guest's memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import Final

from xenwire.channels.keys import (
    OUR_TYPE,
    Channel,
    XenbusState,
    backend_domids,
    backends_of,
    copy_of,
)
from xenwire.channels.nodes import parse_error
from xenwire.channels.orphans import remove_orphans
from xenwire.channels.persistent import forget, uuid_of
from xenwire.errors import Conflict, NotFound, TimedOut, XenwireError
from xenwire.types import DOM0, DevId, StorePath
from xenwire.xenstore import Store, Transaction

__all__ = ["MOST_CHANNELS", "attach", "detach", "detach_all", "show", "wait_served"]

MOST_CHANNELS: Final = 7
"""Linux has eight terminals for consoles, the primary one included (linux: drivers/tty/hvc/hvc_console.h)."""

_DETACH_TIMEOUT: Final = 12.0  # seconds; the backend gives the guest ten
_SERVED: Final = frozenset({XenbusState.INIT_WAIT, XenbusState.CONNECTED})


async def attach(
    store: Store,
    channel: Channel,
    *,
    most: int = MOST_CHANNELS,
    states: Container[XenbusState] = _SERVED,
    timeout: float = 5.0,
) -> Channel:
    """Attach a channel; its devid counts only if it is not 0, which stands for the lowest free one.

    Returns once its backend is in one of `states`, by default once it is served: the guest sees it, or will
    when it looks. `most`: the highest devid that this guest can have. Raises Conflict (the name or the devid
    is in use, there is no room), NotFound (no such domain), UsageError (an option that its kind does not
    have), what `wait_served` raises; then nothing of it is left.
    """
    channel.options.check(channel.kind)
    attached = await store.transact(lambda t: _write(t, channel, most))
    if isinstance(attached, Conflict):
        raise attached
    try:
        return await wait_served(store, attached, states=states, timeout=timeout)
    except BaseException:
        await store.transact(lambda t: _remove(t, attached))
        raise


async def wait_served(
    store: Store, channel: Channel, *, states: Container[XenbusState] = _SERVED, timeout: float
) -> Channel:
    """Wait until a channel's backend is in one of `states`, and give the channel as it stands then.

    Raises the error that its backend tells of, such as a path that is in use, NotFound if the channel has
    gone, XenwireError for a guest whose ring cannot be joined, and TimedOut.
    """
    message = f"channel {channel.name} of domain {channel.domid} is not served"
    state, tty = XenbusState.UNKNOWN, None
    paths = [channel.backend / "error", channel.backend / "state", channel.frontend / "tty"]
    try:
        async with asyncio.timeout(timeout), store.watch(channel.backend) as changes:
            async for _ in changes:
                error, told, tty = await store.get_all(paths)
                if error:
                    raise parse_error(error)
                state = XenbusState.parse(told)
                if state in states:
                    break
                if told is None:
                    raise NotFound(message, reason="it was removed, or the domain where it ends has ended")
                if state is XenbusState.CLOSING:
                    raise XenwireError(
                        message,
                        reason="its guest offers no ring that can be joined, or has broken its ring",
                        hint="see what `xenwire serve` says",
                    )
    except TimeoutError:
        where = "" if channel.backend_domid == DOM0 else f" in domain {channel.backend_domid}"
        raise TimedOut(
            message,
            reason=f"waited {timeout:g} s for its backend{where}, which is in state {int(state)}",
            hint=f"see what `xenwire serve` says{where}",
        ) from None
    return replace(channel, state=state, tty=os.fsdecode(tty) if tty else None)


async def detach(store: Store, channel: Channel, timeout: float = _DETACH_TIMEOUT) -> None:
    """Detach a channel: the guest lets go of it, or has to after ten seconds. It does not come back.

    Raises Conflict (it is not ours), TimedOut if its backend does not answer: then it stays half detached.
    """
    if channel.type != OUR_TYPE:
        raise Conflict(
            f"cannot detach channel {channel.name} of domain {channel.domid}",
            reason="its device model serves it, and cannot let go of it",
        )
    await store.transact(lambda t: _take_offline(t, [channel]))
    await _wait_gone(store, channel, timeout)

    async def remove_for_good(t: Transaction) -> None:
        if uuid := await uuid_of(t, channel.domid):
            await forget(t, uuid, channel.name)
        await _remove(t, channel)

    await store.transact(remove_for_good)


async def detach_all(store: Store, channels: Sequence[Channel], timeout: float = _DETACH_TIMEOUT) -> None:
    """Have channels of ours let go of whose guest is dead; their nodes stay. Raises TimedOut."""

    async def take_offline(t: Transaction) -> None:
        await _take_offline(t, channels)
        for channel in channels:
            if await t.exists(channel.frontend):
                await t.write(channel.frontend / "state", str(int(XenbusState.CLOSED)))

    await store.transact(take_offline)
    await asyncio.gather(*(_wait_gone(store, channel, timeout) for channel in channels))


async def _take_offline(t: Transaction, channels: Iterable[Channel]) -> None:
    for channel in channels:
        if await t.exists(channel.backend):
            await t.write(channel.backend / "online", "0")
            await t.write(channel.backend / "state", str(int(XenbusState.CLOSING)))


async def _wait_gone(store: Store, channel: Channel, timeout: float) -> None:
    gone = (None, str(int(XenbusState.CLOSED)).encode())
    await store.wait_for(channel.backend / "state", lambda state: state in gone, timeout)


async def show(t: Transaction, channel: Channel) -> None:
    """Give a guest its directory of a channel again, as at the beginning, unless the channel has gone."""
    if await t.exists(channel.backend) and not await t.exists(channel.frontend):
        nodes = [node for node in channel.nodes() if f"{node.path}/".startswith(f"{channel.frontend}/")]
        await t.write_all(nodes)
        await t.write(channel.frontend / "tty", channel.tty or "")


async def _remove(t: Transaction, channel: Channel) -> None:
    """Remove a channel's nodes, unless another has its number by now."""
    copy = copy_of(channel.domid, channel.devid)
    paths = [channel.backend / "type", channel.backend / "name", copy / "backend"]
    kind, name, backend = await t.get_all(paths)
    # Its backend's directory goes with its driver domain; others than us may have made no copy.
    theirs = (kind, name) not in ((OUR_TYPE.encode(), channel.name.encode()), (None, None))
    if theirs or backend not in (channel.backend.encode(), None):
        return
    await t.discard(channel.frontend, channel.backend, copy)
    # Dom0's has the primary console as long as the domain lives; libxl removes that.
    if channel.backend_domid != DOM0 and not await t.names(channel.backend.parent):
        await t.discard(channel.backend.parent)


async def _write(t: Transaction, channel: Channel, most: int) -> Channel | Conflict:
    """Write a channel's nodes, and remove those of orphans. Give an error where only that makes room."""
    home = StorePath(f"/local/domain/{channel.domid}")
    message = f"cannot attach channel {channel.name!r}"
    domain, backend_domain, served_by, frontends, backends = await asyncio.gather(
        t.exists(home),
        t.exists(f"/local/domain/{channel.backend_domid}"),
        backend_domids(t, channel.domid),
        t.names(home / "device" / "console"),
        t.names(backends_of(channel.domid, channel.backend_domid)),
    )
    if not domain:
        raise NotFound(message, reason=f"there is no domain {channel.domid}", hint="see: xenwire list")
    if channel.backend_domid != DOM0 and not backend_domain:
        raise NotFound(message, reason=f"there is no domain {channel.backend_domid}, where it is to end")
    folders = [backends_of(channel.domid, where) / devid for devid, where in served_by.items()]
    if channel.name.encode() in await t.get_all(folder / "name" for folder in folders):
        raise Conflict(message, reason=f"domain {channel.domid} has a channel of this name")
    taken = {*frontends, *backends, *map(str, served_by)}
    free = [n for n in range(1, most + 1) if str(n) not in taken]
    devid = channel.devid or (free[0] if free else 0)
    # Their numbers are not for this one: a guest that has not seen them go would take it for one of them.
    orphans = await remove_orphans(t, channel.domid, served_by)
    if devid not in free:
        error = Conflict(
            message,
            reason=f"number {devid} is in use, or over {most}"
            if devid
            else f"domain {channel.domid} has {most} channels already, as many as its guest can have",
        )
        if not orphans:
            raise error
        error.hint = f"try again: {len(orphans)} of them, whose driver domain has ended, have gone by now"
        return error
    attached = replace(channel, devid=DevId(devid), type=OUR_TYPE)
    await t.write_all(attached.nodes())
    return attached
