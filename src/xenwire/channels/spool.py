"""What a guest has written and nobody has taken yet, in memory that survives the daemon.

A spool is a mapped file (or plain memory, which survives nothing). It is a ring of `limit` bytes behind a
header, and holds true at any instant at which the daemon is killed, since each step ends with one 8-byte
store:

* What came out of the guest's ring counts once `_WORD` says so, which also says of which generation of the
  ring. Only then may the ring's own index move. A successor goes by the word, not by the ring.
* What was delivered counts once `_TAKEN` says so. A block that is under way when the daemon dies is
  delivered twice, unless its endpoint can tell how far it got (a log can: `_LOG`).
* What is meant for the guest counts once `_INPUT` says so, and is in the ring once the ring's index says so.

    0     magic
    8     limit
    16    generation, 16 bits; bytes that were ever appended, 48 bits
    24    bytes that were ever taken, dropped ones included
    32    bytes that were dropped
    40    of the even generations: identity of the ring, its index less the bytes appended; 16 bytes
    56    of the odd generations: the same
    72    length of the log before the last block, plus 1; 0 if there was none
    80    index of the guest's input before the block under way, 32 bits; its length, 16 bits
    88    bytes that had been taken before the log's last block
    1024  that block, 1024 bytes
    4096  the bytes
"""

from __future__ import annotations

from typing import Final

from xenwire.errors import ProtocolError

__all__ = ["HEADER", "MAX_LIMIT", "MIN_LIMIT", "Spool"]

HEADER: Final = 4096
MIN_LIMIT: Final = 4096
MAX_LIMIT: Final = 1 << 30

_MAGIC: Final = int.from_bytes(b"xwspool1", "little")
_COUNT: Final = (1 << 48) - 1
_MODULUS: Final = 1 << 32
_INPUT_AREA: Final = slice(1024, 2048)

# 64-bit words of the header
_IS, _LIMIT, _WORD, _TAKEN, _DROPPED = range(5)
_RINGS: Final = 5
_LOG, _INPUT, _LOG_TAKEN = 9, 10, 11


class Spool:
    """The output of one channel that waits for its consumer: the oldest bytes go when there are too many."""

    def __init__(self, memory: memoryview) -> None:
        """Take over a spool. Raises ProtocolError if it is none, or was damaged."""
        self._words = memory.cast("Q")
        self._input = memory[_INPUT_AREA]
        self._data = memory[HEADER:]
        self.limit = len(self._data)
        """Bytes that it holds."""
        words = self._words
        if (
            words[_IS] != _MAGIC
            or words[_LIMIT] != self.limit
            or not self.dropped <= self.taken <= self.appended <= self.taken + self.limit
        ):
            self.release()
            raise ProtocolError("the spool is damaged", reason="its header makes no sense")

    @classmethod
    def new(cls, memory: memoryview) -> Spool:
        """Make memory that is all zeros an empty spool; all behind the header is for bytes."""
        words = memory.cast("Q")
        words[_LIMIT] = len(memory) - HEADER
        words[_IS] = _MAGIC
        words.release()
        return cls(memory)

    def release(self) -> None:
        """Let go of the memory, which cannot be unmapped before."""
        self._words.release()
        self._input.release()
        self._data.release()

    @property
    def appended(self) -> int:
        """Bytes that ever came from the guest."""
        return self._words[_WORD] & _COUNT

    @property
    def taken(self) -> int:
        """Bytes that ever went, to a consumer or for lack of one."""
        return self._words[_TAKEN]

    @property
    def dropped(self) -> int:
        """Bytes that went for lack of a consumer."""
        return self._words[_DROPPED]

    @property
    def generation(self) -> int:
        """How often the other end has begun anew, modulo 65536."""
        return self._words[_WORD] >> 48

    def __len__(self) -> int:
        return self.appended - self.taken

    def begin(self, identity: int, index: int) -> None:
        """Begin with a new ring, known by 64 bits of `identity`, whose first byte to come has this index."""
        generation = (self.generation + 1) % 65536
        slot = _RINGS + 2 * (generation % 2)
        self._words[slot] = identity
        self._words[slot + 1] = (index - self.appended) % _MODULUS
        self._words[_INPUT] = 0
        self._words[_WORD] = generation << 48 | self.appended

    def knows(self, identity: int) -> bool:
        """Tell whether this is the ring of the present generation."""
        return self.generation > 0 and self._words[self._slot()] == identity

    @property
    def index(self) -> int:
        """The ring's index up to which all its bytes are here."""
        return (self._words[self._slot() + 1] + self.appended) % _MODULUS

    def append(self, data: bytes) -> None:
        """Add what the guest has written, at most `limit` bytes; the oldest go where it does not fit."""
        excess = len(self) + len(data) - self.limit
        if excess > 0:
            self._words[_DROPPED] += excess
            self._words[_TAKEN] += excess
        start = self.appended % self.limit
        end = min(start + len(data), self.limit)
        split = end - start
        self._data[start:end] = data[:split]
        self._data[: len(data) - split] = data[split:]
        self._words[_WORD] += len(data)

    def peek(self, limit: int) -> bytes:
        """Copy up to `limit` of the oldest bytes."""
        count = min(len(self), limit)
        start = self.taken % self.limit
        end = min(start + count, self.limit)
        return bytes(self._data[start:end]) + bytes(self._data[: count - (end - start)])

    def take(self, count: int) -> None:
        """Remove the oldest bytes: they are delivered."""
        self._words[_TAKEN] += count

    def drop(self, count: int) -> None:
        """Count bytes, of which `take` will be told, as dropped."""
        self._words[_DROPPED] += count

    def mark_log(self, length: int) -> None:
        """Note how long the log is before the oldest bytes are appended to it."""
        self._words[_LOG] = 0
        self._words[_LOG_TAKEN] = self.taken
        self._words[_LOG] = length + 1

    def catch_up_with_log(self, length: int) -> None:
        """Take the bytes that a predecessor appended to a log that is so long now, told or not."""
        if self._words[_LOG]:
            written = max(0, length - (self._words[_LOG] - 1))
            self._words[_TAKEN] = min(self._words[_LOG_TAKEN] + written, self.appended)
            self._words[_LOG] = 0

    def keep_input(self, index: int, data: bytes) -> None:
        """Keep a block, at most 1024 bytes, that is to be put into the guest's ring at this index."""
        self._input[: len(data)] = data
        self._words[_INPUT] = index << 16 | len(data)

    def kept_input(self) -> tuple[int, bytes]:
        """Give the index and the block that was kept last; no bytes if none is."""
        word = self._words[_INPUT]
        return word >> 16, bytes(self._input[: word & 0xFFFF])

    def forget_input(self) -> None:
        """Let go of that block: it is in the ring."""
        self._words[_INPUT] = 0

    def _slot(self) -> int:
        return _RINGS + 2 * (self.generation % 2)
