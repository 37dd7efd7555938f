"""QMP as bytes and messages: no I/O, no clock.

Messages are JSON objects, one after the other (qemu: docs/interop/qmp-spec.txt). QEMU ends each with
CR LF, but with `pretty=on` one spans many lines, so they are told apart by their brackets, not by lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from xenwire.errors import ProtocolError

__all__ = [
    "MAX_MESSAGE",
    "MAX_NESTING",
    "Command",
    "ErrorReply",
    "Event",
    "Greeting",
    "Message",
    "QmpSession",
    "Reply",
    "Synchronised",
    "Version",
    "read_plain",
]

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""Bytes that a message from QEMU may have. Its largest, the reply to `query-qmp-schema`, has 200 kB."""

MAX_NESTING: Final = 256
"""Brackets that may be open at once in a message from QEMU."""


class Version(NamedTuple):
    """QEMU's version. `package` is the distributor's own, and may be empty."""

    major: int
    minor: int
    micro: int
    package: str

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.micro}" + (f" ({self.package})" if self.package else "")

    @classmethod
    def parse(cls, value: Any) -> Version:
        """Read the `version` of a greeting, or what `query-version` returns. Raises ProtocolError."""
        match value:
            case {
                "qemu": {"major": int(major), "minor": int(minor), "micro": int(micro)},
                "package": str(package),
            }:
                return cls(major, minor, micro, package.strip())
        raise ProtocolError("QEMU told a version of no known form", reason=_excerpt(json.dumps(value)))


