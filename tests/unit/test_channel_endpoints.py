"""The host ends of channels, joined by a wire to a guest that is a few lines here."""

import asyncio
import contextlib
import os
import resource
import select
import socket
import stat
import subprocess
import termios
import tty
from functools import partial
from pathlib import Path

import pytest

from xenwire.channels.channellog import ChannelLog
from xenwire.channels.endpoints import make_endpoint
from xenwire.channels.endpoints import socket as socket_module
from xenwire.channels.guest import GuestEnd
from xenwire.channels.keys import Channel
from xenwire.channels.options import Options
from xenwire.channels.served import ServedChannel
from xenwire.channels.spool import HEADER, Spool
from xenwire.channels.wire import Wire
from xenwire.errors import Conflict, NotFound, ProtocolError, UsageError, XenwireError
from xenwire.types import DOM0, ChannelKind, ChannelName, DevId

EVERY_BYTE = bytes(range(256))
LIMIT = 1 << 16
TURN = 2048  # bytes that a guest hands over at once


class Guest(GuestEnd):
    """Has said what `says` holds, has heard what `heard` does, and has room for `free` bytes."""

    def __init__(self):
        self.says, self.heard, self.free = bytearray(), bytearray(), 1024
        self.moved = False
        self.again = False

    @property
    def comes_again(self):
        return self.again

    def take_output(self, spool, limit):
        limit = min(limit, TURN)
        data = bytes(self.says[:limit])
        del self.says[:limit]
        if data:
            spool.append(data)
            self.moved = True
        return len(data)

    def room(self):
        return self.free

    def give_input(self, spool, data):
        assert len(data) <= self.free
        self.heard += data
        self.free -= len(data)

    def settle(self):
        if self.moved and self.says:
            asyncio.get_running_loop().call_soon(self.event)
        self.moved = False

    def close(self):
        pass


class Joined:
    """A guest, a wire and an endpoint. `ready` is how often the endpoint has asked for a turn."""

    def __init__(self, kind, path, options, memory):
        self.kind, self.path, self.options, self.memory = kind, path, options, memory
        self.guest = Guest()
        self.turns = 0

    async def open(self):
        name = ChannelName("org.example.0")
        path = None if self.path is None else str(self.path)
        self.spool = Spool(memoryview(self.memory))
        channel = Channel(DOM0, DevId(1), name, self.kind, path)
        self.endpoint = make_endpoint(channel, self.spool, self.ready, self.options)
        self.wire = Wire(self.endpoint, self.spool, block=self.options.block, hold=self.options.hold)
        self.wire.guest = self.guest
        self.guest.event = self.wire.turn
        await self.endpoint.open()
        self.wire.turn()
        return self

    def ready(self):
        self.turns += 1
        self.wire.turn()

    def say(self, data):
        """Have the guest say something, and take turns as long as it has something to say."""
        self.guest.says += data
        self.wire.turn()
        while self.guest.says and self.wire.turn():
            pass

    def hear(self, count=1024):
        """Have the guest read what it has, and make room."""
        data = bytes(self.guest.heard)
        self.guest.heard.clear()
        self.guest.free = count
        self.wire.turn()
        return data

    def kill(self):
        """Have the daemon die, as far as that can be here: nothing is closed in order."""
        self.memory = bytearray(self.memory)
        self.endpoint.close()


@pytest.fixture
async def join():
    joined = []

    async def join(kind, path=None, *, limit=LIMIT, **options):
        memory = bytearray(HEADER + limit)
        Spool.new(memoryview(memory)).release()
        joined.append(Joined(kind, path, Options(**options), memory))
        return await joined[-1].open()

    yield join
    for one in joined:
        one.endpoint.close()


async def until(true, seconds=5):
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0)


async def settle():
    """Let the loop do all that there is to do."""
    for _ in range(20):
        await asyncio.sleep(0)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def limited(what, value):
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def no_descriptors():
    """Have none left to open."""
    first = os.dup(0)
    os.close(first)
    return limited(resource.RLIMIT_NOFILE, first)


