"""A channel joined to two descriptors, as stdin and stdout."""

from __future__ import annotations

import os
import select
from typing import Final

from xenwire.errors import Unreachable
from xenwire.guest.device import Device

__all__ = ["join"]

_CHUNK: Final = 4096  # bytes; a pipe that can be written takes as many without blocking (PIPE_BUF)
_AWAY: Final = 200  # milliseconds until a port without a peer is looked at again
_IN: Final = select.POLLIN
_OUT: Final = select.POLLOUT


def join(device: Device, source: int, sink: int, *, stay: bool = False) -> None:
    """Copy `source` to the channel and the channel to `sink`, until `source` ends or the channel goes.

    All of `source` has been sent then. With `stay`, the end of `source` is not the end: only that of the
    channel is. At most 4 KiB are held each way; who is slow is waited for.

    Raises Unreachable if the channel went with something unsent, BrokenPipeError if nobody reads `sink`.
    """
    outward = inward = b""  # on their way to the host, and from it
    typing = there = True
    away = False  # nobody is at the host's end of a port: polling it would return at once
    while inward or (there and (outward or typing or stay)):
        receiving = there and not away and not inward and (typing or stay)
        wanted = {source: 0, sink: 0, device.fileno(): 0}
        if there and typing and not outward:
            wanted[source] |= _IN
        if inward:
            wanted[sink] |= _OUT
        if receiving:
            wanted[device.fileno()] |= _IN
        if outward and there and not away:
            wanted[device.fileno()] |= _OUT
        ready = _poll(wanted, _AWAY if away else None)
        away = False
        if wanted[source] & _IN and ready.get(source, 0) & ~_OUT:
            outward = os.read(source, _CHUNK)
            typing = bool(outward)
        if inward and ready.get(sink, 0) & ~_IN:
            inward = inward[os.write(sink, inward) :]
        if events := ready.get(device.fileno()):
            sent = device.write(outward) if events & _OUT and outward else 0
            outward = outward[sent:]
            received = device.read(_CHUNK) if receiving and events & ~_OUT else None
            inward = received or inward
            away = received == b"" or bool(events & select.POLLHUP and not sent and not received)
            there = not away or device.is_there()
    if outward:
        raise Unreachable(
            "the channel has gone",
            reason=f"{len(outward)} bytes that had been read were not sent",
            hint="open it again with --wait, and send again what matters",
        )
    device.drain()


def _poll(wanted: dict[int, int], timeout: int | None) -> dict[int, int]:
    poll = select.poll()
    for fd, events in wanted.items():
        if events:
            poll.register(fd, events)
    return dict(poll.poll(timeout))
