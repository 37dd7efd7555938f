"""Channels that come back: what is remembered of a domain, and how it gets it again."""

import asyncio
import contextlib
import json
import uuid as uuids
from dataclasses import replace

import pytest
from frontend import UUID

from xenwire.channels import returning
from xenwire.channels.keys import OUR_TYPE, Channel, XenbusState, read_channels
from xenwire.channels.options import Options
from xenwire.channels.persistent import PERSISTENT, Remembered, forget, known, remember, remembered
from xenwire.channels.returning import Returning
from xenwire.types import DOM0, ChannelKind, ChannelName, DevId, DomId

UUID = uuids.UUID(UUID)


def channel(name, devid=1, kind=ChannelKind.PTY, path=None, **more):
    return Channel(DOM0, DevId(devid), ChannelName(name), kind, path, type=OUR_TYPE, **more)


async def keep(store, *new):
    await store.transact(lambda t: remember(t, UUID, new))


async def test_what_is_remembered(store):
    agent = channel("a", 3, ChannelKind.SOCKET, "/run/\udce4", options=Options(replay=7, mode=0o660))
    await keep(store, Remembered(agent), Remembered(channel("b"), for_good=False))
    assert await known(store) == [UUID]
    found = await remembered(store, UUID, DomId(9))
    assert [(each.channel.domid, each.channel.devid, each.for_good) for each in found] == [
        (9, 1, False),
        (9, 3, True),
    ]
    again = found[1].channel
    assert (again.name, again.kind, again.path, again.options) == ("a", agent.kind, agent.path, agent.options)


async def test_the_same_name_again_takes_the_place_of_the_first(store):
    await keep(store, Remembered(channel("a", 1)), Remembered(channel("b", 2)))
    await keep(store, Remembered(channel("a", 3)))
    assert [(e.channel.name, e.channel.devid) for e in await remembered(store, UUID)] == [("b", 2), ("a", 3)]


async def test_forgetting(store):
    await keep(store, Remembered(channel("a")), Remembered(channel("b", 2), for_good=False))
    assert await store.transact(lambda t: forget(t, UUID))
    assert [each.channel.name for each in await remembered(store, UUID)] == ["a"]
    assert not await store.transact(lambda t: forget(t, UUID, "b"))
    assert await store.transact(lambda t: forget(t, UUID, "a"))
    assert await known(store) == []


@pytest.mark.parametrize(
    "value",
    ["", "[]", "{}", "7", "[" * 4000, json.dumps({"name": "/", "connection": "pty", "path": None})],
)
async def test_nonsense_is_left_out(store, value):
    await keep(store, Remembered(channel("a")))
    await store.write(PERSISTENT / str(UUID) / 2, value)
    assert [each.channel.name for each in await remembered(store, UUID)] == ["a"]


class Toolstack:
    """Makes domains, and answers as a backend that serves all at once."""

    def __init__(self, store):
        self.store = store

    async def create(self, domid, uuid=UUID):
        await self.store.write(f"/local/domain/{domid}/vm", f"/vm/{uuid}")
        await self.store.introduce(domid, 0, 1)

    async def destroy(self, domid):
        await self.store.rm(f"/local/domain/{domid}")
        with contextlib.suppress(Exception):
            await self.store.rm(f"/local/domain/0/backend/console/{domid}")
        await self.store.release(domid)

    async def serve(self):
        """Have every backend wait for its guest."""
        async with self.store.watch("/local/domain/0/backend/console") as changes:
            async for path in changes:
                if path.name == "state" and await self.store.get(path) == b"1":
                    await self.store.write(path, str(int(XenbusState.INIT_WAIT)))

    async def channels(self, domid, count):
        async with asyncio.timeout(5):
            while True:
                found = await read_channels(self.store, DomId(domid))
                if [c.state for c in found] == [XenbusState.INIT_WAIT] * count:
                    return [(c.name, c.devid) for c in found]
                await asyncio.sleep(0.005)


@pytest.fixture
async def toolstack(store):
    toolstack = Toolstack(store)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(toolstack.serve()), tasks.create_task(Returning(store, 7).run())]
        yield toolstack
        for task in running:
            task.cancel()


async def test_a_domain_that_reboots(store, toolstack):
    await keep(store, Remembered(channel("a", 2)), Remembered(channel("b", 5)))
    await toolstack.create(7)
    assert await toolstack.channels(7, 2) == [("a", 1), ("b", 2)]
    await toolstack.destroy(7)
    await toolstack.create(8)
    assert await toolstack.channels(8, 2) == [("a", 1), ("b", 2)]


async def until_saved(store, wanted):
    """Wait until it is known whether each channel's domain was saved."""
    async with asyncio.timeout(5):
        while [each.saved for each in await remembered(store, UUID)] != wanted:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.005)


