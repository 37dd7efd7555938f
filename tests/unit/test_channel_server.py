"""The backend against a simulated guest on the loopback: the handshake, the bytes, restarts."""

import asyncio
import contextlib
import json
import os
import uuid as uuids
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from channel_host import channel, connected
from frontend import UUID, Guest, attach, eventually

from xenwire.channels.options import Options
from xenwire.channels.persistent import Remembered, forget, remember
from xenwire.channels.ringend import RingEnd
from xenwire.channels.spool import HEADER
from xenwire.channels.statistics import ChannelStatistics
from xenwire.errors import ProtocolError
from xenwire.types import ChannelKind, ChannelName


async def test_the_whole_handshake(store, backend, guest, tmp_path):
    wire = channel(ChannelKind.SOCKET, tmp_path / "s")
    await attach(store, wire)
    await guest.until(2)
    await guest.connect()
    reader, writer = await connected(tmp_path / "s")
    every_byte = bytes(range(256)) * 40
    writer.write(every_byte)
    assert await guest.read(len(every_byte)) == every_byte
    await guest.write(every_byte)
    assert await reader.readexactly(len(every_byte)) == every_byte
    await guest.say(5)
    await guest.until(5)
    await guest.say(6)
    await guest.until(6)
    await guest.say(1)
    await guest.until(2)
    writer.close()


async def test_what_was_written_before_the_backend_came(store, guest, backend, tmp_path):
    await attach(store, channel(ChannelKind.PATH, tmp_path / "log"))
    await guest.until(2)
    await guest.probe()
    guest.ring.output.put(b"early")
    await guest.until(4)
    await eventually(lambda: (tmp_path / "log").read_bytes() == b"early")


async def test_a_pty_is_raw_before_its_name_is_known(store, backend, guest):
    await attach(store, channel(ChannelKind.PTY))
    await guest.until(2)
    tty = await store.read_text(guest.home / "tty")
    await guest.connect()
    terminal = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    every_byte = bytes(range(256))
    await guest.write(every_byte)
    seen = b""
    while len(seen) < 256:
        with contextlib.suppress(BlockingIOError):
            seen += os.read(terminal, 256)
        await asyncio.sleep(0)
    assert seen == every_byte
    os.write(terminal, every_byte)
    assert await guest.read(256) == every_byte
    os.close(terminal)


async def test_none_swallows_and_never_speaks(store, backend, guest):
    await attach(store, channel(ChannelKind.NONE))
    await guest.until(2)
    await guest.connect()
    await guest.write(bytes(1_000_000))
    assert guest.ring.input.available() == 0


