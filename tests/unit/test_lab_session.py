"""The real client and the real agent, over Unix sockets instead of virtio-serial ports."""

import asyncio
import contextlib
import filecmp
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from xenwire.errors import (
    Conflict,
    Denied,
    NotFound,
    ProtocolError,
    TimedOut,
    Unreachable,
    UsageError,
    XenwireError,
)
from xenwire.lab.frames import (
    MARKER,
    Command,
    Decoder,
    Frame,
    Kind,
    Sync,
    Tty,
    encode,
    encode_data,
    encode_numbers,
)
from xenwire.lab.session import LabSession
from xenwire.lab.tar import Unpacker
from xenwire.runtime.process import ExitStatus, ProcessRef


def listen(path):
    ear = socket.socket(socket.AF_UNIX)
    ear.bind(str(path))
    ear.listen()
    return ear


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The agent as it is in dom0: two files, and no site-packages."""
    folder = tmp_path_factory.mktemp("agent")
    for name in ("dom0_agent.py", "frames.py"):
        shutil.copy(str(resources.files("xenwire.lab") / name), folder)
    return [sys.executable, "-S", str(folder / "dom0_agent.py")]


class Agent:
    def __init__(self, program, folder):
        self.ports = [folder / "port0.sock", folder / "port1.sock"]
        ears = [listen(path) for path in self.ports]
        fds = [ear.fileno() for ear in ears]
        self.process = subprocess.Popen([*program, *(f"--listen-fd={fd}" for fd in fds)], pass_fds=fds)
        for ear in ears:
            ear.close()

    def open(self, number=0):
        return LabSession.open(self.ports[number], timeout=20)

    @property
    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def peak(self):
        return peak(self.process.pid)


def peak(pid):
    """Bytes that a process has had in memory at most."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1]) << 10


@pytest.fixture
def agent(program, short_tmp):
    agent = Agent(program, short_tmp)
    yield agent
    assert agent.process.poll() is None
    agent.process.kill()
    agent.process.wait()


@pytest.fixture
async def session(agent):
    async with agent.open() as session:
        yield session


class Taken:
    """A sink. `first` is set with the first bytes."""

    def __init__(self):
        self.data = bytearray()
        self.first = asyncio.Event()

    async def __call__(self, data):
        self.data += data
        self.first.set()

    async def pid(self):
        """The process whose number was written, in a line of its own."""
        await asyncio.wait_for(self.first.wait(), 20)
        return ProcessRef.of(int(self.data.split()[0]))


async def gone(process):
    """Wait for the end of a process, unless it had come before it was looked at."""
    if process is not None:
        await asyncio.wait_for(process.wait(), 20)


async def output(session, *argv, **more):
    taken = Taken()
    status = await session.run(argv, on_stdout=taken, **more)
    assert status == 0
    return bytes(taken.data)


async def test_statuses(session):
    for number in (0, 1, 127, 255):
        status = await session.run(["sh", "-c", f"exit {number}"])
        assert isinstance(status, ExitStatus)
        assert status == number
    assert str(await session.run(["sh", "-c", "kill -9 $$"])) == "killed by SIGKILL"


async def test_output_and_errors_come_apart(session):
    out, err = Taken(), Taken()
    await session.run(["sh", "-c", "echo out; echo err >&2"], on_stdout=out, on_stderr=err)
    assert (out.data, err.data) == (b"out\n", b"err\n")


async def test_surroundings(session, tmp_path):
    odd = "a b\n'\udcff ü"
    script = 'printf "%s|" "$1" "$ODD"; pwd'
    out = await output(session, "sh", "-c", script, "sh", odd, env={"ODD": odd}, cwd=str(tmp_path))
    assert out == b"a b\n'\xff \xc3\xbc|" * 2 + os.fsencode(tmp_path) + b"\n"
    fields = (await output(session, "cat", "/proc/self/stat")).split()
    assert fields[0] == fields[4] == fields[5]  # leads its process group and its session
    assert await output(session, "ls", "/proc/self/fd") == b"0\n1\n2\n3\n"  # 3 is the listing's own


