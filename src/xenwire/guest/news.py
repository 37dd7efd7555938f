"""Learning that channels may have come or gone: from the kernel, the store, and by looking now and then."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from xenwire.guest.pv import CONSOLES
from xenwire.xenstore.client import Store

__all__ = ["News", "follow"]

_NETLINK_UEVENTS: Final = 15  # linux: include/uapi/linux/netlink.h, NETLINK_KOBJECT_UEVENT
_FROM_KERNEL: Final = 1  # its multicast group; udev's is 2
_UEVENT: Final = 8192  # bytes; the kernel's have at most 2 KiB and a header
_OURS: Final = (b"virtio-ports", b"/console-")


class News:
    """An event that also happens by itself every `tick` seconds."""

    def __init__(self, tick: float) -> None:
        self._tick = tick
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Say that there may be something new."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until somebody has told, or the time is over."""
        try:
            async with asyncio.timeout(self._tick):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


@asynccontextmanager
async def follow(*, store: bool, address: Path | None = None, tick: float = 5.0) -> AsyncIterator[News]:
    """Give news of devices that come and go and, with `store`, of consoles in the store at `address`.

    The tick is for what nobody tells: unit files, and the kernel's news in a network namespace.
    Raises as `Store.connect`.
    """
    news = News(tick)
    async with AsyncExitStack() as stack:
        stack.enter_context(_uevents(news.tell))
        if store:
            client = await stack.enter_async_context(Store.connect(address))
            await client.listen(CONSOLES, news.tell)
        yield news


@contextmanager
def _uevents(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` when the kernel says something about a port or a console."""
    loop = asyncio.get_running_loop()
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _NETLINK_UEVENTS)
        sock.bind((0, _FROM_KERNEL))
    except OSError:  # not for this process: it looks now and then
        yield
        return

    def readable() -> None:
        try:
            message = sock.recv(_UEVENT)
        except BlockingIOError:
            return
        except OSError:  # some were lost
            tell()
            return
        if any(mark in message for mark in _OURS):
            tell()

    with sock:
        loop.add_reader(sock, readable)
        try:
            yield
        finally:
            loop.remove_reader(sock)