@dataclass(frozen=True, slots=True)
class Greeting:
    """The first message of a connection."""

    version: Version
    capabilities: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reply:
    """A command succeeded. `id` is the command's, any JSON value; None if it had none."""

    id: Any
    value: Any


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """A command failed. QEMU gives no id where it could not make out the command at all: `id` is None."""

    id: Any
    error_class: str
    description: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened in QEMU. `timestamp` is in seconds since the epoch; -1 if QEMU had no clock."""

    name: str
    data: Mapping[str, Any]
    timestamp: float


@dataclass(frozen=True, slots=True)
class Synchronised:
    """The peer answered a resync: from here on both ends agree where messages start.

    `fresh`: capabilities are negotiated just now; else they already were, by a previous client.
    """

    fresh: bool


Message = Greeting | Reply | ErrorReply | Event | Synchronised


class Command(NamedTuple):
    """A command as it is sent, and the id that its reply will carry."""

    id: str
    data: bytes


class QmpSession:
    """The client's side of one QMP connection.

    Ids are `PREFIX-1`, `PREFIX-2`, …. On a transport that outlives its clients (pty, pipe, serial), where
    replies to a previous client may still come, the prefix has to differ from theirs.
    """

    def __init__(self, prefix: str = "xenwire", *, max_message: int = MAX_MESSAGE) -> None:
        self._prefix = prefix
        self._commands = 0
        self._max_message = max_message
        self._reader = _Reader(max_message)
        self._sync_id: str | None = None
        self._skipping = False
        self._line_ended = True

    def command(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, out_of_band: bool = False
    ) -> Command:
        """Encode a command under a new id. `out_of_band`: one that does not wait for those before it.

        Raises TypeError or ValueError for arguments that JSON or UTF-8 has no form for.
        """
        self._commands += 1
        command_id = f"{self._prefix}-{self._commands}"
        body: dict[str, Any] = {"exec-oob" if out_of_band else "execute": name, "id": command_id}
        if arguments:
            body["arguments"] = arguments
        text = _ENCODER.encode(body)
        return Command(command_id, text.encode() + b"\r\n")

    def resync(self) -> bytes:
        """Give the bytes that bring the peer's parser, in whatever state, back to a known one.

        A byte that is illegal in JSON makes it drop a half command; then capabilities are negotiated.
        Until `Synchronised` comes, all messages are dropped, and so is what is none.
        """
        self._sync_id, data = self.command("qmp_capabilities")
        self._reader = _Reader(self._max_message)
        self._skipping = False
        self._line_ended = True
        return b"\xff\n" + data

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield every message that is complete with `data`; the iterator must be run to its end.

        Raises ProtocolError at anything that is no QMP message, at more than MAX_MESSAGE bytes or
        MAX_NESTING open brackets: the stream is lost.
        """
        pieces = [data] if self._sync_id is None else _LINE_START.split(data)
        for piece in pieces:
            if self._sync_id is None:
                yield from map(_message, self._reader.read(piece))
            else:
                yield from self._hunt(piece)

    def _hunt(self, piece: bytes) -> Iterator[Message]:
        """Look for the answer to the resync. A `{` that begins a line begins a message in any case."""
        if self._line_ended and piece.startswith(b"{"):
            self._reader = _Reader(self._max_message)
            self._skipping = False
        self._line_ended = piece.endswith(b"\n") if piece else self._line_ended
        if self._skipping:
            return
        try:
            for message in map(_message, self._reader.read(piece)):
                if self._sync_id is None:
                    yield message
                elif isinstance(message, Reply | ErrorReply) and message.id == self._sync_id:
                    self._sync_id = None
                    yield Synchronised(fresh=isinstance(message, Reply))
        except ProtocolError:
            if self._sync_id is None:
                raise
            self._skipping = True


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""Gives the shortest form: QEMU reads a monitor byte by byte."""
_DECODER: Final = json.JSONDecoder()
_LINE_START: Final = re.compile(rb"(?<=\n)(?=\{)")
_MAX_PLAIN: Final = 2 * MAX_NESTING  # what is no longer cannot be nested too deep
_BLANKS: Final = b" \t\r\n"
_OPEN: Final = ord("{")
_BRACKETS: Final = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_BRACKET_OR_STRING: Final = re.compile(rb'[{}\[\]]|"(?:[^"\\]|\\.)*+"|"', re.DOTALL)
_QUOTE_OR_BACKSLASH: Final = re.compile(rb'["\\]')


def read_plain(buffer: bytearray, decoder: json.JSONDecoder) -> tuple[Any, int] | None:
    """Give the object that a buffer begins with and where it ends, if it is short, plain and whole.

    Most messages are, and the decoder finds their end by itself in a fraction of the time that looking for
    it takes. None is no verdict: it may be whole all the same, or wrong.
    """
    if len(buffer) > _MAX_PLAIN or b"\\" in buffer or not buffer.isascii():
        return None
    try:
        return decoder.raw_decode(buffer.decode("ascii"))
    except ValueError:
        return None


class _Reader:
    """Reads a byte stream as JSON objects, however it was split. Holds at most one partial object."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._scanned = 0
        self._depth = 0
        self._in_string = False

    def read(self, data: bytes) -> Iterator[Any]:
        """Yield every object that is complete with `data`. Raises ProtocolError, see `QmpSession.feed`."""
        buffer = self._buffer
        buffer += data
        while self._begin():
            if self._scanned == 0 and (plain := read_plain(buffer, _DECODER)):
                value, end = plain
            elif end := self._scan():
                value = _loads(bytes(buffer[:end]))
                self._scanned = 0
            else:
                break
            del buffer[:end]
            self._check_size(end)
            yield value
        self._check_size(len(buffer))

    def _begin(self) -> bool:
        """Skip blanks between objects; tell whether there is more."""
        buffer = self._buffer
        if self._depth == 0:
            del buffer[: len(buffer) - len(buffer.lstrip(_BLANKS))]
            if buffer and buffer[0] != _OPEN:
                raise ProtocolError(
                    "QEMU sent what is no QMP message", reason=_excerpt(buffer[:101].decode(errors="replace"))
                )
        return bool(buffer)

    def _scan(self) -> int:
        """Give where the first object in the buffer ends, 0 while it is not whole."""
        buffer = self._buffer
        at = self._scanned
        while found := (_QUOTE_OR_BACKSLASH if self._in_string else _BRACKET_OR_STRING).search(buffer, at):
            token, at = found[0], found.end()
            if token in _BRACKETS:
                self._depth += _BRACKETS[token]
                if self._depth == 0:
                    return at
                if self._depth > MAX_NESTING:
                    raise ProtocolError(
                        "QEMU sent a message nested too deep",
                        reason=f"at most {MAX_NESTING} levels are taken",
                    )
            elif token == b"\\":
                at += 1  # over the character behind it, which may not be there yet
            elif token == b'"':  # else it is a string that is whole
                self._in_string = not self._in_string
        self._scanned = max(at, len(buffer))
        return 0

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise ProtocolError(
                "QEMU sent too long a message", reason=f"at most {self._limit} bytes are taken"
            )


def _loads(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode())
    except ValueError as error:
        raise ProtocolError(
            "QEMU sent a message that is no JSON", reason=_excerpt(raw.decode(errors="replace"))
        ) from error


def _message(value: Any) -> Message:
    """Give the message that a JSON object is. Raises ProtocolError."""
    match value:
        case {"QMP": {"version": version, "capabilities": list(capabilities)}}:
            return Greeting(Version.parse(version), frozenset(map(str, capabilities)))
        case {"return": result}:
            return Reply(value.get("id"), result)
        case {"error": {"class": str(error_class), "desc": str(description)}}:
            return ErrorReply(value.get("id"), error_class, description)
        case {
            "event": str(name),
            "timestamp": {"seconds": int(seconds), "microseconds": int(microseconds)},
        } if isinstance(data := value.get("data", {}), dict):
            with suppress(OverflowError):
                return Event(name, data, seconds + microseconds / 1_000_000)
    raise ProtocolError("QEMU sent a message of no known kind", reason=_excerpt(json.dumps(value)))


def _excerpt(text: str) -> str:
    return repr(text[:100]) + ("…" if len(text) > 100 else "")
