"""A stream that outlives the process that serves it.

QEMU has one end of a socket pair. The other is kept by the device model, which never reads it, but hands a
duplicate to whoever connects to a Unix socket. So the stream goes on when the process that serves it is
killed: what it had not taken stays in the kernel, and QEMU, and the guest, notice nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from xenwire.errors import TimedOut, Unreachable
from xenwire.runtime.places import run_dir
from xenwire.runtime.sockets import listen_unix
from xenwire.types import DevId, DomId

__all__ = ["Handover", "fetch", "handover_path", "remove_handovers"]

_TIMEOUT: Final = 5.0  # seconds that the device model has to hand a stream over


def handover_path(domid: DomId, devid: DevId) -> Path:
    """Give the socket by which a channel's stream is handed over."""
    return run_dir() / f"channel-{domid}-{devid}.sock"


def remove_handovers(domid: DomId) -> None:
    """Remove the sockets of a domain whose device model could not."""
    for path in run_dir().glob(f"channel-{domid}-*.sock"):
        path.unlink(missing_ok=True)


class Handover:
    """One end of a stream, kept and handed out. Made by `Handover.open`."""

    def __init__(self, path: Path, stream: socket.socket, listener: socket.socket) -> None:
        self.path = path
        self._stream, self._listener = stream, listener
        asyncio.get_running_loop().add_reader(listener, self._hand_out)

    @classmethod
    async def open(cls, path: Path) -> tuple[Self, int]:
        """Make a stream, and give what keeps it and the descriptor of its other end.

        Raises what `listen_unix` raises.
        """
        listener = await listen_unix(path)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        return cls(path, ours, listener), theirs.detach()

    def close(self) -> None:
        """Let go of the stream: it ends once whoever has it lets go of it too."""
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._stream.close()
        self.path.unlink(missing_ok=True)

    def _hand_out(self) -> None:
        # Whoever does not wait for it does not get it.
        with suppress(OSError), self._listener.accept()[0] as peer:
            peer.setblocking(False)
            socket.send_fds(peer, [b"\0"], [self._stream.fileno()])


async def fetch(path: Path) -> socket.socket:
    """Give a duplicate of the stream that is handed over at `path`, which does not wait.

    Raises Unreachable (nobody keeps it any more), TimedOut.
    """
    message = f"cannot take over the stream {path}"
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as keeper:
        keeper.setblocking(False)
        try:
            async with asyncio.timeout(_TIMEOUT):
                await loop.sock_connect(keeper, str(path))
                readable = asyncio.Event()
                loop.add_reader(keeper, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(keeper)
            _, fds, _, _ = socket.recv_fds(keeper, 1, 1)
        except TimeoutError:
            raise TimedOut(message, reason=f"waited {_TIMEOUT:g} s for the device model") from None
        except OSError as error:
            raise Unreachable(message, reason=error.strerror or "nobody is there") from error
    if not fds:
        raise Unreachable(message, reason="the device model is on its way out")
    os.set_inheritable(fds[0], False)
    return socket.socket(fileno=fds[0])
