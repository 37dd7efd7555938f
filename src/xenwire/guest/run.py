"""Programs for channels: started as the channels come, ended as they go (seed 002)."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from xenwire.errors import XenwireError
from xenwire.guest.channel import GuestChannel, Transport
from xenwire.guest.device import Device
from xenwire.guest.find import Finder
from xenwire.guest.news import News
from xenwire.guest.unit import Restart, Unit, read_units
from xenwire.runtime.process import ExitStatus, end, finish, spawn

__all__ = ["run_units"]

_FIRST_PAUSE: Final = 0.5  # seconds before a program is started again; doubled each time
_LONGEST_PAUSE: Final = 30.0  # seconds; a program that has run for so long starts afresh
_PEER_PAUSE: Final = 0.2  # seconds between looks for somebody at the host's end of a port
_HANG_UP_PAUSE: Final = 1.0
"""Seconds between looks whether a terminal has hung up, which wakes nobody who does not read it."""

_log = logging.getLogger(__name__)


class _Job(NamedTuple):
    """A program at a channel. Its state in the store is no part of it: that may change under the program."""

    name: str
    transport: Transport
    source: str
    identity: int
    device: Path
    unit: Unit


async def run_units(
    folder: Path, finder: Finder, news: News, *, ready: Callable[[], None] = lambda: None
) -> None:
    """Serve the channels that have a unit in `folder`, until cancelled; then the programs have been ended.

    Channels without a unit, consoles without a name and the primary console are left alone. `ready` is called
    after the first look. Raises as `Finder.channels` does at the first look; later ones may fail.
    """
    complaints: set[str] = set()
    channels = await asyncio.to_thread(finder.channels)
    async with asyncio.TaskGroup() as group:
        programs = _Programs(group, news)
        programs.update(_wanted(folder, channels, complaints))
        ready()
        while True:
            await news.wait()
            try:
                channels = await asyncio.to_thread(finder.channels)
            except XenwireError as error:
                _log.warning("%s", error)  # the programs go on, and it looks again
            programs.update(_wanted(folder, channels, complaints))


class _Programs:
    """The programs that run, one a device. A device's next program waits for the end of the one before."""

    def __init__(self, group: asyncio.TaskGroup, news: News) -> None:
        self._group = group
        self._news = news
        self._running: dict[Path, tuple[_Job, asyncio.Task[None]]] = {}

    def update(self, wanted: Mapping[Path, _Job]) -> None:
        """End the programs that are not wanted any more, and start those that are."""
        for device, (job, task) in list(self._running.items()):
            if wanted.get(device) != job:
                if task.done():
                    del self._running[device]
                elif not task.cancelling():  # a second time, its program would be killed at once
                    task.cancel()
        for device, job in wanted.items():
            if device not in self._running:
                task = self._group.create_task(_serve(job))
                task.add_done_callback(lambda _: self._news.tell())
                self._running[device] = job, task


def _wanted(folder: Path, channels: list[GuestChannel], complaints: set[str]) -> dict[Path, _Job]:
    """Give the jobs that there are to do, by device, and say once what is in the way of others."""
    units, errors = read_units(folder)
    said = [str(error) for error in errors]
    wanted: dict[Path, _Job] = {}
    for channel in channels:
        unit = units.get(channel.name)
        if unit is None:
            continue
        if channel.problem or channel.device is None:
            reason = channel.problem.reason if channel.problem else "it has no device"
            said.append(f"the channel {channel.name} cannot be opened: {reason}")
            continue
        wanted[channel.device] = _Job(
            channel.name, channel.transport, channel.source, channel.identity, channel.device, unit
        )
    for text in said:
        if text not in complaints:
            _log.warning("%s", text)
    complaints.clear()
    complaints.update(said)
    return wanted


async def _serve(job: _Job) -> None:
    """Run a channel's program, again and again if that is wanted."""
    loop = asyncio.get_running_loop()
    pause = _FIRST_PAUSE
    device: Device | None = None
    try:
        while True:
            started = loop.time()
            failed = True
            try:
                if device is None and (job.unit.stdio or job.transport is Transport.PV):
                    # Kept between programs, too: a terminal would be cooked again, a port lose what comes.
                    device = Device(job.device)
                # Without a peer a program would read the end of its input at once.
                while device and not device.has_peer() and not device.is_hung_up():  # noqa: ASYNC110
                    await asyncio.sleep(_PEER_PAUSE)
                if device is None or not device.is_hung_up():
                    status = await _run_once(job, device)
                    failed = status != 0
                    _log.info("%s: %s %s", job.name, job.unit.program, status)
            except XenwireError as error:
                _log.warning("%s: %s", job.name, error)
            if device and device.is_hung_up():
                # The guest was restored, perhaps. Its new terminal is to be opened only after a pause: until
                # Linux has cleaned up, the name may lead to the old one (linux: drivers/tty/hvc).
                _log.info("%s: %s has hung up", job.name, job.device)
                device.close()
                device = None
            elif job.unit.restart is Restart.NEVER or (job.unit.restart is Restart.ON_FAILURE and not failed):
                return
            if loop.time() - started >= _LONGEST_PAUSE or (device and not device.has_peer()):
                pause = _FIRST_PAUSE  # it worked for a while, or its peer has left
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    finally:
        if device is not None:
            device.close()


async def _run_once(job: _Job, device: Device | None) -> ExitStatus:
    stdin, stdout = subprocess.DEVNULL, None
    if job.unit.stdio and device is not None:
        os.set_blocking(device.fileno(), True)  # as programs expect it; we only hold it
        stdin = stdout = device.fileno()
    environment = {
        **os.environ,
        "XENWIRE_CHANNEL": job.name,
        "XENWIRE_CHANNEL_DEVICE": str(job.device),
        "XENWIRE_CHANNEL_KIND": str(job.transport),
    }
    argv = job.unit.command(job.name, job.device, job.transport)
    process = await spawn(argv, stdin=stdin, stdout=stdout, user=job.unit.user, env=environment)
    _log.info("%s: started %s for %s", job.name, job.unit.program, job.device)
    try:
        while device is None or not device.is_hung_up():
            with suppress(TimeoutError):
                async with asyncio.timeout(_HANG_UP_PAUSE):
                    return ExitStatus(await process.wait())
        return await end(process)
    finally:
        await finish(process)
