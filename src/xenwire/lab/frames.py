"""The wire format between a lab's host and the agent in its dom0. Pure, and nothing but the standard library:
the agent takes this file along into dom0.

A stream (a virtio-serial port, a Unix socket) serves one session after another, and may still hold bytes of
an earlier one. So the host begins with a sync: `MARKER` and a nonce of 16 random bytes. The agent drops what
it was doing, and answers with the same 32 bytes. Each side throws away what comes before.

Frames follow: a byte of `Kind`, the length of the payload (4 bytes, big-endian, at most `MAX_PAYLOAD`), the
payload. The marker never occurs in a frame: data that have it are sent in pieces too short for it. So a
marker is a new sync wherever it comes, also where a frame was broken off. After a sync:

    host    EXEC, then STDIN as far as there is room, STDIN_EOF, SIGNAL, RESIZE, END
    agent   STDOUT and STDERR, STDIN_ROOM, at last EXIT; or ERROR: the command could not be started
    host    the next EXEC, or SET_CLOCK, which the agent answers with CLOCK_SET or ERROR

The host may send `WINDOW` bytes of STDIN, and as many more as STDIN_ROOM says: the agent always reads, so
that SIGNAL and END come through to a command that does not take its input.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from typing import Any, Final, NamedTuple

__all__ = [
    "MARKER",
    "MAX_PAYLOAD",
    "NONCE_SIZE",
    "WINDOW",
    "Broken",
    "Command",
    "Decoder",
    "Frame",
    "Item",
    "Kind",
    "Refusal",
    "Sync",
    "Tty",
    "encode",
    "encode_data",
    "encode_numbers",
    "numbers",
]

MARKER: Final = bytes.fromhex("f8e2d7b69c85a3c1f4de91cab0e88fd5")
"""All bytes are over 0x7F, so no marker holds a frame's first byte; the first one occurs once, so no two
markers overlap."""

NONCE_SIZE: Final = 16

_HEADER: Final = struct.Struct("!BI")

MAX_PAYLOAD: Final = (1 << 16) - _HEADER.size
"""Bytes: a whole frame has 64 KiB, which Linux's virtio_console sends in two pieces."""

WINDOW: Final = 1 << 18
"""Bytes of STDIN that the agent takes before the command has taken any."""


class Kind(IntEnum):
    """What a frame says. Numbers in payloads are 8 bytes, signed, big-endian."""

    EXEC = 1
    """A `Command`."""
    STDIN = 2
    """Bytes for the command. Without a command they are late, and thrown away; so are the next four kinds."""
    STDIN_EOF = 3
    """There are no more."""
    SIGNAL = 4
    """A signal's number, for the command's process group."""
    RESIZE = 5
    """Rows and columns of its terminal."""
    END = 6
    """End the command: SIGTERM, SIGHUP and SIGCONT, then SIGKILL. EXIT follows as ever."""
    SET_CLOCK = 7
    """Nanoseconds since 1970, UTC."""
    STDOUT = 64
    STDERR = 65
    STDIN_ROOM = 66
    """How many more bytes of STDIN may be sent."""
    EXIT = 67
    """The command's status, or minus the signal that killed it; once, after all its output."""
    ERROR = 68
    """A `Refusal`: the request had no effect."""
    CLOCK_SET = 69


_LONGEST_GRACE: Final = 3600.0  # seconds

_KINDS: Final = {int(kind): kind for kind in Kind}


class Frame(NamedTuple):
    """A frame came."""

    kind: Kind
    payload: bytes


class Sync(NamedTuple):
    """A new session begins, or (to the host) has begun."""

    nonce: bytes


class Broken(NamedTuple):
    """What came is no frame. All up to the next sync is thrown away."""

    reason: str


Item = Frame | Sync | Broken


