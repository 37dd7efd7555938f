"""Domains under plain QEMU, with an embedded store as the meeting place: no Xen needed.

The store is one daemon of this user's run folder, started by the first command that needs it. Each domain
has a device model process of its own. What a domain is stands in the store and nowhere else, so domains
outlive the command that created them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import socket
import struct
import uuid as uuids
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from xenwire.channels.attach import attach, detach, detach_all, wait_served
from xenwire.channels.handover import remove_handovers
from xenwire.channels.keys import OUR_TYPE, Channel, XenbusState, backends_of, read_channels
from xenwire.channels.numbering import assign_devids
from xenwire.channels.options import PLAIN, Options
from xenwire.channels.persistent import Remembered, remember
from xenwire.channels.port import LAST_DEVID
from xenwire.devicemodel.arguments import argument_nodes
from xenwire.devicemodel.nodes import RunState
from xenwire.devicemodel.toolstack import DeviceModel
from xenwire.errors import Conflict, NotFound, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.hosts.base import Domain, DomainInfo, DomainState, Host, Progress, identified, resolve
from xenwire.hosts.kept import config_nodes, read_config
from xenwire.hosts.logs import agent_log, remove_logs
from xenwire.hosts.machine import USED_KEYS, qemu_arguments
from xenwire.hosts.nodes import domain_nodes
from xenwire.hosts.paths import domain_path, libxl_path, vm_path
from xenwire.hosts.served import ensure_served, server, statistics
from xenwire.qemu.accelerator import accelerator
from xenwire.runtime.daemon import Daemon, ensure_running, xenwire_command
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import log_dir, run_dir, store_socket
from xenwire.runtime.process import ProcessRef
from xenwire.runtime.race import before
from xenwire.runtime.sockets import SocketFile
from xenwire.types import DOM0, MAX_DOMID, ChannelKind, ChannelName, DevId, DomId, StorePath
from xenwire.xenstore import Nodes, Store, Transaction
from xenwire.xenstore.node import Node

if TYPE_CHECKING:
    from xenwire.channels.statistics import ChannelStatistics
    from xenwire.config import DomainConfig

__all__ = ["QemuHost"]

_log = logging.getLogger(__name__)

_LAST_DOMID: Final = StorePath("/tool/xenwire/last-domid")
_STORE_TIMEOUT: Final = 10.0  # seconds that the store has to start
_ATTACH_TIMEOUT: Final = 10.0  # seconds that the daemon and QEMU have to attach a channel

_STATES: Final = {
    None: DomainState.STARTING,
    RunState.RUNNING: DomainState.RUNNING,
    RunState.SHUTDOWN: DomainState.SHUTDOWN,
    RunState.CRASHED: DomainState.CRASHED,
    "guest-panicked": DomainState.CRASHED,
    "internal-error": DomainState.CRASHED,
}
"""What a run state means for the domain; every other one has its processors stopped."""


class QemuHost(Host):
    """This machine, without Xen. Made by `QemuHost.connect`."""

    uri = "qemu:"
    used_keys = USED_KEYS

    def __init__(self, store: Store) -> None:
        self.store = store
        self.agents: dict[DomId, Daemon] = {}
        """The device models that are children of this process."""

    @classmethod
    @asynccontextmanager
    async def connect(cls) -> AsyncIterator[Self]:
        """Connect to the store, which is started if it does not run yet, for the length of the block.

        Raises XenwireError with its last words if it cannot start.
        """
        await _ensure_store()
        async with Store.connect(store_socket()) as store:
            yield cls(store)

    @staticmethod
    async def stop_store() -> None:
        """End the store daemon of this run folder, with all that it knows, and who serves its channels.

        None running is fine.
        """
        serving = None
        with suppress(XenwireError):
            async with Store.connect(store_socket(), timeout=_STORE_TIMEOUT) as store:
                serving = await server(store)
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(store_socket()))
            except (FileNotFoundError, ConnectionRefusedError):
                return
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, _uid, _gid = struct.unpack("3i", credentials)
        process = ProcessRef.of(pid)
        for daemon in (process, serving):
            if daemon is not None:
                await daemon.end()

    async def domains(self) -> list[DomainInfo]:
        domids = sorted(await _domids(self.store))
        infos = await asyncio.gather(*(self._info(DomId(domid)) for domid in domids))
        return [info for info in infos if info is not None]

    async def find(self, reference: str) -> Domain:
        found = resolve(reference, await self.domains())
        return QemuDomain(self, found.domid, found.name)

    async def plan(
        self, config: DomainConfig, *, text: bytes | None = None, channel_type: str | None = None
    ) -> list[str]:
        config, _, uuid = identified(config)
        arguments = qemu_arguments(config, uuid, await accelerator())
        domid = await _free_domid(self.store)
        channels = _channels(config, domid, channel_type)
        nodes = _all_nodes(domid, config, uuid, arguments, channels)
        return [
            *(
                f"write {node.path} = {node.value!r}" + (f" ({node.perms})" if node.perms else "")
                for node in nodes
            ),
            "start " + shlex.join(xenwire_command("dm", "run", str(domid))),
            *(
                ["start, unless it runs, " + shlex.join(xenwire_command("serve", "--host", self.uri))]
                if any(channel.type == OUR_TYPE for channel in channels)
                else []
            ),
        ]

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
        config, name, uuid = identified(config)
        arguments = qemu_arguments(config, uuid, await accelerator())
        domain = await self._register(config, name, uuid, arguments, channel_type)
        try:
            await self.store.introduce(domain.domid, 0, 1)
            progress(f"domain {domain.domid} registered")
            channels = _channels(config, domain.domid, channel_type)
            await self._start(domain, channels, timeout, progress)
            if not paused:
                await domain.unpause()
                progress("processors running")
        except BaseException:
            await domain.remove()
            raise
        return domain

    async def _register(
        self,
        config: DomainConfig,
        name: str,
        uuid: uuids.UUID,
        arguments: list[str],
        channel_type: str | None,
    ) -> QemuDomain:
        """Write the nodes of a new domain. Raises Conflict if its name or uuid is in use."""
        registering = asyncio.ensure_future(
            self.store.transact(lambda t: _register(t, config, name, uuid, arguments, channel_type))
        )
        try:
            return QemuDomain(self, await asyncio.shield(registering), name)
        except asyncio.CancelledError:
            # It may be done, and only the reply under way.
            with suppress(XenwireError):
                await QemuDomain(self, await registering, name).remove()
            raise

    async def _start(
        self, domain: QemuDomain, channels: list[Channel], timeout: float, progress: Progress
    ) -> None:
        """Start a domain's device model, and wait until all that its configuration needs is served."""
        agent = self.agents[domain.domid] = Daemon.start(
            f"device model of {domain.name!r}",
            xenwire_command("dm", "run", str(domain.domid), "--timeout", f"{timeout:.6f}"),
            domain.fresh_log(),
        )
        # Meanwhile, so that it costs no time. A guest whose channel is not served would wait in its boot.
        if ours := [channel for channel in channels if channel.type == OUR_TYPE]:
            await ensure_served(self.store, self.uri)
            for channel in ours:
                await wait_served(self.store, channel, timeout=timeout)
        # The agent's own deadline comes first and says more.
        await domain.device_model.wait_running(agent, timeout + 5)
        backends = await domain.device_model.backends()
        progress(f"device model running, backends {' '.join(backends.types)}")
        if channels and not backends.supports("console"):
            raise XenwireError(
                f"cannot create domain {domain.name!r}",
                reason="it has channels, and its device model does not support the backend 'console'",
                hint="use a QEMU that has the device virtserialport",
            )

    async def _info(self, domid: DomId) -> DomainInfo | None:
        home = domain_path(domid)
        name, vm, target = await self.store.get_all(home / key for key in ("name", "vm", "memory/target"))
        if name is None or vm is None or target is None:
            return None
        domain = QemuDomain(self, domid, os.fsdecode(name))
        try:
            vcpus = len(await self.store.list(home / "cpu"))
            uuid = uuids.UUID(StorePath(vm.decode()).name)
            memory = int(target) // 1024
        except (NotFound, ValueError, UsageError):  # not one of ours, or on its way out
            return None
        return DomainInfo(domid, domain.name, uuid, await domain.state(), memory, vcpus)


