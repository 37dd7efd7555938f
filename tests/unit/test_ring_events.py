"""Which ports are unmasked when, and whose events they are: with a hypervisor that only keeps a list."""

import asyncio
import os
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from xenwire.channels.ringend import Rings
from xenwire.errors import NotFound
from xenwire.hypervisor import EventChannels


class Told(EventChannels):
    """Event channels whose events are told by the test, stale ones too, as Linux's are."""

    def __init__(self):
        self.fd = os.eventfd(0)
        self.queue, self.unmasked, self.bound = [], [], set()

    def fileno(self):
        return self.fd

    def bind(self, domid, port):
        if port == 666:
            raise NotFound("it has offered us none")
        ours = min({1, 2, 3, 4} - self.bound)  # the lowest free one, so numbers come again soon
        self.bound.add(ours)
        return ours

    def offer(self, domid):
        raise NotImplementedError

    def unbind(self, port):
        self.bound.remove(port)

    def notify(self, port):
        raise NotImplementedError

    def pending(self):
        told, self.queue = self.queue, []
        return told

    def unmask(self, ports):
        self.unmasked += ports

    def close(self):
        os.close(self.fd)


@pytest.fixture
async def events():
    events = Told()
    yield events
    events.close()


@pytest.fixture
async def rings(events):
    rings = Rings(events, SimpleNamespace())
    yield rings
    for port in list(rings._joined.values()):
        rings.leave(port)


class Turns:
    """Takes turns, and tells whether bytes went, as they do in the first `busy` of them."""

    def __init__(self, busy=0):
        self.busy, self.count = busy, 0

    def __call__(self):
        self.count += 1
        return self.count <= self.busy


async def test_a_port_is_unmasked_once_a_wake_and_last(rings, events):
    order = []
    ports = [rings.enter(5, n, lambda n=n: order.append((n, list(events.unmasked)))) for n in (1, 2, 3)]
    numbers = events.queue = [port.number for port in ports]
    rings._take_events()
    assert order == [(1, []), (2, []), (3, [])]  # nothing is unmasked while it has its turn
    assert events.unmasked == numbers
    rings._take_events()
    assert events.unmasked == numbers


async def test_a_guest_that_goes_on_needs_no_event(rings, events):
    """It has a turn each round of the loop, as others have, and its events are heard of again after that."""
    busy, calm = Turns(busy=3), Turns()
    first, second = rings.enter(5, 1, busy), rings.enter(6, 1, calm)
    events.queue = [first.number, second.number]
    rings._take_events()
    for count in 1, 2, 3:
        assert (busy.count, calm.count, events.unmasked) == (count, 1, [second.number])
        assert (first.busy, second.busy) == (True, False)
        await asyncio.sleep(0)
    assert (busy.count, events.unmasked, first.busy) == (4, [second.number, first.number], False)
    await asyncio.sleep(0)
    assert busy.count == 4


@pytest.mark.parametrize("busy", [0, 1])
async def test_the_one_that_was_not_signalled_is_let_be(rings, events, busy):
    one, two = Turns(busy), Turns(busy)
    first, _ = rings.enter(5, 1, one), rings.enter(6, 1, two)
    events.queue = [first.number]
    rings._take_events()
    await asyncio.sleep(0)
    assert (one.count, two.count, events.unmasked) == (1 + busy, 0, [first.number])


async def test_an_event_of_a_port_that_was_left_is_nobodys(rings, events):
    gone, stays = Turns(), Turns()
    first, second = rings.enter(5, 1, gone), rings.enter(5, 2, stays)
    rings.leave(first)
    events.queue = [first.number, second.number]
    rings._take_events()
    assert (gone.count, stays.count, events.unmasked) == (0, 1, [second.number])


async def test_a_stale_event_of_a_number_that_came_again_is_one_turn_too_many(rings, events):
    """It is taken for the new port's, which then looks at its ring in vain; and is unmasked, as is right:
    whoever is read from the device is masked, whenever it was queued.
    """
    old, new = Turns(), Turns()
    port = rings.enter(5, 1, old)
    rings.leave(port)
    assert rings.enter(6, 9, new).number == port.number
    events.queue = [port.number]
    rings._take_events()
    assert (old.count, new.count, events.unmasked) == (0, 1, [port.number])


async def test_a_stale_event_beside_the_ports_own_is_no_second_turn(rings, events):
    """A guest that writes on has one turn a round."""
    turns = Turns(busy=2)
    port = rings.enter(5, 1, turns)
    events.queue = [port.number, port.number]
    rings._take_events()
    for count in 1, 2, 3, 3:
        assert turns.count == count
        await asyncio.sleep(0)
    assert events.unmasked == [port.number]


async def test_a_turn_that_fails_is_not_the_others_loss(rings, events):
    """Their events were read with its event."""
    told, after = [], Turns()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    error = OSError("no room for it")
    first, second = rings.enter(5, 1, Mock(side_effect=error)), rings.enter(6, 1, after)
    events.queue = [first.number, second.number]
    rings._take_events()
    assert (told, after.count, events.unmasked) == ([error], 1, [first.number, second.number])
    assert not first.busy


async def test_the_next_turn_of_a_port_that_was_left_is_not_that_of_its_number(rings, events):
    old, new = Turns(busy=9), Turns()
    port = rings.enter(5, 1, old)
    events.queue = [port.number]
    rings._take_events()
    rings.leave(port)
    assert rings.enter(6, 9, new).number == port.number
    await asyncio.sleep(0)
    assert (old.count, new.count, events.unmasked) == (1, 0, [])


@pytest.mark.parametrize("moved", [True, False])
async def test_a_port_that_is_left_in_its_turn_is_not_unmasked(rings, events, moved):
    def leave():
        rings.leave(port)
        return moved

    port = rings.enter(5, 1, leave)
    events.queue = [port.number]
    rings._take_events()
    await asyncio.sleep(0)
    assert events.unmasked == []


async def test_a_port_that_is_left_in_anothers_turn_has_none(rings, events):
    second = Turns()

    def leave():
        rings.leave(ports[1])
        return False

    ports = [rings.enter(5, 1, leave), rings.enter(5, 2, second)]
    events.queue = [port.number for port in ports]
    rings._take_events()
    assert (second.count, events.unmasked) == (0, [ports[0].number])


async def test_the_time_of_a_port_that_was_left_is_not_that_of_its_number(rings, events, monkeypatch):
    """A new port pays nothing for the storm of the one before, and gains nothing by it."""
    timers = []
    monkeypatch.setattr("xenwire.channels.ringend._EVENTS", (2, 0.001))
    monkeypatch.setattr(
        asyncio.get_running_loop(), "call_later", lambda _, call, *told: timers.append(lambda: call(*told))
    )

    def storm(domid):
        """Have a new port told until its time is up."""
        port, before = rings.enter(domid, 1, Turns()), len(timers)
        while len(timers) == before:
            events.queue = [port.number]
            rings._take_events()
        return port

    port = storm(5)
    free = len(events.unmasked)
    assert free in (2, 3)  # the first may be of what went before
    rings.leave(port)
    number = port.number
    assert storm(6).number == number
    assert events.unmasked == [number] * 2 * free
    timers[0]()
    assert events.unmasked == [number] * 2 * free
    timers[1]()
    assert events.unmasked == [number] * (2 * free + 1)


async def test_what_could_not_be_joined_is_not_listened_for(rings, events):
    with pytest.raises(NotFound):
        rings.enter(5, 666, Turns())
    assert rings._joined == {}
