"""The client against scripted peers on socket pairs; the real QEMU is in tests/qemu."""

import asyncio
import json
import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from xenwire.errors import ProtocolError, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.qemu.qmp.client import MAX_EVENTS, QmpClient, QmpError
from xenwire.qemu.qmp.session import Version
from xenwire.qemu.qmp.transports import SocketTransport, StreamTransport

VERSION = {"qemu": {"micro": 1, "minor": 2, "major": 9}, "package": ""}
GREETING = {"QMP": {"version": VERSION, "capabilities": []}}


class Peer:
    """The other end of a monitor: reads commands, says what the test wants."""

    def __init__(self, sock):
        sock.setblocking(False)
        self.sock = sock
        self._lines = b""

    async def say(self, *messages):
        data = b"".join(m if isinstance(m, bytes) else json.dumps(m).encode() + b"\r\n" for m in messages)
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def event(self, name, **data):
        when = {"seconds": 1, "microseconds": 0}
        await self.say({"event": name, "data": data, "timestamp": when})

    async def hear(self):
        while b"\n" not in self._lines:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
            assert data, "the client hung up"
            self._lines += data
        line, self._lines = self._lines.split(b"\n", 1)
        return json.loads(line) if line != b"\xff" else line

    async def answer(self, value):
        command = await self.hear()
        await self.say({"return": value, "id": command["id"]})
        return command

    async def refuse(self, error_class, description):
        command = await self.hear()
        await self.say({"id": command["id"], "error": {"class": error_class, "desc": description}})


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Peer(theirs)


@asynccontextmanager
async def negotiated(ends, **options):
    ours, peer = ends
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            group.create_task(peer.say(GREETING))
            group.create_task(peer.answer({}))
            connection = QmpClient.connect(SocketTransport(ours), **options)
            qmp = await stack.enter_async_context(connection)
        yield qmp, peer


@pytest.fixture
async def pair(ends):
    async with negotiated(ends, peer="guest 3") as pair:
        yield pair


async def run(*coroutines):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in tasks]


async def failure(coroutine, kind):
    with pytest.raises(kind) as caught:
        await coroutine
    return caught.value


async def test_the_version_is_the_greetings(pair):
    assert pair[0].version == Version(9, 2, 1, "")


async def test_a_command_and_what_it_returns(pair):
    qmp, peer = pair
    value, sent = await run(qmp.execute("add", {"node-name": "x", "fds": "3:4"}, a=1), peer.answer([3]))
    assert value == [3]
    assert (sent["execute"], sent["arguments"]) == ("add", {"node-name": "x", "fds": "3:4", "a": 1})


async def test_a_refused_command_tells_class_and_reason(pair):
    qmp, peer = pair
    error, _ = await run(
        failure(qmp.execute("eject"), QmpError), peer.refuse("DeviceNotFound", "no device 'x'")
    )
    assert (error.error_class, error.description) == ("DeviceNotFound", "no device 'x'")
    assert str(error) == "guest 3 refused eject: no device 'x'"


async def test_commands_go_one_at_a_time_in_the_order_of_calls(pair):
    qmp, peer = pair

    async def serve():
        for number in range(3):
            command = await peer.hear()
            assert peer._lines == b""
            with pytest.raises(BlockingIOError):
                peer.sock.recv(1)
            await peer.say({"return": [number, command["execute"]], "id": command["id"]})

    *values, _ = await run(qmp.execute("a"), qmp.execute("b"), qmp.execute("c"), serve())
    assert values == [[0, "a"], [1, "b"], [2, "c"]]


async def test_a_descriptor_travels_with_the_first_byte(pair):
    qmp, peer = pair
    reading, writing = os.pipe()
    waiting = asyncio.create_task(qmp.execute("getfd", fdname="x", fds=[writing]))
    first, fds = b"", []
    while not first:
        try:
            first, fds, *_ = socket.recv_fds(peer.sock, 1, 4)
        except BlockingIOError:
            await asyncio.sleep(0)
    peer._lines = first
    await peer.answer({})
    await waiting
    os.close(writing)
    os.write(fds[0], b"through")
    os.close(fds[0])
    assert os.read(reading, 100) == b"through"
    assert os.read(reading, 100) == b""
    os.close(reading)


async def test_a_command_longer_than_the_sockets_buffer(pair):
    qmp, peer = pair
    text = "é" * 500_000
    _, sent = await run(qmp.execute("say", text=text, fds=[peer.sock.fileno()]), peer.answer({}))
    assert sent["arguments"] == {"text": text}


async def test_a_reply_that_comes_too_late_is_not_taken_for_another(pair):
    qmp, peer = pair
    error = await failure(qmp.execute("slow", timeout=0.01), TimedOut)
    assert str(error) == "guest 3 did not answer slow: waited 0.01 s for its reply"
    late = await peer.hear()

    async def serve():
        command = await peer.hear()
        await peer.say({"return": "late", "id": late["id"]}, {"return": "now", "id": command["id"]})

    assert (await run(qmp.execute("next"), serve()))[0] == "now"


