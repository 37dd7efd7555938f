"""xl.cfg as tokens: bytes in, tokens with their places out. The longest match wins, as in xl (Xen 4.17).

Nothing is an error here: a byte that starts no token becomes a BAD token, which takes with it the bytes
that xl's own scanner would skip.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Token", "TokenKind", "scan"]


class TokenKind(enum.StrEnum):
    """What a token is."""

    IDENT = "ident"
    """A key: a small letter, then small letters, digits, dots and underscores."""
    NUMBER = "number"
    """A digit, then any of `0-9 a-f x`: only the shape of a number."""
    STRING = "string"
    """Text in single or double quotes, on one line, quotes and escapes included."""
    ASSIGN = "assign"
    """`=` or `+=`."""
    OPEN = "open"
    CLOSE = "close"
    COMMA = "comma"
    SEMICOLON = "semicolon"
    NEWLINE = "newline"
    """A newline, together with the comment before it."""
    BAD = "bad"
    """A byte that starts no token, and what follows it up to the next blank or newline."""
    END = "end"
    """The end of the file. Its text is empty, or a last byte that starts no token: xl overlooks that."""


class Token(NamedTuple):
    """A token: its bytes as written, and the offset of the first one."""

    kind: TokenKind
    text: bytes
    start: int

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.start + len(self.text)


# A match never gives back what it took (possessive quantifiers), so a line is looked at a few times at most.
_TOKEN: Final = re.compile(
    rb"""
    (?P<blank> [ \t]++ )
    | (?P<newline> \n | \#[^\n]*+\n )
    | (?P<ident> [a-z][a-z0-9._]*+ )
    | (?P<number> [0-9][0-9a-fx]*+ )
    | (?P<string> '[^\\'\n]*+ (?: \\[^\n][^\\'\n]*+ )*+ ' | "[^\\"\n]*+ (?: \\[^\n][^\\"\n]*+ )*+ " )
    | (?P<assign> \+?= )
    | (?P<open> \[ )
    | (?P<close> \] )
    | (?P<comma> , )
    | (?P<semicolon> ; )
    | (?P<bad> [^\n] (?: [ \t] | [^ \t\n]*+ ) )
    """,
    re.VERBOSE,
)


_KINDS: Final = {kind.value: kind for kind in TokenKind}


def scan(data: bytes) -> Iterator[Token]:
    """Give the tokens of a file, the END token last. Takes linear time."""
    for match in _TOKEN.finditer(data):
        kind = _KINDS.get(match.lastgroup or "")
        if kind is None:
            continue
        token = Token(kind, match.group(), match.start())
        if kind is TokenKind.BAD and len(token.text) == 1 and token.end == len(data):
            yield token._replace(kind=TokenKind.END)
            return
        yield token
    yield Token(TokenKind.END, b"", len(data))
