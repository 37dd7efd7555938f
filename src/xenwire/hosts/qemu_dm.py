"""The device model process of the plain QEMU host: brings the agent and the channels together."""

from __future__ import annotations

from xenwire.channels.plug import PluggedChannels
from xenwire.channels.qemu import QemuChannels
from xenwire.devicemodel.agent import POWERED_OFF, Agent
from xenwire.devicemodel.setup import plain_setup
from xenwire.errors import XenwireError
from xenwire.hosts.logs import qemu_log
from xenwire.runtime.places import store_socket
from xenwire.types import DomId
from xenwire.xenstore import Store

__all__ = ["run_device_model"]


async def run_device_model(
    domid: DomId, *, timeout: float, program: str | None = None, user: str | None = None
) -> None:
    """Be the device model of a domain until its QEMU ends (`xenwire dm run`).

    Then do what the configuration wants (`on_crash`, `on_poweroff`). Raises as `Agent.run`, and as
    `make_anew`.
    """
    async with Store.connect(store_socket()) as store:
        agent = Agent(
            store,
            domid,
            lambda: plain_setup(store, domid, program, user, timeout),
            log=qemu_log(domid),
            backends=[QemuChannels(store, domid), PluggedChannels(store, domid)],
            user=user,
            timeout=timeout,
        )
        crash = None
        try:
            await agent.run()
        except XenwireError as error:
            if not agent.lost:
                raise
            crash = error
        from xenwire.hosts.anew import begins_anew, make_anew  # all who start would wait for it

        if (crash or agent.last_reason == POWERED_OFF) and await begins_anew(store, domid, crash):
            await make_anew(store, domid, crash, timeout)
        elif crash:
            raise crash