async def test_input(session):
    async def pieces():
        yield b""
        yield b"one "
        yield b"two"

    assert await output(session, "cat", stdin=pieces()) == b"one two"
    assert await output(session, "cat", stdin=b"three") == b"three"
    assert await output(session, "cat", stdin=MARKER * 1000) == MARKER * 1000
    assert await output(session, "cat") == b""


async def test_input_that_nobody_takes(session):
    async def endless():
        while True:
            yield bytes(100_000)

    assert await session.run(["sh", "-c", "exit 4"], stdin=endless()) == 4
    assert (
        await session.run(["sh", "-c", "exec <&-; sed -u q /proc/uptime; exit 5"], stdin=bytes(9_000_000))
        == 5
    )
    assert await output(session, "echo", "still in step") == b"still in step\n"


async def test_a_signal_passes_input_that_is_not_taken(session):
    async def endless():
        while True:
            yield bytes(100_000)

    out = Taken()
    running = asyncio.create_task(
        session.run(["sh", "-c", "echo $$; exec sleep 1000"], stdin=endless(), on_stdout=out)
    )
    await out.pid()
    session.signal(signal.SIGINT)
    assert str(await running) == "killed by SIGINT"


async def test_signals_and_what_is_none(session):
    out = Taken()
    script = "trap 'echo got; exit 7' USR1; echo ready; while :; do :; done"
    running = asyncio.create_task(session.run(["sh", "-c", script], on_stdout=out))
    await asyncio.wait_for(out.first.wait(), 20)
    session.signal(9999)
    session.signal(-1)
    session.signal(signal.SIGUSR1)
    assert await running == 7
    assert out.data == b"ready\ngot\n"


async def test_what_cannot_be_run(session, tmp_path):
    with pytest.raises(NotFound, match=r"cannot run /nowhere/x in the lab: /nowhere/x: No such file"):
        await session.run(["/nowhere/x"])
    with pytest.raises(NotFound, match="/nowhere"):
        await session.run(["true"], cwd="/nowhere")
    with pytest.raises(Denied, match="Permission denied"):
        await session.run([str(tmp_path)])
    with pytest.raises(UsageError, match="environment variable"):
        await session.run(["true"], env={"a=b": ""})
    with pytest.raises(UsageError, match="more than 65531"):
        await session.run(["true", "x" * 70_000])
    with pytest.raises(UsageError, match="there is no command"):
        await session.run([])
    with pytest.raises(UsageError, match="NUL"):
        await session.run(["a\0b"])
    with pytest.raises(UsageError, match="70000 rows"):
        await session.run(["true"], tty=Tty(70_000, 80, "vt100"))
    assert await session.run(["true"]) == 0


