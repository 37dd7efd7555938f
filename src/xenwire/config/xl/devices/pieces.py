"""What the items of the device lists have in common: `key=value` pieces between commas, and C's numbers.

xl splits an item at commas, where empty pieces vanish (xen: tools/xl/xl_parse.c). For most classes it then
drops the spaces (no other blanks) in front of each piece; a key has no blanks around it, and the last of
several equal ones counts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from xenwire.config.diagnostics import Report, Severity, shown
from xenwire.config.libxl.struct import Enumeration
from xenwire.config.numbers import INT64_MAX, INT64_MIN, int32, strtol, uint64
from xenwire.config.parser import Text
from xenwire.config.xl.reader import Reader, decoded

__all__ = ["Item", "Piece", "atoi", "items", "member", "strtoul"]

_UINT64_MAX: Final = 2**64 - 1
_LONGEST_WORD: Final = 40
"""The bytes of a word for which a similar one is looked for."""
_DIGITS: Final = {0: "digits (decimal, 0x hexadecimal, 0 octal)", 10: "decimal digits"}
"""What a number is made of, by its base."""
_CUT: Final = re.compile(rb"=*+([^=]++)=++([^=]++)")
"""A key and a value, as C's strtok cuts them at every `=`."""

_Member = TypeVar("_Member", bound=Enumeration)


class Piece(NamedTuple):
    """A part of an item between commas."""

    item: Item
    text: bytes
    at: int
    """The index in the item of the first byte of the key."""
    key: bytes
    """What is before the first `=`; all of it if there is none."""
    value: bytes
    value_at: int
    """The index in the item of the first byte of the value."""
    given: bool
    """Whether it is a `key=value`."""

    @property
    def string(self) -> str:
        """The value as text."""
        return decoded(self.value)

    def integer(self) -> int:
        """Read the value as C's atoi does: the decimal digits at its start, 0 if there are none."""
        number, _ = atoi(self.value)
        self._compare(number, 10)
        return number

    def unsigned(self, bits: int = 32) -> int:
        """Read the value as C's strtoul does with base 0, and keep so many bits of the number."""
        number = strtoul(self.value, 0)[0] & ((1 << bits) - 1)
        self._compare(number, 0)
        return number

    def required(self) -> int:
        """Read the value as `integer` does, but one without digits, or far too large, is an error."""
        number, length = strtoul(self.value, 10)
        if length and number != _UINT64_MAX:
            self._compare(int32(number), 10)
            return int32(number)
        self.item.error(
            self.value_at,
            f"not a number: {shown(self.text)}",
            "write decimal digits",
            xl=b'xl: failed to convert "%s" to number\n' % self.value,
        )
        return 0

    def switch(self, base: int) -> bool:
        """Read the value as a number of C (base 10: like `integer`, 0: `unsigned`): all but 0 is true."""
        number = bool(atoi(self.value)[0] if base else strtoul(self.value, base)[0])
        self._compare(number, base)
        return number

    def _compare(self, number: int, base: int) -> None:
        """Warn if the value is not just the number that xl makes of it."""
        exact, length = strtol(self.value, base)
        if not length or length != len(self.value):
            hint = f"xl reads the {_DIGITS[base]} at the start and overlooks the rest"
        elif number != exact and number is not True:
            hint = "the number does not fit"
        else:
            return
        self.item.warn(self.value_at, f"{shown(self.text)} counts as {int(number)}", hint)


