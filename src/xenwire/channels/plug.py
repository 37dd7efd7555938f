"""The device model's part in channels that we serve: it stands in for the frontend of a guest without Xen.

Each is a virtio-serial port on a stream that is handed over to whoever serves it. Ports come and go with the
channels' backends:

    the backend                         what is done                              frontend's state then
    of a new domain, or in state 2, 4   plug the port in, say where its stream is 3
                                        the guest opens the port                  4
                                        the guest resets                          3
    offline, or gone                    unplug the port, end the stream           6
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xenwire.channels.handover import Handover, handover_path
from xenwire.channels.keys import OUR_TYPE, Channel, XenbusState, backends_of, read_channel, read_channels
from xenwire.channels.nodes import write_error, write_key
from xenwire.channels.port import DRIVER, port_arguments, port_id, port_properties
from xenwire.errors import UsageError, XenwireError
from xenwire.qemu.chardev import FdAddress, Socket
from xenwire.qemu.launch import Launch
from xenwire.qemu.qmp.client import QmpClient, QmpError
from xenwire.qemu.qmp.session import Event
from xenwire.types import DevId, DomId
from xenwire.xenstore.errors import StoreClosed

if TYPE_CHECKING:
    from xenwire.xenstore import Store, Transaction

__all__ = ["PluggedChannels"]

_log = logging.getLogger(__name__)

_READY: Final = (XenbusState.INIT_WAIT, XenbusState.CONNECTED)
_KEYS: Final = ("", "state", "online")
"""What of a backend, all of it or a key, may tell whether its port is to be there."""

_UNPLUG_TIMEOUT: Final = 5.0  # seconds; QEMU does not ask the guest


@dataclass(slots=True)
class _Port:
    """A port of QEMU's, and the stream behind it."""

    channel: Channel
    stream: Handover
    opened: bool = False
    resets: int = 0
    """How often the guest has reset with the port open: firmware may do so many times a boot."""
    deleted: asyncio.Event = field(default_factory=asyncio.Event)


