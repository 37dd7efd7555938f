"""The store's end of a connection, played by a test over a real socket."""

import asyncio
import socket
from contextlib import asynccontextmanager

from xenwire.xenstore import Store
from xenwire.xenstore.wire import Decoder, Frame, Op, join


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self._decoder = Decoder()
        self._frames = []

    async def next(self):
        """Give the next request, in the order of their arrival."""
        loop = asyncio.get_running_loop()
        while not self._frames:
            data = await loop.sock_recv(self.sock, 65536)
            assert data, "the client hung up"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    async def expect(self, op, *strings, tx_id=0):
        """Give the next request, which must be this one."""
        frame = await self.next()
        assert (Op(frame.type), frame.payload, frame.tx_id) == (op, join(*strings), tx_id)
        return frame

    async def send(self, data):
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def reply(self, request, payload=b"OK\0"):
        await self.send(request._replace(payload=payload).encode())

    async def error(self, request, name):
        await self.send(request._replace(type=Op.ERROR, payload=join(name)).encode())

    async def event(self, path, token):
        await self.send(Frame(Op.WATCH_EVENT, 0, 0, join(path, token)).encode())

    async def watched(self, path):
        """Accept a watch, give its first event, and give its token."""
        request = await self.next()
        assert request.type == Op.WATCH
        wanted, token, _ = request.payload.decode().split("\0")
        assert wanted == path
        await self.reply(request)
        await self.event(path, token)
        return token

    async def hung_up(self):
        """Wait until the client has closed, and give what it still sent."""
        rest = []
        while data := await asyncio.get_running_loop().sock_recv(self.sock, 65536):
            rest += self._decoder.feed(data)
        return self._frames + rest


@asynccontextmanager
async def dialogue(folder, *, timeout=5.0):
    """Connect a Store with a Peer, through a Unix socket in `folder`."""
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        async with Store.connect(path, timeout=timeout) as store:
            listener.setblocking(False)
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            with sock:
                sock.setblocking(False)
                yield store, Peer(sock)
