"""The tokens of a disk's item (xen: tools/libs/util/libxlu_disk_l.l).

At each place several forms may fit; that with the longest match wins, of equally long ones the first. For
some forms what must follow them counts as a part of the match, but is not taken.
"""

from __future__ import annotations

import enum
import operator
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["DEPRECATED_PREFIXES", "FLAGS", "PARAMETERS", "TRUST_FLAGS", "DiskForm", "DiskToken", "scan_disk"]

PARAMETERS: Final = (
    b"format", b"vdev", b"access", b"devtype", b"script", b"backend", b"backendtype", b"specification",
    b"colo-host", b"colo-port", b"colo-export", b"active-disk", b"hidden-disk",
)  # fmt: skip
"""Their values run to the next comma."""
FLAGS: Final = frozenset({b"cdrom", b"direct-io-safe", b"discard", b"no-discard", b"colo", b"no-colo"})
TRUST_FLAGS: Final = frozenset({b"trusted", b"untrusted", b"grant_usage=0", b"grant_usage=1"})
"""Flags that xl knows from Xen 4.19 on."""
DEPRECATED_PREFIXES: Final = frozenset(
    {
        b"raw", b"qcow", b"qcow2", b"vhd", b"iscsi", b"nbd", b"enbd", b"drbd",
        b"tapdisk", b"tap", b"tap2", b"aio", b"ioemu", b"file", b"phy",
    }
)  # fmt: skip
"""Words before a colon that once said how to reach the target."""

_BLANKS: Final = re.compile(rb"[ \t\n]+")
_NAME: Final = re.compile(rb"[a-z][-a-z0-9_]*")
_REACH: Final = operator.itemgetter(0)
_PLAIN: Final = re.compile(rb"[a-z][a-z0-9]*")


class DiskForm(enum.Enum):
    """What a token is."""

    PARAMETER = enum.auto()
    """`name=value` with a known name, and the comma after it."""
    FLAG = enum.auto()
    """A known word, and the comma after it."""
    TARGET = enum.auto()
    """`target=` and the rest of the line, commas included."""
    UNKNOWN = enum.auto()
    """`name=` with another name and one byte of the value, with a comma if that is the next byte."""
    PREFIX = enum.auto()
    """A deprecated prefix with its colon."""
    UNKNOWN_PREFIX = enum.auto()
    """Another word and a colon, followed by what starts no word."""
    POSITIONAL = enum.auto()
    """Anything else without a `=`, and the comma after it."""
    BAD = enum.auto()
    """A `=` and the rest of the line."""


class DiskToken(NamedTuple):
    """A token: its bytes, and the index of the first one."""

    form: DiskForm
    text: bytes
    at: int


_Match = tuple[int, int, DiskForm | None]
"""Where a match ends with what must follow it, where the token ends, and the form; None for blanks."""


def scan_disk(value: bytes, *, trust_flags: bool) -> Iterator[DiskToken]:
    """Give the tokens, blanks between them left out; of their texts nothing is cut off. Takes linear time."""
    return _Scanner(value, FLAGS | TRUST_FLAGS if trust_flags else FLAGS).tokens()


class _Scanner:
    def __init__(self, value: bytes, flags: frozenset[bytes]) -> None:
        self._value = value
        self._flags = flags
        self._stops: dict[bytes, int] = {}
        """The next place of a byte, as far as that has been looked for."""

    def tokens(self) -> Iterator[DiskToken]:
        value = self._value
        at = 0
        while at < len(value):
            matches = self._matches(at)
            _, end, form = max(matches, key=_REACH) if len(matches) > 1 else matches[0]
            if form is not None:
                yield DiskToken(form, value[at:end], at)
            at = end

    def _matches(self, at: int) -> list[_Match]:
        """Give all forms that fit at a place, at least one, in the order of their precedence."""
        matches: list[_Match] = []
        if blanks := _BLANKS.match(self._value, at):
            end = blanks.end()
            matches.append((self._next(b"\n", end), end, None))
        elif name := _NAME.match(self._value, at):
            matches += self._named(name.group(), at, name.end())
        stop = self._with_comma(min(self._next(b",", at), self._next(b"=", at)))
        if stop > at:
            matches.append((stop, stop, DiskForm.POSITIONAL))
        else:
            end = self._next(b"\n", at)
            matches.append((end, end, DiskForm.BAD))
        return matches

    def _named(self, name: bytes, at: int, end: int) -> Iterator[_Match]:
        """Give the forms that fit a name, which goes from `at` to `end`."""
        value = self._value
        following = value[end : end + 1]
        if following == b"=":
            if name == b"target":
                stop = self._next(b"\n", at)
                yield stop, stop, DiskForm.TARGET
            elif name in PARAMETERS:
                stop = self._with_comma(self._next(b",", at))
                yield stop, stop, DiskForm.PARAMETER
            if b"_" not in name and value[end + 1 : end + 2] not in (b"", b","):
                stop = self._with_comma(end + 2)
                yield stop, stop, DiskForm.UNKNOWN
        for flag in (name, value[at : end + 2]):
            if flag in self._flags:
                stop = self._with_comma(at + len(flag))
                yield stop, stop, DiskForm.FLAG
        if following == b":" and _PLAIN.fullmatch(name):
            colon = end + 1
            if name in DEPRECATED_PREFIXES:
                yield self._next(b"\n", at), colon, DiskForm.PREFIX
            beyond = value[colon : colon + 1]
            starts_word = beyond.isdigit() or beyond.islower()
            reach = colon if starts_word or not beyond else self._next(b"\n", colon + 1)
            yield reach, colon, DiskForm.UNKNOWN_PREFIX

    def _with_comma(self, end: int) -> int:
        return end + 1 if self._value[end : end + 1] == b"," else end

    def _next(self, byte: bytes, at: int) -> int:
        """Give the next place of a byte, or the end. Places are asked for in rising order."""
        stop = self._stops.get(byte, -1)
        if stop < at:
            stop = self._value.find(byte, at)
            stop = self._stops[byte] = stop if stop >= 0 else len(self._value)
        return stop
