"""The client against a scripted agent at the other end of a socket, a hostile one for the most part."""

import asyncio
import base64
import contextlib
import json
import socket

import pytest

from xenwire.agent import AgentError, ExecResult, GuestAgent
from xenwire.agent import client as client_module
from xenwire.errors import ProtocolError, TimedOut, Unreachable, UsageError


class Peer:
    """The other end. It does nothing by itself. `near` is the writer of the client's end."""

    def __init__(self, reader, writer, near):
        self.reader = reader
        self.writer = writer
        self.near = near

    async def request(self):
        """Receive a request, without the 0xFF that may precede it."""
        line = await self.reader.readline()
        request = json.loads(line.lstrip(b"\xff"))
        return request["execute"], request.get("arguments", {})

    async def expect(self, command):
        name, arguments = await self.request()
        assert name == command
        return arguments

    def send(self, data):
        self.writer.write(data)

    def reply(self, value):
        self.send(reply(value))

    async def sync(self):
        """Answer a sync as a real agent does."""
        arguments = await self.expect("guest-sync-delimited")
        self.send(b"\xff" + reply(arguments["id"]))

    async def answer(self, command, value):
        arguments = await self.expect(command)
        self.reply(value)
        return arguments


def reply(value):
    return json.dumps({"return": value}).encode() + b"\n"


def refusal(description="no"):
    return json.dumps({"error": {"class": "GenericError", "desc": description}}).encode() + b"\n"


@pytest.fixture
async def ends():
    """Give a client and its peer."""
    near, far = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=near)
    peer_reader, peer_writer = await asyncio.open_unix_connection(sock=far, limit=1 << 25)
    async with GuestAgent.open(reader, writer) as agent:
        yield agent, Peer(peer_reader, peer_writer, writer)
    peer_writer.close()
    with contextlib.suppress(OSError):
        await peer_writer.wait_closed()


async def together(call, script):
    """Run a call of the client and the peer's script, and give what the call returns."""
    async with asyncio.TaskGroup() as group:
        called = group.create_task(call)
        group.create_task(script)
    return called.result()


async def refused(call, script, error):
    """Run both, and give the error that the call raises."""

    async def caught():
        with pytest.raises(error) as found:
            await call
        return found.value

    return await together(caught(), script)


async def in_step(agent, peer):
    await together(agent.sync(5), peer.sync())


async def test_first_command_gets_into_step(ends):
    agent, peer = ends

    async def script():
        await peer.sync()
        await peer.answer("guest-ping", {})
        await peer.answer("guest-ping", {})

    async def pings():
        await agent.ping(5)
        await agent.ping(5)

    await together(pings(), script())


@pytest.mark.parametrize(
    "garbage",
    [
        b"login: ",
        b"boot messages\n\n\n",
        reply({}),
        refusal("JSON parse error"),
        b"\xff",
        b"\xff\xff\n",
        b"\xff" + reply(1),
        b"\xff" + reply("x"),
        b"\xff" + reply(True),
        b"\xff" + refusal(),
        b'\xff{"return": ',
        b"\xff" + b"x" * 100_000,
        bytes(range(256)) * 50,
    ],
)
async def test_garbage_before_the_sync_is_thrown_away(ends, garbage):
    agent, peer = ends
    peer.send(garbage)

    async def script():
        arguments = await peer.expect("guest-sync-delimited")
        peer.send(garbage + b"\xff" + reply(arguments["id"]))
        await peer.answer("guest-ping", {})

    await together(agent.ping(5), script())


async def test_a_reply_may_come_byte_by_byte(ends):
    agent, peer = ends

    async def trickle(data):
        for byte in data:
            peer.send(bytes([byte]))
            await asyncio.sleep(0)

    async def script():
        arguments = await peer.expect("guest-sync-delimited")
        await trickle(b"noise\xff" + reply(arguments["id"]))
        await peer.expect("guest-exec")
        await trickle(reply({"pid": 3}))
        await peer.expect("guest-exec-status")
        await trickle(reply({"exited": True, "exitcode": 7}))

    result = await together(agent.exec(["x"], timeout=5), script())
    assert result.status == 7


