"""The escapes in xl.cfg's strings, as Xen 4.17 reads them.

There is no way to write a byte by its number: xl drops what looks like an octal escape and refuses `\\x`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["BadEscape", "Piece", "pieces"]

_ESCAPES: Final = {
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
_DROPPED: Final = re.compile(rb"[ \t\v\f\r]*[+-]?[0-9]+")
"""What the C library reads as a number in base ten."""
_BAD_DIGIT: Final = b"invalid digit after backslash %snumerical character escape in quoted string"
_WRITE_IT: Final = "write the character itself"


class BadEscape(ValueError):
    """An escape that xl refuses; `index` is that of its backslash in the body of the string.

    `xl` is what xl says (xen: tools/libs/util/libxlu_cfg.c).
    """

    def __init__(self, index: int, message: str, hint: str, xl: bytes) -> None:
        super().__init__(message)
        self.index = index
        self.message = message
        self.hint = hint
        self.xl = xl


class Piece(NamedTuple):
    """A part of a string: where in the body it is written, and what it stands for.

    A numeric escape stands for nothing: its `value` is empty.
    """

    at: int
    value: bytes


def pieces(body: bytes) -> Iterator[Piece]:
    """Take the body of a STRING token (without its quotes) apart at its escapes.

    Raises BadEscape.
    """
    position = 0
    while position < len(body):
        backslash = body.find(b"\\", position)
        if backslash < 0:
            yield Piece(position, body[position:])
            return
        if backslash > position:
            yield Piece(position, body[position:backslash])
        position, value = _escape(body, backslash)
        yield Piece(backslash, value)


def _escape(body: bytes, backslash: int) -> tuple[int, bytes]:
    """Give the end and the value of an escape."""
    letter = body[backslash + 1 : backslash + 2]
    if letter in _ESCAPES:
        return backslash + 2, _ESCAPES[letter]
    if b"0" <= letter <= b"7":
        # The digit after the backslash is no part of the number that xl reads and drops: at most three
        # bytes after it are, and at least two.
        number = _DROPPED.match(body, backslash + 2, backslash + 5)
        if number and len(number[0]) >= 2:
            return number.end(), b""
        raise BadEscape(backslash, "a numeric escape that xl refuses", _WRITE_IT, _BAD_DIGIT % b"octal")
    if letter == b"x":
        raise BadEscape(backslash, "xl refuses every \\x escape", _WRITE_IT, _BAD_DIGIT % b"hex")
    raise BadEscape(
        backslash,
        "an escape that xl does not know",
        "write \\\\ for a backslash",
        b"invalid character after backlash in quoted string",
    )
