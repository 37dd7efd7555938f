"""Seeing to it that somebody serves, while others begin to do so by themselves."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

import pytest

from xenwire.errors import TimedOut, XenwireError
from xenwire.hosts.served import SERVER, ensure_served, serving_lock
from xenwire.runtime.daemon import Daemon
from xenwire.runtime.lock import FileLock
from xenwire.runtime.process import ProcessRef

URI = "qemu:"
ME = str(ProcessRef.of(os.getpid()))


@pytest.fixture(autouse=True)
def starts_second(monkeypatch):
    """Have whoever starts `xenwire serve` start what ends at once, as one does that comes second."""
    ends = [sys.executable, "-c", "raise SystemExit('another process holds the lock')"]
    monkeypatch.setattr("xenwire.hosts.served.xenwire_command", lambda *_: ends)


async def test_one_that_is_not_ready_yet_is_waited_for(store, monkeypatch):
    """systemd may have started it right before."""
    looked, is_held = asyncio.Event(), FileLock.is_held.fget
    monkeypatch.setattr(FileLock, "is_held", property(lambda lock: looked.set() or is_held(lock)))
    async with serving_lock(URI).held(0), asyncio.TaskGroup() as tasks:
        tasks.create_task(ensure_served(store, URI))
        await looked.wait()
        await store.write(SERVER, ME)


async def test_one_that_was_quicker_will_do(store, monkeypatch):
    """It was not there when we looked, and then ours found the lock held."""
    start_ready = Daemon.start_ready

    async def start_second(*arguments):
        await first.enter_async_context(serving_lock(URI).held(0))
        await store.write(SERVER, ME)
        return await start_ready(*arguments)

    monkeypatch.setattr(Daemon, "start_ready", start_second)
    async with AsyncExitStack() as first:
        await ensure_served(store, URI)


async def test_one_that_never_is_ready(store, monkeypatch):
    monkeypatch.setattr("xenwire.hosts.served._TIMEOUT", 0.1)
    async with serving_lock(URI).held(0):
        with pytest.raises(TimedOut, match="a process serves the channels, and is not ready"):
            await ensure_served(store, URI)


async def test_nobody_serves(store):
    with pytest.raises(XenwireError, match="did not start"):
        await ensure_served(store, URI)
