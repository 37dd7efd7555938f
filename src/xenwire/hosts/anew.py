"""What a plain QEMU's device model does once its guest has ended, as xl's process that waits for it."""

from __future__ import annotations

import asyncio
from typing import Final

from xenwire.channels.keys import QEMU_TYPE
from xenwire.config.libxl.types import ActionOnShutdown
from xenwire.devicemodel.nodes import DeviceModelNodes
from xenwire.errors import NotFound, XenwireError
from xenwire.hosts.logs import agent_log
from xenwire.hosts.qemu import QemuHost
from xenwire.runtime.rotation import BoundedLog
from xenwire.types import DomId
from xenwire.xenstore import Store

__all__ = ["begins_anew", "make_anew"]

_PAUSE: Final = 2.0
"""Seconds until a domain begins anew: one that cannot live takes no processor meanwhile."""


async def begins_anew(store: Store, domid: DomId, error: XenwireError | None) -> bool:
    """Tell whether a domain is to be made anew that has powered off, or crashed with an error."""
    try:
        config = await (await QemuHost(store).find(str(domid))).config()
    except NotFound:  # it is being destroyed
        return False
    return (config.on_crash if error else config.on_poweroff) is ActionOnShutdown.RESTART


async def make_anew(store: Store, domid: DomId, error: XenwireError | None, timeout: float) -> None:
    """Make another domain by the same configuration, as after a reboot under Xen: its domid is new.

    Called by the process that is the old one's device model. Why the old one has ended is in the new one's
    log. Raises as `QemuHost.create`.
    """
    await asyncio.sleep(_PAUSE)
    host = QemuHost(store)
    domain = await host.find(str(domid))
    config = await domain.config()
    of_qemu = any(channel.type == QEMU_TYPE for channel in await domain.channels())
    await store.discard(DeviceModelNodes(domid).agent)  # whoever destroys the domain would end this process
    await domain.destroy()
    new = await host.create(config, timeout=timeout, channel_type=QEMU_TYPE if of_qemu else None)
    with BoundedLog(agent_log(new.domid)) as log:
        log.write(f"in place of domain {domid}: {error or 'it has powered off'}\n".encode())
