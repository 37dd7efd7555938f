"""The process that serves a host's channels: it opens what it needs, and hands it to the server."""

from __future__ import annotations

import os
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from xenwire.channels.guest import Guests
from xenwire.channels.server import ChannelServer
from xenwire.errors import Denied
from xenwire.hosts.served import SERVER
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import run_dir, store_socket
from xenwire.runtime.process import ProcessRef
from xenwire.types import DOM0, DomId
from xenwire.xenstore import Store

__all__ = ["serve"]

_TAKEOVER: Final = 5.0  # seconds that a predecessor whose store is gone has to end


async def serve(ready: Callable[[], None] = lambda: None, *, xen: bool) -> None:
    """Serve the channels whose backend is this domain, until cancelled. `ready` is called once all are.

    `xen`: those of Xen's guests; else those of plain QEMUs. Raises TimedOut (another process serves them),
    Unreachable (this is no domain of Xen, or the store does not run), Denied.
    """
    # Each channel has some descriptors; the usual thousand would be few.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    name = "xen" if xen else "qemu"
    spools = run_dir() / f"spool-{name}"
    spools.mkdir(mode=0o700, exist_ok=True)
    async with (
        FileLock(run_dir() / f"serve-{name}.lock").held(_TAKEOVER),
        _guests(xen=xen) as guests,
        Store.connect(None if xen else store_socket()) as store,
    ):
        domid = DomId(await store.get_text("domid") or DOM0) if xen else DOM0
        with suppress(Denied):  # a driver domain may write its own nodes only
            await store.write(SERVER, str(ProcessRef.of(os.getpid())))
        await ChannelServer(store, guests, spools, domid).run(ready)


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
