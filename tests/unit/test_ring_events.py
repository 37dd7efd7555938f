"""Which ports are unmasked when, and whose events they are: with a hypervisor that only keeps a list."""

import asyncio
import os
from types import SimpleNamespace

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
    for port in list(events.bound):
        rings.leave(port)


class Turns:
    """Takes turns, and tells whether bytes went."""

    def __init__(self, moved=True):
        self.moved, self.count = moved, 0

    def __call__(self):
        self.count += 1
        return self.moved


async def test_a_port_is_unmasked_once_a_wake_and_last(rings, events):
    order = []
    ports = [rings.enter(5, n, lambda n=n: not order.append((n, list(events.unmasked)))) for n in (1, 2, 3)]
    events.queue = list(ports)
    rings._take_events()
    assert order == [(1, []), (2, []), (3, [])]  # nothing is unmasked while it has its turn
    assert events.unmasked == ports
    rings._take_events()
    assert events.unmasked == ports


@pytest.mark.parametrize("moved", [True, False])
async def test_the_one_that_was_not_signalled_is_let_be(rings, events, moved):
    one, two = Turns(moved), Turns(moved)
    first, _ = rings.enter(5, 1, one), rings.enter(6, 1, two)
    events.queue = [first]
    rings._take_events()
    assert (one.count, two.count, events.unmasked) == (1, 0, [first])


async def test_an_event_of_a_port_that_was_left_is_nobodys(rings, events):
    gone, stays = Turns(), Turns()
    first, second = rings.enter(5, 1, gone), rings.enter(5, 2, stays)
    rings.leave(first)
    events.queue = [first, second]
    rings._take_events()
    assert (gone.count, stays.count, events.unmasked) == (0, 1, [second])


async def test_a_stale_event_of_a_number_that_came_again_is_one_turn_too_many(rings, events):
    """It is taken for the new port's, which then looks at its ring in vain; and is unmasked, as is right:
    whoever is read from the device is masked, whenever it was queued.
    """
    old, new = Turns(), Turns(moved=False)
    port = rings.enter(5, 1, old)
    rings.leave(port)
    assert rings.enter(6, 9, new) == port
    events.queue = [port]
    rings._take_events()
    assert (old.count, new.count, events.unmasked) == (0, 1, [port])


async def test_a_port_that_is_left_in_its_turn_is_not_unmasked(rings, events):
    def leave():
        rings.leave(port)
        return True

    port = rings.enter(5, 1, leave)
    events.queue = [port]
    rings._take_events()
    assert events.unmasked == []


async def test_a_port_that_is_left_in_anothers_turn_has_none(rings, events):
    second = Turns()

    def leave():
        rings.leave(ports[1])
        return True

    ports = [rings.enter(5, 1, leave), rings.enter(5, 2, second)]
    events.queue = list(ports)
    rings._take_events()
    assert (second.count, events.unmasked) == (0, [ports[0]])


async def test_the_time_of_a_port_that_was_left_is_not_that_of_its_number(rings, events, monkeypatch):
    """A new port pays nothing for the storm of the one before, and gains nothing by it."""
    timers = []
    monkeypatch.setattr("xenwire.channels.ringend._EVENTS", (2, 0.001))
    monkeypatch.setattr(
        asyncio.get_running_loop(), "call_later", lambda _, call, *told: timers.append(lambda: call(*told))
    )

    def storm(domid):
        """Have a new port told until its time is up."""
        port, before = rings.enter(domid, 1, Turns(moved=False)), len(timers)
        while len(timers) == before:
            events.queue = [port]
            rings._take_events()
        return port

    port = storm(5)
    free = len(events.unmasked)
    assert free in (2, 3)  # the first may be of what went before
    rings.leave(port)
    assert storm(6) == port
    assert events.unmasked == [port] * 2 * free
    timers[0]()
    assert events.unmasked == [port] * 2 * free
    timers[1]()
    assert events.unmasked == [port] * (2 * free + 1)


async def test_what_could_not_be_joined_is_not_listened_for(rings, events):
    with pytest.raises(NotFound):
        rings.enter(5, 666, Turns())
    assert rings._joined == {}