async def test_a_domain_that_is_saved_finds_them_under_their_numbers(store, toolstack):
    for each in (channel("a", 2), channel("b", 5)):
        await store.write_all(replace(each, domid=DomId(7)).nodes())
    await toolstack.create(7)
    await keep(store, Remembered(channel("a", 2)), Remembered(channel("b", 5), for_good=False))
    await store.write("/local/domain/7/control/shutdown", "suspend")
    await until_saved(store, [True, True])
    await toolstack.destroy(7)
    await toolstack.create(9)
    assert await toolstack.channels(9, 2) == [("a", 2), ("b", 5)]
    await until_saved(store, [False, False])


async def test_a_word_that_came_and_went_may_have_been_suspend(store, toolstack):
    """Nobody has read it: the guest gets its channels under their numbers."""
    await store.write_all(replace(channel("a", 3), domid=DomId(7)).nodes())
    await toolstack.create(7)
    await keep(store, Remembered(channel("a", 3)))
    await toolstack.channels(7, 1)

    async def suspend(t):
        await t.write("/local/domain/7/control/shutdown", "suspend")
        await t.write("/local/domain/7/control/shutdown", "")

    for _ in range(50):
        await store.transact(suspend)
    await toolstack.destroy(7)
    await toolstack.create(8)
    assert await toolstack.channels(8, 1) == [("a", 3)]


async def test_a_guest_that_has_looked_too_early_is_given_it_again(store, toolstack, monkeypatch):
    """It sees it go and come back; the host end, with its clients, stays."""
    monkeypatch.setattr(returning, "_ANSWER", 0.02)
    monkeypatch.setattr(returning, "_HIDDEN", (0.02, 0.02))
    await keep(store, Remembered(channel("a", 3), saved=True))
    backend = "/local/domain/0/backend/console/7/3"
    await toolstack.create(7)
    await toolstack.channels(7, 1)
    told = {key: await store.get(f"{backend}/{key}") for key in await store.names(backend)}
    frontend, seen = "/local/domain/7/device/console/3", []
    async with asyncio.timeout(5), store.watch(f"{frontend}/state") as changes:
        async for _ in changes:
            value = await store.get(f"{frontend}/state")
            if value != (seen or [None])[-1]:
                seen.append(value)
            if seen == [b"1", None, b"1", None, b"1"]:
                break
    assert {key: await store.get(f"{backend}/{key}") for key in await store.names(backend)} == told
    nodes = {node.path: node.value for node in (await read_channels(store, DomId(7)))[0].nodes()}
    for key in await store.names(frontend):
        assert await store.get_text(f"{frontend}/{key}") == nodes[f"{frontend}/{key}"]


async def test_a_domain_that_has_one_already(store, toolstack):
    await keep(store, Remembered(channel("a", 2)), Remembered(channel("b", 5)))
    await store.write_all(replace(channel("b", 2), domid=DomId(7)).nodes())
    await toolstack.create(7)
    assert sorted(await toolstack.channels(7, 2)) == [("a", 1), ("b", 2)]


async def test_anothers_domain_gets_none(store, toolstack):
    await keep(store, Remembered(channel("a")))
    await toolstack.create(7, uuids.UUID(int=5))
    await toolstack.create(8)
    assert await toolstack.channels(8, 1)
    assert await toolstack.channels(7, 0) == []


async def test_nonsense_in_one_domain_costs_the_others_nothing(store, toolstack):
    other = uuids.UUID(int=7)
    await store.write("/local/domain/0/backend/console/7/1/name", "of no kind")
    await keep(store, Remembered(channel("a")))
    await store.transact(lambda t: remember(t, other, [Remembered(channel("b"))]))
    await toolstack.create(7)
    await toolstack.create(8, other)
    assert await toolstack.channels(8, 1) == [("b", 1)]


async def test_a_guest_may_say_suspend_as_often_as_it_likes(store, toolstack):
    await store.write_all(replace(channel("a"), domid=DomId(7)).nodes())
    await toolstack.create(7)
    await keep(store, Remembered(channel("a")))
    for _ in range(200):
        await store.write("/local/domain/7/control/shutdown", "suspend")
    await until_saved(store, [True])
    other = uuids.UUID(int=7)
    await store.transact(lambda t: remember(t, other, [Remembered(channel("b"))]))
    await toolstack.create(8, other)
    assert await toolstack.channels(8, 1)


async def test_channels_of_the_toolstacks_own_keep_their_numbers(store, toolstack):
    await keep(store, Remembered(channel("a", 5), above=DevId(2)))
    await toolstack.create(7)
    assert await toolstack.channels(7, 1) == [("a", 3)]


async def test_a_configurations_channels_are_forgotten_with_the_domain(store, toolstack, monkeypatch):
    monkeypatch.setattr(returning, "_ABSENCE", 0.05)
    await toolstack.create(7)
    await keep(store, Remembered(channel("a")), Remembered(channel("b", 2), for_good=False))
    await toolstack.destroy(7)
    async with asyncio.timeout(5):
        while len(await remembered(store, UUID)) > 1:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.005)
    assert [each.channel.name for each in await remembered(store, UUID)] == ["a"]
