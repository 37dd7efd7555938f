"""Channels that QEMU serves: a character device each, a virtio-serial port at the guest's end.

The host ends are opened here and handed over as descriptors, because QEMU would remove whatever is at a
socket's path, empty or follow links at a log's, and knows no mode (qemu: util/qemu-sockets.c,
chardev/char-file.c).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from xenwire.channels.endpoints.log import open_log
from xenwire.channels.keys import QEMU_TYPE, Channel, XenbusState, read_channels
from xenwire.channels.port import bus_arguments, port_arguments, port_id
from xenwire.qemu.chardev import Chardev, FdAddress, File, Pty, Socket, fdset_path, parse_filename
from xenwire.qemu.launch import Launch
from xenwire.qemu.options import format_option
from xenwire.qemu.qmp.client import QmpClient
from xenwire.qemu.qmp.session import Event
from xenwire.runtime.sockets import SocketFile, listen_unix
from xenwire.types import ChannelKind, DomId

if TYPE_CHECKING:
    from xenwire.xenstore import Store

__all__ = ["QemuChannels"]

_log = logging.getLogger(__name__)


class QemuChannels:
    """The channels of one domain, as its QEMU serves them, and the bus for all others of its channels.

    A `devicemodel.agent.Backend`.
    """

    def __init__(self, store: Store, domid: DomId) -> None:
        self._store = store
        self._domid = domid
        self._channels: dict[str, Channel] = {}
        self._sockets: list[SocketFile] = []

    async def open(self, launch: Launch) -> None:
        """Open the host ends and add what QEMU needs for them.

        Raises what `listen_unix` and `open_log` raise: a path in use, too long, not writable.
        """
        launch.arguments += bus_arguments()
        for channel in await read_channels(self._store, self._domid):
            if channel.type != QEMU_TYPE:
                continue
            self._channels[port_id(channel)] = channel
            chardev = await self._endpoint(channel, launch)
            launch.arguments += ["-chardev", chardev.to_option(channel.label), *port_arguments(channel)]

    async def _endpoint(self, channel: Channel, launch: Launch) -> Chardev:
        match channel.kind:
            case ChannelKind.NONE:
                # `null` would end guest reads and block guest writes: the reverse of what NONE promises.
                return File("/dev/null")
            case ChannelKind.PTY:
                return Pty()
            case ChannelKind.PATH:
                log = open_log(_place(channel))
                launch.fds.append(log)
                launch.arguments += ["-add-fd", format_option(f"fd={log}", {"set": channel.devid})]
                return File(fdset_path(channel.devid), append=True)
            case ChannelKind.SOCKET:
                listener = await listen_unix(path := _place(channel))
                launch.fds.append(listener.detach())
                self._sockets.append(SocketFile.of(path))
                # By this the toolstack removes the socket of a device model that was killed.
                await self._store.write(channel.backend / "listener", str(self._sockets[-1]))
                return Socket(FdAddress(launch.fds[-1]), server=True)

    async def publish(self, qmp: QmpClient) -> None:
        """Tell in the store that the host ends are open: the ptys' paths, then the state."""
        filenames = {c["label"]: parse_filename(c["filename"]) for c in await qmp.execute("query-chardev")}
        for channel in self._channels.values():
            if channel.kind is ChannelKind.PTY:
                await self._store.write(channel.frontend / "tty", filenames[channel.label].pty or "")
            await self._set_state(channel, XenbusState.INIT_WAIT)

    async def event(self, event: Event) -> None:
        """Follow the guest: a channel is connected once the guest has opened its port."""
        if event.name != "VSERPORT_CHANGE":
            return
        channel = self._channels.get(str(event.data.get("id")))
        if channel is not None and event.data.get("open") is True:
            # There is no frontend driver to say so: the device model stands in for it.
            await self._store.write(channel.frontend / "state", str(int(XenbusState.CONNECTED)))
            await self._set_state(channel, XenbusState.CONNECTED)

    async def follow(self, qmp: QmpClient) -> None:
        """Do nothing: these channels are there from the start to the end."""

    async def close(self) -> None:
        """Remove the sockets and say in the store that the host ends are closed."""
        while self._sockets:
            self._sockets.pop().remove()
        for channel in self._channels.values():
            if await self._store.exists(channel.backend):
                await self._store.write(channel.frontend / "tty", "")
                await self._set_state(channel, XenbusState.CLOSED)
        self._channels.clear()

    async def _set_state(self, channel: Channel, state: XenbusState) -> None:
        await self._store.write(channel.backend / "state", str(int(state)))


def _place(channel: Channel) -> Path:
    assert channel.path is not None, "read_channels gives no log or socket without a path"
    return Path(channel.path)