async def test_a_hundred_megabytes_each_way_in_little_memory(agent, session):
    size = 100_000_000
    chunk = bytes(range(256)) * 1000
    received = 0

    async def count(data):
        nonlocal received
        received += len(data)

    async def pieces():
        for _ in range(size // len(chunk)):
            yield chunk

    Path("/proc/self/clear_refs").write_text("5")
    before = peak("self")
    assert await session.run(["cat"], stdin=pieces(), on_stdout=count) == 0
    assert received == size // len(chunk) * len(chunk)
    assert peak("self") - before < 20_000_000
    assert agent.peak < 40_000_000


async def test_output_arrives_whole(session):
    out = await output(session, "sh", "-c", "seq 300000")
    assert out == b"".join(b"%d\n" % n for n in range(1, 300_001))


async def test_a_slow_reader_stops_its_command_and_nothing_else(agent, session):
    blocked, go_on = asyncio.Event(), asyncio.Event()
    received = 0

    async def slow(data):
        nonlocal received
        received += len(data)
        blocked.set()
        await go_on.wait()

    script = "head -c 50000000 /dev/zero; echo over >&2"
    err = Taken()
    running = asyncio.create_task(session.run(["sh", "-c", script], on_stdout=slow, on_stderr=err))
    await blocked.wait()
    async with agent.open(1) as other:
        for _ in range(20):
            assert await output(other, "echo", "hi") == b"hi\n"
    assert not running.done()
    assert received < 1_000_000
    assert not err.data
    assert agent.peak < 40_000_000
    go_on.set()
    assert await running == 0
    assert (received, err.data) == (50_000_000, b"over\n")


async def test_a_client_that_does_not_read_and_leaves(agent):
    """Its command is ended though the agent cannot write."""
    async with agent.open(1) as watcher, agent.open() as session:
        await session._send(Command(("sh", "-c", "echo $$; exec yes"), {}, None, None, 1.0).encode())
        frame = await session._next()
        pid = ProcessRef.of(int(frame.payload.split()[0]))
        assert await output(watcher, "echo") == b"\n"
        session._writer.transport.pause_reading()
        for _ in range(50):
            await output(watcher, "true")
        assert pid.alive
    await gone(pid)


async def test_a_client_that_vanishes_takes_its_command_group_along(agent):
    out = Taken()
    async with agent.open() as session:
        running = asyncio.create_task(
            session.run(["sh", "-c", "sleep 1000 & echo $!; wait"], on_stdout=out, kill_after=0.1)
        )
        pid = await out.pid()
        session._writer.transport.abort()
        with pytest.raises(Unreachable, match="the lab is gone"):
            await running
    await gone(pid)
    async with agent.open() as session:
        assert await session.run(["true"]) == 0


IGNORES = "trap '' TERM HUP; sleep 1000 & echo $!; while :; do wait; done"


async def test_a_timeout_ends_the_command(agent):
    out = Taken()
    async with agent.open() as session:
        with pytest.raises(TimedOut, match=r"sh has not ended in time: it ran for 0.3 s") as caught:
            await session.run(["sh", "-c", "echo $$; exec sleep 1000"], on_stdout=out, timeout=0.3)
        assert caught.value.hint == "it has been ended"
        with pytest.raises(Unreachable, match="the session is closed"):
            await session.run(["true"])
    await gone(await out.pid())


async def test_a_stubborn_command_is_killed_with_its_group(agent):
    out = Taken()
    async with agent.open() as session:
        running = asyncio.create_task(session.run(["sh", "-c", IGNORES], on_stdout=out, kill_after=0.1))
        pid = await out.pid()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await gone(pid)


async def test_what_is_left_of_a_group_gets_its_grace(agent):
    """The command ends at once, a member of its group does not; the session need not wait for it."""
    out = Taken()
    script = "(trap '' TERM HUP; exec sleep 1000) & echo $!; exec sleep 1000"
    async with agent.open() as session:
        running = asyncio.create_task(session.run(["sh", "-c", script], on_stdout=out, kill_after=0.5))
        pid = await out.pid()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await gone(pid)


async def test_cancelled_twice_the_rest_is_left_to_the_agent(agent):
    out = Taken()
    async with agent.open() as session:
        running = asyncio.create_task(session.run(["sh", "-c", IGNORES], on_stdout=out, kill_after=0.2))
        pid = await out.pid()
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await gone(pid)


async def fail(_data):
    raise LookupError("full")


async def failing():
    yield b"x"
    raise LookupError("empty")


@pytest.mark.parametrize(
    "ends", [{"stdin": failing()}, {"stdin": b"x", "on_stdout": fail}], ids=["stdin", "stdout"]
)
async def test_a_failing_source_or_sink_ends_the_command(agent, ends):
    async with agent.open() as session:
        with pytest.raises(LookupError):
            await session.run(["cat"], **ends)
    async with agent.open() as session:
        assert await session.run(["true"]) == 0


async def test_a_daemon_that_holds_the_output_is_not_waited_for(session):
    out = Taken()
    assert await session.run(["sh", "-c", "setsid sleep 1000 & echo $!"], on_stdout=out) == 0
    pid = await out.pid()
    assert pid.alive
    await pid.end()


async def test_a_daemon_that_floods_the_output_is_not_listened_to(session):
    err = Taken()
    assert await session.run(["sh", "-c", "yes & echo $! >&2; exit 3"], on_stderr=err) == 3
    await gone(await err.pid())  # of SIGPIPE


async def test_output_that_comes_right_after_the_end(session):
    assert await output(session, "bash", "-c", "exec > >(cat); echo late") == b"late\n"


async def test_a_terminal(session):
    out, sized = Taken(), asyncio.Event()

    async def show(data):
        await out(data)
        if b"24 80" in out.data:
            session.resize(50, 132)
            sized.set()

    async def keys():
        await sized.wait()
        yield b"go\r"

    script = 'stty size; read word; stty size; tty; echo "$TERM $word"; echo err >&2'
    status = await session.run(["sh", "-c", script], stdin=keys(), on_stdout=show, tty=Tty(24, 80, "xterm"))
    assert status == 0
    first, echo, second, name, word, err = (
        out.data.decode().split()[:2],
        *out.data.decode().split("\r\n")[1:6],
    )
    assert first == ["24", "80"]
    assert (echo, second, word, err) == ("go", "50 132", "xterm go", "err")
    assert name.startswith("/dev/pts/")


async def test_keys_make_signals_on_a_terminal(session):
    out = Taken()

    async def keys():
        await out.first.wait()
        yield b"\x03"
        await asyncio.Event().wait()

    script = "echo ready; exec sleep 1000"
    assert str(
        await session.run(["sh", "-c", script], stdin=keys(), on_stdout=out, tty=Tty(24, 80, "vt100"))
    ) == ("killed by SIGINT")


async def test_the_end_of_input_on_a_terminal(session):
    tty = Tty(24, 80, "vt100")
    assert await session.run(["cat"], tty=tty) == 0
    out = Taken()
    assert await session.run(["cat"], stdin=b"no newline", on_stdout=out, tty=tty) == 0
    assert b"no newline" in out.data


async def test_a_terminal_gives_all_its_output(session):
    out = await output(session, "seq", "20000", tty=Tty(24, 80, "vt100"))
    assert out == b"".join(b"%d\r\n" % n for n in range(1, 20_001))


async def test_sessions_leave_nothing_behind(agent):
    async with agent.open() as session:
        await session.run(["true"])
    async with agent.open() as session:
        await session.run(["true"])
        before = agent.descriptors
    for tty in (None, Tty(24, 80, "vt100")):
        for _ in range(10):
            async with agent.open() as session:
                await session.run(["cat"], stdin=b"x", tty=tty)
                with pytest.raises(NotFound):
                    await session.run(["/nowhere"], tty=tty)
    async with agent.open() as session:
        await session.run(["true"])
        assert agent.descriptors == before
        children = f"/proc/{agent.process.pid}/task/{agent.process.pid}/children"
        assert len((await output(session, "cat", children)).split()) == 1  # this cat


async def test_one_command_at_a_time(session):
    out = Taken()
    running = asyncio.create_task(
        session.run(["sh", "-c", "echo $$; read x"], stdin=asyncio_never(), on_stdout=out)
    )
    await out.pid()
    with pytest.raises(Conflict, match="busy"):
        await session.run(["true"])
    with pytest.raises(Conflict, match="busy"):
        await session.set_clock()
    session.signal(signal.SIGTERM)
    assert await running == -signal.SIGTERM
    session.signal(signal.SIGTERM)
    session.resize(1, 1)
    assert await session.run(["true"]) == 0


async def asyncio_never():
    await asyncio.Event().wait()
    yield b""


async def test_a_clock_that_cannot_be_set_so(session):
    with pytest.raises(UsageError, match="cannot set the lab's clock: Invalid argument"):
        await session.set_clock(-1)
    assert await session.run(["true"]) == 0


async def test_a_port_that_is_in_use_or_missing(agent, session, short_tmp):
    with pytest.raises(TimedOut, match=r"the lab does not answer: .* for 0.05 s"):
        async with LabSession.open(agent.ports[0], timeout=0.05):
            pass
    with pytest.raises(NotFound):
        async with LabSession.open(short_tmp / "none", timeout=1):
            pass


# The agent against odd clients


class Raw:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.decoder, self.items = Decoder(), []

    async def item(self):
        while not self.items:
            data = await asyncio.wait_for(self.reader.read(65536), 20)
            assert data
            self.items += self.decoder.feed(data)
        return self.items.pop(0)


@pytest.fixture
async def raw(agent):
    reader, writer = await asyncio.open_unix_connection(str(agent.ports[0]))
    yield Raw(reader, writer)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


SYNC = MARKER + b"0123456789abcdef"
IN_SYNC = Sync(b"0123456789abcdef")


def execute(*argv):
    return Command(argv, {}, None, None, 0.1).encode()


async def test_garbage_before_the_sync_and_frames_in_crumbs(raw):
    raw.writer.write(os.urandom(300_000).replace(MARKER, b""))
    for byte in SYNC + execute("echo", "hi") + encode(Kind.STDIN_EOF):
        raw.writer.write(bytes([byte]))
        await raw.writer.drain()
    assert await raw.item() == IN_SYNC
    assert await raw.item() == Frame(Kind.STDOUT, b"hi\n")
    assert (await raw.item()) == Frame(Kind.EXIT, bytes(8))


@pytest.mark.parametrize(
    ("nonsense", "reason"),
    [
        (b"\xee" * 9, b"frame of kind 238"),
        (b"\x01\0\x02\0\0", b"frame of kind 1 with 131072 bytes"),
        (encode(Kind.EXEC, b"{"), b"EXEC: "),
        (encode(Kind.STDOUT), b"STDOUT: this is for the agent to say"),
        (encode(Kind.SIGNAL), b"SIGNAL: "),
        (encode_numbers(Kind.RESIZE, 1), b"RESIZE: "),
        (execute("true"), b"a command is running"),
        (encode_data(Kind.STDIN, bytes(65531)) * 9, b"more than there is room for"),
    ],
)
async def test_nonsense_ends_the_command_and_asks_for_a_sync(raw, nonsense, reason):
    raw.writer.write(SYNC + execute("sh", "-c", "echo $$; exec sleep 1000"))
    assert await raw.item() == IN_SYNC
    pid = ProcessRef.of(int((await raw.item()).payload))
    raw.writer.write(nonsense + execute("echo", "lost"))
    kind, payload = await raw.item()
    assert kind is Kind.ERROR
    assert reason in payload
    await gone(pid)
    raw.writer.write(SYNC + execute("true"))
    assert await raw.item() == IN_SYNC
    assert await raw.item() == Frame(Kind.EXIT, bytes(8))


async def test_a_client_that_reads_no_answers_is_not_listened_to(agent, raw):
    raw.writer.write(SYNC)
    assert await raw.item() == IN_SYNC
    raw.writer.transport.pause_reading()
    count = 100_000
    sending = asyncio.create_task(
        write_all(raw.writer, encode_numbers(Kind.SET_CLOCK, -1) * 100, count // 100)
    )
    async with agent.open(1) as other:
        for _ in range(50):
            await other.run(["true"])
    assert not sending.done()
    assert agent.peak < 40_000_000
    raw.writer.transport.resume_reading()
    answers = [await raw.item() for _ in range(count)]
    assert {item.kind for item in answers} == {Kind.ERROR}
    await sending


async def write_all(writer, data, times):
    for _ in range(times):
        writer.write(data)
        await writer.drain()


class Relay:
    """What a port can look like at its worst: clients come and go so fast that the agent sees one stream."""

    def __init__(self, agent, path):
        self.agent, self.path = agent, path

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_unix_connection(str(self.agent.ports[0]))
        self.client = None
        self.server = await asyncio.start_unix_server(self.serve, str(self.path))
        self.backward = asyncio.create_task(self.back())
        return self

    async def __aexit__(self, *_):
        self.backward.cancel()
        await asyncio.gather(self.backward, return_exceptions=True)
        self.server.close()
        self.writer.transport.abort()

    async def serve(self, reader, writer):
        self.client = writer
        while data := await reader.read(65536):
            self.writer.write(data)
        writer.close()

    async def back(self):
        while data := await self.reader.read(1000):
            if self.client:
                self.client.write(data)


async def test_a_new_client_after_one_that_broke_off_unseen(agent, short_tmp):
    async with Relay(agent, short_tmp / "relay") as relay:
        for cut in (1, 4, 5, 100, 60_000):
            reader, writer = await asyncio.open_unix_connection(str(relay.path))
            raw = Raw(reader, writer)
            writer.write(SYNC + execute("sh", "-c", "echo $$; cat; yes"))
            assert await raw.item() == IN_SYNC
            pid = ProcessRef.of(int((await raw.item()).payload))
            writer.write(encode_data(Kind.STDIN, bytes(65_000))[:cut])
            writer.close()
            await writer.wait_closed()
            async with LabSession.open(relay.path, timeout=20) as session:
                assert await output(session, "echo", "clean") == b"clean\n"
            await gone(pid)


# The client against odd agents


@pytest.fixture
async def scripted(short_tmp):
    """Open a session with an agent that says garbage, syncs, and answers a command with these bytes."""
    answers = []

    async def serve(reader, writer):
        sync = await reader.readexactly(32)
        writer.write(b"old output \xff\x40\0\0" + MARKER + bytes(16) + sync)
        await reader.readexactly(5)
        writer.write(answers[0])
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                pass
        writer.close()

    server = await asyncio.start_unix_server(serve, str(short_tmp / "odd"))

    def open_session(answer):
        answers.append(answer)
        return LabSession.open(short_tmp / "odd", timeout=20)

    yield open_session
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 100,
        MARKER + bytes(16),
        encode_numbers(Kind.EXIT, 256),
        encode_numbers(Kind.EXIT, -65),
        encode(Kind.EXIT),
        encode_numbers(Kind.STDIN_ROOM, 1 << 40),
        encode_numbers(Kind.STDIN_ROOM, -1),
        encode(Kind.CLOCK_SET),
        encode(Kind.EXEC),
        encode(Kind.ERROR, b"[1]"),
    ],
)
async def test_nonsense_from_the_lab_is_a_protocol_error(scripted, answer):
    async with scripted(answer + encode_numbers(Kind.EXIT, 0)) as session:
        with pytest.raises(ProtocolError, match="the lab talks nonsense"):
            await session.run(["true"], kill_after=0.1)


