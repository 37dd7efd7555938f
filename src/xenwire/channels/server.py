"""The backend of all our channels: it finds them in the store, and serves them.

Ours are those whose backend directory has `type = xenwire`: a guest can write its own directory, not that
one. Whoever writes the right nodes gets a channel, and one whose nodes go away is let go of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from xenwire.channels.channellog import ChannelLog
from xenwire.channels.endpoints import make_endpoint
from xenwire.channels.guest import Guests
from xenwire.channels.keys import OUR_TYPE, OUTPUT_LIMIT, frontend_of, read_channel
from xenwire.channels.nodes import read_readable, write_error
from xenwire.channels.options import OPTIONS, Options
from xenwire.channels.pace import Pace
from xenwire.channels.persistent import PERSISTENT, remembered, uuid_of
from xenwire.channels.served import ServedChannel
from xenwire.channels.spoolfile import SpoolFile
from xenwire.channels.spoolname import SpoolName
from xenwire.channels.statistics import ChannelStatistics
from xenwire.channels.wire import Wire
from xenwire.errors import NotFound, XenwireError
from xenwire.types import DOM0, DevId, DomId, StorePath
from xenwire.xenstore.errors import StoreClosed

if TYPE_CHECKING:
    from xenwire.xenstore import Store
    from xenwire.xenstore.listener import Listener

__all__ = ["ChannelServer"]

_Key = tuple[DomId, DevId]

_SWEEP: Final = 0.2  # seconds from a change of what comes back until spools are looked through
_RETRY: Final = 5.0  # seconds until a host end that could not be opened is tried again
_CHANGES: Final = (20, 5.0)  # changes of state that a guest may ask for: at once, and a second


@dataclass(slots=True)
class _Entry:
    """What the server keeps of a channel that is in the store."""

    log: ChannelLog
    changes: Pace = field(default_factory=lambda: Pace(*_CHANGES))
    served: ServedChannel | None = None
    spool: SpoolFile | None = None
    listener: Listener | None = None
    name: SpoolName | None = None
    timer: asyncio.TimerHandle | None = None
    dirty: bool = False
    working: bool = False
    error: str | None = None


class ChannelServer:
    """Serves the channels of all guests whose backend this domain is."""

    def __init__(self, store: Store, guests: Guests, spools: Path, domid: DomId = DOM0) -> None:
        """`spools` is the folder, 0700, of what was not delivered yet."""
        self._store, self._guests = store, guests
        self._spools = spools
        self._domid = domid
        self._root = StorePath(f"/local/domain/{domid}/backend/console")
        self._entries: dict[_Key, _Entry] = {}
        self._tasks: asyncio.TaskGroup
        self._working: set[asyncio.Task[None]] = set()
        self._sweeping = False

    async def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until cancelled; `ready` is called once all channels that there are are served.

        Nothing is said in the store at the end: a successor goes on, and the guests notice nothing. Raises
        StoreClosed when the store is gone.
        """
        forgotten = None
        try:
            async with asyncio.TaskGroup() as self._tasks, self._store.watch(self._root) as changes:
                await anext(changes)
                await self._look_at_all()
                if self._working:
                    await asyncio.wait(self._working)
                await self._sweep()
                if self._domid == DOM0:
                    forgotten = await self._store.listen(PERSISTENT, self._sweep_soon)
                ready()
                async for path in changes:
                    await self._changed(path)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            if forgotten is not None:
                forgotten.close()
            for entry in self._entries.values():
                self._let_go(entry)

    def channels(self) -> Iterator[ChannelStatistics]:
        """Tell of every channel of ours, also of one that cannot be served."""
        for (domid, devid), entry in self._entries.items():
            if entry.served is not None:
                yield ChannelStatistics.of(entry.served, entry.error)
            elif entry.error is not None:
                yield ChannelStatistics(domid=domid, devid=devid, error=entry.error)

    def _sweep_soon(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._tasks.create_task(self._sweep_once())

    async def _sweep_once(self) -> None:
        await asyncio.sleep(_SWEEP)  # what is remembered often changes many times at once
        self._sweeping = False
        with suppress(XenwireError):
            await self._sweep()

    async def _sweep(self) -> None:
        """Remove the spools of channels that are gone, and do not come back."""
        for path in list(self._spools.iterdir()):
            spool = SpoolName.parse(path.name)
            if spool is None:
                path.unlink(missing_ok=True)
            elif spool.key not in self._entries:
                await self._remove_unless_wanted(spool)

    async def _remove_unless_wanted(self, spool: SpoolName) -> None:
        served = {(entry.name.uuid, entry.name.channel) for entry in self._entries.values() if entry.name}
        wanted = (spool.uuid, spool.channel) not in served and await self._comes_back(spool)
        # It may be attached again by now.
        if not wanted and spool.key not in self._entries:
            (self._spools / str(spool)).unlink(missing_ok=True)

    async def _comes_back(self, spool: SpoolName) -> bool:
        if self._domid != DOM0 or spool.uuid is None:  # other domains may not read what is remembered
            return False
        return spool.channel in {each.channel.name for each in await remembered(self._store, spool.uuid)}

    async def _look_at_all(self) -> None:
        for domid in await self._store.names(self._root):
            for devid in await self._store.names(self._root / domid):
                self._look_at(domid, devid)

    async def _changed(self, path: StorePath) -> None:
        parts = path.removeprefix(self._root).strip("/").split("/")
        match parts:
            case [domid, devid, *_]:
                self._look_at(domid, devid)
            case [""]:
                for key in self._entries:
                    self._look_again(key)
                await self._look_at_all()
            case [domid]:
                for devid in await self._store.names(self._root / domid):
                    self._look_at(domid, devid)
                for key in list(self._entries):
                    if str(key[0]) == domid:
                        self._look_again(key)

    def _look_at(self, domid: str, devid: str) -> None:
        try:
            key = DomId(domid), DevId(devid)
        except XenwireError:
            return
        if key[1] > 0:
            self._entries.setdefault(key, _Entry(ChannelLog(*key)))
            self._look_again(key)

    def _look_again(self, key: _Key) -> None:
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.dirty = True
        if not entry.working:
            entry.working = True
            task = self._tasks.create_task(self._work(key, entry))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, key: _Key, entry: _Entry) -> None:
        """Look at a channel until nothing has changed meanwhile."""
        loop = asyncio.get_running_loop()
        try:
            while entry.dirty and self._entries.get(key) is entry:
                entry.dirty = False
                await asyncio.sleep(entry.changes.spend(loop.time()))
                try:
                    again, entry.error = await self._reconcile(key, entry), None
                except StoreClosed:
                    raise
                except (XenwireError, OSError) as error:
                    again = _RETRY
                    await self._tell(key, entry, error)
                if entry.timer is not None:
                    entry.timer.cancel()
                entry.timer = None if again is None else loop.call_later(again, self._look_again, key)
        finally:
            entry.working = False

    async def _tell(self, key: _Key, entry: _Entry, error: XenwireError | OSError) -> None:
        """Say what is wrong with a channel, once: writing it is a change, at which we look again."""
        if entry.error == str(error):
            return
        entry.error = str(error)
        entry.log.warning("%s", error)
        if isinstance(error, OSError):
            error = XenwireError("the channel cannot be served", reason=error.strerror)
        try:
            await write_error(self._store, self._root / key[0] / key[1], error)
        except StoreClosed:
            raise
        except XenwireError as failed:
            entry.log.warning("%s", failed)

    async def _reconcile(self, key: _Key, entry: _Entry) -> float | None:
        domid, devid = key
        backend = self._root / domid / devid
        if await self._store.get(backend / "type") != OUR_TYPE.encode():
            await self._forget(key, entry)
            return None
        if entry.served is None:
            try:
                await self._take_up(key, entry, backend)
            except BaseException:
                self._let_go(entry)
                raise
        assert entry.served is not None
        return await entry.served.reconcile()

    async def _take_up(self, key: _Key, entry: _Entry, backend: StorePath) -> None:
        domid, devid = key
        frontend = frontend_of(domid, devid)

        begun = False

        def changed() -> None:
            nonlocal begun
            if begun:
                self._look_again(key)
            begun = True  # the first event only says that the watch is there, and all is read after that

        async def listen() -> None:
            entry.listener = await self._store.listen(frontend, changed)

        # It is asked for first, and so answered first: whatever fails, it is ended with the entry.
        _, channel, options, limit, uuid = await asyncio.gather(
            listen(),
            read_channel(self._store, domid, devid, self._domid),
            self._options(backend),
            self._limit(backend, frontend),
            self._uuid(domid),
        )
        if channel is None:
            raise NotFound("the channel has no name", reason=f"no {backend / 'name'}")
        name = SpoolName(domid, devid, uuid, channel.name)
        await self._inherit(name, limit)
        entry.name = name
        entry.spool = SpoolFile.open(self._spools / str(name), limit)

        def ready() -> None:
            if entry.served is not None:
                entry.served.turn()

        endpoint = make_endpoint(channel, entry.spool.spool, ready, options)
        wire = Wire(endpoint, entry.spool.spool, block=options.block, hold=options.hold)
        entry.served = ServedChannel(
            self._store, self._guests, channel, str(uuid), wire, entry.log, partial(self._look_again, key)
        )
        entry.log.info("%s of kind %s is taken up", channel.name, channel.kind)
        if options.block:
            entry.log.warning("it has its guest wait while nobody takes the output; Linux on Xen spins then")

    async def _options(self, backend: StorePath) -> Options:
        values = await self._store.get_all(backend / key for key in OPTIONS)
        told = {key: value for key, value in zip(OPTIONS, values, strict=True) if value is not None}
        return Options.parse({key: value.decode(errors="replace") for key, value in told.items()})

    async def _uuid(self, domid: DomId) -> UUID | None:
        """Give the uuid of a frontend's domain; other domains than dom0 may not read it."""
        return await uuid_of(self._store, domid) if self._domid == DOM0 else None

    async def _limit(self, backend: StorePath, frontend: StorePath) -> int:
        """Give the bytes that are kept for a channel. What a guest could have forged may not ask for more."""
        ours, theirs = await read_readable(self._store, [backend / "limit", frontend / "limit"])
        return _number(ours) or min(_number(theirs) or OUTPUT_LIMIT, OUTPUT_LIMIT)

    async def _inherit(self, name: SpoolName, limit: int) -> None:
        """Take over what nobody had taken yet of the channel's domain before it rebooted, or was saved."""
        mine = self._spools / str(name)
        if name.uuid is None or mine.exists():
            return
        others = [other for path in self._spools.iterdir() if (other := SpoolName.parse(path.name))]
        for other in sorted(others, key=lambda other: other.domid):
            # While a domain is migrated within a host, there are two with this uuid.
            if not other.is_predecessor_of(name) or await self._store.exists(
                self._root / other.domid / other.devid
            ):
                continue
            if predecessor := self._entries.get(other.key):
                self._let_go(predecessor)
            old = SpoolFile.open(self._spools / str(other), limit)
            old.spool.end()
            old.close()
            (self._spools / str(other)).rename(mine)  # the latest one stays

    async def _forget(self, key: _Key, entry: _Entry) -> None:
        """Let go of a channel whose nodes are gone, or not ours any more."""
        if entry.served is not None:
            entry.served.last_turns()
            entry.log.info("it is gone")
        self._let_go(entry)
        del self._entries[key]
        if entry.name is not None:
            await self._remove_unless_wanted(entry.name)

    def _let_go(self, entry: _Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        if entry.listener is not None:
            entry.listener.close()
        if entry.served is not None:
            entry.served.close()
        if entry.spool is not None:
            entry.spool.close()
        entry.listener = entry.served = entry.spool = None


def _number(value: bytes | None) -> int:
    """Read a plain number of bytes; 0 if it is none."""
    return int(value) if value and value.isdigit() and len(value) < 10 else 0
