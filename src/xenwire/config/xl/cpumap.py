"""Sets of processors as xl reads them and libxl keeps them: bitmaps of a fixed width
(xen: tools/xl/xl_parse.c, tools/libs/light/libxl_utils.c).
"""

from __future__ import annotations

from typing import Final

from xenwire.config.xl.devices.pieces import strtoul

__all__ = ["ENDLESS", "MAX_VCPUS", "map_width", "members", "parse_range"]

MAX_VCPUS: Final = 65536
"""No more of them are read: xl stores a bit for each. Xen itself allows no domain more than 8192."""

ENDLESS: Final = 2**32
"""xl counts through a range; where the last number is so far from the first, practically for ever."""

_INVALID: Final = 2**64 - 1
"""The largest number stands for those that are too large."""


def parse_range(text: bytes) -> tuple[int, int, bool]:
    """Read `3` or `3-5`, decimal. Gives the first and the last number, and whether the text is a range.

    The numbers are what xl holds then, also if the text is none: some of its callers go on with them.
    """
    first, length = strtoul(text, 10)
    if not length or first == _INVALID:
        return first, first, False
    last = first
    if text[length : length + 1] == b"-":
        last, digits = strtoul(text[length + 1 :], 10)
        if not digits or last == _INVALID or last < first:
            return first, last, False
        length += 1 + digits
    return first, last, length == len(text)


def members(first: int, last: int, width: int) -> set[int]:
    """Give the bits that the numbers of a range stand for in a map of so many bits.

    A bit's number is a C int, so numbers from 2^32 on start again at 0; bits beyond the width are dropped.
    """
    start = first % 2**32
    end = start + min(last - first, ENDLESS) + 1
    return {*range(start, min(end, width)), *range(min(end - 2**32, width))}


def map_width(processors: int) -> int:
    """Give the width of a map of so many processors: whole bytes."""
    return (processors + 7) // 8 * 8
