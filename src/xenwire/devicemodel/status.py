"""How a device model is, as its toolstack can tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from xenwire.devicemodel.backends import Backends
from xenwire.errors import ProtocolError, XenwireError
from xenwire.qemu.qmp.broker.access import QUERY_CLIENTS, Access
from xenwire.qemu.qmp.broker.broker import ClientInfo
from xenwire.qemu.qmp.client import QmpClient, QmpError

__all__ = ["Status", "monitor_clients"]


@dataclass(frozen=True, slots=True)
class Status:
    """How a device model is. None: nobody has said, or there is no such thing."""

    pid: int | None
    """Of the device model while it runs: ours, or libxl's QEMU itself."""
    qemu: int | None
    """Of its QEMU while it runs."""
    state: str | None
    """Its readiness, or the answer to a command (seed 001)."""
    runstate: str | None
    """What the guest's processors do (see `RunState`)."""
    backends: Backends
    memory: int | None
    """Bytes of RAM that its QEMU has, the guest's memory among them."""
    uptime: float | None
    """Seconds since its QEMU was started."""
    clients: list[ClientInfo] | None
    """Who is connected to the monitor, but for us; only our device model tells."""
    last_command: str | None
    failure: XenwireError | None


async def monitor_clients(monitor: QmpClient) -> list[ClientInfo] | None:
    """Ask a broker who is connected besides this process; None: it is QEMU itself, which does not tell.

    Raises ProtocolError, and as `QmpClient.execute`.
    """
    try:
        told: Any = await monitor.execute(QUERY_CLIENTS)
    except QmpError:
        return None
    try:
        clients = [
            ClientInfo(int(each["pid"]), int(each["uid"]), Access(each["access"]), int(each["commands"]))
            for each in told
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise ProtocolError("the monitor tells its clients in no known form") from error
    return [client for client in clients if client.pid != os.getpid()]