async def test_words_of_the_lab_can_be_printed(scripted):
    async with scripted(encode(Kind.ERROR, b'{"errno": 13, "text": "a\\u001b[2J"}')) as session:
        with pytest.raises(Denied) as caught:
            await session.run(["true"])
        assert "\x1b" not in str(caught.value)


# Files


def make_tree(top):
    (top / "sub" / "deep").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o750)
    (top / "a file\nwith 'odd' name").write_bytes(b"odd")
    (top / os.fsdecode(b"\xff\xfe")).write_bytes(b"bytes")
    (top / ("long" * 60)).write_bytes(b"")
    (top / "sub" / "-rf").write_bytes(bytes(range(256)) * 3000)
    (top / "sub" / "run").write_bytes(b"#!/bin/sh\n")
    (top / "sub" / "run").chmod(0o755)
    (top / "sub" / "deep" / "up").symlink_to("../run")
    (top / "dangling").symlink_to("nowhere")
    os.utime(top / "sub" / "run", (1_000_000_000, 1_000_000_000))


def look(top):
    found = {}
    for path in sorted(top.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content = os.readlink(path)
        else:
            content = None if path.is_dir() else (path.read_bytes(), int(path.stat().st_mtime))
        found[str(path.relative_to(top))] = (oct(mode) if not stat.S_ISLNK(mode) else "link", content)
    return found


async def test_a_tree_there_and_back(session, tmp_path):
    make_tree(tmp_path / "tree")
    (tmp_path / "lab").mkdir()
    assert await session.put(tmp_path / "tree", str(tmp_path / "lab")) == []
    assert look(tmp_path / "lab" / "tree") == look(tmp_path / "tree")
    assert await session.get(str(tmp_path / "lab" / "tree") + "/", tmp_path / "back") == []
    assert look(tmp_path / "back") == look(tmp_path / "tree")


async def test_where_copies_go(session, tmp_path, monkeypatch):
    there = tmp_path / "there"
    there.mkdir()
    (tmp_path / "-x").write_bytes(b"1")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"2")
    (tmp_path / "link").symlink_to("-x")
    monkeypatch.chdir(tmp_path)
    await session.put(Path("-x"), str(there))
    await session.put(Path("-x"), str(there / "new name"))
    await session.put(Path("link"), str(there / "followed"))
    await session.put(Path("d"), str(there / "e"))
    await session.put(Path("d"), str(there / "e"))
    monkeypatch.chdir(tmp_path / "d")
    await session.put(Path(), str(there / "e"))
    assert {name: content and content[0] for name, (_, content) in look(there).items()} == {
        "-x": b"1",
        "new name": b"1",
        "followed": b"1",
        "e": None,
        "e/f": b"2",
        "e/d": None,
        "e/d/f": b"2",
    }
    (tmp_path / "back").mkdir()
    await session.get(str(there / "-x"), tmp_path / "back")
    await session.get(str(there / "-x"), tmp_path / "back" / "other")
    await session.get(str(there / "e"), tmp_path / "back")
    await session.get(str(tmp_path / "link"), tmp_path / "back")
    assert {name: content and content[0] for name, (_, content) in look(tmp_path / "back").items()} == {
        "-x": b"1",
        "other": b"1",
        "e": None,
        "e/f": b"2",
        "e/d": None,
        "e/d/f": b"2",
        "link": b"1",
    }