class Decoder:
    """Takes a stream apart, however it is cut. At first, and after `Broken`, it looks for a sync.

    It keeps at most a frame and what `feed` was given.
    """

    def __init__(self) -> None:
        self._tail = b""  # the last bytes, in which a marker may have begun
        self._buffer = bytearray()
        self._hunting = True
        self._wants_nonce = False

    def feed(self, data: bytes) -> list[Item]:
        """Add received bytes, and give what has become complete."""
        items: list[Item] = []
        window = self._tail + data
        taken = len(self._tail)
        while (found := window.find(MARKER)) >= 0:
            end = found + len(MARKER)
            self._take(window[taken : end - 1], items)
            self._buffer.clear()
            self._hunting, self._wants_nonce = False, True
            window, taken = window[end:], 0
        self._take(window[taken:] if taken else window, items)
        self._tail = window[1 - len(MARKER) :]
        return items

    def _take(self, data: bytes, items: list[Item]) -> None:
        if self._hunting:
            return
        buffer = self._buffer
        buffer += data
        start = 0
        if self._wants_nonce:
            if len(buffer) < NONCE_SIZE:
                return
            items.append(Sync(bytes(buffer[:NONCE_SIZE])))
            self._wants_nonce = False
            start = NONCE_SIZE
        while len(buffer) - start >= _HEADER.size:
            number, length = _HEADER.unpack_from(buffer, start)
            kind = _KINDS.get(number)
            if kind is None or length > MAX_PAYLOAD:
                if MARKER.startswith(buffer[start:]):
                    break
                items.append(Broken(f"frame of kind {number} with {length} bytes"))
                self._hunting = True
                buffer.clear()
                return
            end = start + _HEADER.size + length
            if len(buffer) < end:
                break
            items.append(Frame(kind, bytes(buffer[start + _HEADER.size : end])))
            start = end
        del buffer[:start]


def encode(kind: Kind, payload: bytes = b"") -> bytes:
    """Give a frame whose payload is no arbitrary data. Raises ValueError if it is too long."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
    return _HEADER.pack(kind, len(payload)) + payload


def encode_data(kind: Kind, data: bytes) -> bytes:
    """Give at most `MAX_PAYLOAD` bytes of any data as a frame, or as several where they have the marker."""
    frame = encode(kind, data)
    if MARKER not in frame:  # nor may it begin in the header
        return frame
    size = len(MARKER) - 1
    return b"".join(encode(kind, data[start : start + size]) for start in range(0, len(data), size))


def encode_numbers(kind: Kind, *values: int) -> bytes:
    """Give a frame of numbers."""
    return encode(kind, struct.pack(f"!{len(values)}q", *values))


def numbers(payload: bytes, count: int) -> tuple[int, ...]:
    """Give the numbers of a payload. Raises ValueError unless there are `count`."""
    if len(payload) != 8 * count:
        raise ValueError(f"{len(payload)} bytes where {count} numbers are expected")
    return struct.unpack(f"!{count}q", payload)


class Tty(NamedTuple):
    """The terminal that a command shall have."""

    rows: int
    cols: int
    term: str
    """Its TERM."""


class Command(NamedTuple):
    """What to run. Texts may hold any bytes but NUL, as os.fsdecode gives them."""

    argv: tuple[str, ...]
    env: dict[str, str]
    """Added to the agent's own environment."""
    cwd: str | None
    """None: the agent's own."""
    tty: Tty | None
    kill_after: float
    """Seconds between SIGTERM and SIGKILL, when it is to end."""

    def encode(self) -> bytes:
        """Give the EXEC frame. Raises ValueError if it is too long, or nothing that can be run."""
        fields = {**self._asdict(), "tty": self.tty and self.tty._asdict()}
        payload = json.dumps(fields).encode("ascii")
        self.parse(payload)
        return encode(Kind.EXEC, payload)

    @classmethod
    def parse(cls, payload: bytes) -> Command:
        """Read an EXEC frame. Raises ValueError."""
        fields = _object(payload)
        try:
            tty = fields["tty"]
            command = cls(
                tuple(_text(word) for word in fields["argv"]),
                {_text(name): _text(value) for name, value in fields["env"].items()},
                None if fields["cwd"] is None else _text(fields["cwd"]),
                Tty(int(tty["rows"]), int(tty["cols"]), _text(tty["term"])) if tty else None,
                float(fields["kill_after"]),
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"malformed command: {error!r}") from error
        if not command.argv or not command.argv[0]:
            raise ValueError("there is no command")
        if not 0 <= command.kill_after <= _LONGEST_GRACE:
            raise ValueError(f"a grace of {command.kill_after} s")
        return command


class Refusal(NamedTuple):
    """Why a request had no effect."""

    errno: int
    """As in errno(3); 0: none fits."""
    text: str

    def encode(self) -> bytes:
        """Give the ERROR frame; the text is cut to 1000 characters."""
        fields = {"errno": self.errno, "text": self.text[:1000]}
        return encode(Kind.ERROR, json.dumps(fields).encode("ascii"))

    @classmethod
    def parse(cls, payload: bytes) -> Refusal:
        """Read an ERROR frame. Raises ValueError."""
        fields = _object(payload)
        errno, text = fields.get("errno"), fields.get("text")
        if type(errno) is not int or not isinstance(text, str):
            raise ValueError("malformed refusal")
        return cls(errno, text)


def _object(payload: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(payload)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    return fields


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"not a text without NUL: {value!r}")
    return value