async def test_a_late_reply_is_never_anothers(ends):
    agent, peer = ends
    await in_step(agent, peer)
    error = await refused(agent.ping(0.02), peer.expect("guest-ping"), TimedOut)
    assert str(error) == "the guest agent does not answer: waited 0.02 s for guest-ping"
    peer.reply({"pid": 666})

    async def script():
        await peer.sync()
        await peer.answer("guest-exec", {"pid": 1})
        assert await peer.answer("guest-exec-status", {"exited": True, "exitcode": 0}) == {"pid": 1}

    await together(agent.exec(["x"], timeout=5), script())


async def test_a_cancelled_command_leaves_nothing_behind(ends):
    agent, peer = ends
    await in_step(agent, peer)
    ping = asyncio.ensure_future(agent.ping(5))
    await peer.expect("guest-ping")
    ping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ping
    peer.send(refusal("late"))

    async def script():
        await peer.sync()
        await peer.answer("guest-ping", {})

    await together(agent.ping(5), script())


async def test_half_a_reply_before_a_timeout(ends):
    agent, peer = ends
    await in_step(agent, peer)

    async def half():
        await peer.expect("guest-ping")
        peer.send(b'{"return": {"pid": 1')

    await refused(agent.ping(0.02), half(), TimedOut)
    peer.send(b"0}}\n")

    async def script():
        await peer.sync()
        await peer.answer("guest-ping", {})

    await together(agent.ping(5), script())


async def test_an_error_of_the_agent_keeps_step(ends):
    agent, peer = ends
    await in_step(agent, peer)

    async def script():
        await peer.expect("guest-ping")
        peer.send(refusal("disabled"))

    error = await refused(agent.ping(5), script(), AgentError)
    assert (error.error_class, error.description) == ("GenericError", "disabled")
    await together(agent.ping(5), peer.answer("guest-ping", {}))


@pytest.mark.parametrize("nonsense", [b"[]\n", b"\xff{}\n", b"{}\n", b"not json\n", b'{"error": 1}\n'])
async def test_nonsense_is_an_error_and_costs_a_sync(ends, nonsense):
    agent, peer = ends
    await in_step(agent, peer)

    async def script():
        await peer.expect("guest-ping")
        peer.send(nonsense)

    await refused(agent.ping(5), script(), ProtocolError)

    async def again():
        await peer.sync()
        await peer.answer("guest-ping", {})

    await together(agent.ping(5), again())


async def test_an_endless_line_is_refused(ends, monkeypatch):
    agent, peer = ends
    monkeypatch.setattr(client_module, "MAX_REPLY", 100_000)
    await in_step(agent, peer)

    async def script():
        await peer.expect("guest-ping")
        peer.send(b"x" * 300_000)

    error = await refused(agent.ping(5), script(), ProtocolError)
    assert error.reason == "over 100000 bytes"

    async def again():
        await peer.sync()
        await peer.answer("guest-ping", {})

    await together(agent.ping(5), again())


async def test_waits_for_an_agent_that_starts_late(ends, monkeypatch):
    agent, peer = ends
    monkeypatch.setattr(client_module, "_FIRST_RETRY", 0.01)

    async def script():
        late = [(await peer.expect("guest-sync-delimited"))["id"] for _ in range(3)]
        assert len(set(late)) == 3
        for sync_id in late:
            peer.send(b"\xff" + reply(sync_id))
        while True:
            await peer.sync()

    agent_process = asyncio.ensure_future(script())
    await agent.wait_ready(5)
    agent_process.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await agent_process
    await together(agent.ping(5), peer.answer("guest-ping", {}))


async def test_gives_up_on_an_agent_that_never_starts(ends):
    agent, _ = ends
    with pytest.raises(TimedOut, match=r"waited 0\.05 s for the guest agent to start"):
        await agent.wait_ready(0.05)


@pytest.mark.parametrize("timely", [True, False])
async def test_the_stream_ends(ends, timely):
    agent, peer = ends
    if timely:
        peer.writer.close()
    else:
        peer.writer.transport.abort()
    for _ in range(2):
        with pytest.raises(Unreachable):
            await agent.ping(5)
    with pytest.raises(Unreachable):
        await agent.wait_ready(5)


