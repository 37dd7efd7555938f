"""Telling systemd that a daemon is ready, and that it lives (sd_notify(3), sd_watchdog_enabled(3))."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress

__all__ = ["ready"]


def ready() -> None:
    """Tell whoever started this process that it serves now. Does nothing where nobody asked.

    Where a watchdog waits for signs of life, the running event loop gives them from here on, twice in each of
    its intervals: a loop that hangs is found out.
    """
    address = os.environ.pop("NOTIFY_SOCKET", None)
    interval = os.environ.pop("WATCHDOG_USEC", "")
    watched = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    _send(address, b"READY=1")
    if watched and interval.isascii() and interval.isdigit() and int(interval):
        _live(asyncio.get_running_loop(), address, int(interval) / 2e6)


def _live(loop: asyncio.AbstractEventLoop, address: str, pause: float) -> None:
    with suppress(OSError):  # who waits for it has no room now, or begins anew; the next one comes
        _send(address, b"WATCHDOG=1", socket.MSG_DONTWAIT)
    loop.call_later(pause, _live, loop, address, pause)


def _send(address: str, word: bytes, flags: int = 0) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(word, flags, address)
