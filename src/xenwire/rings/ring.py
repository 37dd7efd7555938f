"""One direction of a ring: a buffer and two free-running 32-bit indexes in shared memory.

Whoever shares the memory is an adversary. Of its index one copy is taken at a time and checked against the
size of the buffer; our own index is kept here, and never read back. Bytes are copied out before anybody
looks at them.
"""

from __future__ import annotations

import platform
from typing import Final

from xenwire.errors import ProtocolError

__all__ = ["Consumer", "Producer"]

_MODULUS: Final = 1 << 32


class _End:
    """What both ends have: the buffer, the index words, and the index that is ours."""

    __slots__ = ("_ours", "_page", "_start", "_theirs", "_words", "index", "size")

    def __init__(self, page: memoryview, buffer: slice, ours: int, theirs: int) -> None:
        """`ours` and `theirs` are the numbers of the 32-bit words that hold the indexes.

        Raises ProtocolError on a processor whose memory order does not fit.
        """
        if platform.machine() != "x86_64":
            raise ProtocolError(
                "cannot serve a ring here", reason=f"{platform.machine()} orders memory in another way"
            )
        # No view of the buffer alone: there may be thousands of rings, and each view takes memory.
        self._page = page
        self._start: int = buffer.start
        self._words = page.cast("I")  # each item is one aligned load or store
        self._ours, self._theirs = ours, theirs
        self.size: int = buffer.stop - buffer.start
        """Bytes that the buffer holds, a power of two."""
        self.index = self._words[ours]
        """Our index. What the page says counts only now, as the ring is taken over."""

    def release(self) -> None:
        """Let go of the page, which cannot be unmapped before."""
        self._words.release()

    def _advance(self, count: int) -> None:
        self.index = (self.index + count) % _MODULUS
        self._words[self._ours] = self.index

    def _pieces(self, index: int, count: int) -> tuple[slice, slice]:
        """Give where `count` bytes from an index on are: up to the end of the buffer, and from its start."""
        first = self._start
        start = first + index % self.size
        end = min(start + count, first + self.size)
        return slice(start, end), slice(first, first + count - (end - start))

    def _filled(self, producer: int, consumer: int) -> int:
        """Give how many bytes there are. Raises ProtocolError if the other end's index cannot be true."""
        filled = (producer - consumer) % _MODULUS
        if filled > self.size:
            raise ProtocolError(
                "the other end of the ring broke it",
                reason=f"indexes {producer} and {consumer} are {filled} apart; {self.size} bytes fit",
            )
        return filled


class Consumer(_End):
    """The end that takes bytes out."""

    __slots__ = ()

    def available(self) -> int:
        """Tell how many bytes there are to take. Raises ProtocolError for a broken ring."""
        return self._filled(self._words[self._theirs], self.index)

    def peek(self, limit: int) -> bytes:
        """Copy up to `limit` bytes and leave them in the ring. Raises ProtocolError for a broken ring."""
        count = self.available()
        if not count:
            return b""
        first, second = self._pieces(self.index, min(count, limit))
        if second.start == second.stop:
            return bytes(self._page[first])
        return bytes(self._page[first]) + bytes(self._page[second])

    def consume(self, count: int) -> None:
        """Take `count` bytes out that `peek` has given: the other end may use their room."""
        self._advance(count)

    def resume(self, index: int) -> None:
        """Take over from one who had taken bytes up to `index`, without having said so in the ring."""
        self.index = index % _MODULUS
        self._words[self._ours] = self.index


class Producer(_End):
    """The end that puts bytes in."""

    __slots__ = ()

    def room(self) -> int:
        """Tell how many bytes fit now. Raises ProtocolError for a broken ring."""
        return self.size - self._filled(self.index, self._words[self._theirs])

    def put(self, data: bytes | memoryview) -> int:
        """Put in what fits of `data`, and give how much that is. Raises ProtocolError for a broken ring."""
        count = min(self.room(), len(data))
        first, second = self._pieces(self.index, count)
        split = first.stop - first.start
        self._page[first] = data[:split]
        self._page[second] = data[split:count]
        self._advance(count)
        return count
