"""A monitor's input, read as QEMU reads it: no I/O.

The facts are those of qemu: qobject/json-lexer.c (tokens, how it recovers), json-streamer.c (where a message
ends, limits) and json-parser.c (texts of errors).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from xenwire.qemu.qmp.session import MAX_NESTING, read_plain

__all__ = ["MAX_INPUT", "Fault", "Parser", "Value"]

MAX_INPUT: Final = 1024 * 1024
"""Bytes that a client's message may have; QEMU itself needs seconds for as many."""

_MAX_WORD: Final = 1024  # bytes of a number or keyword

_EXPONENT: Final = rb"[eE][-+]?[0-9]++(?=[^0-9])"
_FRACTION: Final = rb"\.[0-9]++(?:" + _EXPONENT + rb"|(?=[^0-9eE]))"
_WORDS: Final = (
    rb"[ \t\r\n]++"
    rb"|-?0(?:" + _FRACTION + rb"|(?=[^0-9.]))"
    rb"|-?[1-9][0-9]*+(?:" + _FRACTION + rb"|" + _EXPONENT + rb"|(?=[^0-9.eE]))"
    rb"|[a-z]++(?=[^a-z])"
)
"""Blanks, numbers and keywords; of the last two it takes the byte behind to know that they are whole."""
_STRINGS: Final = (
    rb'|"(?:[^"\\\x00-\x1f\xfe\xff]|\\[\x20-\xfd])*+"'
    rb"|'(?:[^'\\\x00-\x1f\xfe\xff]|\\[\x20-\xfd])*+'"
)
_INSIDE: Final = re.compile(rb"(?:" + _WORDS + _STRINGS + rb"|[,:])++")
"""All that neither opens nor closes a bracket."""
_TOKEN: Final = re.compile(rb"(?:" + _WORDS + _STRINGS + rb"|[,:])")
_BODIES: Final = {
    quote: re.compile(rb"(?:[^" + quote + rb"\\\x00-\x1f\xfe\xff]|\\[\x20-\xfd])*+") for quote in (b'"', b"'")
}
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
_PART_OF_EXPONENT: Final = rb"[eE][-+]?[0-9]*+"
_PART_OF_FRACTION: Final = rb"\.(?:[0-9]++(?:" + _PART_OF_EXPONENT + rb")?+)?+"
_UNFINISHED: Final = re.compile(
    rb"-?0(?:" + _PART_OF_FRACTION + rb")?+"
    rb"|-?[1-9][0-9]*+(?:" + _PART_OF_FRACTION + rb"|" + _PART_OF_EXPONENT + rb")?+"
    rb"|-|[a-z]++"
)
"""What a number or a keyword can begin with."""
_RESET: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\[\]{}:,\xfe\xff]")
"""What ends the skipping after an error."""
_BRACKETS: Final = {b"{": (1, 0), b"}": (-1, 0), b"[": (0, 1), b"]": (0, -1)}
_QUOTED: Final = re.compile(r"""\"((?:[^"\\]|\\.)*+)\"|'((?:[^'\\]|\\.)*+)'""")
_UNQUOTED_MARK: Final = re.compile(r"\\(.)|\"")
_SET_ASIDE: Final = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_NONCHARACTER: Final = re.compile(f"[\ud800-\udfff\ufdd0-\ufdef{_SET_ASIDE}]")
"""What QEMU takes for no character: surrogates, and those that Unicode has set aside for good."""
_KEYWORD: Final = re.compile("(?!(?:true|false|null)(?![a-z]))[a-z]+")
_TEXTS: Final = {
    "Expecting property name": "key is not a string in object",
    "Expecting ':'": "missing : in object pair",
    "Invalid \\escape": "invalid escape sequence in string",
    "Expecting value": "expecting value",
    "Illegal trailing comma": "expecting value",
}
"""How Python's errors begin, and how QEMU says the same."""


@dataclass(frozen=True, slots=True)
class Value:
    """A message: any JSON value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Fault:
    """What is no message; `description` is QEMU's text for it."""

    description: str