async def test_files_are_replaced_and_folders_joined(session, tmp_path):
    for name, content in (("one", b"new"), ("two", b"old")):
        (tmp_path / name / "d").mkdir(parents=True)
        (tmp_path / name / "d" / "f").write_bytes(content)
        (tmp_path / name / "d" / f"only {name}").write_bytes(b"")
    await session.put(tmp_path / "one" / "d", str(tmp_path / "two"))
    assert (tmp_path / "two" / "d" / "f").read_bytes() == b"new"
    assert (tmp_path / "two" / "d" / "only two").exists()
    (tmp_path / "two" / "d" / "f").write_bytes(b"newer")
    await session.get(str(tmp_path / "two" / "d"), tmp_path / "one")
    assert (tmp_path / "one" / "d" / "f").read_bytes() == b"newer"
    assert sorted(os.listdir(tmp_path / "one" / "d")) == ["f", "only one", "only two"]


async def test_copies_that_fail_say_why(session, tmp_path):
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(NotFound, match="does not exist"):
        await session.put(tmp_path / "none", "/tmp")
    with pytest.raises(
        XenwireError, match=r"cannot copy .*f to the lab: tar: /nowhere: Cannot open: No such file"
    ) as caught:
        await session.put(tmp_path / "f", "/nowhere/f")
    assert caught.value.hint == "the folder that it goes into has to be there"
    for missing in ("/nowhere/f", str(tmp_path / "none"), str(tmp_path / "f" / "g")):
        with pytest.raises(NotFound, match=f"cannot copy {missing} from the lab: it does not exist"):
            await session.get(missing, tmp_path / "g")
    assert not (tmp_path / "g").exists()
    assert await session.run(["true"]) == 0