# --- options


def test_options_as_the_store_has_them():
    assert Options.parse({}) == Options()
    values = {"replay": "4096", "broadcast": "1", "block": "0", "hold": "1", "mode": "0660", "name": "x"}
    assert Options.parse(values) == Options(replay=4096, broadcast=True, hold=True, mode=0o660)


@pytest.mark.parametrize(
    ("owner", "ids"),
    [("0", (0, -1)), ("root", (0, -1)), ("root:root", (0, 0)), ("12:34", (12, 34)), (":34", (-1, 34))],
)
def test_owners(owner, ids):
    assert Options.parse({"owner": owner}).owner == ids


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("replay", text) for text in ("", "-1", "+1", " 1", "1k", "1073741825", "9" * 100, "²")),
        *((key, text) for key in ("broadcast", "block", "hold") for text in ("", "2", "yes", "01")),
        *(("mode", text) for text in ("", "66", "1777", "0888", "rw", "00660")),
        *(("owner", text) for text in ("", "no such user", "root:no such", "4294967296", "-1", "a:b:c", "²")),
    ],
)
def test_options_that_cannot_be(key, value):
    with pytest.raises(UsageError, match=key):
        Options.parse({key: value})


# --- none


async def test_none_swallows_all_and_gives_nothing(join):
    none = await join(ChannelKind.NONE)
    none.say(bytes(10_000_000))
    assert not none.guest.says
    assert len(none.spool) == none.spool.dropped == 0
    assert (none.endpoint.place, none.endpoint.clients, none.guest.heard) == (None, 0, b"")


# --- pty


def terminal_of(pty, flags=os.O_RDWR):
    return os.open(pty.endpoint.place, flags | os.O_NOCTTY | os.O_NONBLOCK)


async def read(terminal, count):
    data = b""

    def more():
        nonlocal data
        with contextlib.suppress(BlockingIOError):
            data += os.read(terminal, count - len(data))
        return len(data) == count

    await until(more)
    return data


