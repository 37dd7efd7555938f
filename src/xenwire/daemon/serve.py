"""The process that serves a host's channels: it opens what it needs, and hands it to the server."""

from __future__ import annotations

from collections.abc import Callable

from xenwire.channels.server import ChannelServer
from xenwire.hypervisor.linux import LinuxEventChannels, LinuxGrants
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import run_dir
from xenwire.types import DOM0, DomId
from xenwire.xenstore import Store

__all__ = ["serve"]


async def serve(ready: Callable[[], None] = lambda: None) -> None:
    """Serve the channels whose backend is this domain, until cancelled. `ready` is called once all are.

    Raises TimedOut (another process serves them), Unreachable (this is no domain of Xen, or its store does
    not run), Denied.
    """
    spools = run_dir() / "spool"
    spools.mkdir(mode=0o700, exist_ok=True)
    async with FileLock(run_dir() / "serve.lock").held(0):
        events, grants = LinuxEventChannels(), LinuxGrants()
        try:
            async with Store.connect() as store:
                domid = DomId(await store.get_text("domid") or DOM0)
                await ChannelServer(store, events, grants, spools, domid).run(ready)
        finally:
            events.close()
            grants.close()
