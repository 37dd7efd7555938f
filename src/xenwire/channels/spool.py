"""What a guest has written and nobody has taken yet, in memory that survives the daemon.

A spool is a mapped file (or plain memory, which survives nothing). It is a ring of `limit` bytes behind a
header, and holds true at any instant at which the daemon is killed, since each step ends with one 8-byte
store:

* What came out of the guest's ring counts once `_WORD` says so, which also says which ring that was. Only
  then may the ring's own index move. A successor goes by the word, not by the ring.
* What went to a consumer counts once `_DELIVERED` says so. A block that is under way when the daemon dies is
  delivered twice, unless its endpoint can tell how far it got (a log can: `_LOG`).
* What is meant for the guest counts once `_INPUT` says so, and is in the ring once the ring's index says so.

Positions in the stream are counts of the bytes that ever came before. Those from `oldest` on are still here,
so whoever comes late can be shown what others have had.

    0     magic
    8     limit
    16    bytes that ever came, 63 bits; the top bit says which of the two rings is the present one
    24    bytes that were delivered
    32    bytes that were dropped
    40    the rings, 4 words each: identity; its index less the bytes that came, 32 bits; the position at
          which it began; generation
    104   length of the log before the last block, plus 1; 0 if none is under way
    112   inode of that log
    120   bytes that had been delivered before that block
    128   index of the guest's input before the block under way, 32 bits; its length, 16 bits
    136   position before which nothing is remembered
    1024  that block of input, 1024 bytes
    2048  the bytes; of most channels there are few, and the first have room in the header's page
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from xenwire.errors import ProtocolError

__all__ = ["HEADER", "MAX_LIMIT", "MIN_LIMIT", "MOST_AT_ONCE", "PAGE", "Spool"]

HEADER: Final = 2048
PAGE: Final = 4096
"""Bytes that `back` is asked for at a time."""
MIN_LIMIT: Final = 4096
MAX_LIMIT: Final = 1 << 30
MOST_AT_ONCE: Final = 2048
"""Bytes that `append` takes: all that a console's ring holds."""

_MAGIC: Final = int.from_bytes(b"xwspool2", "little")
_COUNT: Final = (1 << 63) - 1
_MODULUS: Final = 1 << 32
_INPUT_AREA: Final = 1024
_INPUT_SIZE: Final = 1024

# 64-bit words of the header
_IS, _LIMIT, _WORD, _DELIVERED, _DROPPED = range(5)
_RINGS: Final = 5
_LOG, _LOG_FILE, _LOG_DELIVERED, _INPUT, _FORGOTTEN = range(13, 18)

# words of a ring
_IDENTITY, _INDEX, _BEGAN, _GENERATION = range(4)