class Item:
    """An item of a list of devices: its bytes, and a place in the file for each of them."""

    __slots__ = ("_offsets", "_report", "_text", "value")

    def __init__(self, text: Text, report: Report) -> None:
        self.value = text.value
        self._text = text
        self._report = report
        self._offsets: Sequence[int] | None = None

    def place(self, index: int) -> int:
        """Give the place in the file of a byte of the item."""
        if self._offsets is None:
            self._offsets = self._text.offsets()
        return self._offsets[index]

    def warn(
        self,
        index: int,
        message: str,
        hint: str | None = None,
        *,
        xl: bytes = b"",
        xl_status: int | None = None,
    ) -> None:
        """Add a warning at a byte of the item; see Report.warn."""
        self._report.warn(self.place(index), message, hint, xl=xl, xl_status=xl_status)

    def error(
        self, index: int, message: str, hint: str | None = None, *, xl: bytes = b"", xl_status: int = 1
    ) -> None:
        """Add an error at a byte of the item; see Report.error."""
        self._report.error(self.place(index), message, hint, xl=xl, xl_status=xl_status)

    def xl_prints(self, words: bytes) -> None:
        """Note what only xl has to say; see Report.xl_prints."""
        self._report.xl_prints(words)

    def suggestion(self, severity: Severity, word: bytes, words: Collection[str]) -> str | None:
        """Give a hint for a word that is none of `words`; None if nobody will read it."""
        if self._report.full(severity):
            return None
        close = difflib.get_close_matches(decoded(word[:_LONGEST_WORD].lower()), words, n=1)
        return f"did you mean {close[0]}?" if close else f"write one of {', '.join(words)}"

    def pieces(self) -> Iterator[Piece]:
        """Give the pieces, each split at its first `=`, without the spaces in front."""
        end = -1
        for text in self.value.split(b","):
            end += 1 + len(text)
            if text:
                text = text.lstrip(b" ")
                at = end - len(text)
                key, equals, value = text.partition(b"=")
                yield Piece(self, text, at, key, value, at + len(key) + 1, bool(equals))

    def trimmed(self, *, cut: bool) -> Iterator[Piece]:
        """Give the pieces with all blanks trimmed off their keys and values. One is a `key=value` if
        anything, be it blank, follows the `=`.

        With `cut`, as before Xen 4.18, a piece is cut at every `=` and no cut is empty, so that `path=/a=b`
        stands for `path=/a`. Else it is split at its first `=`.
        """
        end = -1
        for text in self.value.split(b","):
            start, end = end + 1, end + 1 + len(text)
            if not text:
                continue
            key, equals, value = text.partition(b"=")
            key_at, value_at = start, start + len(key) + 1
            if cut:
                match = _CUT.match(text)
                key, value = match.groups() if match else (text, b"")
                if match:
                    key_at, value_at = start + match.start(1), start + match.start(2)
            given = bool(equals and value)
            key_at += len(key) - len(key.lstrip())
            value_at += len(value) - len(value.lstrip())
            yield Piece(self, text, key_at, key.strip(), value.strip(), value_at, given)

    def parameters(self, keys: Collection[str], xl: bytes) -> Iterator[Piece]:
        """Give the pieces that are `key=value` with a known key. Every other one is an error, for which xl
        prints `xl` with the piece.
        """
        seen: set[bytes] = set()
        for piece in self.pieces():
            if piece.given and decoded(piece.key) in keys:
                self.note_repeated(piece, seen)
                yield piece
            else:
                self.refuse(piece, keys, xl=xl % piece.text)

    def pairs(self, keys: Collection[str], xl: bytes | None) -> Iterator[Piece]:
        """Give the pieces that are `key=value` with a known key, up to the first without `=`: xl overlooks it
        and all after it.

        An unknown key is an error, for which xl prints `xl` with the key, or overlooked if `xl` is None.
        """
        seen: set[bytes] = set()
        for piece in self.pieces():
            if not piece.given:
                self.warn(
                    piece.at,
                    f"not a key=value: {shown(piece.text)}",
                    "xl overlooks it and all that follows it in this item",
                )
                return
            if decoded(piece.key) in keys:
                self.note_repeated(piece, seen)
                yield piece
            elif xl is not None:
                self.refuse(piece, keys, xl=xl % piece.key)
            else:
                hint = self.suggestion(Severity.WARNING, piece.key, keys)
                self.warn(piece.at, f"unknown parameter {shown(piece.key)}, ignored", hint)

    def refuse(self, piece: Piece, keys: Collection[str], *, xl: bytes, xl_status: int = 1) -> None:
        """Report a piece that is no parameter as an error."""
        if piece.given:
            message = f"unknown parameter {shown(piece.key)}"
        else:
            message = f"not a key=value: {shown(piece.text)}"
        if decoded(piece.key) in keys:
            hint: str | None = f"write {decoded(piece.key)}=…"
        else:
            hint = self.suggestion(Severity.ERROR, piece.key, keys)
        self.error(piece.at, message, hint, xl=xl, xl_status=xl_status)

    def note_repeated(self, piece: Piece, seen: set[bytes]) -> None:
        """Warn of a key that was `seen` in this item before."""
        if piece.key in seen:
            self.warn(piece.at, f"{shown(piece.key)} is given again; the earlier one is ignored")
        seen.add(piece.key)


def items(reader: Reader, key: str) -> Iterator[Item]:
    """Give the items of a list of devices; none if it is not set."""
    for text in reader.texts(key) or ():
        yield Item(text, reader.report)


def member(enumeration: type[_Member], word: bytes) -> _Member | None:
    """Find the member that a word means, in small letters or capitals, as libxl does."""
    return enumeration.__members__.get(decoded(word.upper()))


def atoi(data: bytes) -> tuple[int, int]:
    """Read a C int as atoi does. Gives the number and the bytes that were read."""
    number, length = strtol(data, 10)
    return int32(max(INT64_MIN, min(number, INT64_MAX))), length


def strtoul(data: bytes, base: int) -> tuple[int, int]:
    """Read an unsigned number of 64 bits as C's strtoul does: a minus sign wraps, too large is the largest.
    Gives the number and the bytes that were read.
    """
    number, length = strtol(data, base)
    return (_UINT64_MAX if abs(number) > _UINT64_MAX else uint64(number)), length