async def test_a_peer_that_never_reads_costs_bounded_memory(ends):
    agent, peer = ends
    await in_step(agent, peer)
    peer.writer.transport.pause_reading()
    for _ in range(5):
        with pytest.raises(TimedOut):
            await agent.exec(["cat"], input=bytes(4 << 20), timeout=0.02)
    assert peer.near.transport.get_write_buffer_size() < 6 << 20


async def test_info(ends):
    agent, peer = ends
    names = ["guest-info", "guest-get-osinfo", "guest-get-host-name", "guest-ping"]

    async def script():
        await peer.sync()
        commands = [{"name": name, "enabled": True} for name in names]
        commands.append({"name": "guest-get-time", "enabled": False})
        await peer.answer("guest-info", {"version": "7.2.22", "supported_commands": commands})
        await peer.answer("guest-get-osinfo", {"id": "tiny", "kernel-release": "6.1"})
        await peer.expect("guest-get-host-name")
        peer.send(refusal())

    info = await together(agent.info(5), script())
    assert info.version == "7.2.22"
    assert info.commands == tuple(sorted(names))
    assert (info.os_id, info.kernel_release, info.os_name) == ("tiny", "6.1", None)
    assert info.host_name is None
    assert info.time_ns is None


async def test_exec(ends, monkeypatch):
    agent, peer = ends
    monkeypatch.setattr(client_module, "_FIRST_POLL", 0.0)
    requests = []

    async def script():
        await peer.sync()
        requests.append(await peer.answer("guest-exec", {"pid": 42}))
        requests.extend([await peer.answer("guest-exec-status", {"exited": False}) for _ in range(3)])
        out = base64.b64encode(b"out\0").decode()
        err = base64.b64encode(b"err").decode()
        await peer.answer(
            "guest-exec-status",
            {"exited": True, "exitcode": 3, "out-data": out, "err-data": err, "err-truncated": True},
        )

    call = agent.exec(["cat", "-"], input=b"\xff", env={"A": "b c"}, timeout=5)
    assert await together(call, script()) == ExecResult(
        status=3, signal=None, stdout=b"out\0", stderr=b"err", stdout_truncated=False, stderr_truncated=True
    )
    assert requests == [
        {"path": "cat", "arg": ["-"], "capture-output": True, "env": ["A=b c"], "input-data": "/w=="},
        *[{"pid": 42}] * 3,
    ]


async def test_exec_takes_turns_with_other_commands(ends):
    agent, peer = ends

    async def script():
        await peer.sync()
        pings = 0
        asked = False
        while pings < 3 or not asked:
            match await peer.request():
                case "guest-ping", _:
                    pings += 1
                    peer.reply({})
                case "guest-exec", _:
                    peer.reply({"pid": 1})
                case "guest-exec-status", _:
                    asked = True
                    peer.reply({"exited": True, "exitcode": 0})

    async def calls():
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(agent.ping(5))
            group.create_task(agent.exec(["x"], timeout=5))

    await together(calls(), script())


async def test_exec_that_does_not_end(ends):
    agent, peer = ends
    await in_step(agent, peer)

    async def script():
        await peer.answer("guest-exec", {"pid": 42})
        await peer.expect("guest-exec-status")

    error = await refused(agent.exec(["sleep", "9"], timeout=0.05), script(), TimedOut)
    assert error.message == "sleep has not ended in time"
    assert error.hint == "it may still run in the guest, as process 42"


@pytest.mark.parametrize("argv", [[], ["a\0b"], ["x", "\udcff"]])
async def test_exec_refuses_what_json_cannot_carry(ends, argv):
    agent, _ = ends
    with pytest.raises(UsageError):
        await agent.exec(argv, timeout=5)


async def test_exec_refuses_too_much_input(ends):
    agent, _ = ends
    with pytest.raises(UsageError, match="16777217 bytes are more than 16777216"):
        await agent.exec(["cat"], input=bytes((16 << 20) + 1), timeout=5)
