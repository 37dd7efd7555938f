"""What xl itself says about the syntax of an xl.cfg, word for word (Xen 4.17).

xl's reader is made by flex and bison (xen: tools/libs/util/libxlu_cfg_l.l, libxlu_cfg_y.y, libxlu_cfg.c).
Its messages depend on how bison's parsers work: on what they have read when they find an error, on what they
skip then, and on the room that they have. So this is an automaton of the same states, told token by token.
"""

from __future__ import annotations

import collections
import enum
from dataclasses import dataclass
from typing import Final

from xenwire.config.scanner import Token, TokenKind, scan
from xenwire.config.strings import BadEscape, pieces

__all__ = ["Syntax", "XlStack", "syntax_messages"]

_ROOM: Final = 9_999
"""The symbols that bison's stack holds: its YYMAXDEPTH is 10,000, and one place stays free."""

_PYTHON_STARTS: Final = (b"+", b"-", b".", b"(", b")", b":")
_PYTHON: Final = (
    b"warning: Config file looks like it contains Python code.",
    b"warning:  Arbitrary Python is no longer supported.",
    b"warning:  See https://wiki.xen.org/wiki/PythonInXlConfig",
)
"""Follows the errors if one of these bytes starts no token."""
_CRASH: Final = b"xl: libxlu_cfg.c:%d: xlu__cfgl_dequote: Assertion `%s' failed."


class _Place(enum.IntEnum):
    """Where in the grammar the parser is."""

    STATEMENT = enum.auto()
    KEY = enum.auto()
    """After a key."""
    OPERATOR = enum.auto()
    """After `=` or `+=`."""
    VALUE = enum.auto()
    """After a complete value."""
    OPENED = enum.auto()
    """After `[`, and newlines."""
    ITEM = enum.auto()
    """After an item of a list, and newlines."""
    COMMA = enum.auto()
    """After a comma in a list, and newlines."""
    SKIPPING = enum.auto()
    """After an error: all is dropped up to the next newline."""


_AFTER_BRACKET: Final = {
    TokenKind.STRING: _Place.ITEM,
    TokenKind.NUMBER: _Place.ITEM,
    TokenKind.OPEN: _Place.OPENED,
    TokenKind.CLOSE: _Place.ITEM,
}
_NEXT: Final = {
    _Place.STATEMENT: {
        TokenKind.IDENT: _Place.KEY,
        TokenKind.NEWLINE: _Place.STATEMENT,
        TokenKind.SEMICOLON: _Place.STATEMENT,
        TokenKind.END: _Place.STATEMENT,
    },
    _Place.KEY: {TokenKind.ASSIGN: _Place.OPERATOR},
    _Place.OPERATOR: {
        TokenKind.STRING: _Place.VALUE,
        TokenKind.NUMBER: _Place.VALUE,
        TokenKind.OPEN: _Place.OPENED,
    },
    _Place.VALUE: {
        TokenKind.NEWLINE: _Place.STATEMENT,
        TokenKind.SEMICOLON: _Place.STATEMENT,
        TokenKind.END: _Place.STATEMENT,
    },
    _Place.OPENED: {**_AFTER_BRACKET, TokenKind.NEWLINE: _Place.OPENED},
    _Place.ITEM: {
        TokenKind.NEWLINE: _Place.ITEM,
        TokenKind.COMMA: _Place.COMMA,
        TokenKind.CLOSE: _Place.ITEM,
    },
    _Place.COMMA: {**_AFTER_BRACKET, TokenKind.NEWLINE: _Place.COMMA},
    _Place.SKIPPING: {TokenKind.NEWLINE: _Place.STATEMENT},
}
"""What each place takes, and where that leads; the `]` of the outermost list leads to VALUE instead."""

_EXPECTED: Final = {
    _Place.STATEMENT: b"$end or IDENT or NEWLINE or ';'",
    _Place.KEY: b"+= or '='",
    _Place.OPERATOR: b"STRING or NUMBER or '['",
    _Place.VALUE: b"$end",
    _Place.OPENED: b"']'",
    _Place.ITEM: b"']'",
    _Place.COMMA: b"']'",
}
"""What bison says that it expects: less than it takes, where it acts before it looks at the next token."""