async def test_a_pty_is_raw_and_transparent(join):
    pty = await join(ChannelKind.PTY)
    terminal = terminal_of(pty)
    iflag, oflag, cflag, lflag, _, _, characters = termios.tcgetattr(terminal)
    assert not iflag & (termios.IXON | termios.ICRNL | termios.ISTRIP)
    assert not oflag & termios.OPOST
    assert not lflag & (termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    assert cflag & termios.CSIZE == termios.CS8
    assert characters[termios.VMIN] == 1 or characters[termios.VMIN] == b"\x01"
    pty.say(EVERY_BYTE * 40)
    assert await read(terminal, 10240) == EVERY_BYTE * 40
    os.write(terminal, EVERY_BYTE)
    await until(lambda: pty.guest.heard == EVERY_BYTE)
    assert pty.spool.dropped == 0
    os.close(terminal)


async def test_what_is_in_a_terminal_unread_is_not_delivered(join):
    pty = await join(ChannelKind.PTY)
    pty.say(EVERY_BYTE * 40)
    assert pty.spool.taken == 0
    terminal = terminal_of(pty)
    assert await read(terminal, TURN - 10) == (EVERY_BYTE * 40)[: TURN - 10]
    await settle()
    assert pty.spool.taken == 0
    assert await read(terminal, 10) == (EVERY_BYTE * 40)[TURN - 10 : TURN]
    await until(lambda: pty.spool.taken == TURN)
    assert await read(terminal, 10240 - TURN) == (EVERY_BYTE * 40)[TURN:]
    await until(lambda: len(pty.spool) == 0)
    os.close(terminal)


async def test_a_restarted_pty_repeats_the_block_that_nobody_read(join):
    pty = await join(ChannelKind.PTY)
    pty.say(EVERY_BYTE * 40)
    terminal = terminal_of(pty)
    await read(terminal, TURN + 1000)
    pty.kill()
    with pytest.raises(OSError, match="Input/output error"):
        os.write(terminal, b"x")
    await pty.open()
    new = terminal_of(pty)
    assert await read(new, 10240 - TURN) == (EVERY_BYTE * 40)[TURN:]
    os.close(terminal)
    os.close(new)


async def test_a_late_reader_gets_what_the_limit_allows(join):
    pty = await join(ChannelKind.PTY, limit=8192)
    data = b"".join(b"%07d\n" % number for number in range(5000))
    pty.say(data)
    kept = TURN + 8192  # the terminal has some, too
    assert pty.spool.dropped == len(data) - kept
    terminal = terminal_of(pty)
    assert await read(terminal, kept) == data[:TURN] + data[-8192:]
    await until(lambda: pty.spool.delivered == kept)
    os.close(terminal)


async def test_readers_of_a_pty_come_and_go(join):
    pty = await join(ChannelKind.PTY)
    for number in range(5):
        terminal = terminal_of(pty)
        pty.say(b"%d" % number)
        assert await read(terminal, 1) == b"%d" % number
        os.close(terminal)
    pty.say(b"meanwhile")
    terminal = terminal_of(pty)
    assert await read(terminal, 9) == b"meanwhile"
    os.close(terminal)


@pytest.mark.parametrize(
    "flush",
    [
        lambda terminal: termios.tcflush(terminal, termios.TCIFLUSH),
        tty.setraw,  # which flushes, too
    ],
)
async def test_what_is_flushed_unread_counts_as_read(join, flush):
    pty = await join(ChannelKind.PTY)
    pty.say(bytes(TURN) + b"the next")
    terminal = terminal_of(pty)
    select.select([terminal], [], [])
    flush(terminal)
    assert await read(terminal, 8) == b"the next"
    os.write(terminal, b"typed")
    await until(lambda: pty.guest.heard == b"typed")
    os.close(terminal)


async def test_a_reader_that_wants_lines(join):
    pty = await join(ChannelKind.PTY)
    terminal = terminal_of(pty)
    mode = termios.tcgetattr(terminal)
    mode[3] |= termios.ICANON
    termios.tcsetattr(terminal, termios.TCSANOW, mode)
    pty.say(b"a line in ")
    pty.say(b"two parts\n")
    assert await read(terminal, 20) == b"a line in two parts\n"
    os.close(terminal)


async def test_an_idle_pty_costs_nothing(join):
    pty = await join(ChannelKind.PTY)
    pty.say(bytes(10000))
    terminal = terminal_of(pty)
    pty.guest.free = 0
    os.write(terminal, b"that nobody reads")
    await settle()
    turns = pty.turns
    await settle()
    assert pty.turns == turns
    assert pty.hear() == b""
    await until(lambda: pty.guest.heard == b"that nobody reads")
    os.close(terminal)


async def test_there_may_be_no_pty_left(join):
    with no_descriptors(), pytest.raises(XenwireError) as caught:
        await join(ChannelKind.PTY)
    assert caught.value.message == "cannot make a pty"
    assert caught.value.reason


async def test_mode_and_owner_of_a_pty(join):
    pty = await join(ChannelKind.PTY, mode=0o640, owner=(os.getuid(), os.getgid()))
    found = os.stat(pty.endpoint.place)
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o640, os.getgid())


async def test_a_closed_pty_leaves_nothing(join):
    before = descriptors()
    pty = await join(ChannelKind.PTY)
    pty.say(b"unread")
    pty.endpoint.close()
    pty.endpoint.close()
    assert pty.endpoint.place is None
    assert descriptors() == before


# --- log


async def test_a_log_is_appended_to_across_restarts(join, tmp_path):
    (tmp_path / "log").write_bytes(b"before\n")
    log = await join(ChannelKind.PATH, tmp_path / "log")
    log.say(EVERY_BYTE)
    log.kill()
    await log.open()
    log.say(b"after")
    assert (tmp_path / "log").read_bytes() == b"before\n" + EVERY_BYTE + b"after"
    assert log.spool.dropped == 0


