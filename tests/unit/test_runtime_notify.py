import asyncio
import os
import socket

import pytest

from xenwire.runtime.notify import ready


@pytest.fixture
def ear(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
        ear.bind("")
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + ear.getsockname()[1:].decode())
        yield ear


async def heard(ear):
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(ear, 64)


def silent(ear):
    with pytest.raises(BlockingIOError):
        ear.recv(64)


def test_ready_is_told_once(ear):
    ready()
    ready()
    assert ear.recv(64) == b"READY=1"
    silent(ear)
    assert "NOTIFY_SOCKET" not in os.environ


def test_nobody_asked(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ready()


async def test_signs_of_life(ear, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    ready()
    assert [await heard(ear) for _ in range(4)] == [b"READY=1"] + [b"WATCHDOG=1"] * 3
    assert not {"WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}],
)
async def test_no_watchdog(ear, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ready()
    assert await heard(ear) == b"READY=1"
    silent(ear)