class Parser:
    """Cuts a client's bytes into messages, however they were split. Holds at most one partial message.

    Takes what QEMU takes: messages need no separator, strings may be in single quotes. After an error it goes
    on at the next bracket, comma, colon, control character or byte of value 0xFE or 0xFF.
    """

    def __init__(self, limit: int = MAX_INPUT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._reset()
        self._recovering = False

    def _reset(self) -> None:
        self._at = 0
        self._braces = 0
        self._squares = 0
        self._quote = b""
        self._word = 0  # where the token that is not whole begins

    def feed(self, data: bytes) -> None:
        """Take bytes. They are looked at by `next`."""
        self._buffer += data

    @property
    def unread(self) -> bool:
        """Whether there are bytes that `next` has not used."""
        return bool(self._buffer)

    def next(self) -> Value | Fault | None:
        """Give the next message or error, None if more bytes are needed for it."""
        buffer = self._buffer
        if self._recovering:
            found = _RESET.search(buffer)
            del buffer[: found.start() if found else len(buffer)]
            if not found:
                return None
            self._recovering = False
        if self._at == 0:
            self._skip_blanks()
            if not buffer:
                return None
            if buffer.startswith((b"{", b"[")) and (plain := read_plain(buffer, _DECODER)):
                value, self._at = plain
                self._cut()
                return Value(value)
        while self._at < len(buffer):
            if self._at > self._limit:
                return self._fault("JSON token size limit exceeded")
            if self._quote:
                if not self._end_string():
                    return self._partial_string()
            elif found := (_INSIDE if self._braces or self._squares else _TOKEN).match(buffer, self._at):
                self._at = found.end()
            elif (token := bytes(buffer[self._at : self._at + 1])) in _BRACKETS:
                braces, squares = _BRACKETS[token]
                self._at += 1
                self._braces += braces
                self._squares += squares
                if self._braces + self._squares > MAX_NESTING:
                    return self._fault("JSON nesting depth limit exceeded")
            elif token in _BODIES:
                self._quote, self._word = token, self._at
                self._at += 1
                continue
            else:
                return self._partial_word()
            if self._braces < 0 or self._squares < 0 or not (self._braces or self._squares):
                return _decode(self._cut())
        return None

    def _end_string(self) -> bool:
        """Go on in a string that is not whole; tell whether it is now."""
        self._at = _BODIES[self._quote].match(self._buffer, self._at).end()  # type: ignore[union-attr]
        if self._buffer[self._at : self._at + 1] != self._quote:
            return False
        self._at += 1
        self._quote = b""
        return True

    def _partial_string(self) -> Fault | None:
        rest = len(self._buffer) - self._at
        if rest == 0 or (rest == 1 and self._buffer[self._at] == ord("\\")):
            return self._too_long(len(self._buffer))
        stray = self._at + (2 if self._buffer[self._at] == ord("\\") else 1)
        return self._stray(self._word, stray)

    def _partial_word(self) -> Fault | None:
        found = _UNFINISHED.match(self._buffer, self._at)
        end = found.end() if found else self._at
        if end == len(self._buffer):
            return self._too_long(end, end - self._at > _MAX_WORD)
        return self._stray(self._at, end + 1)

    def _too_long(self, size: int, word: bool = False) -> Fault | None:
        if size > self._limit or word:
            self._at = size
            return self._fault("JSON token size limit exceeded")
        return None

    def _stray(self, start: int, end: int) -> Fault:
        token = bytes(self._buffer[start:end]).partition(b"\0")[0].decode(errors="replace")
        self._at = end
        self._recovering = True
        return self._fault(f"JSON parse error, stray '{token[:100]}'")

    def _fault(self, description: str) -> Fault:
        """Forget what was looked at."""
        self._cut()
        return Fault(description)

    def _skip_blanks(self) -> None:
        del self._buffer[: _BLANKS.match(self._buffer).end()]  # type: ignore[union-attr]  # it always matches

    def _cut(self) -> bytes:
        """Give what was looked at, and begin anew behind it."""
        raw = bytes(self._buffer[: self._at])
        del self._buffer[: self._at]
        if not self._recovering:
            self._skip_blanks()
        self._reset()
        return raw


def _decode(raw: bytes) -> Value | Fault:
    """Give the value of one message, or what is wrong with it."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return Fault("JSON parse error, invalid UTF-8 sequence in string")
    if "'" in text:
        text = _QUOTED.sub(_double_quoted, text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return Fault(f"JSON parse error, {_reason(text, error)}")
    except ValueError as error:
        return Fault(f"JSON parse error, {error}")
    if not text.isascii() or "\\u" in text:
        return _checked(value)
    return Value(value)


def _checked(value: Any) -> Value | Fault:
    """Refuse what QEMU takes for no character: it would answer without an id, and so nobody knew to whom."""
    if found := _NONCHARACTER.search(json.dumps(value, ensure_ascii=False)):
        return Fault(f"JSON parse error, \\u{ord(found[0]):04X} is not a valid Unicode character")
    return Value(value)


def _double_quoted(found: re.Match[str]) -> str:
    """Give a string of either kind as JSON has it."""
    body = found[1] if found[2] is None else found[2]

    def mark(part: re.Match[str]) -> str:
        return "'" if part[1] == "'" else part[0] if part[1] else '\\"'

    return f'"{_UNQUOTED_MARK.sub(mark, body)}"'


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate key")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("number out of range")  # JSON has no form in which the answer could repeat it
    return value


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"invalid keyword '{word}'")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_refuse)


def _reason(text: str, error: json.JSONDecodeError) -> str:
    """Say what is wrong as QEMU does."""
    if error.msg.startswith("Expecting ',' "):
        return f"expected separator in {_container(text, error.pos)}"
    if error.msg.startswith("Invalid \\uXXXX"):
        digits, quote, _ = text[error.pos : error.pos + 5].partition('"')
        return f"\\{digits}{quote} is not a valid Unicode character"
    start = error.pos if error.msg != "Extra data" else 0
    if (word := _KEYWORD.match(text, start)) and not error.msg.startswith("Invalid"):
        return f"invalid keyword '{word[0][:100]}'"
    if text[error.pos : error.pos + 1] in (*"]},:", ""):
        return "missing : in object pair" if error.msg.startswith("Expecting ':'") else "expecting value"
    return next((ours for theirs, ours in _TEXTS.items() if error.msg.startswith(theirs)), "expecting value")


def _container(text: str, at: int) -> str:
    """Give what is open at a place of a text: a dict or a list."""
    open_: list[str] = []
    for character in _QUOTED.sub("", text[:at]):
        if character in "{[":
            open_.append(character)
        elif character in "}]":
            open_.pop()
    return "dict" if open_[-1:] == ["{"] else "list"
