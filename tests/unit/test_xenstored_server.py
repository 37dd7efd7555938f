"""The socket: framing, batches, slow and broken clients, beginning and end."""

import asyncio
import contextlib
import logging
import socket
import stat

import pytest
from store_dialogue import plain, wire

from xenwire.errors import Conflict
from xenwire.xenstore.wire import Decoder, Frame, Op
from xenwire.xenstored import server
from xenwire.xenstored.store import Store


class Client:
    """One end of a connection, which counts its requests and reads frame by frame."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.frames = []
        self._decoder = Decoder()

    async def read(self):
        """Give the next frame; None at the end."""
        while not self.frames:
            data = await self.reader.read(65536)
            if not data:
                return None
            self.frames += self._decoder.feed(data)
        return self.frames.pop(0)

    async def ask(self, op, payload, req_id=1):
        """Send a request and give the reply's text; events before it are left out."""
        self.writer.write(Frame(op, req_id, 0, wire(payload)).encode())
        while (frame := await self.read()).type == Op.WATCH_EVENT:
            pass
        return plain(frame.payload)


@pytest.fixture
async def path(tmp_path):
    path = tmp_path / "store.sock"
    ready = asyncio.Event()
    daemon = asyncio.create_task(server.serve(path, ready=ready.set))
    await ready.wait()
    yield path
    daemon.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await daemon
    assert not path.exists()


@pytest.fixture
async def connect(path):
    async with contextlib.AsyncExitStack() as stack:

        async def connect():
            client = Client(*await asyncio.open_unix_connection(path))
            stack.callback(client.writer.close)
            return client

        yield connect


def batch(*requests):
    return b"".join(Frame(op, number, 0, wire(text)).encode() for number, (op, text) in enumerate(requests))