@pytest.mark.parametrize("remote", ["", ".", "..", "/", "/etc/../..", "d/.."])
async def test_what_has_no_name_is_not_copied_out(session, tmp_path, remote):
    (tmp_path / "local").mkdir()
    with pytest.raises(UsageError, match=r"cannot copy .* from the lab: .* is no name for a copy") as caught:
        await session.get(remote, tmp_path / "local")
    assert caught.value.hint


async def test_a_copy_never_leaves_its_folder(session, tmp_path):
    (tmp_path / "there" / "d").mkdir(parents=True)
    (tmp_path / "there" / "f").write_bytes(b"f")
    (tmp_path / "here" / "local").mkdir(parents=True)
    await session.get(str(tmp_path / "there" / "d" / ".."), tmp_path / "here" / "local")
    assert os.listdir(tmp_path / "here") == ["local"]
    assert (tmp_path / "here" / "local" / "there" / "f").read_bytes() == b"f"


@pytest.mark.parametrize("remote", ["none/..", "none/.", "f/.."])
async def test_what_would_have_no_name_is_not_copied_in(session, tmp_path, remote):
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(UsageError, match=r"cannot copy .*f to the lab: .* is no name for a copy"):
        await session.put(tmp_path / "f", str(tmp_path) + "/" + remote)
    with pytest.raises(UsageError, match="cannot copy / to the lab: / is no name for a copy"):
        await session.put(Path("/"), str(tmp_path))


