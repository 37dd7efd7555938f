"""The grammar of xl.cfg: settings with their places, whatever the keys mean.

    file      = { statement ( NEWLINE | ";" ) }
    statement = IDENT ( "=" | "+=" ) value
    value     = STRING | NUMBER | list
    list      = "[" [ value { "," value } [ "," ] ] "]"      (NEWLINE allowed before any of its tokens)

What Xen 4.17's xl accepts is accepted, what it refuses is refused. After an error the parser goes on at the
next line that starts a statement, so one run finds the errors of several statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from xenwire.config import explain
from xenwire.config.diagnostics import Report, shown
from xenwire.config.explain import Expected
from xenwire.config.scanner import Token, TokenKind, scan
from xenwire.config.strings import BadEscape, pieces
from xenwire.config.xl_syntax import XlStack

__all__ = ["Items", "Setting", "Text", "Value", "parse_settings"]


@dataclass(frozen=True, slots=True)
class Text:
    """A single value. `512` and `"512"` are the same."""

    value: bytes
    written: bytes
    """The token, with quotes and escapes; empty if `+=` joined several."""
    start: int
    """The offset of the token in the file."""

    def offsets(self) -> Sequence[int]:
        """Give the place in the file of each byte of the value, and that of its end."""
        if not self.written:
            return [self.start] * (len(self.value) + 1)
        if self.written == self.value:
            return range(self.start, self.start + len(self.value) + 1)
        body = self.start + 1
        if len(self.written) == len(self.value) + 2:
            return range(body, body + len(self.value) + 1)
        places = [
            body + piece.at + index
            for piece in pieces(self.written[1:-1])
            for index in range(len(piece.value))
        ]
        return [*places, self.start + len(self.written) - 1]


@dataclass(frozen=True, slots=True)
class Items:
    """A list. `start` is the offset of its `[`."""

    items: tuple[Value, ...]
    start: int


Value = Text | Items


@dataclass(frozen=True, slots=True)
class Setting:
    """What a key is set to in the end."""

    key: str
    key_start: int
    """The offset of the key in the last assignment."""
    value: Value
    appended: bool
    """Whether the last assignment was `+=`: such a text can never be read as a number."""


@dataclass(slots=True)
class _Assigned:
    """A key's value while the file is being read. Texts and lists that `+=` joins stay apart till the end,
    so that many of them take linear time.
    """

    key: Token
    appended: bool
    values: list[Value] = field(default_factory=list)

    def setting(self) -> Setting:
        last = self.values[-1]
        value: Value
        if len(self.values) == 1:
            value = last
        elif isinstance(last, Text):
            joined = b"".join(text.value for text in self.values if isinstance(text, Text))
            value = Text(joined, b"", last.start)
        else:
            lists = (items.items for items in self.values if isinstance(items, Items))
            value = Items(tuple(item for items in lists for item in items), last.start)
        return Setting(self.key.text.decode("ascii"), self.key.start, value, self.appended)


def parse_settings(data: bytes, report: Report) -> dict[str, Setting]:
    """Read the settings of a file, in the order of their keys' first assignments.

    Errors and warnings go to `report`; after an error the settings that could be read are still given.
    """
    return _Parser(data, report).settings()


class _Refused(Exception):
    """The current statement is given up: the report has the error already."""


class _Parser:
    """Looks at the current token, the one before and the one after."""

    def __init__(self, data: bytes, report: Report) -> None:
        self._report = report
        self._tokens = scan(data)
        self._before = Token(TokenKind.NEWLINE, b"", 0)
        self._token = next(self._tokens)
        self._after = next(self._tokens, self._token)
        self._assigned: dict[bytes, _Assigned] = {}
        self._opened: list[tuple[Token, list[Value]]] = []
        """The brackets that are open, with the items read so far."""
        self._carriage_returns = 0

    def settings(self) -> dict[str, Setting]:
        while not self._at(TokenKind.END):
            if self._at(TokenKind.NEWLINE, TokenKind.SEMICOLON):
                self._advance()
                continue
            try:
                self._statement()
            except _Refused:
                self._recover()
        if self._token.text:
            self._report.warn(self._token.start, "xl overlooks this last byte of the file", "remove it")
        return {setting.key: setting for setting in (value.setting() for value in self._assigned.values())}

    def _statement(self) -> None:
        key = self._take(TokenKind.IDENT, Expected.STATEMENT)
        operator = self._take(TokenKind.ASSIGN, Expected.ASSIGN)
        value = self._value()
        if not self._at(TokenKind.NEWLINE, TokenKind.SEMICOLON, TokenKind.END):
            self._fail(Expected.TERMINATOR)
        self._assign(key, value, appended=operator.text == b"+=")

    def _assign(self, key: Token, value: Value, *, appended: bool) -> None:
        earlier = self._assigned.get(key.text)
        if earlier is None or not appended:
            if earlier is not None:
                line = self._report.line(earlier.key.start)
                self._report.warn(
                    key.start,
                    f"{shown(key.text)} is set again; what line {line} says does not count",
                    "remove one of the two, or write += to append",
                )
            self._assigned[key.text] = _Assigned(key, appended, [value])
        elif type(earlier.values[0]) is type(value):
            earlier.key, earlier.appended = key, True
            earlier.values.append(value)
        else:
            line = self._report.line(earlier.key.start)
            kinds = ("a list", "text") if isinstance(value, Items) else ("text", "a list")
            self._report.error(
                value.start,
                f"cannot append {kinds[0]} to {kinds[1]}",
                f"line {line} sets {shown(key.text)} to {kinds[1]}",
            )

    def _value(self) -> Value:
        if not self._at(TokenKind.OPEN):
            return self._text(Expected.VALUE)
        opened = self._opened
        stack = XlStack()
        while True:
            value: Value
            if self._at(TokenKind.OPEN):
                self._fit(stack.opens())
                opened.append((self._advance(), []))
                self._newlines(stack)
                continue
            if self._at(TokenKind.CLOSE):
                self._fit(stack.closes())
                self._advance()
                bracket, items = opened.pop()
                value = Items(tuple(items), bracket.start)
                if not opened:
                    return value
            else:
                self._fit(stack.item())
                value = self._text(Expected.ITEM)
            opened[-1][1].append(value)
            self._newlines(stack)
            if self._at(TokenKind.COMMA):
                self._fit(stack.comma())
                self._advance()
                self._newlines(stack)
            elif not self._at(TokenKind.CLOSE):
                self._fail(Expected.COMMA)

    def _text(self, expected: Expected) -> Text:
        if self._at(TokenKind.NUMBER):
            number = self._advance()
            return Text(number.text, number.text, number.start)
        if not self._at(TokenKind.STRING):
            self._fail(expected)
        string = self._token
        body = string.text[1:-1]
        nul = body.find(b"\0")
        if nul >= 0:
            self._refuse(string.start + 1 + nul, "a NUL byte in a string", "remove it: xl crashes on it")
        try:
            parts = list(pieces(body))
        except BadEscape as error:
            self._refuse(string.start + 1 + error.index, error.message, error.hint)
        for part in parts:
            if not part.value:
                self._report.warn(
                    string.start + 1 + part.at,
                    "a numeric escape stands for nothing: xl drops it",
                    "write the character itself",
                )
        self._advance()
        return Text(b"".join(part.value for part in parts), string.text, string.start)

    def _newlines(self, stack: XlStack) -> None:
        while self._at(TokenKind.NEWLINE):
            self._fit(stack.newline())
            self._advance()

    def _fit(self, has_room: bool) -> None:
        if not has_room:
            self._refuse(
                self._token.start, "lists are nested too deeply", "xl gives up at the 5,000th, or earlier"
            )

    def _at(self, *kinds: TokenKind) -> bool:
        return self._token.kind in kinds

    def _at_statement(self) -> bool:
        """Tell whether a line starts here with a key and an operator, as none inside a list does."""
        return (
            self._before.kind is TokenKind.NEWLINE
            and self._at(TokenKind.IDENT)
            and self._after.kind is TokenKind.ASSIGN
        )

    def _take(self, kind: TokenKind, expected: Expected) -> Token:
        if not self._at(kind):
            self._fail(expected)
        return self._advance()

    def _advance(self) -> Token:
        token = self._token
        self._before, self._token, self._after = token, self._after, next(self._tokens, self._after)
        return token

    def _recover(self) -> None:
        """Go on to the next line; inside a list to the next line that looks like a statement."""
        while not self._at(TokenKind.END):
            if self._at_statement() or (self._at(TokenKind.NEWLINE) and not self._opened):
                break
            self._advance()
        self._opened.clear()

    def _fail(self, expected: Expected) -> NoReturn:
        if self._opened and (self._at(TokenKind.END) or self._at_statement()):
            self._refuse(self._opened[-1][0].start, "this list is not closed", "put a ] after its last item")
        if self._token.text.startswith(b"\r"):
            self._carriage_returns += 1
            if self._carriage_returns > 1:  # such a file has one in each line
                raise _Refused
        self._refuse(self._token.start, *explain.problem(self._token, self._before, expected))

    def _refuse(self, offset: int, message: str, hint: str | None) -> NoReturn:
        self._report.error(offset, message, hint)
        raise _Refused
