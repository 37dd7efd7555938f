"""The backend in a process that has given up what it does not need: all it does goes on, and restarts."""

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest
from children import told
from frontend import Guest, attach, eventually
from test_channel_kills import BusyGuest, Output, read_log, read_socket

from xenwire.channels.endpoints.base import BLOCK
from xenwire.channels.keys import OUR_TYPE, Channel
from xenwire.channels.options import Options
from xenwire.runtime.daemon import Daemon
from xenwire.types import ChannelKind, ChannelName, DevId, DomId

PROGRAM = str(Path(__file__).with_name("confined_backend.py"))
NOBODY = 65534
RESTARTS = 3

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user, or give files away")


async def start(folder, *user):
    command = [sys.executable, PROGRAM, str(folder), *user]
    return await Daemon.start_ready("the backend", command, folder / "serve.log", 20)


@pytest.fixture
async def backend(store, short_tmp):
    daemon = await start(short_tmp)
    yield daemon
    await daemon.end()
    assert (short_tmp / "serve.log").read_text() == ""


def channel(kind, path=None, devid=1, **options):
    name = ChannelName(f"org.example.{devid}")
    path = None if path is None else str(path)
    return Channel(DomId(5), DevId(devid), name, kind, path, type=OUR_TYPE, options=Options(**options))


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split(":")[1].split() for line in lines}


async def test_what_is_left_to_it(backend):
    found = status(backend.pid)
    assert found["NoNewPrivs"] == ["1"]
    assert found["Seccomp"] == ["2"]
    # chown, dac_override and fowner, where they were there
    assert int(found["CapPrm"][0], 16) & ~0b1011 == int(found["CapEff"][0], 16) & ~0b1011 == 0
    if os.geteuid() == 0:
        assert int(found["CapBnd"][0], 16) & ~0b1011 == 0


@as_root
async def test_ptys_and_sockets_of_any_owner(store, short_tmp, backend):
    theirs = short_tmp / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, NOBODY, NOBODY)
    of_nobody = {"owner": (NOBODY, NOBODY), "mode": 0o660}
    wanted = [
        channel(ChannelKind.PTY, devid=1, **of_nobody),
        channel(ChannelKind.SOCKET, theirs / "socket", devid=2, **of_nobody),
        channel(ChannelKind.PATH, theirs / "log", devid=3),
    ]
    guests = [Guest(store, short_tmp, devid=each.devid) for each in wanted]
    for guest, each in zip(guests, wanted, strict=True):
        await attach(store, each)
        await guest.until(2)
        await guest.connect()
        await guest.write(b"from the guest")
    tty = await store.read_text(guests[0].home / "tty")
    for path in (tty, theirs / "socket"):
        found = os.stat(path)
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (NOBODY, NOBODY, 0o660)
    terminal = os.open(tty, os.O_RDWR | os.O_NOCTTY)
    assert os.read(terminal, 100) == b"from the guest"
    os.write(terminal, b"typed")
    assert await guests[0].read(5) == b"typed"
    os.close(terminal)
    reader, writer = await asyncio.open_unix_connection(theirs / "socket")
    assert await reader.readexactly(14) == b"from the guest"
    writer.write(b"sent")
    assert await guests[1].read(4) == b"sent"
    writer.close()
    # A log that was rotated is made anew.
    await eventually(lambda: (theirs / "log").read_bytes() == b"from the guest")
    (theirs / "log").rename(theirs / "log.1")
    await guests[2].write(b", and more")
    await eventually(lambda: (theirs / "log").exists() and (theirs / "log").read_bytes() == b", and more")
    for guest in guests:
        guest.close()


async def test_what_it_may_not_write_is_told_in_the_store(store, short_tmp, backend):
    guest = Guest(store, short_tmp)
    await attach(store, channel(ChannelKind.PATH, "/etc/xenwire-test.log"))
    await store.wait_for(guest.backend / "error", lambda value: value is not None, 5)
    error = json.loads(await store.read_text(guest.backend / "error"))
    assert error["code"] == "denied"
    # It is this and nothing else that the log of the daemon may have.
    assert "/etc/xenwire-test.log" in (short_tmp / "serve.log").read_text()
    (short_tmp / "serve.log").write_text("")
    guest.close()