async def test_a_block_that_a_predecessor_could_not_report(join, tmp_path):
    log = await join(ChannelKind.PATH, tmp_path / "log")
    log.endpoint.close()
    log.spool.append(b"one two")
    log.spool.mark_log((tmp_path / "log").stat().st_ino, 0)
    (tmp_path / "log").write_bytes(b"one")
    await log.open()
    assert (tmp_path / "log").read_bytes() == b"one two"


async def test_rotation(join, tmp_path):
    log = await join(ChannelKind.PATH, tmp_path / "log")
    log.say(b"one")
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.say(b"two")
    assert (tmp_path / "log").read_bytes() == b"two"
    (tmp_path / "log").unlink()
    log.say(b"three")
    assert (tmp_path / "log").read_bytes() == b"three"
    os.truncate(tmp_path / "log", 0)  # after a copy was made
    log.say(b"four")
    assert (tmp_path / "log").read_bytes() == b"four"
    assert (tmp_path / "log.1").read_bytes() == b"one"
    (tmp_path / "new").write_bytes(b"")
    (tmp_path / "new").rename(tmp_path / "log")
    log.say(b"five")
    assert (tmp_path / "log").read_bytes() == b"five"
    assert log.spool.dropped == 0


async def test_a_full_disk_costs_what_it_does_not_take(join, tmp_path, caplog):
    log = await join(ChannelKind.PATH, tmp_path / "log")
    with limited(resource.RLIMIT_FSIZE, 1000):
        log.say(bytes(900))
        log.say(bytes(900))
        log.say(bytes(900))
    assert (tmp_path / "log").stat().st_size == 1000
    assert log.spool.dropped == 1700
    assert len(caplog.records) == 1
    log.say(b"again")
    assert (tmp_path / "log").read_bytes() == bytes(1000) + b"again"
    assert (log.spool.delivered, log.spool.dropped) == (1005, 1700)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "xenwire-test", place]
    if os.getuid() or subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("only root may mount a file system, and not everywhere")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


async def test_a_disk_that_is_full(join, small_disk, caplog):
    log = await join(ChannelKind.PATH, small_disk / "log")
    for _ in range(50):
        log.say(bytes(2000))
    size = (small_disk / "log").stat().st_size
    assert size == 65536
    assert (log.spool.delivered, log.spool.dropped, len(log.spool)) == (size, 100_000 - size, 0)
    (warning,) = caplog.messages
    assert "No space left on device" in warning
    os.truncate(small_disk / "log", 0)
    log.say(b"there is room again")
    assert (small_disk / "log").read_bytes() == b"there is room again"
    for _ in range(50):
        log.say(bytes(2000))
    assert len(caplog.messages) == 2
    log.endpoint.close()


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("other"), os.mkdir, os.mkfifo])
async def test_what_is_put_in_a_logs_place_is_not_written_to(join, tmp_path, make):
    (tmp_path / "other").write_bytes(b"precious")
    log = await join(ChannelKind.PATH, tmp_path / "log")
    (tmp_path / "log").unlink()
    make(tmp_path / "log")
    log.say(b"lost")
    assert (tmp_path / "other").read_bytes() == b"precious"
    assert log.spool.dropped == 4
    with pytest.raises(XenwireError):
        await join(ChannelKind.PATH, tmp_path / "log")


async def test_a_logs_folder_may_go_and_come(join, tmp_path):
    (tmp_path / "folder").mkdir()
    log = await join(ChannelKind.PATH, tmp_path / "folder" / "log")
    (tmp_path / "folder").rename(tmp_path / "away")
    log.say(b"lost")
    assert log.spool.dropped == 4
    (tmp_path / "away").rename(tmp_path / "folder")
    log.say(b"kept")
    assert (tmp_path / "folder" / "log").read_bytes() == b"kept"
    with pytest.raises(NotFound):
        await join(ChannelKind.PATH, tmp_path / "none" / "log")


async def test_a_log_takes_all_that_waited(join, tmp_path):
    log = await join(ChannelKind.PATH, tmp_path / "log", limit=1 << 20)
    log.endpoint.close()
    for _ in range(500):
        log.spool.append(bytes(2000))
    await log.open()
    assert (tmp_path / "log").stat().st_size == 1_000_000


