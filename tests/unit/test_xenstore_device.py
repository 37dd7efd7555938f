"""Clients over /dev/xen/xenbus, which a socket pair stands for: a packet is a write, as for the kernel."""

import asyncio
import errno
import io
import select
import socket
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from xenstore_peer import Peer

from xenwire.xenstore import BlockingStore, Store, StoreClosed, StoreConflict, StoreError, link, port
from xenwire.xenstore.address import DEVICE_MAX_PAYLOAD, Address
from xenwire.xenstore.wire import Frame, Op, join


class FakeDevice(io.FileIO):
    """Writes to it fail with the errno that is set for their operation, or wait while they are held up."""

    def __init__(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        super().__init__(ours.detach(), "r+")
        self.kernel = theirs
        self.refused = {}
        self.free = threading.Event()
        self.free.set()
        self.was_closed = threading.Event()

    def write(self, data):
        assert threading.current_thread() is not threading.main_thread() or self.free.is_set()
        self.free.wait()
        if number := self.refused.get(Op(data[0])):
            raise OSError(number, "refused")
        return super().write(data)

    def close(self):
        super().close()
        self.was_closed.set()


@pytest.fixture
def device(monkeypatch):
    device = FakeDevice()
    for module in (link, port):
        monkeypatch.setattr(module, "find_store", lambda _: Address(Path("/dev/xen/xenbus"), device=True))
        monkeypatch.setattr(module, "open_device", lambda _: device)
    with device.kernel:
        yield device
    device.close()


@asynccontextmanager
async def dialogue(device):
    async with Store.connect() as store:
        yield store, Peer(device.kernel)
    assert await asyncio.to_thread(device.was_closed.wait, 5)


async def test_each_message_is_one_write(device):
    async with dialogue(device) as (store, peer), asyncio.TaskGroup() as group:
        for i in range(10):
            group.create_task(store.read(f"/{i}"))
        for _ in range(10):
            packet = await asyncio.get_running_loop().sock_recv(device.kernel, 65536)
            (frame,) = peer._decoder.feed(packet)
            await peer.send(frame.encode())


async def test_a_request_waits_for_the_reply_to_the_one_before(device):
    """Linux sends a request's bytes out of the buffer into which the next write goes."""
    async with dialogue(device) as (store, peer), asyncio.TaskGroup() as group:
        first, second = (group.create_task(store.read(f"/{i}")) for i in range(2))
        request = await peer.next()
        assert not select.select([device.kernel], [], [], 0.1)[0]
        await peer.event("/elsewhere", "77")
        assert not select.select([device.kernel], [], [], 0.1)[0]
        await peer.reply(request, b"1")
        await peer.reply(await peer.next(), b"2")
        assert (await first, await second) == (b"1", b"2")


async def test_nobody_waits_until_the_device_is_writable(device, monkeypatch):
    monkeypatch.setattr(asyncio.get_running_loop(), "add_writer", None)
    async with dialogue(device) as (store, peer):
        task = asyncio.create_task(store.read("/a"))
        await peer.reply(await peer.next(), b"1")
        assert await task == b"1"


async def test_events_have_garbage_ids_and_may_come_before_the_reply(device):
    async with dialogue(device) as (store, peer):
        task = asyncio.create_task(store.watch("/a").__aenter__())
        request = await peer.next()
        token = request.payload.decode().split("\0")[1]
        await peer.send(Frame(Op.WATCH_EVENT, 0xDEADBEEF, request.req_id, join("/a", token)).encode())
        await peer.reply(request)
        assert await anext(await task) == "/a"


async def test_linux_before_4_11_answers_watches_without_an_id(device):
    async with dialogue(device) as (store, peer):
        task = asyncio.create_task(store.watch("/a").__aenter__())
        request = await peer.next()
        await peer.reply(request._replace(req_id=0))
        await task


async def test_errno_of_a_write_fails_its_request_alone(device):
    device.refused[Op.WATCH] = errno.EEXIST
    async with dialogue(device) as (store, peer):
        other = asyncio.create_task(store.read("/a"))
        await peer.reply(await peer.next(), b"1")
        with pytest.raises(StoreConflict, match="cannot watch /a"):
            async with store.watch("/a"):
                pass
        assert await other == b"1"
        again = asyncio.create_task(store.read("/b"))
        await peer.reply(await peer.next(), b"2")
        assert await again == b"2"


async def test_payload_has_less_room(device):
    async with dialogue(device) as (store, peer):
        with pytest.raises(StoreError, match="E2BIG"):
            await store.write("/a", bytes(DEVICE_MAX_PAYLOAD - 2))
        task = asyncio.create_task(store.write("/a", bytes(DEVICE_MAX_PAYLOAD - 3)))
        await peer.reply(await peer.next())
        await task


async def test_event_loop_goes_on_while_a_write_waits_for_its_reply(device):
    """As every write does before Linux 4.11."""
    async with dialogue(device) as (store, peer):
        async with asyncio.TaskGroup() as group:
            opened = group.create_task(store.watch("/a").__aenter__())
            token = await peer.watched("/a")
        events = opened.result()
        assert await anext(events) == "/a"
        device.free.clear()
        task = asyncio.create_task(store.read("/a"))
        await asyncio.sleep(0)
        await peer.event("/a/b", token)
        assert await anext(events) == "/a/b"
        device.free.set()
        await peer.reply(await peer.next(), b"1")
        assert await task == b"1"


async def test_leaving_while_a_write_waits(device):
    async with Store.connect() as store:
        device.free.clear()
        tasks = [asyncio.create_task(store.read("/a")) for _ in range(3)]
        await asyncio.sleep(0)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, StoreClosed)
    device.free.set()
    assert await asyncio.to_thread(device.was_closed.wait, 5)


@pytest.mark.parametrize("end", [errno.EIO, None])
async def test_lost_device(device, monkeypatch, end):
    def read(_size):
        if end is None:
            return b""
        raise OSError(end, "Input/output error")

    async with Store.connect() as store:
        task = asyncio.create_task(store.read("/a"))
        peer = Peer(device.kernel)
        request = await peer.next()
        monkeypatch.setattr(device, "read", read)
        await peer.reply(request)
        with pytest.raises(StoreClosed) as caught:
            await task
        assert (caught.value.__cause__ is None) == (end is None)


def test_blocking_client(device):
    """Replies are there before they are asked for: the kernel's end has no thread of its own."""

    def answer(req_id, op, payload, type_=None):
        device.kernel.send(Frame(op if type_ is None else type_, req_id, 0, payload).encode())

    with BlockingStore.connect() as store:
        answer(1, Op.READ, b"1")
        assert store.read("/a") == b"1"
        answer(99, Op.WATCH_EVENT, join("/w", "1"))
        answer(0, Op.WATCH, b"OK\0")  # Linux before 4.11
        with store.watch("/w") as events:
            assert next(events) == "/w"
            device.refused[Op.RM] = errno.EIO
            with pytest.raises(StoreError, match="EIO"):
                store.rm("/a")
            with pytest.raises(StoreError, match="E2BIG"):
                store.write("/a", bytes(DEVICE_MAX_PAYLOAD))
            answer(4, Op.UNWATCH, b"OK\0")
    assert device.was_closed.is_set()
    writes = [device.kernel.recv(65536) for _ in range(3)]
    assert [Op(data[0]) for data in writes] == [Op.READ, Op.WATCH, Op.UNWATCH]
