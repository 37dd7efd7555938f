"""The channel that xl loses: which one it is, and how none is lost."""

import pytest
from test_channels_persistent import channel

from xenwire.channels.keys import QEMU_TYPE
from xenwire.config.libxl.types import ActionOnShutdown
from xenwire.config.libxl.version import XenVersion
from xenwire.config.xl.config import parse_config
from xenwire.hosts.lost import lost_channels, preserving_all
from xenwire.types import ChannelName, DomId

CONFIG = b"""
name = "web"
kernel = "/k"
on_reboot = "preserve"
channel = [ "connection=pty,name=first", "connection=socket,name=second,path=/run/second" ]
"""


def read(text):
    return parse_config(text, "web.cfg").config


@pytest.mark.parametrize("version", [XenVersion(4, 17, 5), XenVersion(4, 20, 0)])
def test_a_channel_is_there_to_be_lost(version):
    config = read(CONFIG + preserving_all(read(CONFIG), version))
    assert [channel.name for channel in config.channels] == ["xenwire.sacrifice", "first", "second"]
    assert config.replace(channels=()) == read(CONFIG).replace(channels=())
    assert config.on_reboot is ActionOnShutdown.PRESERVE


@pytest.mark.parametrize(
    ("text", "version"),
    [(CONFIG, XenVersion(4, 18, 5)), (b'name = "web"\nkernel = "/k"\n', XenVersion(4, 17, 5))],
)
def test_nothing_is_to_be_done(text, version):
    assert preserving_all(read(text), version) == b""


async def test_which_is_lost(store):
    config = read(CONFIG)
    assert [lost.name for lost in await lost_channels(store, config, DomId(5))] == ["first", "second"]
    for name, devid in (("second", 1), ("xenwire.other", 2)):
        there = channel(name, devid)
        for key, value in (("name", name), ("connection", "pty"), ("type", QEMU_TYPE)):
            await store.write(f"/local/domain/0/backend/console/5/{there.devid}/{key}", value)
    (lost,) = await lost_channels(store, config, DomId(5))
    assert (lost.name, lost.devid, lost.path) == (ChannelName("first"), 0, None)
    sacrificed = read(CONFIG + preserving_all(config, XenVersion(4, 17, 5)))
    assert [lost.name for lost in await lost_channels(store, sacrificed, DomId(5))] == ["first"]
