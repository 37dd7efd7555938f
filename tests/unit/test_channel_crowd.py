"""Many channels at once, some of guests that overdo it: the others have their bytes all the same.

Time says nothing on a busy machine. What is counted is turns of the loop that all share.
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace

import pytest
from channel_host import channel, connected
from frontend import Guest, attach

from xenwire.channels.ringend import Rings
from xenwire.channels.served import ServedChannel
from xenwire.types import ChannelKind, ChannelName

BYTES = 200_000
TURNS = 15 * BYTES // 2048
"""Of the loop, for as many bytes: a ring is filled, told of, emptied, told of, and read from a socket."""


class Loop:
    """Counts the turns of the loop while it is entered."""

    async def __aenter__(self):
        self.turns = 0
        self.began = asyncio.get_running_loop().time()
        self.task = asyncio.create_task(self.count())
        return self

    async def __aexit__(self, *_):
        await cancelled(self.task)

    async def count(self):
        while True:
            await asyncio.sleep(0)
            self.turns += 1

    def most(self, burst, rate):
        """Give how often something may have happened since it was entered."""
        return burst + 2 + rate * (asyncio.get_running_loop().time() - self.began)


async def cancelled(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def carries(guest, reader):
    """Have a guest's bytes come through, all of them, in order."""
    data = b"".join(b"%015d\n" % number for number in range(BYTES // 16))
    _, read = await asyncio.gather(guest.write(data), reader.readexactly(len(data)))
    assert read == data


@pytest.fixture
async def two(store, backend, guest, tmp_path):
    """A guest that is joined, and another one of another domain, with its client."""
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "t", domid=6))
    other = Guest(store, tmp_path, domid=6)
    for each in (guest, other):
        await each.until(2)
        await each.connect()
    reader, writer = await connected(tmp_path / "t")
    yield guest, other, reader
    writer.close()
    other.close()


async def test_a_storm_of_events_leaves_the_others_their_turns(two, monkeypatch):
    stormy, other, reader = two
    turns, enter = Counter(), Rings.enter

    def counted(self, domid, port, ready):
        def turn():
            turns[domid] += 1
            return ready()

        return enter(self, domid, port, turn)

    monkeypatch.setattr(Rings, "enter", counted)

    for each in two[:2]:  # both are joined anew, so that they are counted
        for state in (6, 1):
            await each.say(state)
            await each.until({6: 6, 1: 2}[state])
        each.ring.release()
        each.page.unmap()
        await each.connect()

    async def storm():
        while True:
            stormy.events.notify(stormy.port)
            await asyncio.sleep(0)

    async with Loop() as loop:
        turns.clear()
        task = asyncio.create_task(storm())
        await carries(other, reader)
        await cancelled(task)
        assert loop.turns < TURNS
        assert turns[5] <= loop.most(60, 200)
    assert turns[6] >= BYTES // 2048


async def test_states_that_flip_for_ever_leave_the_others_their_turns(two, monkeypatch):
    fickle, other, reader = two
    looks, reconcile = Counter(), ServedChannel.reconcile

    async def counted(self):
        looks[self.channel.domid] += 1
        return await reconcile(self)

    monkeypatch.setattr(ServedChannel, "reconcile", counted)
    flips = 0

    async def flip():
        nonlocal flips
        while True:
            for state in (5, 6, 1, 3, 4):
                await fickle.say(state)
                flips += 1

    async with Loop() as loop:
        task = asyncio.create_task(flip())
        await carries(other, reader)
        await cancelled(task)
        assert loop.turns < TURNS
        assert looks[5] <= loop.most(20, 5)
    assert flips > 40


async def test_a_guest_that_writes_for_ever_leaves_the_others_their_turns(two, tmp_path):
    talker, other, reader = two

    async def talk():
        while True:
            await talker.write(bytes(4096))
            await asyncio.sleep(0)

    async with Loop() as loop:
        task = asyncio.create_task(talk())
        await carries(other, reader)
        await cancelled(task)
        assert loop.turns < TURNS


async def test_two_guests_with_seven_channels_each(store, backend, tmp_path):
    """Their names are the same; a name and a devid say nothing without the domain."""
    guests, places = [], []
    for domid in (5, 6):
        for devid in range(1, 8):
            wire = channel(ChannelKind.SOCKET, tmp_path / f"{domid}.{devid}", devid, domid)
            wire = replace(wire, name=ChannelName(f"org.example.{devid}"))
            await attach(store, wire, uuid=f"5aff000{domid}-1c2d-4e3f-8a9b-c0ffee00ffff")
            guests.append(Guest(store, tmp_path, domid, devid))
            places.append(wire.path)
    await asyncio.gather(*(guest.until(2) for guest in guests))
    await asyncio.gather(*(guest.connect() for guest in guests))
    streams = [await connected(place) for place in places]

    async def talk(number, guest, reader, writer):
        theirs = b"".join(b"%d/%d says %d\n" % (guest.domid, guest.devid, n) for n in range(500))
        ours = b"".join(b"%d is told %d\n" % (number, n) for n in range(500))
        writer.write(ours)
        await guest.write(theirs)
        assert await reader.readexactly(len(theirs)) == theirs
        assert await guest.read(len(ours)) == ours

    await asyncio.gather(
        *(talk(n, guest, *stream) for n, (guest, stream) in enumerate(zip(guests, streams, strict=True)))
    )
    assert len(list(backend.server.channels())) == 14
    for _, writer in streams:
        writer.close()
    for guest in guests:
        guest.close()
