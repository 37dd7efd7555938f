"""Seeds over a channel: what the host makes of what a guest says, whatever that is."""

import asyncio
import contextlib
import io
import os
import tarfile
import tty
import uuid
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import TimedOut, Unreachable, UsageError
from xenwire.runtime.streams import open_stream
from xenwire.seed import MAX_SEED, Dialogue, hand_over, meta_data, pack

LINES = st.sampled_from([b"seed 1", b"done", b"seed 2", b"seed 1\r", b"xseed 1", b"xdone", b"", b"\xff" * 9])


def files_of(seed):
    with tarfile.open(fileobj=io.BytesIO(seed), mode="r:") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def model(chunks):
    """Say after which chunks a seed is asked for, and whether all is done: slowly, from all that came."""
    stream, asked, asks = b"", False, []
    for chunk in chunks:
        before = stream.count(b"\n")
        stream += chunk
        new = stream.split(b"\n")[before:-1]
        last = len(new) - 1 - new[::-1].index(b"seed 1") if b"seed 1" in new else None
        if asked and b"done" in (new if last is None else new[: new.index(b"seed 1")]):
            return asks, True
        asks.append(last is not None)
        asked = asked or last is not None
    return asks, False


@settings(max_examples=300)
@given(st.lists(LINES, max_size=8), st.data())
def test_a_stream_in_any_pieces(lines, data):
    stream = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    dialogue, asks = Dialogue(), []
    for chunk in chunks:
        asks.append(dialogue.feed(chunk))
        if dialogue.done:
            asks.pop()
            break
    assert (asks, dialogue.done) == model(chunks)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_noise_before_a_request(noise, more):
    dialogue = Dialogue()
    dialogue.feed(noise + b"\n")
    dialogue.feed(more)
    assert dialogue.feed(b"\nseed 1\n")
    assert dialogue.asked


def test_a_line_without_an_end_takes_no_room():
    dialogue = Dialogue()
    for _ in range(1000):
        assert not dialogue.feed(b"x" * 4096)
    assert not dialogue.feed(b"seed 1\n")
    assert len(dialogue._rest) < 16


@pytest.mark.parametrize("text", [b"done\n", b"done\nseed 1\ndone\n"])
def test_done_counts_after_an_answer_only(text):
    dialogue = Dialogue()
    dialogue.feed(text)
    assert not dialogue.done


def test_an_archive():
    files = {"meta-data": b"instance-id: one\n", "user-data": b"#!/bin/sh\n", "network-config": b""}
    seed = pack(files)
    assert files_of(seed) == files
    assert seed[257:263] == b"ustar\0"
    assert pack(files) == seed


def test_the_largest_archive():
    room = MAX_SEED - 2 * 512 - 10240  # tarfile writes records of 10240 bytes
    assert len(pack({"user-data": bytes(room)})) <= MAX_SEED
    with pytest.raises(UsageError, match="too large"):
        pack({"user-data": bytes(MAX_SEED)})


@pytest.mark.parametrize("name", ["web", "1", "true", 'a"b\\c', "a: b #c", "ü", "\x01\x7f"])
def test_meta_data_is_yaml(name):
    assert yaml.safe_load(meta_data(uuid.UUID(int=5), name)) == {
        "instance-id": "00000000-0000-0000-0000-000000000005",
        "local-hostname": name,
    }


class Guest:
    """A channel's socket, and the guest behind it: a coroutine function."""

    def __init__(self, path, script):
        self.path, self.script = path, script
        self.running = []

    async def _run(self, reader, writer):
        self.running.append(asyncio.current_task())
        with contextlib.closing(writer):
            await self.script(reader, writer)

    async def given(self, seed, timeout=20):
        try:
            async with (
                await asyncio.start_unix_server(self._run, self.path),
                open_stream(self.path) as (reader, writer),
            ):
                await hand_over(reader, writer, seed, timeout=timeout)
        finally:
            await asyncio.gather(*self.running)


async def take(reader, seed):
    assert await reader.readline() == b"%d\n" % len(seed)
    assert await reader.readexactly(len(seed)) == seed


SEED = bytes(range(256)) * 3000


async def test_it_is_handed_over(short_tmp):
    async def guest(reader, writer):
        writer.write(b"\0login: \xff\r\nseed 0\nseed 1\nseed 1\n")
        await take(reader, SEED)
        writer.write(b"done\n")
        assert await reader.read() == b""  # nothing else has come

    await Guest(short_tmp / "seed", guest).given(SEED)


async def test_over_a_terminal():
    """As a channel of kind pty has it: bytes pass as they are."""
    controller, terminal = os.openpty()
    tty.setraw(terminal)
    os.write(controller, b"seed 1\n")

    def guest():
        data = b""
        while len(data) < len(SEED) + 7:
            data += os.read(controller, 65536)
        os.write(controller, b"done\n")
        return data

    async with open_stream(Path(os.ttyname(terminal))) as (reader, writer):
        taken, _ = await asyncio.gather(asyncio.to_thread(guest), hand_over(reader, writer, SEED, timeout=20))
    assert taken == b"%d\n" % len(SEED) + SEED
    os.close(controller)
    os.close(terminal)


async def test_a_guest_asks_again(short_tmp):
    async def guest(reader, writer):
        for last in (b"", b"oh no\n", b"done\n"):
            writer.write(b"seed 1\n")
            await take(reader, SEED)
            writer.write(last)
        await reader.read()

    await Guest(short_tmp / "seed", guest).given(SEED)


async def test_a_guest_that_only_asks_gets_no_more_than_it_takes(short_tmp):
    written = 0

    async def guest(_reader, writer):
        nonlocal written
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"seed 1\n" * 500)
                await writer.drain()
                written += 1

    async def count(reader, writer):
        sizes = []
        write = writer.write
        writer.write = lambda data: (sizes.append(len(data)), write(data))
        with pytest.raises(TimedOut, match="has not taken its seed"):
            await hand_over(reader, writer, SEED, timeout=0.2)
        return sizes

    path = short_tmp / "seed"
    async with await asyncio.start_unix_server(guest, path), open_stream(path) as (reader, writer):
        assert len(await count(reader, writer)) == 1
    assert written


async def test_a_guest_that_never_asks(short_tmp):
    async def guest(reader, writer):
        writer.write(os.urandom(1000).replace(b"\n", b"") + b"done\n")
        await reader.read()

    with pytest.raises(TimedOut, match="has not asked") as caught:
        await Guest(short_tmp / "seed", guest).given(SEED, timeout=0.01)
    assert "0.01 s" in caught.value.reason


async def test_a_guest_that_leaves(short_tmp):
    async def guest(_reader, writer):
        writer.write(b"seed 1\n")

    with pytest.raises(Unreachable, match="channel is gone"):
        await Guest(short_tmp / "seed", guest).given(SEED)