# --- socket


class Client:
    """A client that does only what it is told."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setblocking(False)
        self.path = path

    async def __aenter__(self):
        await asyncio.get_running_loop().sock_connect(self.socket, str(self.path))
        return self

    async def __aexit__(self, *_):
        self.socket.close()

    async def read(self, count):
        data = b""
        async with asyncio.timeout(5):
            while len(data) < count:
                piece = await asyncio.get_running_loop().sock_recv(self.socket, count - len(data))
                if not piece:
                    break
                data += piece
        return data

    def write(self, data):
        return self.socket.send(data)

    def fill(self):
        """Write until there is no room left."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                count += self.write(bytes(65536))
        return count

    def has_nothing(self):
        with pytest.raises(BlockingIOError):
            self.socket.recv(1)


async def test_a_socket_is_transparent(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    async with Client(tmp_path / "s") as client:
        wire.say(EVERY_BYTE * 100)
        client.write(EVERY_BYTE)
        assert await client.read(25600) == EVERY_BYTE * 100
        await until(lambda: wire.guest.heard == EVERY_BYTE)
        assert wire.endpoint.clients == 1
    await until(lambda: wire.endpoint.clients == 0)


async def test_without_a_client_the_oldest_goes(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", limit=8192)
    data = b"".join(b"%07d\n" % number for number in range(5000))
    wire.say(data)
    assert wire.spool.dropped == len(data) - 8192
    async with Client(tmp_path / "s") as client:
        assert await client.read(8192) == data[-8192:]
    assert wire.spool.delivered == 8192


async def test_a_slow_client_gets_the_rest_while_the_guest_is_silent(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", limit=1 << 20)
    async with Client(tmp_path / "s") as client:
        await until(lambda: wire.endpoint.clients == 1)
        data = os.urandom(1 << 20)
        wire.say(data)
        assert len(wire.spool) > 0
        assert await client.read(len(data)) == data
        await until(lambda: len(wire.spool) == 0)
    assert wire.spool.dropped == 0


async def test_a_client_that_never_reads_harms_nobody(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    async with Client(tmp_path / "s") as client:
        await until(lambda: wire.endpoint.clients == 1)
        sent = client.fill()
        wire.say(bytes(3_000_000))
        assert not wire.guest.says
        assert wire.spool.dropped > 1_000_000
        await until(lambda: len(wire.guest.heard) == 1024)
        turns = wire.turns
        await settle()
        assert wire.turns <= turns + 1  # the guest's ring is full: nothing can go on
        heard = 0
        while heard < sent:
            heard += len(wire.hear())
            await asyncio.sleep(0)
        assert heard == sent


async def test_what_one_client_leaves_the_next_gets(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", limit=1 << 20)
    data = b"".join(b"%07d\n" % number for number in range(100_000))
    async with Client(tmp_path / "s") as first:
        wire.say(data)
        assert await first.read(1000) == data[:1000]
    await until(lambda: wire.endpoint.clients == 0)
    async with Client(tmp_path / "s") as second:
        rest = await second.read(8)
        number = data.index(rest)
        rest += await second.read(len(data) - number - 8)
        assert rest == data[number:]


async def test_the_next_client_waits(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    async with Client(tmp_path / "s") as first, Client(tmp_path / "s") as second:
        second.write(b"second")
        first.write(b"first ")
        await until(lambda: wire.guest.heard == b"first ")
        wire.say(b"for the first")
        await settle()
        second.has_nothing()
        assert wire.guest.heard == b"first "
        first.socket.close()
        await until(lambda: wire.guest.heard == b"first second")
        wire.say(b"for the second")
        assert await second.read(14) == b"for the second"


async def test_a_half_closed_client(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    async with Client(tmp_path / "s") as client:
        client.write(b"the end")
        client.socket.shutdown(socket.SHUT_WR)
        await until(lambda: wire.guest.heard == b"the end")
        await settle()
        turns = wire.turns
        await settle()
        assert wire.turns == turns
        wire.say(b"not of all")
        assert await client.read(10) == b"not of all"
    await until(lambda: wire.endpoint.clients == 0)


@pytest.mark.parametrize("unread", [b"", b"that the client does not read"])
async def test_who_writes_and_leaves_is_heard(join, tmp_path, unread):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    wire.guest.free = 0
    wire.say(unread)
    for number in range(3):
        async with Client(tmp_path / "s") as client:
            client.write(b"%d" % number * 600)
            await until(lambda: wire.endpoint.clients == 1)
        await until(lambda: wire.endpoint.clients == 0)
        wire.say(b"more")
    turns = wire.turns
    await settle()
    assert wire.turns == turns
    async with Client(tmp_path / "s") as late:
        late.write(b"late")
        await until(lambda: wire.endpoint.clients == 1)
        wire.say(b"for who is here")
        assert await late.read(19) == b"more" + b"for who is here"
        heard = b""
        while len(heard) < 1804:
            heard += wire.hear(500)
            await asyncio.sleep(0)
        assert heard == b"0" * 600 + b"1" * 600 + b"2" * 600 + b"late"


async def test_many_who_come_and_go_leave_nothing(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    wire.guest.free = 0
    await settle()
    before = descriptors()
    for _ in range(500):
        async with Client(tmp_path / "s") as client:
            client.write(b"x")
            await until(lambda: wire.endpoint.clients == 1)
        await until(lambda: wire.endpoint.clients == 0)
    await settle()
    assert descriptors() <= before + 8
    wire.hear()
    await settle()
    assert descriptors() == before


async def test_without_descriptors_a_client_waits(join, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(socket_module, "_RETRY", 0.01)
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    async with Client(tmp_path / "s") as client:
        with no_descriptors():
            await until(lambda: caplog.records)
            turns = wire.turns
            await settle()
            assert wire.turns == turns
        wire.say(b"patience")
        assert await client.read(8) == b"patience"


async def test_replay(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", replay=10)
    async with Client(tmp_path / "s") as first:
        wire.say(b"all of this was said")
        assert await first.read(20) == b"all of this was said"
    await until(lambda: wire.endpoint.clients == 0)
    wire.say(b", and this")
    async with Client(tmp_path / "s") as second:
        assert await second.read(20) == b"s was said, and this"
    wire.kill()
    await wire.open()
    async with Client(tmp_path / "s") as third:
        assert await third.read(10) == b", and this"
        wire.say(b"!")
        assert await third.read(1) == b"!"
    assert (wire.spool.delivered, wire.spool.dropped) == (31, 0)


async def test_broadcast(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", broadcast=True)
    wire.say(b"early ")
    async with Client(tmp_path / "s") as one, Client(tmp_path / "s") as two:
        await until(lambda: wire.endpoint.clients == 2)
        assert await one.read(6) == b"early "
        wire.say(b"to all")
        assert (await one.read(6), await two.read(6)) == (b"to all", b"to all")
        async with Client(tmp_path / "s") as three:
            await until(lambda: wire.endpoint.clients == 3)
            wire.say(b"again")
            for client in (one, two, three):
                assert await client.read(5) == b"again"
    assert (wire.spool.delivered, len(wire.spool)) == (17, 0)


async def test_a_slow_one_among_several_is_sent_away(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", broadcast=True)
    async with Client(tmp_path / "s") as quick, Client(tmp_path / "s") as slow:
        await until(lambda: wire.endpoint.clients == 2)
        for number in range(1000):
            wire.say(b"%04d" % number * 256)
            assert await quick.read(1024) == b"%04d" % number * 256
            if wire.endpoint.sent_away:
                break
        assert (wire.endpoint.sent_away, wire.endpoint.clients) == (1, 1)
        assert wire.spool.dropped == 0
        got = await slow.read(1 << 20)
        assert len(got) > 65536
        assert got == b"".join(b"%04d" % number * 256 for number in range(1000))[: len(got)]


async def test_several_are_heard_in_turn(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", broadcast=True)
    async with Client(tmp_path / "s") as one, Client(tmp_path / "s") as two:
        await until(lambda: wire.endpoint.clients == 2)
        wire.guest.free = 0
        one.write(b"1" * 5000)
        two.write(b"2" * 5000)
        heard = b""
        while len(heard) < 4000:
            heard += wire.hear(1000)
            await asyncio.sleep(0)
        assert sorted({heard[:1000], heard[1000:2000]}) == [b"1" * 1000, b"2" * 1000]
        assert heard[2000:4000] == heard[:2000]


async def test_no_more_than_there_is_room_for(join, tmp_path, monkeypatch):
    monkeypatch.setattr(socket_module, "_MOST_CLIENTS", 2)
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", broadcast=True)
    async with Client(tmp_path / "s") as one, Client(tmp_path / "s"), Client(tmp_path / "s") as three:
        await until(lambda: wire.endpoint.clients == 2)
        wire.say(b"x")
        await settle()
        three.has_nothing()
        one.socket.close()
        await settle()
        wire.say(b"y")
        assert await three.read(1) == b"y"


async def test_mode_and_owner_of_a_socket(join, tmp_path):
    await join(ChannelKind.SOCKET, tmp_path / "s")
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    await join(ChannelKind.SOCKET, tmp_path / "t", mode=0o660, owner=(os.getuid(), os.getgid()))
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o660
    if os.getuid() == 0:
        await join(ChannelKind.SOCKET, tmp_path / "u", owner=(12345, -1))
        assert ((tmp_path / "u").stat().st_uid, (tmp_path / "u").stat().st_gid) == (12345, os.getgid())


async def test_what_is_in_a_sockets_place(join, tmp_path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "s"))
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    with pytest.raises(Conflict):
        await join(ChannelKind.SOCKET, tmp_path / "s")
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(Conflict):
        await join(ChannelKind.SOCKET, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"precious"
    with pytest.raises(UsageError):
        await join(ChannelKind.SOCKET, Path("/" + "x" * 107))
    (tmp_path / "s").unlink()
    (tmp_path / "s").write_bytes(b"another's")
    wire.endpoint.close()
    wire.endpoint.close()
    assert (tmp_path / "s").exists()


async def test_a_closed_socket_leaves_nothing(join, tmp_path):
    before = descriptors()
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    async with Client(tmp_path / "s") as client:
        await until(lambda: wire.endpoint.clients == 1)
        wire.endpoint.close()
        assert await client.read(1) == b""
    assert not (tmp_path / "s").exists()
    assert descriptors() == before


# --- wire


async def test_a_guest_that_blocks_loses_nothing(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", limit=8192, block=True)
    data = os.urandom(1_000_000)
    wire.say(data)
    assert len(wire.guest.says) == len(data) - 8192
    async with Client(tmp_path / "s") as client:
        assert await client.read(len(data)) == data
    assert wire.spool.dropped == 0


@pytest.mark.parametrize("kind", [ChannelKind.PTY, ChannelKind.PATH])
async def test_a_guest_that_blocks_goes_on(join, tmp_path, kind):
    wire = await join(kind, tmp_path / "log", limit=8192, block=True)
    data = os.urandom(30_000)
    wire.say(data)
    if kind is ChannelKind.PATH:
        assert (tmp_path / "log").read_bytes() == data
    else:
        terminal = terminal_of(wire)
        assert await read(terminal, len(data)) == data
        os.close(terminal)
    assert wire.spool.dropped == 0


async def test_a_guest_that_writes_as_fast_as_it_is_read_leaves_turns_to_others(join, tmp_path):
    wire = await join(ChannelKind.PATH, tmp_path / "log")
    deliver = wire.wire.endpoint.deliver

    def deliver_and_refill():
        deliver()
        wire.guest.says[:] = bytes(TURN)

    wire.wire.endpoint.deliver = deliver_and_refill
    wire.guest.says[:] = bytes(TURN)
    assert wire.wire.turn()
    assert wire.spool.appended == TURN


async def test_what_a_guest_writes_on_and_on_is_delivered_together(join, tmp_path):
    """As long as it is sure to have another turn: its ring is small, and each delivery wakes a client."""
    wire = await join(ChannelKind.PATH, tmp_path / "log")
    log = tmp_path / "log"
    wire.guest.again = True
    for turns, written in enumerate([0, 0, 0, 4, 4], 1):
        wire.guest.says[:] = bytes(TURN)
        assert wire.wire.turn()
        assert (wire.spool.appended, log.stat().st_size) == (turns * TURN, written * TURN)
    assert not wire.wire.turn()
    assert log.stat().st_size == 5 * TURN
    wire.guest.says[:] = bytes(TURN)
    assert wire.wire.turn()
    wire.guest.says[:] = b"a few"
    assert wire.wire.turn()
    assert log.stat().st_size == 6 * TURN + 5
    wire.guest.again = False
    wire.guest.says[:] = bytes(TURN)
    assert wire.wire.turn()
    assert log.stat().st_size == 7 * TURN + 5


async def test_nothing_is_dropped_for_being_delivered_together(join, tmp_path):
    wire = await join(ChannelKind.PATH, tmp_path / "log", limit=2 * TURN)
    wire.guest.again = True
    for _ in range(8):
        wire.guest.says[:] = bytes(TURN)
        assert wire.wire.turn()
    assert not wire.wire.turn()
    assert (wire.spool.dropped, (tmp_path / "log").stat().st_size) == (0, 8 * TURN)


def served(wire, looks):
    log = str(wire.endpoint.place)
    channel = Channel(DOM0, DevId(1), ChannelName("org.example.0"), ChannelKind.PATH, log)
    look_again = partial(looks.append, True)
    return ServedChannel(None, None, channel, "", wire.wire, ChannelLog(DOM0, DevId(1)), look_again)


@pytest.mark.parametrize("turns_before", range(4))
async def test_the_last_words_of_a_guest_that_never_ends_are_delivered(join, tmp_path, turns_before):
    """Up to a number of turns, whichever of them is the last."""
    wire = await join(ChannelKind.PATH, tmp_path / "log")
    wire.guest.again = True
    wire.guest.says[:] = bytes(1 << 20)
    for _ in range(turns_before):
        assert wire.wire.turn()
    served(wire, []).last_turns()
    assert wire.guest.says
    assert (tmp_path / "log").stat().st_size == wire.spool.appended > 32 * 1024


async def test_a_guest_that_breaks_its_ring_has_written_what_was_before(join, tmp_path):
    wire = await join(ChannelKind.PATH, tmp_path / "log")
    wire.guest.again = True
    wire.guest.says[:] = bytes(TURN)
    looks = []
    channel = served(wire, looks)
    assert channel.turn()
    assert (tmp_path / "log").stat().st_size == 0

    def broken(spool, limit):
        raise ProtocolError("the other end of the ring broke it")

    wire.guest.take_output = broken
    assert not channel.turn()
    assert (channel.broken, wire.wire.guest) == ("the other end of the ring broke it", None)
    assert looks == [True]
    assert (tmp_path / "log").stat().st_size == TURN


async def test_hold(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s", hold=True)
    wire.spool.begin(1, 0)
    async with Client(tmp_path / "s") as client:
        client.write(b"hello")
        await settle()
        turns = wire.turns
        await settle()
        assert (wire.guest.heard, wire.turns) == (b"", turns)
        wire.say(b"!")
        await until(lambda: wire.guest.heard == b"hello")
        wire.spool.begin(2, 0)
        client.write(b"to the next")
        await settle()
        assert wire.guest.heard == b"hello"


async def test_without_a_guest_the_host_end_goes_on(join, tmp_path):
    wire = await join(ChannelKind.SOCKET, tmp_path / "s")
    wire.say(b"last words")
    wire.wire.guest = None
    async with Client(tmp_path / "s") as client:
        assert await client.read(10) == b"last words"
        client.write(b"anybody there?")
        await settle()
        turns = wire.turns
        await settle()
        assert wire.turns == turns