async def get_fails(agent, group, remote, local, reason):
    async with agent.open() as session:
        with pytest.raises(group) as caught:
            await session.get(str(remote), local)
    assert str(caught.value) == f"cannot copy {remote} from the lab: {reason}"
    assert caught.value.hint.startswith("copy it to another folder")


async def test_a_place_that_cannot_be_written_is_told(agent, tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "f").write_bytes(bytes(1000))
    (tmp_path / "copy" / "sub" / "f").mkdir(parents=True)
    file, tree, gone = tmp_path / "tree" / "sub" / "f", tmp_path / "tree", tmp_path / "none" / "x"
    await get_fails(agent, NotFound, file, gone, f"{gone}: No such file or directory")
    await get_fails(agent, NotFound, tree, gone, f"{gone}: No such file or directory")
    taken = tmp_path / "copy" / "sub" / "f"
    await get_fails(agent, XenwireError, tree / "sub", tmp_path / "copy", f"{taken}: Is a directory")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        await get_fails(agent, XenwireError, file, tmp_path / "full", f"{tmp_path / 'full'}: File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "full").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
async def test_a_copy_that_is_not_permitted(agent, tmp_path):
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o500)
    await get_fails(agent, Denied, tmp_path / "f", tmp_path / "d", f"{tmp_path}/d/f: Permission denied")
    (tmp_path / "f").chmod(0)
    async with agent.open() as session:
        with pytest.raises(Denied, match=f"cannot copy {tmp_path}/f to the lab: .*: Permission denied"):
            await session.put(tmp_path / "f", "/tmp")


