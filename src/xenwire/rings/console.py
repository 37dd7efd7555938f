"""The ring of a PV console, and so of a channel: one page (xen: xen/include/public/io/console.h).

0     in, 1024 bytes     backend to guest
1024  out, 2048 bytes    guest to backend
3072  in_cons  in_prod  out_cons  out_prod, 32 bits each
3088  connection, a byte: 1 while no backend is there (Xen 4.21)
"""

from __future__ import annotations

from typing import Final

from xenwire.rings.ring import Consumer, Producer

__all__ = ["IN_SIZE", "OUT_SIZE", "PAGE_SIZE", "Backend", "Frontend"]

PAGE_SIZE: Final = 4096
IN_SIZE: Final = 1024
OUT_SIZE: Final = 2048

_IN: Final = slice(0, IN_SIZE)
_OUT: Final = slice(IN_SIZE, IN_SIZE + OUT_SIZE)
_IN_CONS, _IN_PROD, _OUT_CONS, _OUT_PROD = range(768, 772)  # 32-bit words from the start of the page
_CONNECTION: Final = 3088


class Backend:
    """The host's end of a console's page."""

    __slots__ = ("_page", "input", "output")

    def __init__(self, page: memoryview) -> None:
        self.output = Consumer(page, _OUT, ours=_OUT_CONS, theirs=_OUT_PROD)
        """What the guest has written."""
        self.input = Producer(page, _IN, ours=_IN_PROD, theirs=_IN_CONS)
        """What the guest is to read."""
        self._page = page

    def say_connected(self, connected: bool) -> None:
        """Tell a guest that looks for it whether somebody serves the ring; older ones never look."""
        self._page[_CONNECTION] = not connected

    def release(self) -> None:
        """Let go of the page, which cannot be unmapped before."""
        self.output.release()
        self.input.release()


class Frontend:
    """The guest's end of a console's page."""

    def __init__(self, page: memoryview) -> None:
        self.output = Producer(page, _OUT, ours=_OUT_PROD, theirs=_OUT_CONS)
        self.input = Consumer(page, _IN, ours=_IN_CONS, theirs=_IN_PROD)

    def release(self) -> None:
        """Let go of the page, which cannot be unmapped before."""
        self.output.release()
        self.input.release()