class QemuDomain(Domain):
    """A domain of a QemuHost."""

    def __init__(self, host: QemuHost, domid: DomId, name: str) -> None:
        self.domid = domid
        self.name = name
        self._host = host
        self._store = host.store
        self._device_model = DeviceModel(host.store, domid, run_dir())

    @property
    def device_model(self) -> DeviceModel:
        return self._device_model

    async def info(self) -> DomainInfo:
        info = await self._host._info(self.domid)
        if info is None or info.name != self.name:
            raise self._gone()
        return info

    def _gone(self) -> NotFound:
        return NotFound(f"there is no domain {self.name!r} any more", hint="see: xenwire list")

    async def state(self) -> DomainState:
        """Tell what it is doing, going by its device model."""
        return _STATES.get(await self._device_model.runstate(), DomainState.PAUSED)

    async def config(self) -> DomainConfig:
        vm = await self._store.get_text(domain_path(self.domid) / "vm")
        if vm is None:
            raise self._gone()
        return await read_config(self._store, StorePath(vm))

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
        if backend != DOM0:
            raise UsageError(
                f"domain {backend} cannot serve channel {name}", reason="under plain QEMU only the host can"
            )
        await self._refuse_dead(f"attach channel {name} to")
        await ensure_served(self._store, self._host.uri)
        # Connected is more than served: its device model has plugged it in.
        return await attach(
            self._store,
            Channel(self.domid, DevId(0), name, kind, path, options=options),
            most=LAST_DEVID,
            states=(XenbusState.CONNECTED,),
            timeout=_ATTACH_TIMEOUT,
        )

    async def remember(self, channel: Channel) -> None:
        uuid = (await self.info()).uuid
        await self._store.transact(lambda t: remember(t, uuid, [Remembered(channel)]))

    async def detach(self, name: str) -> None:
        channel = await self.channel(name)
        await self._refuse_dead(f"detach channel {name} from")
        await ensure_served(self._store, self._host.uri)
        await detach(self._store, channel)

    async def _refuse_dead(self, verb: str) -> None:
        """Raise Unreachable if nobody could do it: the guest has ended, or its device model."""
        state = await self.state()
        if state in (DomainState.SHUTDOWN, DomainState.CRASHED):
            raise Unreachable(
                f"cannot {verb} domain {self.name}",
                reason=f"its state is {state}",
                hint=f"destroy it: xenwire destroy {self.domid}",
            )

    async def place(self, name: str) -> Path:
        if (await self.channel(name)).type == OUR_TYPE:
            await ensure_served(self._store, self._host.uri)
        return await super().place(name)

    async def console(self) -> Path:
        tty = await self._store.get_text(domain_path(self.domid) / "console" / "tty")
        if not tty:
            raise NotFound(
                f"domain {self.name} has no console to attach to",
                reason="its first serial port is not a pty, or its device model does not run",
                hint='write serial = "pty" in its configuration, or leave serial out',
            )
        return Path(tty)

    async def pause(self) -> None:
        await self._device_model.pause()

    async def unpause(self) -> None:
        await self._device_model.unpause()

    async def destroy(self) -> None:
        if await self._store.get(domain_path(self.domid) / "name") != os.fsencode(self.name):
            raise self._gone()
        await self.remove()
        remove_logs(self.domid)

    async def wait_state(self, states: Iterable[DomainState], timeout: float) -> DomainInfo:
        wanted = set(states)
        try:
            async with asyncio.timeout(timeout), self._store.watch(domain_path(0)) as changes:
                while (info := await self.info()).state not in wanted:
                    process = await self._device_model.process()
                    if process is None or not process.alive:
                        await anext(changes)
                    else:
                        await before(anext(changes), process.wait())
        except TimeoutError:
            raise TimedOut(
                f"domain {self.name} is not {' or '.join(sorted(wanted))}",
                reason=f"waited {timeout:g} s; it is {(await self.info()).state}",
            ) from None
        return info

    def fresh_log(self) -> Path:
        """Give the log of its device model, without what an earlier domain of this domid left."""
        remove_logs(self.domid)
        return agent_log(self.domid)

    async def remove(self) -> None:
        """End its device model, and take away what is left of it. Raises Unreachable if the store is gone."""
        if agent := self._host.agents.pop(self.domid, None):
            await agent.end()
        await self._device_model.end()
        try:
            remove_handovers(self.domid)
            await self._close_channels()
        except (XenwireError, OSError) as error:
            _log.warning("domain %s may have left a socket: %s", self.domid, error)
        await self._store.transact(self._remove_nodes)
        with suppress(NotFound):
            await self._store.release(self.domid)

    async def _close_channels(self) -> None:
        """Have the host ends closed by who serves them, or instead of a device model that was killed."""
        channels = await self.channels()
        for channel in channels:
            if channel.path and channel.listener:
                SocketFile.parse(Path(channel.path), channel.listener).remove()
        served = [channel for channel in channels if channel.type == OUR_TYPE]
        if any(channel.state is not XenbusState.INITIALISING for channel in served):
            await ensure_served(self._store, self._host.uri)
        if served and await server(self._store) is not None:
            await detach_all(self._store, served)

    async def _remove_nodes(self, t: Transaction) -> None:
        home = domain_path(self.domid)
        vm = await t.get_text(home / "vm")
        await t.discard(
            home,
            libxl_path(self.domid),
            backends_of(self.domid),
            self._device_model.nodes.root,
            *([StorePath(vm)] if vm else []),
        )


