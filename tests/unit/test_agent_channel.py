"""The client of a guest agent over a channel whose other end, or whose middle, begins anew."""

import asyncio
import contextlib
import json

import pytest
from channel_host import channel, connected
from frontend import attach, eventually

from xenwire.agent import GuestAgent
from xenwire.types import ChannelKind

NOISE = b'[    0.1] Linux\r\r\n{"return": 1}\n\xff{"return": 2}\n{"error": {"class": "x", "desc"\x00\x1b[2J'
REFUSAL = b'{"error": {"class": "GenericError", "desc": "this was for somebody else"}}\n'


class Agent:
    """What qemu-ga does with a channel's bytes: 0xFF has it forget what it has of a request."""

    def __init__(self, guest):
        self.guest = guest

    async def request(self):
        line = bytearray()
        while not line.endswith(b"\n"):
            line += await self.guest.read(1)
        return json.loads(line.rpartition(b"\xff")[2])

    async def serve(self):
        """Answer, until cancelled."""
        while True:
            request = await self.request()
            if request["execute"] == "guest-sync-delimited":
                await self.guest.write(
                    b"\xff" + json.dumps({"return": request["arguments"]["id"]}).encode() + b"\n"
                )
            else:
                assert request["execute"] == "guest-ping"
                await self.guest.write(b'{"return": {}}\n')

    @contextlib.asynccontextmanager
    async def serving(self):
        task = asyncio.create_task(self.serve())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def agent(store, backend, guest, tmp_path):
    await attach(store, channel(ChannelKind.SOCKET, tmp_path / "s"))
    await guest.until(2)
    await guest.connect()
    return Agent(guest)


@contextlib.asynccontextmanager
async def client(tmp_path):
    async with GuestAgent.open(*await connected(tmp_path / "s")) as client:
        yield client


async def is_answered(agent, tmp_path):
    """See that a new client has its own answers, whatever was said before."""
    async with agent.serving(), client(tmp_path) as heir:
        await heir.wait_ready(5)
        await heir.ping()


async def leave_in_the_middle(agent, tmp_path):
    """Have a client go whose command is with the agent, and half of whose next one is under way."""
    _, writer = await connected(tmp_path / "s")
    writer.write(b'{"execute": "guest-ping"}\n{"execute": "guest-sh')
    assert (await agent.request())["execute"] == "guest-ping"
    await eventually(lambda: agent.guest.ring.input.available() == 21)
    writer.transport.abort()


async def test_garbage_before(agent, tmp_path):
    await agent.guest.write(NOISE * 20)
    await is_answered(agent, tmp_path)


async def test_a_client_that_left_in_the_middle(agent, tmp_path):
    await leave_in_the_middle(agent, tmp_path)
    await agent.guest.write(REFUSAL + NOISE)
    await is_answered(agent, tmp_path)


async def test_the_backend_begins_anew_in_the_middle(agent, backend, tmp_path):
    await leave_in_the_middle(agent, tmp_path)
    await agent.guest.write(REFUSAL[:30])
    await backend.stop()
    agent.guest.ring.output.put(REFUSAL[30:] + NOISE)
    await backend.start()
    await is_answered(agent, tmp_path)


async def test_the_guest_begins_anew_in_the_middle(agent, tmp_path):
    guest = agent.guest
    await leave_in_the_middle(agent, tmp_path)
    await guest.write(REFUSAL + b'{"return": ')
    for state, ours in ((5, 5), (6, 6), (1, 2)):
        await guest.say(state)
        await guest.until(ours)
    guest.ring.release()
    guest.page.unmap()
    await guest.connect()
    await guest.write(NOISE)
    await is_answered(agent, tmp_path)


async def test_a_client_that_stays_while_the_guest_begins_anew(agent, tmp_path):
    guest = agent.guest
    async with client(tmp_path) as same:
        async with agent.serving():
            await same.wait_ready(5)
        waiting = asyncio.create_task(same.ping())
        assert (await agent.request())["execute"] == "guest-ping"
        for state, ours in ((5, 5), (6, 6), (1, 2)):
            await guest.say(state)
            await guest.until(ours)
        waiting.cancel()  # nobody will answer
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        guest.ring.release()
        guest.page.unmap()
        await guest.connect()
        await guest.write(NOISE + REFUSAL)
        async with agent.serving():
            await same.ping()