class PluggedChannels:
    """The ports of one domain's channels that we serve. A `devicemodel.agent.Backend`."""

    def __init__(self, store: Store, domid: DomId) -> None:
        self._store = store
        self._domid = domid
        self._root = backends_of(domid)
        self._ports: dict[str, _Port] = {}
        self._refused: set[DevId] = set()

    async def open(self, launch: Launch) -> None:
        """Make the streams of the channels that the domain has at first, and add what QEMU needs for them.

        Raises what `listen_unix` raises.
        """
        for channel in await read_channels(self._store, self._domid):
            if channel.type == OUR_TYPE:
                launch.fds.append(fd := await self._make_stream(channel))
                chardev = Socket(FdAddress(fd)).to_option(channel.label)
                launch.arguments += ["-chardev", chardev, *port_arguments(channel)]

    async def publish(self, qmp: QmpClient) -> None:
        """Tell in the store where their streams are."""
        for port in self._ports.values():
            await self._tell(port)

    async def event(self, event: Event) -> None:
        """Follow the guest, which has its driver once it opens a port, and QEMU, which lets go of one."""
        match event.name:
            case "VSERPORT_CHANGE" if port := self._ports.get(str(event.data.get("id"))):
                if event.data.get("open") is True and not port.opened:
                    port.opened = True
                    await self._tell(port)
            case "RESET":
                for port in [port for port in self._ports.values() if port.opened]:
                    port.opened = False
                    port.resets += 1
                    await self._tell(port)
            case "DEVICE_DELETED" if port := self._ports.get(str(event.data.get("device"))):
                port.deleted.set()

    async def follow(self, qmp: QmpClient) -> None:
        """Plug ports in and unplug them as backends come and go, until cancelled."""
        async with self._store.watch(self._root) as changes:
            async for path in changes:
                devid, _, key = path.removeprefix(self._root).strip("/").partition("/")
                if key in _KEYS:
                    for each in [devid] if devid else await self._devids():
                        with suppress(UsageError):
                            await self._look_at(DevId(each), qmp)

    async def close(self) -> None:
        """End the streams, and say so."""
        while self._ports:
            _, port = self._ports.popitem()
            await self._end(port)

    async def _devids(self) -> list[str]:
        ours = [str(port.channel.devid) for port in self._ports.values()]
        return [*await self._store.names(self._root), *ours]

    async def _look_at(self, devid: DevId, qmp: QmpClient) -> None:
        channel = await self._wanted(devid)
        port = next((port for port in self._ports.values() if port.channel.devid == devid), None)
        if channel is None:
            self._refused.discard(devid)
            if port is not None:
                await self._unplug(port, qmp)
        elif port is None and channel.state in _READY and devid not in self._refused:
            await self._plug(channel, qmp)

    async def _wanted(self, devid: DevId) -> Channel | None:
        """Read a channel of ours that is to be there; one whose nodes make no sense is none."""
        try:
            channel = await read_channel(self._store, self._domid, devid)
            online = await self._store.get(self._root / devid / "online") == b"1"
        except StoreClosed:
            raise
        except XenwireError as error:
            _log.warning("%s", error)
            return None
        return channel if channel is not None and channel.type == OUR_TYPE and online else None

    async def _plug(self, channel: Channel, qmp: QmpClient) -> None:
        """Plug a port in. What goes wrong is left in the backend."""
        try:
            fd = await self._make_stream(channel)
            try:
                await qmp.execute("getfd", fdname=channel.label, fds=[fd])
            finally:
                os.close(fd)
            await qmp.execute("chardev-add", Socket(FdAddress(channel.label)).to_qmp(channel.label))
            try:
                await qmp.execute("device_add", {"driver": DRIVER, **port_properties(channel)})
            except QmpError:
                await qmp.execute("chardev-remove", id=channel.label)
                raise
        except XenwireError as error:
            _log.error("cannot plug in channel %s: %s", channel.name, error)
            self._refused.add(channel.devid)
            if port := self._ports.pop(port_id(channel), None):
                port.stream.close()
            await write_error(self._store, channel.backend, error)
        else:
            await self._tell(self._ports[port_id(channel)])

    async def _unplug(self, port: _Port, qmp: QmpClient) -> None:
        """Unplug a port. QEMU does so without asking the guest."""
        channel = port.channel
        try:
            await qmp.execute("device_del", id=port_id(channel))
            async with asyncio.timeout(_UNPLUG_TIMEOUT):
                await port.deleted.wait()
            await qmp.execute("chardev-remove", id=channel.label)
        except (QmpError, TimeoutError) as error:
            _log.error("QEMU does not let go of channel %s: %s", channel.name, error)
        del self._ports[port_id(channel)]
        await self._end(port)

    async def _make_stream(self, channel: Channel) -> int:
        """Make a channel's stream, and give the descriptor that is for QEMU."""
        stream, fd = await Handover.open(handover_path(channel.domid, channel.devid))
        self._ports[port_id(channel)] = _Port(channel, stream)
        return fd

    async def _tell(self, port: _Port) -> None:
        """Tell that a port is there, where its stream is, and whether the guest has opened it."""
        channel = port.channel

        async def tell(t: Transaction) -> None:
            if await t.exists(channel.backend) and await t.exists(channel.frontend):
                state = XenbusState.CONNECTED if port.opened else XenbusState.INITIALISED
                if port.resets:
                    await t.write(channel.backend / "resets", str(port.resets))
                await t.write(channel.backend / "chardev", str(port.stream.path))
                await t.write(channel.frontend / "state", str(int(state)))

        await self._store.transact(tell)

    async def _end(self, port: _Port) -> None:
        port.stream.close()
        await write_key(self._store, port.channel.frontend, "state", str(int(XenbusState.CLOSED)))
