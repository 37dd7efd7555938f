"""The control socket: what it tells, and what clients can do to it."""

import asyncio
import contextlib
import json
import os
import socket
import struct

import pytest
from frontend import eventually

from xenwire.channels.statistics import ChannelStatistics
from xenwire.daemon import control
from xenwire.daemon.control import answering, listen_tcp, telling
from xenwire.errors import Conflict, NotFound
from xenwire.hosts.served import control_socket, statistics
from xenwire.types import ChannelKind, ChannelName, DevId, DomId

LOCAL = "127.0.0.1"


def channel(domid=5, devid=1, **values):
    return ChannelStatistics(domid=DomId(domid), devid=DevId(devid), **values)


CHANNELS = [
    channel(name=ChannelName("a"), kind=ChannelKind.SOCKET, joined=True, from_guest=7, clients=1),
    channel(devid=2, error="no room"),
    channel(domid=6, name=ChannelName("a"), kind=ChannelKind.PTY, from_guest=0),
]


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("XENWIRE_RUN", str(tmp_path))
    return control_socket("qemu:")


@pytest.fixture
async def told(path):
    async with telling(lambda: CHANNELS, path):
        yield path


async def exchange(path, request):
    """Send bytes, and give all that comes back."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


def status(answer):
    return int(answer.split(b" ", 2)[1])


async def test_channels(told):
    head, _, body = (await exchange(told, b"GET /channels HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert [ChannelStatistics.from_dict(fields) for fields in json.loads(body)] == CHANNELS


async def test_metrics_as_prometheus_asks(told):
    request = b"GET /metrics?x=y HTTP/1.1\r\nHost: web\r\nAccept-Encoding: gzip\r\nUser-Agent: P\r\n\r\n"
    answer = await exchange(told, request)
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in answer
    assert b'xenwire_channel_from_guest_bytes_total{domid="5",devid="1",name="a",kind="socket"} 7' in answer


async def test_a_domains_statistics(told):
    assert await statistics("qemu:", DomId(5)) == {1: CHANNELS[0], 2: CHANNELS[1]}
    assert await statistics("qemu:", DomId(7)) == {}
    assert await statistics("xen:", DomId(5)) is None


async def test_nobody_answers(path):
    assert await statistics("qemu:", DomId(5)) is None
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    assert await statistics("qemu:", DomId(5)) is None


async def test_somebody_listens_and_says_nothing(path, monkeypatch):
    monkeypatch.setattr("xenwire.hosts.served._STATISTICS_TIMEOUT", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        assert await statistics("qemu:", DomId(5)) is None


@pytest.mark.parametrize(
    "page", ["{", "null", "5", "[5]", "[{}]", '[{"domid": -1, "devid": 1}]', '[{"domid": [], "devid": 1}]']
)
async def test_statistics_that_make_no_sense(path, page, caplog):
    listener = await control.listen_unix(path)
    async with answering(listener, {"/channels": lambda: ("application/json", page)}):
        assert await statistics("qemu:", DomId(5)) is None
    assert "make no sense" in caplog.text


async def test_only_its_owner_may_connect_and_nothing_is_left(path):
    async with telling(list, path):
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert not path.exists()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", 404),
        (b"GET /channels/ HTTP/1.0\r\n\r\n", 404),
        (b"GET /../channels HTTP/1.0\r\n\r\n", 404),
        (b"POST /channels HTTP/1.1\r\nContent-Length: 3\r\n\r\n", 405),
        (b"DELETE /metrics HTTP/1.0\r\n\r\n", 405),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
        (b"GET http://web/metrics HTTP/1.1\r\n\r\n", 400),
        (b"get /metrics HTTP/1.0\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.0\r\n\r\n", 400),
        (b"GET /m\xc3\xa9trics HTTP/1.0\r\n\r\n", 400),
        (b"GET /\0 HTTP/1.0\r\n\r\n", 400),
        (b"GET /" + b"a" * 300 + b" HTTP/1.0\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (os.urandom(64).replace(b"\r", b"") + b"\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.0\r\n" + b"X: y\r\n" * 100_000, 400),
        (b"x" * 1_000_000, 400),
    ],
)
async def test_requests_that_are_refused(told, request_, expected):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, str(told))
        with contextlib.suppress(ConnectionError):  # it may have answered, and left, before the end
            await loop.sock_sendall(client, request_)
        answer = await loop.sock_recv(client, 4096)
    assert status(answer) == expected
    assert status(await exchange(told, b"GET /metrics HTTP/1.0\r\n\r\n")) == 200


async def test_a_client_that_says_too_little_is_sent_away(told, monkeypatch):
    monkeypatch.setattr(control, "_DEADLINE", 0.02)
    assert await exchange(told, b"GET /metrics HTTP/1.0\r\n") == b""
    reader, writer = await asyncio.open_unix_connection(told)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_a_client_that_does_not_read_its_answer_is_sent_away(path, monkeypatch):
    monkeypatch.setattr(control, "_DEADLINE", 0.05)
    size = 8 << 20
    listener = await control.listen_unix(path)
    async with answering(listener, {"/": lambda: ("text/plain", "x" * size)}):
        tasks = asyncio.all_tasks()
        reader, writer = await asyncio.open_unix_connection(path, limit=1)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await eventually(lambda: asyncio.all_tasks() != tasks)
        await eventually(lambda: asyncio.all_tasks() == tasks)
        with contextlib.suppress(ConnectionError):
            assert len(await reader.read()) < size
        writer.close()


async def test_there_are_not_too_many_clients(told, monkeypatch):
    monkeypatch.setattr(control, "_MOST_CLIENTS", 3)
    idle = [await asyncio.open_unix_connection(told) for _ in range(3)]
    with contextlib.suppress(ConnectionError):
        assert await exchange(told, b"GET /metrics HTTP/1.0\r\n\r\n") == b""
    for reader, writer in idle:  # those that came first are answered still
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert status(await reader.read()) == 200
        writer.close()
    assert status(await exchange(told, b"GET /metrics HTTP/1.0\r\n\r\n")) == 200


async def test_who_asks_for_ever_is_slowed_down(path, monkeypatch):
    monkeypatch.setattr(control, "_ANSWERS", (2, 50.0))
    async with telling(lambda: CHANNELS, path):
        start = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(exchange(path, b"GET /metrics HTTP/1.0\r\n\r\n") for _ in range(12)))
        assert {status(answer) for answer in answers} == {200}
        assert asyncio.get_running_loop().time() - start >= 10 / 50


async def test_the_end_does_not_wait_for_clients(path):
    before = asyncio.all_tasks()
    async with telling(lambda: CHANNELS, path):
        clients = [await asyncio.open_unix_connection(path) for _ in range(5)]
        await eventually(lambda: len(asyncio.all_tasks() - before) == 5)
    assert asyncio.all_tasks() == before
    for reader, writer in clients:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_a_client_that_resets_its_connection(path):
    listener = listen_tcp((LOCAL, 0))
    port = listener.getsockname()[1]
    async with answering(listener, {"/": lambda: ("text/plain", "x")}):
        for _ in range(20):
            _, writer = await asyncio.open_connection(LOCAL, port)
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            writer.close()
        reader, writer = await asyncio.open_connection(LOCAL, port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\nx")
        writer.close()


async def test_tcp_has_metrics_only(path):
    with listen_tcp((LOCAL, 0)) as free:
        port = free.getsockname()[1]
    async with telling(lambda: CHANNELS, path, (LOCAL, port)):
        for page, expected in (("/metrics", 200), ("/channels", 404)):
            reader, writer = await asyncio.open_connection(LOCAL, port)
            writer.write(f"GET {page} HTTP/1.0\r\n\r\n".encode())
            assert status(await reader.read()) == expected
            writer.close()
        with pytest.raises(Conflict, match="Address already in use"):
            listen_tcp((LOCAL, port))
    with pytest.raises(OSError):
        await asyncio.open_connection(LOCAL, port)


async def test_a_port_that_cannot_be_had_leaves_no_socket(path):
    with listen_tcp((LOCAL, 0)) as taken, pytest.raises(Conflict):
        async with telling(list, path, (LOCAL, taken.getsockname()[1])):
            raise AssertionError
    assert not path.exists()
    with pytest.raises(NotFound, match=r"cannot listen on 192\.0\.2\.1 port 9"):
        listen_tcp(("192.0.2.1", 9))