async def test_a_file_that_goes_while_it_is_copied(agent, tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("a", "b"):
        (tmp_path / "d" / name).write_bytes(bytes(10_000_000))
    async with agent.open() as session:
        real, chunks = session._feed_data, 0

        async def feed(data):
            nonlocal chunks
            chunks += 1
            if chunks == 10:
                (tmp_path / "d" / "b").unlink()
            await real(data)

        session._feed_data = feed
        with pytest.raises(NotFound, match=f"cannot copy {tmp_path}/d to the lab: {tmp_path}/d/b: No such"):
            await session.put(tmp_path / "d", str(tmp_path / "copy"))


async def test_what_is_no_file_is_left_out(session, tmp_path):
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / "pipe")
    (tmp_path / "d" / "out").symlink_to("/etc/passwd")
    assert await session.put(tmp_path / "d", str(tmp_path / "e")) == [str(tmp_path / "d" / "pipe")]
    assert os.readlink(tmp_path / "e" / "out") == "/etc/passwd"
    assert sorted(await session.get(str(tmp_path / "d"), tmp_path / "f")) == ["./out", "./pipe"]
    assert os.listdir(tmp_path / "f") == []
    assert await session.get("/dev/null", tmp_path / "null") == ["null"]


async def test_a_big_file_in_little_memory(agent, session, tmp_path):
    with (tmp_path / "big").open("wb") as file:
        for n in range(60):
            file.write(bytes([n]) * 1_000_000)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak("self")
    await session.put(tmp_path / "big", str(tmp_path / "there"))
    await session.get(str(tmp_path / "there"), tmp_path / "back")
    assert peak("self") - before < 20_000_000
    assert agent.peak < 40_000_000
    assert filecmp.cmp(tmp_path / "big", tmp_path / "back", shallow=False)


async def test_a_cancelled_get_leaves_no_half_file(agent, tmp_path, monkeypatch):
    loop, begun, feed = asyncio.get_running_loop(), asyncio.Event(), Unpacker.feed

    def telling(unpacker, data):
        feed(unpacker, data)
        loop.call_soon_threadsafe(begun.set)

    monkeypatch.setattr(Unpacker, "feed", telling)
    with (tmp_path / "source").open("wb") as file:
        file.truncate(1 << 40)
    async with agent.open() as session:
        copying = asyncio.create_task(session.get(str(tmp_path / "source"), tmp_path / "copy"))
        await begun.wait()
        assert (tmp_path / "copy").exists()
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying
    assert not (tmp_path / "copy").exists()
