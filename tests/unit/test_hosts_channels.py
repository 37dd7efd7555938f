"""Domains whose channels cannot be had: nothing is built, or nothing is left of it."""

import os
import sys

import pytest

from xenwire.channels.keys import OUR_TYPE
from xenwire.config import parse_config
from xenwire.config.libxl.types import DeviceChannel, DeviceChannelPty
from xenwire.errors import Conflict, XenwireError
from xenwire.hosts.qemu import QemuHost
from xenwire.hosts.xen import XenHost
from xenwire.xl import Xl


def config(*devids, kernel="/k"):
    """Give a domain with a channel for each of the numbers; -1: one that was not given a number."""
    channels = [DeviceChannel(name=f"c{n}", devid=devid, connection=PTY) for n, devid in enumerate(devids)]
    text = f'name = "web"\nkernel = "{kernel}"\nmemory = 64\n'
    return parse_config(text.encode(), "web.cfg").config.replace(channels=tuple(channels))


PTY = DeviceChannelPty()


@pytest.fixture
def xen(store, tmp_path):
    """A host whose xl notes what it is asked for, and does nothing."""
    (tmp_path / "xl").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    (tmp_path / "xl").chmod(0o755)
    host = XenHost(store, Xl(tmp_path / "xl"))
    host.asked = lambda: (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    return host


@pytest.fixture
def cannot_serve(monkeypatch):
    """Have whoever starts `xenwire serve` start what ends at once, with some words."""
    failing = [sys.executable, "-c", "raise SystemExit('xenwire: no grants today')"]
    monkeypatch.setattr("xenwire.hosts.served.xenwire_command", lambda *_: failing)


@pytest.mark.parametrize(
    ("devids", "words"),
    [
        ([-1] * 8, "there is no room for channel 'c7': a guest has at most 7"),
        ([8], "channel 'c0' cannot have devid 8: another channel has it, or it is over 7"),
        ([3, 3], "channel 'c1' cannot have devid 3: another channel has it, or it is over 7"),
    ],
    ids=["eight", "number 8", "a number twice"],
)
@pytest.mark.parametrize("verb", ["create", "plan"])
async def test_channels_that_a_guest_of_xen_cannot_have(xen, monkeypatch, verb, devids, words):
    """Linux would take 11 for 1, and has no terminal beyond hvc7. It is said before anything is built."""
    monkeypatch.setattr("xenwire.hosts.xen.ensure_served", None)  # nobody gets as far as that
    with pytest.raises(Conflict) as caught:
        await getattr(xen, verb)(config(*devids), channel_type=OUR_TYPE)
    assert f"{caught.value.message}: {caught.value.reason}" == words
    assert xen.asked() == ""


async def test_nothing_is_built_on_xen_if_nobody_can_serve(xen, cannot_serve):
    with pytest.raises(XenwireError, match="the channels' backend did not start") as caught:
        await xen.create(config(-1), channel_type=OUR_TYPE)
    assert "no grants today" in str(caught.value.as_dict())
    assert xen.asked() == ""


async def test_nothing_is_left_under_qemu_if_nobody_can_serve(store, cannot_serve, monkeypatch, tmp_path):
    (tmp_path / "kernel").write_bytes(b"kernel")
    note = tmp_path / "pid"
    waits = ["/bin/sh", "-c", f"echo $$ >{note}; exec sleep 60"]
    monkeypatch.setattr("xenwire.hosts.qemu.xenwire_command", lambda *_: waits)
    with pytest.raises(XenwireError, match="the channels' backend did not start"):
        await QemuHost(store).create(config(-1, kernel=tmp_path / "kernel"), channel_type=OUR_TYPE)
    assert [path for path, value in (await store.read_tree("/")).items() if value] == [
        "/tool/xenwire/last-domid"
    ]
    if note.exists() and (pid := note.read_text()):  # it may have been ended before it could say so
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
