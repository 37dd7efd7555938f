"""Channels that libxl was told to make, and lost.

xl numbers channels from 0, which is the primary console's number; libxl of Xen 4.11 to 4.20 refuses the first
one, says so in its log, and goes on (xen: tools/xl/xl_parse.c, tools/libs/light/libxl_console.c; mended in
4.18.5, 4.19.2, 4.20.1). Its QEMU listens at the socket, but reads nothing: no guest is behind it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.channels.attach import attach
from xenwire.channels.keys import Channel, read_channels
from xenwire.channels.numbering import assign_devids
from xenwire.config import DomainConfig
from xenwire.config.libxl.types import DeviceChannel, DeviceChannelPty
from xenwire.config.libxl.version import XenVersion
from xenwire.config.render import render
from xenwire.config.xl.devices.channel import numbers_from_zero
from xenwire.errors import XenwireError
from xenwire.qemu.qmp.connect import connect_unix
from xenwire.types import DevId, DomId

if TYPE_CHECKING:
    from xenwire.xenstore import Store

__all__ = ["lost_channels", "preserving_all", "repair"]

_log = logging.getLogger(__name__)

_SACRIFICE: Final = "xenwire.sacrifice"
"""The name of a channel that is there to be lost."""
_QMP: Final = "/run/xen/qmp-libxl-{domid}"
"""Where libxl's QEMU has its monitor (xen: tools/libs/light/libxl_qmp.c)."""
_CHARDEV: Final = "libxl-channel0"
"""Where the one listens that is lost (xen: tools/libs/light/libxl_dm.c)."""
_CONNECT_TIMEOUT: Final = 5.0
_SERVED_TIMEOUT: Final = 30.0


async def lost_channels(store: Store, config: DomainConfig, domid: DomId) -> list[Channel]:
    """Tell which channels of a domain's configuration it does not have; their devid is 0.

    Raises what `assign_devids` raises.
    """
    there = {channel.name for channel in await read_channels(store, domid)}
    wanted = assign_devids((channel.replace(devid=-1) for channel in config.channels), domid)
    return [
        replace(channel, devid=DevId(0))
        for channel in wanted
        if channel.name not in there and channel.name != _SACRIFICE
    ]


def preserving_all(config: DomainConfig, version: XenVersion) -> bytes:
    """Give what is to be added to the text of a configuration so that xl loses none of its channels."""
    if not config.channels or not numbers_from_zero(version):
        return b""
    sacrifice = DeviceChannel(name=_SACRIFICE, connection=DeviceChannelPty())
    return b"\n" + render(DomainConfig(channels=(sacrifice, *config.channels)), only=["channel"])


async def repair(store: Store, lost: list[Channel]) -> list[Channel]:
    """Attach ours in place of channels that are lost. Raises as `attach`."""
    attached = []
    for channel in lost:
        await _have_qemu_let_go(channel)
        attached.append(await attach(store, channel, timeout=_SERVED_TIMEOUT))
    return attached


async def _have_qemu_let_go(channel: Channel) -> None:
    """Have libxl's QEMU close the socket that nobody is behind. Where that fails, attaching tells why."""
    path = Path(_QMP.format(domid=channel.domid))
    try:
        async with connect_unix(path, peer="libxl's QEMU", timeout=_CONNECT_TIMEOUT) as qmp:
            await qmp.execute("chardev-remove", id=_CHARDEV)
    except XenwireError as error:
        _log.info("libxl's QEMU does not let go of channel %s: %s", channel.name, error)
