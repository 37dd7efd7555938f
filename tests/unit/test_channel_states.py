"""A backend's state, which the toolstack may change at any moment."""

import pytest

from xenwire.channels.keys import Channel, XenbusState
from xenwire.channels.served import ServedChannel
from xenwire.types import ChannelKind, ChannelName, DevId, DomId

CHANNEL = Channel(DomId(5), DevId(1), ChannelName("org.example.a"), ChannelKind.NONE)
STATE, GENERATION = CHANNEL.backend / "state", CHANNEL.backend / "generation"


@pytest.fixture
def served(store):
    return ServedChannel(store, None, CHANNEL, "", None, None, None)


async def test_it_is_changed_with_what_belongs_to_it(store, served):
    await store.write(STATE, "2")
    served._state = XenbusState.INIT_WAIT
    assert await served._set(XenbusState.CONNECTED, generation="1")
    assert await store.get_all([STATE, GENERATION]) == [b"4", b"1"]


async def test_what_the_toolstack_has_said_meanwhile_stays(store, served):
    await store.write(STATE, "5")
    served._state = XenbusState.INITIALISING
    assert not await served._set(XenbusState.INIT_WAIT)
    assert not await served._set(XenbusState.CONNECTED, generation="1")
    assert await store.get_all([STATE, GENERATION]) == [b"5", None]


async def test_what_is_gone_does_not_come_back(store, served):
    served._state = XenbusState.INIT_WAIT
    assert not await served._set(XenbusState.CONNECTED, generation="1")
    assert not await store.exists(CHANNEL.backend)
