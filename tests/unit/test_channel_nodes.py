"""Nodes that a toolstack got wrong, or a guest has spoilt: one channel suffers, and says why."""

import json
import os

import pytest
from channel_host import channel, connected
from frontend import UUID, attach, eventually

from xenwire.channels.spool import HEADER, MIN_LIMIT
from xenwire.types import ChannelKind


async def spoilt(store, wire, changes):
    """Attach a channel some of whose keys, of both directories, are others; None: are not there."""
    await store.write(f"/local/domain/{wire.domid}/vm", f"/vm/{UUID}")
    async with store.transaction() as t:
        for node in wire.nodes():
            value = changes.get(node.path.name, node.value)
            if value is not None:
                await t.write(node.path, value)


async def is_served(store, guest, tmp_path):
    """See that channel 1 is, whatever became of channel 2."""
    await guest.until(2)
    await guest.connect()
    await guest.write(b"served")
    await eventually(lambda: (tmp_path / "log").read_bytes() == b"served")


NONSENSE = [
    ({"connection": "carrier-pigeon"}, "unknown kind"),
    ({"connection": ""}, "unknown kind"),
    ({"connection": None}, "unknown kind"),
    ({"connection": b"\xff\0\n%s"}, "unknown kind"),
    ({"path": None}, "has no path"),
    ({"connection": "path", "path": None}, "has no path"),
    ({"name": None}, "has no name"),
    ({"name": ""}, "has no name"),
    ({"name": "../../etc/passwd"}, "not a channel name"),
    ({"name": b"org.example\xff"}, "not a channel name"),
    ({"name": b"a\0b"}, "not a channel name"),
    ({"name": "a\n"}, "not a channel name"),
    ({"name": "%s%n{0}"}, "not a channel name"),
    ({"name": "x" * 128}, "not a channel name"),
    ({"path": "/nowhere/at/all"}, "cannot listen"),
    ({"path": b"/nowhere/\xff\xfe/s"}, "cannot listen"),
    ({"path": b"/nowhere/%s\n\x1b[2J/s"}, "cannot listen"),
    ({"path": b"/tmp/a\0b"}, "has a path that cannot be"),
    ({"path": "/dev/null/s"}, "cannot listen"),
    ({"path": ""}, ""),
    ({"path": "/" + "x" * 3000}, "3001 bytes"),
    ({"connection": "path", "path": b"/nowhere/\xff"}, "cannot write the log"),
    ({"connection": "path", "path": b"/tmp/a\0b"}, "has a path that cannot be"),
    ({"connection": "path", "path": "/"}, "cannot write the log"),
    ({"connection": "path", "path": ""}, "cannot write the log"),
]


@pytest.mark.parametrize(("changes", "why"), NONSENSE, ids=lambda told: repr(told)[:40])
async def test_nodes_that_make_no_sense(store, backend, guest, tmp_path, changes, why):
    await attach(store, channel(ChannelKind.PATH, tmp_path / "log"))
    wrong = channel(ChannelKind.SOCKET, tmp_path / "s", devid=2)
    await spoilt(store, wrong, changes)
    told = json.loads(await store.wait_for(wrong.backend / "error", bool, 5))
    assert why in told["message"] + (told["reason"] or "")
    assert await store.read(wrong.backend / "state") == b"1"
    await is_served(store, guest, tmp_path)
    (failed,) = (each for each in backend.server.channels() if each.error)
    assert failed.devid == 2


async def test_a_name_and_a_path_of_any_bytes_that_can_be(store, backend, guest, tmp_path):
    name = b's \xff\n%s\x1b[2J,="'
    await spoilt(
        store, channel(ChannelKind.SOCKET, "/x"), {"path": os.fsencode(tmp_path) + b"/" + name, "name": ".."}
    )
    await guest.until(2)
    await guest.connect()
    reader, writer = await connected(os.fsencode(tmp_path) + b"/" + name)
    await guest.write(b"through it")
    assert await reader.readexactly(10) == b"through it"
    assert sorted(os.listdir(tmp_path / "spools")) == [f"5-1-{UUID}-.."]
    writer.close()


@pytest.mark.parametrize(
    ("limit", "holds"),
    [
        (None, 1 << 20),
        ("0", 1 << 20),
        ("", 1 << 20),
        ("-5", 1 << 20),
        ("lots", 1 << 20),
        (b"\xb2\xb3", 1 << 20),
        ("1048577", 1 << 20),
        ("9" * 1000, 1 << 20),
        ("1", MIN_LIMIT),
        ("65536", 65536),
    ],
    ids=lambda told: repr(told)[:20],
)
async def test_limits(store, backend, guest, tmp_path, limit, holds):
    await spoilt(store, channel(ChannelKind.SOCKET, tmp_path / "s"), {"limit": limit})
    await guest.until(2)
    (spool,) = (tmp_path / "spools").iterdir()
    assert spool.stat().st_size == HEADER + holds


async def test_a_tiny_limit_loses_the_oldest_and_counts_them(store, backend, guest, tmp_path):
    await spoilt(store, channel(ChannelKind.SOCKET, tmp_path / "s"), {"limit": "1"})
    await guest.until(2)
    await guest.connect()
    data = b"".join(b"%07d\n" % number for number in range(2000))
    await guest.write(data)
    await eventually(lambda: guest.ring.output.room() == 2048)
    (told,) = backend.server.channels()
    assert (told.waiting, told.dropped) == (MIN_LIMIT, len(data) - MIN_LIMIT)
    reader, writer = await connected(tmp_path / "s")
    assert await reader.readexactly(MIN_LIMIT) == data[-MIN_LIMIT:]
    writer.close()