@as_root
async def test_as_another_user(store, short_tmp):
    short_tmp.chmod(0o755)
    (short_tmp / "root").mkdir(mode=0o755)
    folder = short_tmp / f"run-{NOBODY}"
    daemon = await start(short_tmp, f"{NOBODY}:{NOBODY}")
    try:
        found = status(daemon.pid)
        assert found["Uid"] == found["Gid"] == [str(NOBODY)] * 4
        assert found["Groups"] == []
        assert int(found["CapPrm"][0], 16) == 0
        assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (NOBODY, 0o700)
        guests = [Guest(store, short_tmp, devid=devid) for devid in (1, 2, 3)]
        await attach(store, channel(ChannelKind.PTY, devid=1))
        await attach(store, channel(ChannelKind.SOCKET, folder / "socket", devid=2))
        await attach(store, channel(ChannelKind.PATH, short_tmp / "root" / "log", devid=3))
        for guest in guests[:2]:
            await guest.until(2)
        assert (folder / "socket").stat().st_uid == NOBODY
        await store.wait_for(guests[2].backend / "error", lambda value: value is not None, 5)
        assert json.loads(await store.read_text(guests[2].backend / "error"))["code"] == "denied"
        for guest in guests:
            guest.close()
    finally:
        await daemon.end()
    # What it leaves is there for the next one, which may be root no more.
    again = await start(short_tmp, f"{NOBODY}:{NOBODY}")
    await again.end()


def test_only_root_may_be_another_user():
    assert (
        told("""
        from xenwire.daemon.confinement import Confinement
        from xenwire.errors import Denied
        from xenwire.runtime.privileges import become
        if os.geteuid() == 0:
            become("65534:65534")
        try:
            Confinement.of("1:1")
        except Denied as error:
            tell(str(error))
    """)
        == "cannot serve as user 1:1: only root may change the user"
    )


async def restart_while_guests_write(store, folder):
    """Restart it so often, and give what was seen of a log and a socket, and their backends' states."""
    outputs, states, done = [], set(), asyncio.Event()
    daemon = await start(folder)

    async def watch(path):
        async with store.watch(path) as changes:
            async for _ in changes:
                states.add(await store.get_text(path))

    for devid, (kind, block) in enumerate({ChannelKind.PATH: 0, ChannelKind.SOCKET: BLOCK}.items(), start=1):
        guest = BusyGuest(store, folder, devid=devid)
        guest.listen()
        await attach(store, channel(kind, folder / str(kind), devid=devid))
        await guest.until(2)
        await guest.connect()
        outputs.append(Output(guest, block))
    log, socket = outputs
    async with asyncio.TaskGroup() as tasks:
        followers = [
            tasks.create_task(read_log(folder / "path", log)),
            tasks.create_task(read_socket(folder / "socket", socket)),
            *(tasks.create_task(watch(output.guest.backend / "state")) for output in outputs),
        ]
        writers = [tasks.create_task(output.write(done)) for output in outputs]
        for _ in range(RESTARTS):
            goals = [(output, output.seen + 100_000) for output in outputs]
            await eventually(lambda goals=goals: all(output.seen >= goal for output, goal in goals))
            await daemon.end()
            assert await daemon.wait() == 143
            daemon = await start(folder)
        done.set()
        await asyncio.gather(*writers)
        await eventually(lambda: all(output.seen == output.written for output in outputs))
        for follower in followers:
            follower.cancel()
    await daemon.end()
    for output in outputs:
        output.guest.close()
    return outputs, states


async def test_an_upgrade_loses_nothing(store, short_tmp, capsys):
    """SIGTERM and a new process, as systemctl restart does it, while guests write as fast as they can."""
    outputs, states = await restart_while_guests_write(store, short_tmp)
    assert states == {"4"}
    figures = [f"\n{RESTARTS} restarts"]
    for name, output in zip(("log", "socket"), outputs, strict=True):
        repeated = max(output.repeated, default=0)
        figures.append(
            f"{name}: {output.seen} bytes, {output.gaps} gaps, repeats of at most {repeated} bytes"
        )
        assert output.gaps == 0
        assert repeated <= output.block
    with capsys.disabled():
        sys.stdout.write("\n  ".join(figures) + "\n")
