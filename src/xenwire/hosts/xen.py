"""Domains of a real Xen host, seen from its dom0.

The installed xl builds and ends them, and tells which there are and how they stand; what they are made of
stands in the store. Who created a domain makes no difference, and nothing is remembered between commands.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid as uuids
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from xenwire.channels.attach import MOST_CHANNELS, attach, detach
from xenwire.channels.keys import OUR_TYPE, Channel, read_channels
from xenwire.channels.options import PLAIN, Options
from xenwire.channels.persistent import Remembered, forget, remember
from xenwire.devicemodel.libxls_own import MONITORS
from xenwire.devicemodel.toolstack import DeviceModel
from xenwire.errors import Conflict, NotFound, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.hosts.base import Domain, DomainInfo, DomainState, Host, Progress, identified, resolve
from xenwire.hosts.dom0 import refusal
from xenwire.hosts.explained import explain
from xenwire.hosts.paths import domain_path
from xenwire.hosts.served import ensure_served, statistics
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import run_dir
from xenwire.runtime.race import before
from xenwire.types import DOM0, ChannelKind, ChannelName, DevId, DomId
from xenwire.xenstore import Store
from xenwire.xl import Flag, ListedDomain, Xl

if TYPE_CHECKING:
    from xenwire.channels.statistics import ChannelStatistics
    from xenwire.config import DomainConfig
    from xenwire.config.libxl.types import DeviceChannel

__all__ = ["XenHost"]

_log = logging.getLogger(__name__)

_POLL: Final = 0.5  # seconds
_CONSOLE_TIMEOUT: Final = 10.0  # seconds that xenconsoled has to open the console of a new domain
_SERVED_TIMEOUT: Final = 30.0  # seconds that the backend has to open a channel's host end
_MOST_PAUSES: Final = 256

_STATES: Final = (
    (Flag.CRASHED, DomainState.CRASHED),
    (Flag.SHUTDOWN | Flag.DYING, DomainState.SHUTDOWN),
    (Flag.PAUSED, DomainState.PAUSED),
)
"""What flags mean for the state, the strongest first. Without any of them a domain runs, or could."""


class XenHost(Host):
    """The Xen host whose dom0 this is. Made by `XenHost.connect`."""

    uri = "xen:"
    used_keys = None

    def __init__(self, store: Store, xl: Xl) -> None:
        self.store = store
        self.xl = xl

    @classmethod
    @asynccontextmanager
    async def connect(cls) -> AsyncIterator[Self]:
        """Connect to the host's store for the length of the block.

        Raises Unreachable if this is no dom0 or its store does not run, Denied, NotFound (no xl).
        """
        if error := refusal():
            raise error
        xl = Xl.find()
        async with Store.connect() as store:
            yield cls(store, xl)

    async def domains(self) -> list[DomainInfo]:
        """Tell all its domains, by domid: Domain-0 too, as xl does."""
        return await asyncio.gather(*(self._info(listed) for listed in await self.xl.domains()))

    async def find(self, reference: str) -> Domain:
        found = resolve(reference, await self.domains())
        return XenDomain(self, found.domid, found.name, found.uuid)

    async def plan(
        self, config: DomainConfig, *, text: bytes | None = None, channel_type: str | None = None
    ) -> list[str]:
        _, _, uuid = identified(config)
        whole, _ = await self._divided(config, text, uuid, channel_type)
        return ["have xl build a domain, its processors stopped, from:", *await self.xl.dry_run(whole)]

    async def create(
        self,
        config: DomainConfig,
        *,
        text: bytes | None = None,
        paused: bool = False,
        timeout: float = 60.0,
        progress: Progress = lambda _phase: None,
        channel_type: str | None = None,
    ) -> Domain:
        _, name, uuid = identified(config)
        whole, ours = await self._divided(config, text, uuid, channel_type)
        if ours:
            await ensure_served(self.store, self.uri)
        # xl builds one domain after another anyway; with this, what is in the way is seen beforehand.
        async with FileLock(run_dir() / "create.lock").held(timeout):
            await self._refuse_taken(name, uuid)
            domain = await self._build(name, uuid, whole, timeout)
            try:
                progress(f"domain {domain.domid} built by xl")
                for channel in ours:
                    await attach(self.store, replace(channel, domid=domain.domid), timeout=_SERVED_TIMEOUT)
                # xl, which does not know of them, makes the domain anew when the guest reboots.
                again = [
                    Remembered(channel, for_good=False) for channel in ours if channel.backend_domid == DOM0
                ]
                await self.store.transact(lambda t: remember(t, uuid, again))
                if not paused:
                    await domain.unpause()
                    progress("processors running")
            except BaseException:
                with suppress(NotFound):
                    await domain.destroy()
                raise
        return domain

    async def _divided(
        self, config: DomainConfig, text: bytes | None, uuid: uuids.UUID, channel_type: str | None
    ) -> tuple[bytes, list[Channel]]:
        """Give what xl is to build a domain from, and the channels of ours that are attached after that."""
        whole = _whole(config, text, uuid)
        if not config.channels:
            return whole, []
        if channel_type != OUR_TYPE:
            from xenwire.hosts.lost import preserving_all

            return whole + preserving_all(config, await self.xl.version()), []
        ours = [
            replace(channel, backend_domid=await self._domid_of(wanted))
            for wanted, channel in zip(config.channels, _numbered(config), strict=True)
        ]
        return whole + b"\nchannel = []\n", ours

    async def _domid_of(self, channel: DeviceChannel) -> DomId:
        """Give the domain where a channel is to end."""
        if channel.backend_domname:
            return (await self.find(channel.backend_domname)).domid
        return DomId(channel.backend_domid)

    async def _refuse_taken(self, name: str, uuid: uuids.UUID) -> None:
        message = f"cannot create domain {name!r}"
        for other in await self.domains():
            if other.name == name:
                raise Conflict(
                    message,
                    reason=f"domain {other.domid} has this name",
                    hint=f"destroy it first (xenwire destroy {other.domid}), or choose another name",
                )
            if other.uuid == uuid:
                raise Conflict(
                    message, reason=f"domain {other.domid} has the uuid {uuid}", hint="leave uuid out"
                )

    async def _build(self, name: str, uuid: uuids.UUID, text: bytes, timeout: float) -> XenDomain:
        """Have xl build a domain. What was built is found by its uuid, since xl does not tell its domid."""
        since = time.time() - 1  # files' times are a little coarser
        try:
            for words in await self.xl.create(name, text, timeout):
                _log.warning("xl: %s", words)
            domain = await self._built(name, uuid)
        except BaseException as error:
            # When xl fails by itself it removes what it made; another's domain may have this uuid then.
            if isinstance(error, TimedOut) or not isinstance(error, XenwireError):
                await self._remove_built(uuid)
            if isinstance(error, XenwireError):
                explain(error, name, since)
            raise
        return domain

    async def _built(self, name: str, uuid: uuids.UUID) -> XenDomain:
        for listed in await self.xl.domains():
            if listed.uuid == uuid:
                return XenDomain(self, listed.domid, name, uuid)
        raise XenwireError(
            f"domain {name!r} is gone",
            reason="xl has built it, and then it was not there any more",
        )

    async def _remove_built(self, uuid: uuids.UUID) -> None:
        """Remove what an xl that was stopped had built so far: it may have no name yet, and no node."""
        for listed in await self.xl.domains():
            if listed.uuid == uuid:
                await self.xl.destroy(listed.domid)

    async def _info(self, listed: ListedDomain) -> DomainInfo:
        name = await self.store.get(domain_path(listed.domid) / "name")
        state = next((state for flags, state in _STATES if listed.flags & flags), DomainState.RUNNING)
        return DomainInfo(
            listed.domid,
            listed.name if name is None else os.fsdecode(name),
            listed.uuid,
            state,
            listed.memory,
            listed.vcpus,
        )


class XenDomain(Domain):
    """A domain of a XenHost, told from later ones by its uuid."""

    def __init__(self, host: XenHost, domid: DomId, name: str, uuid: uuids.UUID) -> None:
        self.domid = domid
        self.name = name
        self.uuid = uuid
        self._host = host
        self._store = host.store
        self._xl = host.xl

    @property
    def device_model(self) -> DeviceModel:
        """Ours, or libxl's own. A PV domain may have none, and then says nothing."""
        return DeviceModel(self._store, self.domid, run_dir(), libxls=MONITORS)

    async def info(self) -> DomainInfo:
        try:
            listed = await self._xl.domains(self.domid)
        except NotFound as error:
            raise self._gone() from error
        if [domain.uuid for domain in listed] != [self.uuid]:
            raise self._gone()
        return await self._host._info(listed[0])

    def _gone(self) -> NotFound:
        return NotFound(f"there is no domain {self.name!r} any more", hint="see: xenwire list")

    async def config(self) -> DomainConfig:
        """Give what it was created from, with what libxl has filled in since."""
        await self.info()
        return await self._xl.config(self.domid)

    async def channels(self) -> list[Channel]:
        return await read_channels(self._store, self.domid)

    async def statistics(self) -> dict[DevId, ChannelStatistics] | None:
        return await statistics(self._host.uri, self.domid)

    async def attach(
        self,
        name: ChannelName,
        kind: ChannelKind,
        path: str | None = None,
        options: Options = PLAIN,
        *,
        backend: DomId = DOM0,
    ) -> Channel:
        self._refuse_dom0("attach a channel to")
        # For a driver domain's, too: if that ends, it is dom0's backend that releases the guest.
        await ensure_served(self._store, self._host.uri)
        channel = Channel(self.domid, DevId(0), name, kind, path, backend, options=options)
        return await attach(self._store, channel, timeout=_SERVED_TIMEOUT)

    async def lost_channels(self) -> list[Channel]:
        from xenwire.hosts.lost import lost_channels  # it needs libxl's types, for which few need to wait

        return await lost_channels(self._store, await self.config(), self.domid)

    async def repair_channels(self) -> list[Channel]:
        from xenwire.hosts.lost import repair

        await ensure_served(self._store, self._host.uri)
        repaired = await repair(self._store, await self.lost_channels())
        await self._remember(repaired, for_good=False)  # xl loses them again when the guest reboots
        return repaired

    async def remember(self, channel: Channel) -> None:
        if channel.backend_domid != DOM0:
            raise UsageError(
                f"channel {channel.name} cannot come back by itself",
                reason="a driver domain serves it, which is another one after a reboot",
                hint="attach it again then",
            )
        await ensure_served(self._store, self._host.uri)
        await self._remember([channel], for_good=True)

    async def _remember(self, channels: list[Channel], *, for_good: bool) -> None:
        above = max((c.devid for c in await self.channels() if c.type != OUR_TYPE), default=DevId(0))
        again = [Remembered(channel, for_good, above=above) for channel in channels]
        await self._store.transact(lambda t: remember(t, self.uuid, again))

    async def detach(self, name: str) -> None:
        await detach(self._store, await self.channel(name))

    async def console(self) -> Path:
        """Give the terminal of an HVM domain's first serial port, else of its console, once it is open."""
        home = domain_path(self.domid)
        tty = await self._store.get(home / "serial" / 0 / "tty")
        if not tty and await self._store.exists(home / "console"):
            with suppress(TimedOut):
                tty = await self._store.wait_for(home / "console" / "tty", bool, _CONSOLE_TIMEOUT)
        if not tty:
            raise NotFound(
                f"domain {self.name} has no console to attach to",
                reason="nobody has opened a terminal for it",
                hint="does xenconsoled run?" if self.domid != DOM0 else "you are in it",
            )
        return Path(os.fsdecode(tty))

    async def pause(self) -> None:
        info = await self._living("pause")
        if info.state is not DomainState.PAUSED:  # Xen counts, and would want as many `unpause`
            await self._xl.pause(self.domid)

    async def unpause(self) -> None:
        for _ in range(_MOST_PAUSES):
            info = await self._living("unpause")
            if info.state is not DomainState.PAUSED:
                return
            await self._xl.unpause(self.domid)
        raise XenwireError(f"cannot unpause domain {self.name}", reason="somebody pauses it again and again")

    async def _living(self, verb: str) -> DomainInfo:
        """Tell how it stands. Raises UsageError for Domain-0, Unreachable if the guest has ended."""
        self._refuse_dom0(verb)
        info = await self.info()
        if info.state in (DomainState.SHUTDOWN, DomainState.CRASHED):
            raise Unreachable(
                f"cannot {verb} domain {self.name}",
                reason=f"its state is {info.state}",
                hint=f"destroy it: xenwire destroy {self.domid}",
            )
        return info

    def _refuse_dom0(self, verb: str) -> None:
        if self.domid == DOM0:
            raise UsageError(
                f"cannot {verb} {self.name}", reason="it is the domain that you are in", hint="name another"
            )

    async def destroy(self) -> None:
        self._refuse_dom0("destroy")
        await self.info()
        await self._store.transact(lambda t: forget(t, self.uuid))
        await self._xl.destroy(self.domid)

    async def wait_state(self, states: Iterable[DomainState], timeout: float) -> DomainInfo:
        """Wait as every domain does. The store tells at once of a domain that ends; nobody of a pause.

        Raises NotFound also where `on_poweroff` and its like have had xl destroy it.
        """
        wanted = set(states)
        try:
            async with asyncio.timeout(timeout), self._store.watch("@releaseDomain") as ended:
                while (info := await self.info()).state not in wanted:
                    await before(anext(ended), asyncio.sleep(_POLL))
        except TimeoutError:
            raise TimedOut(
                f"domain {self.name} is not {' or '.join(sorted(wanted))}",
                reason=f"waited {timeout:g} s; it is {(await self.info()).state}",
            ) from None
        return info


def _numbered(config: DomainConfig) -> list[Channel]:
    """Number the channels that are to be attached to a guest of Xen. Raises as `assign_devids`."""
    # It needs libxl's types, for which the other commands need not wait.
    from xenwire.channels.numbering import assign_devids

    return assign_devids(config.channels, DOM0, MOST_CHANNELS)


def _whole(config: DomainConfig, text: bytes | None, uuid: uuids.UUID) -> bytes:
    """Give the xl.cfg that xl is to build from: with a uuid, by which the domain is found."""
    if text is None:
        from xenwire.config.render import render  # most have the text, and all would wait for this

        text = render(config)
    return text if config.c_info.uuid else text + f'\nuuid = "{uuid}"\n'.encode()