_NAMES: Final = {
    TokenKind.IDENT: b"IDENT",
    TokenKind.NUMBER: b"NUMBER",
    TokenKind.STRING: b"STRING",
    TokenKind.NEWLINE: b"NEWLINE",
    TokenKind.END: b"$end",
}
"""How bison calls a token; the others are in quotes, but for `+=`."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """What becomes of a text in xl's parser."""

    messages: list[bytes]
    """The lines that xl prints, without newlines: none if it accepts the text. For a crash, its assertion."""
    crashes: bool
    """Whether xl aborts (SIGABRT), as it does at a NUL byte in a string unless there was an error before."""


def syntax_messages(data: bytes, source: bytes) -> Syntax:
    """Tell what xl prints on stderr about the syntax of a text. `source` is the name of the file.

    Takes linear time. There is a message for every third byte if the text is as bad as can be, as in xl.
    """
    parser = _Parser(data, source)
    try:
        parser.run()
    except _Aborted as crash:
        return Syntax([crash.assertion], crashes=True)
    return Syntax(parser.messages, crashes=False)


class XlStack:
    """How much of bison's stack the lists of a value take up: what is nested too deeply is refused.

    Each method stands for a token in a list, and tells whether there is room for it.
    """

    def __init__(self) -> None:
        self._bases: list[int] = []
        """Where each open bracket is."""
        self._top = 3
        """The index of the last symbol. A value starts above the bottom, what was read, a key and a `=`."""

    def __len__(self) -> int:
        """Give the number of lists that are open."""
        return len(self._bases)

    def opens(self) -> bool:
        """A `[`, and the newlines after it: one symbol, even where there are none."""
        self._bases.append(self._top + 1)
        self._top += 2
        return self._top < _ROOM

    def newline(self) -> bool:
        """A newline, for a moment."""
        return self._top + 1 < _ROOM

    def item(self) -> bool:
        """A value, and the newlines after it."""
        self._top += 2
        return self._top < _ROOM

    def comma(self) -> bool:
        """A comma: the bracket, its newlines, the items as one symbol, the comma, its newlines."""
        self._top = self._bases[-1] + 4
        return self._top < _ROOM

    def closes(self) -> bool:
        """A `]`, for a moment: the list is a value of the one around it then, with newlines after it."""
        base = self._bases.pop()
        self._top = base + 1 if self._bases else 3
        return base + 3 < _ROOM


class _Aborted(Exception):
    """xl crashes, with this assertion."""

    def __init__(self, assertion: bytes) -> None:
        super().__init__()
        self.assertion = assertion