async def test_output_waits_for_a_client_and_the_oldest_goes(store, backend, guest, tmp_path):
    wire = channel(ChannelKind.SOCKET, tmp_path / "s")
    await attach(store, wire)
    await guest.until(2)
    await guest.connect()
    limit = 1 << 20
    data = b"".join(b"%07d\n" % number for number in range(limit // 8 + 1000))
    await guest.write(data)
    await eventually(lambda: guest.ring.output.room() == 2048)
    reader, writer = await connected(tmp_path / "s")
    assert await reader.readexactly(limit) == data[-limit:]
    found = told(backend)
    assert (found.dropped, found.waiting, found.error) == (8000, 0, None)
    writer.close()


async def test_a_second_client_waits_for_the_first_to_leave(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    _, first = await connected(tmp_path / "s")
    first.write(b"one")
    assert await guest.read(3) == b"one"
    second_reader, second = await connected(tmp_path / "s")
    second.write(b"two")
    first.close()
    assert await guest.read(3) == b"two"
    await guest.write(b"three")
    assert await second_reader.readexactly(5) == b"three"
    second.close()


async def test_a_half_closed_client_still_listens(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    reader, writer = await connected(tmp_path / "s")
    writer.write(b"last words")
    writer.write_eof()
    assert await guest.read(10) == b"last words"
    await guest.write(b"answer")
    assert await reader.readexactly(6) == b"answer"
    writer.close()
    await writer.wait_closed()
    next_reader, next_writer = await connected(tmp_path / "s")
    await guest.write(b"for the next")
    assert await next_reader.readexactly(12) == b"for the next"
    next_writer.close()


async def reboot(store, guest, tmp_path, *, devid):
    """Have a guest's domain come back as another one, which offers a ring just like the one it had."""
    await store.rm(guest.home.parent)
    await store.rm(guest.backend.parent)
    guest.close()
    again = Guest(store, tmp_path, domid=guest.domid + 1, devid=devid)
    await attach(store, replace(channel(ChannelKind.SOCKET, tmp_path / "s", devid, again.domid), name=NAME))
    await again.until(2)
    await again.connect()
    return again


NAME = ChannelName("org.example.1")


@pytest.mark.parametrize("away", [False, True], ids=["served", "meanwhile nobody serves"])
async def test_what_nobody_took_before_a_reboot_comes_before_the_rest(store, backend, guest, tmp_path, away):
    wire = channel(ChannelKind.SOCKET, tmp_path / "s")
    await store.transact(lambda t: remember(t, uuids.UUID(UUID), [Remembered(wire)]))
    await attach(store, wire)
    await guest.until(2)
    await guest.connect()
    await guest.write(b"before, ")
    await eventually(lambda: guest.ring.output.room() == 2048)
    if away:
        await backend.stop()
        await store.rm(guest.home.parent)
        await store.rm(guest.backend.parent)
        await store.mkdir(guest.home.parent)
        await store.mkdir(guest.backend.parent)
        await backend.start()
    again = await reboot(store, guest, tmp_path, devid=2)
    await again.write(b"after")
    reader, writer = await connected(tmp_path / "s")
    assert await reader.readexactly(13) == b"before, after"
    assert await store.read(again.backend / "generation") == b"2"
    writer.close()
    again.close()


async def test_nothing_is_kept_of_a_channel_that_does_not_come_back(store, backend, guest, tmp_path):
    wire = channel(ChannelKind.SOCKET, tmp_path / "s")
    await store.transact(lambda t: remember(t, uuids.UUID(UUID), [Remembered(wire)]))
    await attach(store, wire)
    await guest.until(2)
    await store.rm(guest.backend.parent)
    await eventually(lambda: not (tmp_path / "s").exists())
    assert list((tmp_path / "spools").iterdir())
    await store.transact(lambda t: forget(t, uuids.UUID(UUID), NAME))
    await eventually(lambda: not list((tmp_path / "spools").iterdir()))


async def test_a_restart_goes_unnoticed(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    await guest.write(b"kept ")
    await eventually(lambda: guest.ring.output.room() == 2048)
    await backend.stop()
    assert await store.read(guest.backend / "state") == b"4"
    guest.ring.output.put(b"and written meanwhile")
    await backend.start()
    reader, writer = await connected(tmp_path / "s")
    assert await reader.readexactly(26) == b"kept and written meanwhile"
    writer.write(b"hello")
    assert await guest.read(5) == b"hello"
    assert await store.read(guest.backend / "state") == b"4"
    writer.close()


async def test_detach(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    async with store.transaction() as t:
        await t.write(guest.backend / "online", "0")
        await t.write(guest.backend / "state", "5")
    await asyncio.sleep(0)
    await guest.say(6)
    await guest.until(6)


async def test_an_error_that_is_too_long_for_the_store(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, "/" + "x" * 2500, devid=2))
    await attach(store, channel(ChannelKind.PATH, tmp_path / "log"))
    await guest.until(2)
    error = f"/local/domain/0/backend/console/{guest.domid}/2/error"
    assert "2501 bytes" in (await store.wait_for(error, bool, 5)).decode()
    await guest.connect()
    await guest.write(b"served")
    await eventually(lambda: (tmp_path / "log").read_bytes() == b"served")


async def test_a_guest_cannot_ask_for_a_larger_spool(store, backend, guest, tmp_path):
    wire = channel(ChannelKind.SOCKET, tmp_path / "s")
    await store.write(wire.frontend / "limit", "999999999")
    for node in wire.nodes():
        if node.path.name != "limit":
            await store.write(node.path, node.value)
    await guest.until(2)
    (spool,) = (tmp_path / "spools").iterdir()
    assert spool.stat().st_size == HEADER + (1 << 20)


async def test_nodes_that_vanish(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    assert list(Path(tmp_path / "spools").iterdir())
    async with store.transaction() as t:
        await t.rm("/local/domain/5")
        await t.rm("/local/domain/0/backend/console/5")
    await eventually(lambda: not list(backend.server.channels()))
    assert not (tmp_path / "s").exists()
    await eventually(lambda: not list((tmp_path / "spools").iterdir()))
    assert not await store.exists("/local/domain/0/backend/console/5")


BAD_OFFERS = [
    *((reference, "1") for reference in ("0", "1", "7", "-1", "x", "999", "4294967296", "9" * 2000)),
    *(
        ("a ring", port)
        for port in ("0", "x", "131072", "4294967297", "9" * 2000, "not offered", "another's")
    ),
]


@pytest.mark.parametrize(("reference", "port"), BAD_OFFERS, ids=lambda told: told[:12])
async def test_a_ring_that_cannot_be(store, backend, guest, tmp_path, caplog, reference, port):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    ring, page = guest.grants.grant(0)
    port = {"not offered": "99", "another's": str(guest.events.offer(7))}.get(port, port)
    await store.write(guest.home / "ring-ref", str(ring) if reference == "a ring" else reference)
    await store.write(guest.home / "port", port)
    await guest.say(3)
    await guest.until(5)
    assert told(backend).error
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert backend.grants.mapped == 0
    await guest.say(6)
    await guest.until(6)
    await guest.say(1)
    await guest.until(2)
    await guest.connect()
    assert told(backend).error is None
    reader, writer = await connected(tmp_path / "s")
    await guest.write(b"better")
    assert await reader.readexactly(6) == b"better"
    writer.close()
    page.unmap()


@pytest.mark.parametrize(("key", "value"), [("ring-ref", "7"), ("port", "x"), ("ring-ref", "999")])
async def test_a_ring_that_becomes_another_that_cannot_be(store, backend, guest, tmp_path, key, value):
    await attach(store, channel(ChannelKind.PATH, tmp_path / "log"))
    await guest.until(2)
    await guest.connect()
    guest.ring.output.put(b"of no event")
    await store.write(guest.home / key, value)
    await guest.say(4)
    await guest.until(5)
    assert told(backend).error
    assert backend.grants.mapped == 0
    assert (tmp_path / "log").read_bytes() == b"of no event"
    await guest.say(6)
    await guest.until(6)


async def test_a_broken_ring_harms_no_other(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "t", devid=2))
    other = Guest(store, tmp_path, devid=2)
    await guest.until(2)
    await other.until(2)
    await guest.connect()
    await other.connect()
    guest.page.view.cast("I")[771] = 77777
    guest.events.notify(guest.port)
    reader, writer = await connected(tmp_path / "t")
    await other.write(b"fine")
    assert await reader.readexactly(4) == b"fine"
    await guest.until(5)
    assert any("broke" in (c.error or "") for c in backend.server.channels())
    guest.page.view.cast("I")[771] = 0
    await guest.say(4)  # the same ring is not taken again
    await guest.say(6)
    await guest.until(6)
    await guest.say(1)
    await guest.until(2)
    await guest.connect()
    assert [channel.error for channel in backend.server.channels()] == [None, None]
    writer.close()
    other.close()


async def test_a_ring_that_is_offered_broken_is_refused_once(store, backend, guest, tmp_path, caplog):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.probe(broken=True)
    await guest.until(5)
    await asyncio.sleep(0.05)
    assert len([1 for record in caplog.records if "broke" in record.message]) == 1
    assert (backend.grants.mapped, backend.events.bound) == (0, 0)


async def test_a_ring_that_breaks_as_it_is_joined_again_is_let_go_of(
    store, backend, guest, tmp_path, monkeypatch
):
    """What was about to be given is kept, and would be given now."""
    give_input = RingEnd.give_input

    def broken_meanwhile(self, spool, data):
        guest.page.view.cast("I")[768] = 77777
        give_input(self, spool, data)

    monkeypatch.setattr(RingEnd, "give_input", broken_meanwhile)
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    _, writer = await connected(tmp_path / "s")
    writer.write(b"kept")
    await eventually(lambda: told(backend).error)
    await guest.say(4)
    await guest.until(5)
    assert "77777" in told(backend).error
    assert (backend.grants.mapped, backend.events.bound) == (0, 0)
    writer.close()


async def test_where_no_ring_can_be_served_nothing_is_kept_of_it(store, backend, guest, monkeypatch):
    """As on a processor that orders memory in another way."""
    refused = Mock(side_effect=ProtocolError("cannot serve a ring here"))
    monkeypatch.setattr("xenwire.channels.ringend.Backend", refused)
    await attach(store, channel(ChannelKind.NONE))
    await guest.until(2)
    await guest.probe()
    await guest.until(5)
    assert told(backend).error == "cannot serve a ring here"
    assert (backend.grants.mapped, backend.events.bound) == (0, 0)


async def test_others_channels_are_left_alone(store, backend, tmp_path):
    foreign = channel(ChannelKind.SOCKET, tmp_path / "s")
    await attach(store, foreign)
    await store.write("/local/domain/0/backend/console/6/1/type", "ioemu")
    await store.write("/local/domain/0/backend/console/6/1/state", "1")
    await store.write("/local/domain/0/backend/console/7/0/state", "1")
    await Guest(store, tmp_path).until(2)
    assert await store.read("/local/domain/0/backend/console/6/1/state") == b"1"
    assert await store.read("/local/domain/0/backend/console/7/0/state") == b"1"


async def test_a_guest_does_not_wait_for_a_host_end_that_cannot_be_opened(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    await backend.stop()
    (tmp_path / "s").write_text("somebody's file")
    await backend.start()
    await guest.write(bytes(10_000))
    assert any("not a socket" in (c.error or "") for c in backend.server.channels())
    (tmp_path / "s").unlink()
    await store.write(guest.backend / "online", "1")
    await eventually((tmp_path / "s").exists)
    reader, writer = await connected(tmp_path / "s")
    assert await reader.readexactly(10_000) == bytes(10_000)
    writer.close()


# --- statistics


def told(backend):
    """Give what the one channel tells; also as it is read back from JSON."""
    (found,) = backend.server.channels()
    assert ChannelStatistics.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    return found


async def test_a_channel_tells_what_it_has_carried(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    fresh = told(backend)
    assert (fresh.name, fresh.kind, fresh.joined) == ("org.example.1", ChannelKind.SOCKET, False)
    assert (fresh.from_guest, fresh.to_guest, fresh.clients, fresh.generation) == (0, 0, 0, 0)

    await guest.connect()
    await guest.write(b"12345")
    await eventually(lambda: told(backend).waiting == 5)
    assert (told(backend).delivered, told(backend).joined, told(backend).generation) == (0, True, 1)

    reader, writer = await connected(tmp_path / "s")
    writer.write(b"abc")
    assert await reader.readexactly(5) == b"12345"
    assert await guest.read(3) == b"abc"
    await eventually(lambda: told(backend).delivered == 5)
    busy = told(backend)
    assert (busy.from_guest, busy.dropped, busy.waiting) == (5, 0, 0)
    assert (busy.to_guest, busy.clients, busy.sent_away, busy.error) == (3, 1, 0, None)
    writer.close()
    await eventually(lambda: told(backend).clients == 0)

    await guest.say(5)
    await guest.say(6)
    await guest.until(6)
    assert not told(backend).joined


async def test_what_came_from_the_guest_is_counted_across_restarts(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.PATH, tmp_path / "log"))
    await guest.until(2)
    await guest.connect()
    await guest.write(b"12345")
    await eventually(lambda: told(backend).delivered == 5)
    await backend.stop()
    await backend.start()
    await guest.write(b"678")
    await eventually(lambda: told(backend).delivered == 8)
    assert told(backend).generation == 1


async def test_nobody_can_tell_who_has_a_pty_open(store, backend, guest):
    await attach(store, channel(ChannelKind.PTY))
    await guest.until(2)
    assert told(backend).clients is None


async def test_a_channel_that_cannot_be_served_tells_why(store, backend, guest, tmp_path, caplog):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await backend.stop()
    await store.write(guest.backend / "mode", "rwx")
    await backend.start()
    found = told(backend)
    assert "cannot have mode 'rwx'" in found.error
    assert (found.domid, found.devid, found.name, found.from_guest, found.clients) == (5, 1, None, None, None)
    (record,) = caplog.records
    assert (record.levelname, record.domid, record.devid) == ("WARNING", 5, 1)


async def test_a_channel_that_blocks_is_warned_of(store, backend, guest, tmp_path, caplog):
    await attach(store, replace(channel(ChannelKind.PTY), options=Options(block=True)))
    await guest.until(2)
    assert "has its guest wait" in caplog.text


async def test_a_guest_that_breaks_its_ring_for_ever_is_not_logged_for_ever(
    store, backend, guest, caplog, monkeypatch
):
    monkeypatch.setattr("xenwire.channels.channellog.LINES", (2, 1 / 60))
    await attach(store, channel(ChannelKind.NONE))
    await guest.until(2)
    for _ in range(4):
        await guest.connect()
        guest.page.view.cast("I")[771] = 77777
        guest.events.notify(guest.port)
        await eventually(lambda: told(backend).error)
        await guest.say(6)
        await guest.until(6)
        await guest.say(1)
        await guest.until(2)
        guest.ring.release()
        guest.page.unmap()
        guest.page = None
    assert len(caplog.records) == 2
