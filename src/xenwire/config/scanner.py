"""xl.cfg as tokens: bytes in, tokens with their places out. The longest match wins, as in xl (Xen 4.17).

Nothing is an error here: a byte that starts no token becomes a BAD token, which takes with it the bytes
that xl's own scanner would skip.
"""

from __future__ import annotations

import enum
import itertools
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
# Blanks match nothing, so the search for the next token steps over them.
_COMMENT: Final = rb"(?P<newline> \n | \#[^\n]*+\n ) |"
_OTHERS: Final = rb"""
    (?P<ident> [a-z][a-z0-9._]*+ )
    | (?P<number> [0-9][0-9a-fx]*+ )
    | (?P<string> '[^\\'\n]*+ (?: \\[^\n][^\\'\n]*+ )*+ ' | "[^\\"\n]*+ (?: \\[^\n][^\\"\n]*+ )*+ " )
    | (?P<assign> \+?= )
    | (?P<open> \[ )
    | (?P<close> \] )
    | (?P<comma> , )
    | (?P<semicolon> ; )
    | (?P<bad> [^ \t\n] (?: [ \t] | [^ \t\n]*+ ) )
    """
_KINDS: Final = {kind.value: kind for kind in TokenKind}
_LINES: Final = re.compile(_COMMENT + _OTHERS, re.VERBOSE)
_LAST_LINE: Final = re.compile(_OTHERS, re.VERBOSE)
"""For what follows the last newline: a comment does not end there, and nobody has to look for its end."""


def scan(data: bytes) -> Iterator[Token]:
    """Give the tokens of a file, the END token last. Takes linear time."""
    last = data.rfind(b"\n") + 1
    for match in itertools.chain(_LINES.finditer(data, 0, last), _LAST_LINE.finditer(data, last)):
        assert match.lastgroup is not None
        token = Token(_KINDS[match.lastgroup], match[0], match.start())
        if token.kind is TokenKind.BAD and len(token.text) == 1 and token.end == len(data):
            yield token._replace(kind=TokenKind.END)
            return
        yield token
    yield Token(TokenKind.END, b"", len(data))
