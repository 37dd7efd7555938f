"""Numbers as C reads and stores them. Pure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["INT64_MAX", "INT64_MIN", "int32", "strtol", "uint32", "uint64"]

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)

_BLANKS: Final = rb"[ \t\n\v\f\r]*([+-]?)"
_SHAPES: Final = {
    0: re.compile(_BLANKS + rb"(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)"),
    10: re.compile(_BLANKS + rb"([0-9]+)"),
    16: re.compile(_BLANKS + rb"((?:0[xX])?[0-9a-fA-F]+)"),
}
_LONGEST: Final = 32
"""Significant digits: a number with more is out of every range, whatever it is."""


def strtol(data: bytes, base: int = 0) -> tuple[int, int]:
    """Read a number at the start of `data`, as C's strtol does with base 0, 10 or 16.

    Blanks and a sign may precede it. Gives the number and the bytes read, (0, 0) if there is none. A number
    out of C's range is given as it is, one that is absurdly long as some number out of every range.
    """
    match = _SHAPES[base].match(data)
    if match is None:
        return 0, 0
    sign, digits = match.groups()
    if base != 10 and digits[:2] in (b"0x", b"0X"):
        digits, base = digits[2:], 16
    elif base == 0:
        base = 8 if digits.startswith(b"0") else 10
    significant = digits.lstrip(b"0") or b"0"
    number = int(significant, base) if len(significant) <= _LONGEST else 1 << 4 * _LONGEST
    return (-number if sign == b"-" else number), match.end()


def int32(number: int) -> int:
    """Store a number in a C int: what does not fit is cut off."""
    return (number + 2**31) % 2**32 - 2**31


def uint32(number: int) -> int:
    """Store a number in a uint32_t: what does not fit is cut off."""
    return number % 2**32


def uint64(number: int) -> int:
    """Store a number in a uint64_t: what does not fit is cut off."""
    return number % 2**64
