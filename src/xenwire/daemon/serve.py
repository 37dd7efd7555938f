"""The process that serves a host's channels: it opens what it needs, and hands it to the server."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from xenwire.channels.attach import MOST_CHANNELS
from xenwire.channels.guest import Guests
from xenwire.channels.orphans import release_orphans
from xenwire.channels.port import LAST_DEVID
from xenwire.channels.returning import Returning
from xenwire.channels.server import ChannelServer
from xenwire.daemon.confinement import Confinement
from xenwire.daemon.control import Address, telling
from xenwire.daemon.persistence import keep, load
from xenwire.hosts.served import SERVER, control_socket, serving_lock
from xenwire.runtime.places import state_dir, store_socket
from xenwire.runtime.process import ProcessRef
from xenwire.types import DOM0, DomId
from xenwire.xenstore import Store

__all__ = ["serve"]

_TAKEOVER: Final = 5.0  # seconds that a predecessor whose store is gone has to end


async def serve(
    ready: Callable[[], None] = lambda: None,
    *,
    xen: bool,
    metrics: Address | None = None,
    user: str | None = None,
) -> None:
    """Serve the channels whose backend is this domain, until cancelled. `ready` is called once all are.

    `xen`: those of Xen's guests; else those of plain QEMUs. `metrics`: where Prometheus may read them.
    `user`: whom to be once all is open. The process gives up what it does not need (see `Confinement`).

    Raises TimedOut (another process serves them), Unreachable (this is no domain of Xen, or the store does
    not run), Denied, Conflict and NotFound (`metrics` cannot be listened at; no such user).
    """
    # Each channel has some descriptors; the usual thousand would be few.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    name = "xen" if xen else "qemu"
    confinement = Confinement.of(user)
    spools = confinement.folder / f"spool-{name}"
    async with serving_lock(f"{name}:").held(_TAKEOVER), _guests(xen=xen) as guests:
        confinement.begin()
        async with Store.connect(None if xen else store_socket()) as store:
            domid = DomId(await store.get_text("domid") or DOM0) if xen else DOM0
            server = ChannelServer(store, guests, spools, domid)
            async with telling(server.channels, control_socket(f"{name}:"), metrics):
                confinement.complete()
                spools.mkdir(mode=0o700, exist_ok=True)
                returning = Returning(store, MOST_CHANNELS if xen else LAST_DEVID) if domid == DOM0 else None
                await _run(store, server, returning, name, ready)


async def _run(
    store: Store,
    server: ChannelServer,
    returning: Returning | None,
    name: str,
    ready: Callable[[], None],
) -> None:
    """Serve, and see to all channels of the host: only dom0 may do that, which has channels come back."""

    async def announce() -> None:
        if returning is not None:
            await store.write(SERVER, str(ProcessRef.of(os.getpid())))
        ready()

    try:
        async with asyncio.TaskGroup() as tasks:
            if returning is not None:
                kept = state_dir() / f"channels-{name}.json"
                if await load(store, kept):
                    tasks.create_task(keep(store, kept))
                tasks.create_task(returning.run())
                tasks.create_task(release_orphans(store))
            await server.run(lambda: tasks.create_task(announce()))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


@asynccontextmanager
async def _guests(*, xen: bool) -> AsyncIterator[Guests]:
    """Open what reaches the guests. Neither kind needs what the other does."""
    if not xen:
        from xenwire.channels.qemuend import QemuGuests

        yield QemuGuests()
        return
    from xenwire.channels.ringend import Rings
    from xenwire.hypervisor.linux import LinuxEventChannels, LinuxGrants

    events, grants = LinuxEventChannels(), LinuxGrants()
    try:
        yield Rings(events, grants)
    finally:
        events.close()
        grants.close()