async def _register(
    t: Transaction,
    config: DomainConfig,
    name: str,
    uuid: uuids.UUID,
    arguments: list[str],
    channel_type: str | None,
) -> DomId:
    """Take a domid and write the new domain's nodes. Raises Conflict if its name or uuid is in use."""
    message = f"cannot create domain {name!r}"
    for other in await _domids(t):
        if await t.get(domain_path(other) / "name") == os.fsencode(name):
            raise Conflict(
                message,
                reason=f"domain {other} has this name",
                hint=f"destroy it first (xenwire destroy {other}), or choose another name",
            )
    if await t.exists(vm_path(uuid)):
        raise Conflict(message, reason=f"another domain has the uuid {uuid}", hint="leave uuid out")
    domid = await _free_domid(t)
    await t.write(_LAST_DOMID, str(domid))
    nodes = _all_nodes(domid, config, uuid, arguments, _channels(config, domid, channel_type))
    await t.write_all(nodes)
    return domid


async def _domids(store: Nodes) -> set[int]:
    return {int(name) for name in await store.names("/local/domain") if name.isdecimal()}


async def _free_domid(store: Nodes) -> DomId:
    """Count on from the last one, as Xen does, so that a domid is not soon another domain's."""
    used, last = await _domids(store), int(await store.get_text(_LAST_DOMID) or 0)
    for step in range(MAX_DOMID):
        domid = (last + step) % MAX_DOMID + 1
        if domid not in used:
            return DomId(domid)
    raise Conflict("there are no domain ids left", reason=f"{len(used)} domains exist")


def _channels(config: DomainConfig, domid: DomId, channel_type: str | None) -> list[Channel]:
    channels = assign_devids(config.channels, domid)
    return [replace(channel, type=channel_type or OUR_TYPE) for channel in channels]


def _all_nodes(
    domid: DomId, config: DomainConfig, uuid: uuids.UUID, arguments: list[str], channels: list[Channel]
) -> list[Node]:
    return [
        *domain_nodes(domid, config, uuid),
        *config_nodes(vm_path(uuid), config),
        *argument_nodes(vm_path(uuid), arguments),
        *(node for channel in channels for node in channel.nodes()),
    ]


async def _ensure_store() -> None:
    """Start the store if nobody answers at its socket, once however many ask."""
    path = store_socket()
    await ensure_running(
        "the store",
        xenwire_command("store", "serve", "--socket", str(path)),
        log_dir() / "store.log",
        _STORE_TIMEOUT,
        lock=FileLock(path.with_suffix(".lock")),
        running=partial(_answers, path),
    )


async def _answers(path: Path) -> bool:
    try:
        async with Store.connect(path):
            return True
    except Unreachable:
        return False