async def test_socket_is_private(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_second_daemon_is_refused(path):
    with pytest.raises(Conflict):
        await server.serve(path)
    assert path.exists()


async def test_requests_come_in_any_pieces(connect):
    requests = batch((Op.WRITE, "/a|1"), (Op.READ, "/a|"), (Op.READ, "/none|"), (Op.READ, ""))
    expected = [(Op.WRITE, 0, "OK|"), (Op.READ, 1, "1"), (Op.ERROR, 2, "ENOENT|"), (Op.ERROR, 3, "EINVAL|")]
    client = await connect()
    for cut in range(len(requests) + 1):
        client.writer.write(requests[:cut])
        await asyncio.sleep(0)
        client.writer.write(requests[cut:])
        frames = [await client.read() for _ in expected]
        assert [(frame.type, frame.req_id, plain(frame.payload)) for frame in frames] == expected


async def test_requests_come_byte_by_byte(connect):
    client = await connect()
    for byte in batch((Op.WRITE, "/a|1"), (Op.READ, "/a|")):
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert [plain((await client.read()).payload) for _ in range(2)] == ["OK|", "1"]


async def test_a_large_batch_is_answered_in_order(connect):
    client = await connect()
    client.writer.write(batch(*((Op.WRITE, f"/n|{number}") for number in range(5000)), (Op.READ, "/n|")))
    frames = [await client.read() for _ in range(5001)]
    assert [frame.req_id for frame in frames] == list(range(5001))
    assert plain(frames[-1].payload) == "4999"


async def test_one_write_to_each_client_for_one_wake_up(connect):
    writer, watcher = await connect(), await connect()
    await watcher.ask(Op.WATCH, "/|t|")
    await watcher.read()
    writer.writer.write(batch((Op.WRITE, "/a|"), (Op.WRITE, "/b|"), (Op.WRITE, "/a|")))
    data = await watcher.reader.read(65536)
    assert [plain(frame.payload) for frame in Decoder().feed(data)] == ["/a|t|", "/b|t|"]
    data = await writer.reader.read(65536)
    assert [frame.req_id for frame in Decoder().feed(data)] == [0, 1, 2]


async def test_special_events_are_not_merged(connect):
    client = await connect()
    await client.ask(Op.WATCH, "@releaseDomain|t|")
    requests = [(Op.INTRODUCE, f"{domid}|1|1|") for domid in (5, 6)]
    requests += [(Op.RELEASE, f"{domid}|") for domid in (5, 6)]
    client.writer.write(batch(*requests))
    frames = [await client.read() for _ in range(7)]
    assert [plain(frame.payload) for frame in frames].count("@releaseDomain|t|") == 3


async def test_longest_message(connect):
    client = await connect()
    value = "x" * (4096 - 3)
    assert await client.ask(Op.WRITE, f"/a|{value}") == "OK|"
    assert await client.ask(Op.READ, "/a|") == value


async def test_too_long_a_header_ends_the_connection(connect, caplog):
    client, other = await connect(), await connect()
    await client.ask(Op.WATCH, "/a|t|")
    header = Frame(Op.WRITE, 9, 0, b"x" * 4096).encode()[:12] + (4097).to_bytes(4, "little")
    client.writer.write(batch((Op.READ, "/none|")) + header)
    frames = []
    while (frame := await client.read()) is not None:
        frames.append(plain(frame.payload))
    assert frames == ["/a|t|", "ENOENT|"]
    assert "4097 bytes" in caplog.text
    assert await other.ask(Op.WRITE, "/a|1") == "OK|"


async def test_end_of_input_ends_the_connection(connect):
    client, other = await connect(), await connect()
    await client.ask(Op.WATCH, "/a|t|")
    assert await client.ask(Op.TRANSACTION_START, "") == "1|"
    client.writer.write(b"half a header")
    client.writer.write_eof()
    assert await client.read() is None
    assert await other.ask(Op.WRITE, "/a|1") == "OK|"


async def test_client_that_does_not_read_is_not_read_from(connect):
    lazy, other = await connect(), await connect()
    await lazy.ask(Op.WRITE, f"/a|{'x' * 4000}")
    lazy.writer.write(batch(*[(Op.READ, "/a|")] * 2000, (Op.WRITE, "/reached|")))
    # The reader of the test itself takes some of it off the socket, but stops at 128 KiB.
    for _ in range(50):
        assert await other.ask(Op.READ, "/reached|") == "ENOENT|"
    for _ in range(2001):
        await lazy.read()
    assert await other.ask(Op.READ, "/reached|") == ""


async def test_client_that_does_not_read_its_events_is_dropped(connect, monkeypatch, caplog):
    monkeypatch.setattr(server, "MAX_OUTPUT", 1 << 20)
    lazy, other = await connect(), await connect()
    await lazy.ask(Op.WATCH, "/|t|")
    name = "x" * 2000
    for number in range(2000):
        await other.ask(Op.WRITE, f"/{name}{number}|")
        await other.ask(Op.RM, f"/{name}{number}|")
        if "does not read" in caplog.text:
            break
    else:
        pytest.fail("it was never dropped")
    with contextlib.suppress(ConnectionResetError):
        while await lazy.read() is not None:
            pass
    assert await other.ask(Op.READ, "/none|") == "ENOENT|"


async def test_events_that_wait_are_merged(connect):
    """However often a node changes, a client that does not read costs no more memory."""
    lazy, other = await connect(), await connect()
    await lazy.ask(Op.WATCH, "/|t|")
    lazy.writer.write(batch(*[(Op.WRITE, f"/b|{'x' * 4000}"), *[(Op.READ, "/b|")] * 1000]))
    for number in range(300):
        assert await other.ask(Op.WRITE, f"/a|{number}") == "OK|"
    events = 0
    for _ in range(1001):
        while (frame := await lazy.read()).type == Op.WATCH_EVENT:
            events += plain(frame.payload) == "/a|t|"
    assert events < 10


async def test_a_fault_costs_one_request(connect, monkeypatch, caplog):
    client = await connect()

    def fault(self, changes):
        raise RuntimeError("a fault")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "events", fault)
        assert await client.ask(Op.WRITE, "/a|1") == "EIO|"
    assert "a fault" in caplog.text
    assert await client.ask(Op.READ, "/a|") == "ENOENT|"


async def test_control_print_goes_to_the_log(connect, caplog):
    caplog.set_level(logging.INFO)
    client = await connect()
    assert await client.ask(Op.CONTROL, "print|hello\n|") == "OK|"
    assert "print: hello" in caplog.text


async def test_the_end_disconnects_everybody(tmp_path):
    path, ready = tmp_path / "store.sock", asyncio.Event()
    daemon = asyncio.create_task(server.serve(path, ready=ready.set))
    await ready.wait()
    clients = [Client(*await asyncio.open_unix_connection(path)) for _ in range(3)]
    await clients[0].ask(Op.WATCH, "/|t|")
    daemon.cancel()
    with pytest.raises(asyncio.CancelledError):
        await daemon
    for client in clients:
        with contextlib.suppress(ConnectionResetError):
            while await client.read() is not None:
                pass
        client.writer.close()
    assert not path.exists()


async def test_a_failing_ready_callback_leaves_nothing(tmp_path):
    path = tmp_path / "store.sock"

    def fail():
        raise OSError("no one listens")

    with pytest.raises(OSError, match="no one listens"):
        await server.serve(path, ready=fail)
    assert not path.exists()


async def test_a_client_whose_connection_is_under_way_at_the_end_is_disconnected():
    daemon = server.Daemon()
    daemon.close()
    ours, theirs = socket.socketpair()
    with theirs:
        await asyncio.get_running_loop().connect_accepted_socket(daemon.client, ours)
        theirs.settimeout(5)
        assert await asyncio.to_thread(theirs.recv, 1) == b""
