"""The backend is killed at random moments while guests write and clients read and write.

Every byte tells its position: gaps and repeats at the seams are counted, for each kind of endpoint.
"""

import asyncio
import contextlib
import itertools
import os
import random
import socket
import sys
from pathlib import Path

import pytest
from frontend import Guest, attach

from xenwire.channels.endpoints.base import BLOCK
from xenwire.channels.keys import OUR_TYPE, Channel
from xenwire.types import ChannelKind, ChannelName, DevId, DomId
from xenwire.xenstore import Store
from xenwire.xenstored import server

RECORD = 16
AHEAD = 400_000  # bytes that a guest may be ahead of its reader: less than a spool holds
KINDS = {ChannelKind.PATH: 0, ChannelKind.PTY: 4095, ChannelKind.SOCKET: BLOCK}
"""With the bytes that may be seen twice at a seam."""


def stream(start, count):
    """Give bytes of the endless stream of numbered records that a guest writes."""
    first = start // RECORD
    records = b"".join(b"%015d\n" % number for number in range(first, (start + count) // RECORD + 1))
    return records[start - first * RECORD :][:count]


class Daemon:
    """The backend in a process of its own."""

    async def open(self, folder):
        runner = Path(__file__).with_name("channel_backend.py")
        pipe = asyncio.subprocess.PIPE
        self.runner = await asyncio.create_subprocess_exec(
            sys.executable, runner, folder, stdin=pipe, stdout=pipe
        )

    def start(self):
        self.is_ready = self.is_doomed = False
        self.runner.stdin.write(b"start\n")

    async def ready(self):
        if not self.is_ready:
            assert await self._line() == b"ready\n"
            self.is_ready = True

    def has_open(self, path):
        """Tell whether it is alive, and has this open: when it is dead, its pty may be another's."""
        if self.is_doomed:
            return False
        pid = self.runner.pid
        child = Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
        with contextlib.suppress(OSError):
            return any(os.readlink(link) == path for link in Path(f"/proc/{child}/fd").iterdir())
        return False

    async def kill(self):
        self.is_doomed = True
        self.runner.stdin.write(b"kill\n")
        while await self._line() != b"killed\n":
            pass

    async def close(self):
        await self.kill()
        self.runner.stdin.close()
        await self.runner.communicate()

    async def _line(self):
        return await asyncio.wait_for(self.runner.stdout.readline(), 20)


class BusyGuest(Guest):
    """A guest whose reader and writer both wait for events."""

    def listen(self):
        self.signal = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.events.fileno(), self.signalled)

    def signalled(self):
        self.events.unmask(self.events.pending())
        self.signal.set()
        self.signal = asyncio.Event()

    async def event(self):
        async with asyncio.timeout(20):  # Python 3.11's wait_for may swallow that it is cancelled
            await self.signal.wait()

    def close(self):
        asyncio.get_running_loop().remove_reader(self.events.fileno())
        super().close()


class Output:
    """What one guest writes, and a reader sees. A reader that comes anew begins at some seam."""

    def __init__(self, guest, block):
        self.guest, self.block = guest, block
        self.written = self.seen = 0
        self.piece = b""
        self.repeated, self.gaps = [], 0
        self.moved = asyncio.Event()

    async def write(self, done):
        while not done.is_set():
            while self.written - self.seen > AHEAD:
                self.moved.clear()
                await self.moved.wait()
            await self.guest.write(stream(self.written, 2000))
            self.written += 2000
            await asyncio.sleep(0)

    def saw(self, data, new):
        """Check bytes that were read, the first of a reader (`new`) or those that follow its last ones."""
        if new:
            self.seam = self.seen
            self.piece = b""
        if self.seam is not None:
            self.piece += data
            if len(self.piece) < 2 * RECORD:
                return
            data, start = self.piece, self._find(self.piece)
            if start > self.seam:
                self.gaps += 1
            if start < self.seam:
                self.repeated.append(self.seam - start)
            self.seen, self.seam = start, None
        assert data == stream(self.seen, len(data))
        self.seen += len(data)
        self.moved.set()

    def _find(self, piece):
        """Give the position of bytes that hold at least one whole record."""
        end = piece.index(b"\n")
        number = int(piece[end + 1 : end + RECORD])
        return number * RECORD - end - 1


async def read_socket(path, output):
    """Be the client of a socket, again and again, and write to it what tells who it is and at which byte.

    It reads to the end, though it may not write any more: asyncio's streams throw away then what had come.
    """
    loop = asyncio.get_running_loop()

    async def write(connection, number):
        with contextlib.suppress(ConnectionError):
            await loop.sock_sendall(connection, b"<%07d " % number)
            for start in itertools.count(0, 2000):
                await loop.sock_sendall(connection, stream(start, 2000))

    for number in itertools.count():
        with socket.socket(socket.AF_UNIX) as connection:
            connection.setblocking(False)
            try:
                await loop.sock_connect(connection, str(path))
            except OSError:
                await asyncio.sleep(0.001)
                continue
            writing = asyncio.create_task(write(connection, number))
            new = True
            try:
                while data := await loop.sock_recv(connection, 65536):
                    output.saw(data, new)
                    new = False
            except ConnectionError:
                pass
            finally:
                writing.cancel()
                await asyncio.wait([writing])


async def read_pty(store, backend, output):
    """Be the reader of a pty, again whenever there is a new one."""
    loop = asyncio.get_running_loop()
    while True:
        tty = await store.read_text(output.guest.home / "tty")
        if not backend.has_open(tty):
            await asyncio.sleep(0.001)
            continue
        terminal = os.open(tty, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        readable, new = asyncio.Event(), True
        loop.add_reader(terminal, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                with contextlib.suppress(BlockingIOError):
                    data = os.read(terminal, 65536)
                    if not data:
                        break
                    output.saw(data, new)
                    new = False
        except OSError:  # hung up
            pass
        finally:
            loop.remove_reader(terminal)
            os.close(terminal)


async def read_log(path, output):
    """Follow a log, which nobody begins anew."""
    with path.open("rb") as log:
        new = True
        while True:
            if data := log.read(65536):
                output.saw(data, new)
                new = False
            await asyncio.sleep(0.001)


async def read_typed(guest, typed):
    """Be the guest's reader of what the clients of a socket write."""
    while True:
        data = guest.ring.input.peek(1024)
        if data:
            guest.ring.input.consume(len(data))
            guest.events.notify(guest.port)
            typed += data
            await asyncio.sleep(0)
        else:
            await guest.event()


async def kill_it(folder, kills, seed):
    """Kill the backend so often, and give what was seen of a log, a pty and a socket, and was typed."""
    started = asyncio.Event()
    store_daemon = asyncio.create_task(server.serve(folder / "store.sock", ready=started.set))
    await started.wait()
    (folder / "spools").mkdir()
    backend, done, typed = Daemon(), asyncio.Event(), bytearray()
    await backend.open(folder)
    async with Store.connect(folder / "store.sock") as store:
        backend.start()
        outputs = []
        for devid, (kind, block) in enumerate(KINDS.items(), start=1):
            guest = BusyGuest(store, folder, devid=devid)
            guest.listen()
            path = None if kind is ChannelKind.PTY else str(folder / kind)
            name = ChannelName(f"org.example.{kind}")
            await attach(store, Channel(DomId(5), DevId(devid), name, kind, path, type=OUR_TYPE))
            await guest.until(2)
            await guest.connect()
            outputs.append(Output(guest, block))
        log, pty, proxied = outputs
        async with asyncio.TaskGroup() as tasks:
            writers = [tasks.create_task(output.write(done)) for output in outputs]
            readers = [
                tasks.create_task(read_log(folder / "path", log)),
                tasks.create_task(read_pty(store, backend, pty)),
                tasks.create_task(read_socket(folder / "socket", proxied)),
                tasks.create_task(read_typed(proxied.guest, typed)),
            ]
            chance = random.Random(seed)
            for _ in range(kills):
                if chance.random() < 0.5:  # the others die while they start
                    await backend.ready()
                await asyncio.sleep(chance.uniform(0, 0.06))
                await backend.kill()
                backend.start()
            await backend.ready()
            done.set()
            await asyncio.gather(*writers)
            for output in outputs:
                async with asyncio.timeout(10):
                    while output.seen < output.written:
                        output.moved.clear()
                        await output.moved.wait()
            for reader in readers:
                reader.cancel()
        await backend.close()
        for output in outputs:
            output.guest.close()
    store_daemon.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await store_daemon
    return outputs, bytes(typed)


def received_by_guest(typed):
    """Check that the guest has read the bytes of each client from the first on, once; give how many."""
    start, *clients = typed.split(b"<")
    assert start == b""
    numbers = [int(client[:7]) for client in clients if len(client) >= 8]
    assert numbers == sorted(set(numbers))
    for client in clients:
        assert client[8:] == stream(0, len(client[8:]))
    return len(typed)


async def kills(folder, count, seed, capsys):
    outputs, typed = await kill_it(folder, count, seed)
    figures = [f"\n{count} kills"]
    for kind, output in zip(KINDS, outputs, strict=True):
        repeated = max(output.repeated, default=0)
        figures.append(
            f"{kind}: {output.seen} bytes, {output.gaps} gaps,"
            f" {len(output.repeated)} repeats, of at most {repeated} bytes"
        )
    figures.append(f"typed: {received_by_guest(typed)} bytes of {typed.count(b'<')} clients")
    with capsys.disabled():
        sys.stdout.write("\n  ".join(figures) + "\n")
    for kind, output in zip(KINDS, outputs, strict=True):
        assert output.gaps == 0, kind
        assert max(output.repeated, default=0) <= output.block, kind
    assert typed


async def test_30_kills(tmp_path, capsys):
    await kills(tmp_path, 30, 5, capsys)


@pytest.mark.soak
@pytest.mark.timeout(3000)
async def test_1000_kills(tmp_path, capsys):
    await kills(tmp_path, 1000, 6, capsys)