class Spool:
    """The output of one channel that waits for its consumer: the oldest bytes go when there are too many."""

    def __init__(self, memory: memoryview, back: Callable[[int], bool] | None = None) -> None:
        """Take over a spool. Raises ProtocolError if it is none, or was damaged.

        `back` is told the offset of a page before it is written to for the first time, and says whether
        there is memory for it; without, all of it is there. `limit` is whole pages then.
        """
        self._words = memory[:HEADER].cast("Q")
        self._memory = memory
        self.limit = len(memory) - HEADER
        """Bytes that it holds."""
        words = self._words
        if (
            words[_IS] != _MAGIC
            or words[_LIMIT] != self.limit
            # A predecessor that was killed may have dropped the bytes that come next.
            or not self.taken - MOST_AT_ONCE <= self.appended <= self.taken + self.limit
        ):
            self.release()
            raise ProtocolError("the spool is damaged", reason="its header makes no sense")
        self._back = back
        self._backed = self.appended
        self._all_backed = self._backed + self.limit

    @classmethod
    def new(cls, memory: memoryview, back: Callable[[int], bool] | None = None) -> Spool:
        """Make memory that is all zeros an empty spool; all behind the header is for bytes."""
        words = memory[:HEADER].cast("Q")
        words[_LIMIT] = len(memory) - HEADER
        words[_IS] = _MAGIC
        words.release()
        return cls(memory, back)

    def release(self) -> None:
        """Let go of the memory, which cannot be unmapped before."""
        self._words.release()

    @property
    def appended(self) -> int:
        """Bytes that ever came from the guest: the position of the next."""
        return self._words[_WORD] & _COUNT

    @property
    def taken(self) -> int:
        """Bytes that ever went, to a consumer or for lack of one: the position of the oldest that waits."""
        return self._words[_DELIVERED] + self._words[_DROPPED]

    @property
    def delivered(self) -> int:
        """Bytes that went to a consumer."""
        return self._words[_DELIVERED]

    @property
    def dropped(self) -> int:
        """Bytes that went for lack of a consumer."""
        return self._words[_DROPPED]

    @property
    def oldest(self) -> int:
        """The position of the oldest byte that is still here, taken or not."""
        return max(self.appended - self.limit, self._words[_FORGOTTEN])

    @property
    def room(self) -> int:
        """Bytes that can come before the oldest that wait have to go."""
        return self.limit - len(self)

    def __len__(self) -> int:
        return max(0, self.appended - self.taken)

    @property
    def generation(self) -> int:
        """How often the other end has begun anew."""
        return self._words[self._ring() + _GENERATION]

    @property
    def began(self) -> int:
        """The position at which the other end began anew."""
        return self._words[self._ring() + _BEGAN]

    @property
    def index(self) -> int:
        """The ring's index up to which all its bytes are here."""
        return (self._words[self._ring() + _INDEX] + self.appended) % _MODULUS

    def begin(self, identity: int, index: int) -> None:
        """Begin with a new ring, known by 64 bits of `identity`, whose first byte to come has this index."""
        words, appended, generation = self._words, self.appended, self.generation
        other = 1 - (words[_WORD] >> 63)
        ring = _RINGS + 4 * other
        words[ring + _IDENTITY] = identity
        words[ring + _INDEX] = (index - appended) % _MODULUS
        words[ring + _BEGAN] = appended
        words[ring + _GENERATION] = generation + 1
        words[_INPUT] = 0
        words[_WORD] = other << 63 | appended

    def end(self) -> None:
        """Know the present ring no more: the guest has taken it back, and may offer one just like it."""
        self._words[self._ring() + _IDENTITY] = 0

    def knows(self, identity: int) -> bool:
        """Tell whether this is the present ring."""
        return self.generation > 0 and self._words[self._ring() + _IDENTITY] == identity

    def append(self, data: bytes) -> None:
        """Add what the guest has written, at most 2048 bytes; the oldest go where it does not fit.

        Where there is no memory, it goes as well, and all that waited: never the guest.
        """
        words = self._words
        start = self.appended
        end = start + len(data)
        if self._has_memory(end):
            excess = end - self.taken - self.limit
            if excess > 0:
                words[_DROPPED] += excess
            first = HEADER + start % self.limit
            last = min(first + len(data), HEADER + self.limit)
            split = last - first
            self._memory[first:last] = data[:split]
            self._memory[HEADER : HEADER + len(data) - split] = data[split:]
        else:
            words[_DROPPED] += end - self.taken
            words[_FORGOTTEN] = end
        words[_WORD] += len(data)

    def read(self, position: int, limit: int) -> bytes:
        """Copy up to `limit` bytes from a position on, which is not before `oldest`."""
        count = max(0, min(self.appended - position, limit))
        start = HEADER + position % self.limit
        end = min(start + count, HEADER + self.limit)
        if end - start == count:
            return bytes(self._memory[start:end])
        rest = count - (end - start)
        return bytes(self._memory[start:end]) + bytes(self._memory[HEADER : HEADER + rest])

    def peek(self, limit: int) -> bytes:
        """Copy up to `limit` of the oldest bytes that wait."""
        return self.read(self.taken, limit)

    def before(self, count: int) -> int:
        """Give the position `count` bytes before the oldest that wait, or of what is still here of them."""
        # A predecessor may have been killed while it overwrote the first of those that are here.
        remembered = max(self.appended - self.limit + MOST_AT_ONCE, self._words[_FORGOTTEN])
        return max(self.taken - count, min(self.taken, remembered))

    def take(self, position: int) -> None:
        """Count all before this position as delivered that waits yet, and was not dropped meanwhile."""
        words = self._words
        count = position - words[_DELIVERED] - words[_DROPPED]
        if count > 0:
            words[_DELIVERED] += count
            words[_LOG] = 0

    def drop(self, count: int) -> None:
        """Drop the oldest bytes that wait."""
        self._words[_DROPPED] += count

    def mark_log(self, inode: int, length: int) -> None:
        """Note how long the log is before the oldest bytes that wait are appended to it."""
        words = self._words
        words[_LOG] = 0
        words[_LOG_FILE] = inode
        words[_LOG_DELIVERED] = words[_DELIVERED]
        words[_LOG] = length + 1

    def catch_up_with_log(self, inode: int, length: int) -> None:
        """Take what a predecessor has appended to a log that is so long now, and could not say any more.

        If it was killed at a block, and the log was rotated before we came, nobody can tell: it comes again.
        """
        words = self._words
        if words[_LOG] and words[_LOG_FILE] == inode:
            delivered = words[_LOG_DELIVERED] + max(0, length - (words[_LOG] - 1))
            self.take(min(delivered + words[_DROPPED], self.appended))
        words[_LOG] = 0

    def keep_input(self, index: int, data: bytes) -> None:
        """Keep a block, at most 1024 bytes, that is to be put into the guest's ring at this index."""
        self._memory[_INPUT_AREA : _INPUT_AREA + len(data)] = data
        self._words[_INPUT] = index << 16 | len(data)

    def kept_input(self) -> tuple[int, bytes]:
        """Give the index and the block that was kept last; no bytes if none is."""
        word = self._words[_INPUT]
        length = min(word & 0xFFFF, _INPUT_SIZE)
        return word >> 16, bytes(self._memory[_INPUT_AREA : _INPUT_AREA + length])

    def forget_input(self) -> None:
        """Let go of that block: it is in the ring."""
        self._words[_INPUT] = 0

    def _ring(self) -> int:
        return _RINGS + 4 * (self._words[_WORD] >> 63)

    def _has_memory(self, end: int) -> bool:
        """Tell whether there is memory for all before a position: the last lap's is there."""
        if self._back is None:
            return True
        while self._backed < min(end, self._all_backed):
            place = self._backed % self.limit
            page, offset = divmod(HEADER + place, PAGE)
            if not self._back(page * PAGE):
                return False
            self._backed += min(PAGE - offset, self.limit - place)
        return True
