"""The device model process of the plain QEMU host: brings the agent and the channels together."""

from __future__ import annotations

from xenwire.channels.plug import PluggedChannels
from xenwire.channels.qemu import QemuChannels
from xenwire.devicemodel.agent import Agent
from xenwire.devicemodel.setup import plain_setup
from xenwire.hosts.logs import qemu_log
from xenwire.runtime.places import store_socket
from xenwire.types import DomId
from xenwire.xenstore import Store

__all__ = ["run_device_model"]


async def run_device_model(
    domid: DomId, *, timeout: float, program: str | None = None, user: str | None = None
) -> None:
    """Be the device model of a domain until its QEMU ends (`xenwire dm run`). Raises as `Agent.run`."""
    async with Store.connect(store_socket()) as store:
        await Agent(
            store,
            domid,
            lambda: plain_setup(store, domid, program, user, timeout),
            log=qemu_log(domid),
            backends=[QemuChannels(store, domid), PluggedChannels(store, domid)],
            user=user,
            timeout=timeout,
        ).run()