async def test_the_deadline_counts_the_wait_for_earlier_commands(pair):
    qmp, peer = pair
    first = asyncio.create_task(qmp.execute("long"))
    command = await peer.hear()
    await failure(qmp.execute("short", timeout=0.01), TimedOut)
    await peer.say({"return": 1, "id": command["id"]})
    assert await first == 1


async def test_an_error_without_id_is_nobodys_while_two_replies_are_due(pair):
    qmp, peer = pair
    await failure(qmp.execute("slow", timeout=0.01), TimedOut)

    async def serve():
        await peer.hear()
        await peer.hear()
        await peer.say({"error": {"class": "GenericError", "desc": "JSON parse error"}})

    error, _ = await run(failure(qmp.execute("odd"), Unreachable), serve())
    assert isinstance(error.__cause__, ProtocolError)


async def test_an_error_without_id_is_that_of_the_only_command(pair):
    qmp, peer = pair
    parse_error = {"error": {"class": "GenericError", "desc": "JSON parse error"}}

    async def serve():
        await peer.hear()
        await peer.say(parse_error)

    error, _ = await run(failure(qmp.execute("odd"), QmpError), serve())
    assert error.description == "JSON parse error"
    assert (await run(qmp.execute("next"), peer.answer(1)))[0] == 1


async def test_commands_out_of_band_wait_for_nobody(ends):
    ours, peer = ends
    greeting = {"QMP": {"version": VERSION, "capabilities": ["oob"]}}

    async def serve():
        await peer.say(greeting)
        assert (await peer.answer({}))["arguments"] == {"enable": ["oob"]}
        long = await peer.hear()
        assert (await peer.answer("quick"))["exec-oob"] == "yank"
        await peer.say({"return": "long", "id": long["id"]})

    async def use():
        async with QmpClient.connect(SocketTransport(ours)) as qmp:
            assert qmp.out_of_band
            long = asyncio.create_task(qmp.execute("long"))
            await asyncio.sleep(0)
            assert await qmp.execute("yank", out_of_band=True) == "quick"
            assert await long == "long"

    await run(serve(), use())