class _Parser:
    """The automaton: it looks at each token once, and keeps the messages."""

    def __init__(self, data: bytes, source: bytes) -> None:
        self.messages: list[bytes] = []
        self._tokens = scan(data)
        self._source = source
        self._line = 1
        self._last_line = 1
        """That of the last token of the grammar, which is where the end of the file is reported."""
        self._silenced = 0
        """No error up to this line is told: the scanner found one there."""
        self._python = False
        self._place = _Place.STATEMENT
        self._stack = XlStack()
        self._recovering = 0
        """The tokens that have to be taken before a further syntax error is told."""
        self._key = b""
        self._appends = False
        self._lists: dict[bytes, bool] = {}
        """The keys that are set, and whether to a list."""

    def run(self) -> None:
        """Go through the text, up to where xl gives up. Raises _Aborted."""
        for token in self._tokens:
            # A last byte that starts no token makes no message of its own, but it counts here.
            if token.kind in (TokenKind.BAD, TokenKind.END) and token.text.startswith(_PYTHON_STARTS):
                self._python = True
            if token.kind is TokenKind.BAD:
                self._bad(token)
                continue
            if token.kind is TokenKind.STRING and not self.messages:
                self._unquote(token)
            if not self._take(token):
                break
            self._last_line = self._line
            if token.kind is TokenKind.NEWLINE:
                self._line += 1
        if self._python and self.messages:
            self.messages += _PYTHON

    def _bad(self, token: Token) -> None:
        """Report a byte that starts no token. xl takes a newline right after it as a part of it."""
        if len(token.text) == 1:
            self._scan_error(self._line + 1, token.text + b"\n", b"lexical error")
        else:
            self._scan_error(self._line, token.text, b"lexical error")

    def _unquote(self, token: Token) -> None:
        """Check a string, as xl does before the first error. For C it ends at a NUL byte.

        Raises _Aborted.
        """
        text, nul, _ = token.text.partition(b"\0")
        if len(text) < 2 or text[0] != text[-1]:
            raise _Aborted(_CRASH % (607, b"len>=2 && src[0]==src[len-1]"))
        body = text[1:-1]
        try:
            collections.deque(pieces(body), maxlen=0)
        except BadEscape as error:
            if nul and error.index == len(body) - 1:  # it escapes the quote before the NUL byte
                raise _Aborted(_CRASH % (619, b"p < src+len-1")) from None
            self._scan_error(self._line, token.text, error.xl)

    def _take(self, token: Token) -> bool:
        """Go on with a token. Tell whether xl wants another one."""
        if self._place is _Place.SKIPPING and token.kind is not TokenKind.NEWLINE:
            return True
        following = _NEXT[self._place].get(token.kind)
        if following is None:
            return self._syntax_error(token)
        self._recovering = max(0, self._recovering - 1)
        if (self._stack or token.kind is TokenKind.OPEN) and not self._has_room(token.kind):
            return self._exhausted(token)
        if token.kind is TokenKind.CLOSE and not self._stack:
            following = _Place.VALUE
        self._place = following
        match following:
            case _Place.KEY:
                self._key = token.text
            case _Place.OPERATOR:
                self._appends = token.text == b"+="
            case _Place.VALUE if not self.messages:
                self._store(token)
        return True

    def _has_room(self, kind: TokenKind) -> bool:
        match kind:
            case TokenKind.OPEN:
                return self._stack.opens()
            case TokenKind.NEWLINE:
                return self._stack.newline()
            case TokenKind.COMMA:
                return self._stack.comma()
            case TokenKind.CLOSE:
                return self._stack.closes()
            case _:
                return self._stack.item()

    def _store(self, end: Token) -> None:
        """Set the key, as xl does before the first error, once it has the last token of the value."""
        is_list = end.kind is TokenKind.CLOSE
        if self._appends and self._lists.get(self._key, is_list) is not is_list:
            self._scan_error(self._line, end.text, b'can\'t add [list] to "string" or vice versa')
        self._lists[self._key] = is_list

    def _syntax_error(self, token: Token) -> bool:
        """Report a token that does not fit, and skip the rest of the line. Tell whether xl goes on at all."""
        if self._place is _Place.OPENED and not self._stack.newline():  # no items are a symbol, too
            return self._exhausted(token)
        if not self._recovering:
            what = b"syntax error, unexpected %s, expecting %s" % (_name(token), _EXPECTED[self._place])
            self._grammar_error(token, what)
        if self._place is _Place.VALUE:
            return False
        self._place = _Place.SKIPPING
        self._stack = XlStack()
        self._recovering = 3
        return token.kind is not TokenKind.NEWLINE or self._take(token)

    def _exhausted(self, token: Token) -> bool:
        self._grammar_error(token, b"memory exhausted")
        return False

    def _grammar_error(self, token: Token, what: bytes) -> None:
        if token.kind is TokenKind.END:
            self._report(self._last_line, token.text + b"\0", what)
        else:
            self._report(self._line, token.text, what)

    def _scan_error(self, line: int, text: bytes, what: bytes) -> None:
        """Report an error that silences those after it on the same line."""
        self._report(line, text, what)
        self._silenced = line

    def _report(self, line: int, text: bytes, what: bytes) -> None:
        if line <= self._silenced:
            return
        if text.endswith(b"\n"):
            line -= 1
        shown = text.removesuffix(b"\n").rstrip(b" \t")
        near = b"`%s'" % shown.partition(b"\0")[0] if shown else b"<newline>"
        self.messages.append(b"%s:%d: config parsing error near %s: %s" % (self._source, line, near, what))


def _name(token: Token) -> bytes:
    return _NAMES.get(token.kind) or (b"+=" if token.text == b"+=" else b"'%s'" % token.text)
