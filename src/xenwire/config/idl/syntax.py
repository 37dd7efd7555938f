"""From the bytes of an interface file to its statements, safe to look at. Nothing is ever run.

Such a file has the shape of Python, so Python's parser reads it. But that parser can be made to use up its
stack. So it gets only what has been looked at before, word by word: no operators, no keywords, and few
brackets in each other, which is all that the language needs. Each statement is parsed alone, so that each can
tell of its own mistake.
"""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from xenwire.config.diagnostics import shown

__all__ = ["MAX_DEPTH", "SHAPE", "Refusal", "Statement", "statements"]

MAX_DEPTH: Final = 32
"""Brackets in each other; libxl's own files have up to 10."""
SHAPE: Final = 'such a file is not run: it has only NAME = TYPE(...), namespace("...") and hidden(True)'
"""The hint for what is Python but no interface."""

_MAX_DIGITS: Final = 40

_TOKEN: Final = re.compile(
    rb"""(?P<blank>[ \t\f]++|\\\r?\n|\#[^\n]*+)
    |(?P<newline>\r?\n)
    |(?P<string>[rRuU]?+(?:
        '''(?:[^'\\]|\\.|'(?!''))*+'''|\"""(?:[^"\\]|\\.|"(?!""))*+\"""
        |(?!'''|\""")(?:'(?:[^'\\\n]|\\\r\n|\\.)*+'|"(?:[^"\\\n]|\\\r\n|\\.)*+")))
    |(?P<number>(?:0[xX][0-9a-fA-F_]++|0[oO][0-7_]++|0[bB][01_]++|[0-9][0-9_]*+)(?!\w))
    |(?P<word>[A-Za-z_]\w*+)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<minus>-)
    |(?P<mark>[,=:;])
    |(?P<bad>['"][^\n]*+|[^'"\n][\x80-\xbf]*+)
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSED_BY: Final = {b"(": b")", b"[": b"]", b"{": b"}"}
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Refusal(Exception):
    """What is wrong with a statement, and where: an offset into the file."""

    def __init__(self, offset: int, message: str, hint: str | None = SHAPE) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of the file: `text` is that of its lines, those indented below it too.

    `start` is its place, the offset of a line; `refusal` is what its words already tell against it.
    """

    start: int
    text: bytes
    refusal: Refusal | None

    def parse(self) -> list[ast.stmt]:
        """Give what Python's parser makes of it: several statements if semicolons part them.

        Raises Refusal.
        """
        if self.refusal:
            raise self.refusal
        try:
            with warnings.catch_warnings(action="ignore"):  # of unknown escapes in strings
                return ast.parse(self.text.decode()).body
        except SyntaxError as error:
            line = self._line(error.lineno or 1)
            before = self.text[line:].decode()[: max(0, (error.offset or 1) - 1)]
            place = self.start + line + len(before.encode())
            raise Refusal(place, f"this is no Python: {error.msg}", None) from error
        except (ValueError, MemoryError, RecursionError) as error:
            raise Refusal(self.start, "this is too much for Python's parser") from error

    def offset(self, node: ast.stmt | ast.expr | ast.keyword) -> int:
        """Give the place of a node in the file."""
        return self.start + self._line(node.lineno) + node.col_offset

    def _line(self, number: int) -> int:
        start = 0
        for _ in range(number - 1):
            start = self.text.find(b"\n", start) + 1
        return start


def statements(data: bytes) -> Iterator[Statement]:
    """Give the statements of a file in UTF-8, without NUL and without lone carriage returns."""
    words = _Words()
    start: int | None = None
    line: int | None = 0  # where the line starts that has no word yet; None within a statement's line
    for token in _TOKEN.finditer(data):
        match token.lastgroup:
            case "blank":
                continue
            case "newline":
                if not words.brackets:
                    line = token.end()
                    words.previous = None
                continue
        if line is not None:
            indented = data[line : token.start()].rpartition(b"\f")[2]  # a form feed starts the line anew
            if start is None:
                start = line
            elif not indented:
                yield Statement(start, data[start:line], words.verdict())
                start, words = line, _Words()
            if indented:
                words.refuse(token, "this line is indented", "statements start at the margin")
            line = None
        words.take(token)
    if start is not None:
        yield Statement(start, data[start:], words.verdict())


class _Words:
    """The words of one statement, and the first that does not fit."""

    def __init__(self) -> None:
        self.brackets: list[re.Match[bytes]] = []
        self.previous: str | None = None
        self._refusal: Refusal | None = None

    def verdict(self) -> Refusal | None:
        """Tell what is wrong with the statement, now that it has ended."""
        if self.brackets:
            self.refuse(self.brackets[-1], "this bracket is not closed", None)
        return self._refusal

    def take(self, token: re.Match[bytes]) -> None:
        """Look at the next word."""
        text = token[0]
        match token.lastgroup:
            case "bad":
                self._bad(token)
            case "number" if len(text) > _MAX_DIGITS:
                self.refuse(token, "a number with too many digits", None)
            case "word" if token.string[token.end() : token.end() + 1] in (b'"', b"'"):
                self.refuse(token, f"a string with the prefix {shown(text)}", "write plain strings")
            case "word" if keyword.iskeyword(text.decode()) and text not in (b"True", b"False", b"None"):
                self.refuse(token, f"unexpected {shown(text)}")
            case "minus" if self.previous in ("word", "number", "string", "close", "minus"):
                self.refuse(token, "unexpected -: there is no arithmetic")
            case "open":
                self._open(token)
            case "close" if not self.brackets or _CLOSED_BY[self.brackets.pop()[0]] != text:
                self.refuse(token, "a closing bracket without its opening one", None)
        self.previous = token.lastgroup

    def refuse(self, token: re.Match[bytes], message: str, hint: str | None = SHAPE) -> None:
        """Remember what is wrong with a word, if it is the first."""
        self._refusal = self._refusal or Refusal(token.start(), message, hint)

    def _open(self, token: re.Match[bytes]) -> None:
        if self.previous == "close":  # of these Python nests any number without a bracket in another
            self.refuse(token, "a bracket right after another")
        if len(self.brackets) == MAX_DEPTH:
            self.refuse(token, f"more than {MAX_DEPTH} brackets in each other", None)
        self.brackets.append(token)

    def _bad(self, token: re.Match[bytes]) -> None:
        text = token[0]
        if text[:1] in (b'"', b"'"):
            self.refuse(token, "this string is not closed", None)
        elif text == b"." and self.previous in ("word", "close"):
            self.refuse(token, "unexpected .: there are no attributes")
        elif text == _BYTE_ORDER_MARK:
            self.refuse(token, "a byte order mark", "save the file as UTF-8 without one")
        else:
            self.refuse(token, f"unexpected {shown(text)}")