async def test_what_is_given_up_before_its_turn_is_never_sent(pair):
    qmp, peer = pair
    first = asyncio.create_task(qmp.execute("first"))
    command = await peer.hear()
    await failure(qmp.execute("never", timeout=0.01), TimedOut)
    waiting = asyncio.create_task(qmp.execute("cancelled"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await peer.say({"return": 1, "id": command["id"]})
    assert await first == 1
    assert (await run(qmp.execute("next"), peer.answer(2)))[1]["execute"] == "next"


async def test_outcomes_and_events_are_told_in_their_order(pair):
    qmp, peer = pair
    told = []

    class Sink:
        def put(self, event):
            told.append(event.name)

        def fail(self, error):
            told.append("end")

    with qmp.telling(Sink()):
        qmp.submit("x", {}, lambda outcome: told.append(outcome.value))
        command = await peer.hear()
        stop = {"event": "A", "timestamp": {"seconds": 1, "microseconds": 0}}
        await peer.say(stop, {"return": 1, "id": command["id"]}, stop | {"event": "B"})
        assert (await run(qmp.execute("next"), peer.answer(2)))[0] == 2
        peer.sock.shutdown(socket.SHUT_RDWR)
        await failure(qmp.execute("last"), Unreachable)
    assert told == ["A", 1, "B", "end"]
    with pytest.raises(Unreachable):
        qmp.submit("x", {}, told.append)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b"HTTP/1.1 400\r\n", "no QMP message"),
        ({"return": {}, "id": "another"}, "answered what was not asked"),
        ({"error": {"class": "GenericError", "desc": "?"}}, "answered what was not asked"),
        ({"return": {}}, "answered what was not asked"),
        (GREETING, "greeted again"),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_left(pair, said, cause):
    qmp, peer = pair
    with qmp.events() as events:
        await peer.say(said)
        lost = await failure(anext(events), Unreachable)
    assert cause in str(lost)
    assert isinstance(lost.__cause__, ProtocolError)
    again = await failure(qmp.execute("query-status"), Unreachable)
    assert isinstance(again.__cause__, ProtocolError)


async def test_a_lost_connection_fails_every_waiter(pair):
    qmp, peer = pair
    with qmp.events() as events:
        waiters = [failure(qmp.execute("a"), Unreachable), failure(qmp.execute("b"), Unreachable)]

        async def serve():
            await peer.hear()
            await peer.event("SHUTDOWN")
            peer.sock.shutdown(socket.SHUT_RDWR)

        *errors, _ = await run(*waiters, serve())
        assert {str(e) for e in errors} == {"lost the monitor of guest 3: it closed the connection"}
        assert (await anext(events)).name == "SHUTDOWN"
        for _ in range(2):
            await failure(anext(events), Unreachable)
    with qmp.events() as late:
        await failure(anext(late), Unreachable)


async def test_events_by_name_in_their_order(pair):
    qmp, peer = pair
    with qmp.events() as everything, qmp.events("STOP", "RESUME") as some:
        for name in ("STOP", "RTC_CHANGE", "RESUME"):
            await peer.event(name, n=1)
        assert [(await anext(everything)).name for _ in range(3)] == ["STOP", "RTC_CHANGE", "RESUME"]
        assert [(await anext(some)).name for _ in range(2)] == ["STOP", "RESUME"]


async def test_a_reader_that_falls_behind_is_told_so(pair):
    qmp, peer = pair
    with qmp.events() as slow, qmp.events("LAST") as last:
        for _ in range(MAX_EVENTS + 1):
            await peer.event("STOP")
        await peer.event("LAST")
        await anext(last)
        for _ in range(MAX_EVENTS):
            assert (await anext(slow)).name == "STOP"
        error = await failure(anext(slow), XenwireError)
    assert "lost" in str(error)


async def test_a_peer_that_never_stops_sending_does_not_stop_the_rest(pair):
    qmp, peer = pair
    flood = json.dumps({"event": "X", "timestamp": {"seconds": 1, "microseconds": 0}}).encode() * 1000

    async def send():
        while True:
            await peer.say(flood)

    sender = asyncio.create_task(send())
    await failure(qmp.execute("any", timeout=0.05), TimedOut)
    sender.cancel()
    await asyncio.wait([sender])


async def test_a_command_cut_short_ends_the_connection(pair):
    qmp, _ = pair
    await failure(qmp.execute("say", text="x" * 5_000_000, timeout=0.05), TimedOut)
    error = await failure(qmp.execute("next"), Unreachable)
    assert "cut short" in str(error)


async def test_a_stream_that_takes_nothing_does_not_take_memory_either(ends):
    ours, peer = ends

    async def serve():
        await peer.say(GREETING)
        await peer.answer({})

    async def use():
        reader, writer = await asyncio.open_connection(sock=ours)
        async with QmpClient.connect(StreamTransport(reader, writer)) as qmp:
            with pytest.raises(Unreachable, match="cut short"):
                for _ in range(100):
                    await failure(qmp.execute("say", text="x" * 200_000, timeout=0.001), TimedOut)
            assert writer.transport.get_write_buffer_size() < 1_000_000
        writer.transport.abort()

    await run(serve(), use())


async def test_no_greeting_in_time(ends):
    ours, _ = ends
    with pytest.raises(TimedOut) as caught:
        async with QmpClient.connect(SocketTransport(ours), peer="guest 3", timeout=0.02):
            pass
    assert str(caught.value) == "guest 3 is not ready: waited 0.02 s for the QMP greeting of guest 3"
    assert ours.fileno() == -1


async def test_no_negotiation_in_time(ends):
    ours, peer = ends
    await peer.say(GREETING)
    with pytest.raises(TimedOut, match="the QMP negotiation with QEMU"):
        async with QmpClient.connect(SocketTransport(ours), timeout=0.02):
            pass


async def test_a_peer_that_hangs_up_instead_of_greeting(ends):
    ours, peer = ends
    peer.sock.close()
    with pytest.raises(Unreachable, match="lost the monitor of QEMU"):
        async with QmpClient.connect(SocketTransport(ours)):
            pass


async def test_nothing_is_left_behind(ends):
    before = asyncio.all_tasks()
    async with negotiated(ends) as (qmp, peer):
        asleep = asyncio.create_task(failure(qmp.execute("never"), Unreachable))
        await peer.hear()
    assert "closed here" in str(await asleep)
    assert asyncio.all_tasks() == before
    assert ends[0].fileno() == -1


async def test_closing_wakes_a_sender_that_is_stuck(ends):
    async with negotiated(ends) as (qmp, _):
        stuck = asyncio.create_task(
            failure(qmp.execute("say", text="x" * 5_000_000, timeout=None), Unreachable)
        )
        await asyncio.sleep(0)
    assert "closed here" in str(await stuck)


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_resync_over_a_stream(ends, fresh):
    ours, peer = ends

    async def serve():
        await peer.say(b'emains"}\r\n')
        assert await peer.hear() == b"\xff"
        await peer.say({"error": {"class": "GenericError", "desc": "JSON parse error"}})
        await (peer.answer({}) if fresh else peer.refuse("CommandNotFound", "already complete"))
        assert (await peer.answer(VERSION))["execute"] == "query-version"
        await peer.answer("fine")

    async def use():
        reader, writer = await asyncio.open_connection(sock=ours)
        async with QmpClient.connect(StreamTransport(reader, writer), resync=True) as qmp:
            assert qmp.version == Version(9, 2, 1, "")
            with pytest.raises(UsageError, match="cannot pass a file descriptor"):
                await qmp.execute("getfd", fds=[0])
            assert await qmp.execute("query-status") == "fine"
        writer.close()
        await writer.wait_closed()

    await run(serve(), use())
