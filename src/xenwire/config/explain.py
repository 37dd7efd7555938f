"""What to tell about a token that does not fit: the message, and what to try next."""

from __future__ import annotations

import enum
import keyword
from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.scanner import Token, TokenKind

__all__ = ["Expected", "problem"]


class Expected(enum.StrEnum):
    """What the grammar wants at a place, in words."""

    STATEMENT = "a setting, such as memory = 512"
    ASSIGN = "= or +="
    VALUE = 'a value: "text", a number or a [ list ]'
    ITEM = "an item or ]"
    COMMA = ", or ]"
    TERMINATOR = "the end of the line or ;"


_FOUND: Final = {
    TokenKind.IDENT: "the word {}",
    TokenKind.NUMBER: "the number {}",
    TokenKind.STRING: "the text {}",
    TokenKind.NEWLINE: "the end of the line",
    TokenKind.END: "the end of the file",
}
_BOOLEANS: Final = {b"true": 1, b"yes": 1, b"on": 1, b"false": 0, b"no": 0, b"off": 0, b"none": 0}
_PYTHON: Final = "this is no Python: an xl configuration has only settings, texts, numbers and lists"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def problem(token: Token, before: Token, expected: Expected) -> tuple[str, str | None]:
    """Give the message and the hint for a token where the grammar wants something else."""
    if token.kind is TokenKind.BAD:
        return _bad(token, before, expected)
    found = _FOUND.get(token.kind, "{}").format(shown(token.text))
    return f"expected {expected}, found {found}", _hint(token, before, expected)


def _hint(token: Token, before: Token, expected: Expected) -> str | None:
    match expected:
        case Expected.VALUE | Expected.ITEM if token.kind is TokenKind.IDENT:
            return _quote(token)
        case Expected.STATEMENT if token.kind is TokenKind.STRING:
            return "keys are written without quotes"
        case Expected.ASSIGN if keyword.iskeyword(before.text.decode("ascii")):
            return _PYTHON
        case Expected.TERMINATOR if token.kind is TokenKind.COMMA:
            return "several values are written as a list: [ 1, 2 ]"
        case Expected.TERMINATOR if token.kind is TokenKind.IDENT and token.start == before.end:
            return "a number has no unit; text needs quotes"
        case Expected.TERMINATOR:
            return "start a new line for the next setting"
        case Expected.COMMA:
            return "put a comma between two items"
        case _:
            return None


def _quote(token: Token) -> str:
    """Say how to write a bare word."""
    boolean = _BOOLEANS.get(token.text.lower())
    if boolean is not None:
        return f"write {boolean}; there are no words for true and false"
    return f'put text in quotes: "{shown(token.text)}"'


def _bad(token: Token, before: Token, expected: Expected) -> tuple[str, str | None]:
    """Explain a byte that starts no token."""
    first = token.text[:1]
    match first:
        case b"'" | b'"':
            return (
                "this string is not closed",
                f"a string ends on its line, with the {first.decode()} it began with",
            )
        case b"#":
            return (
                "a comment on the last line, without a newline",
                "end the file with a newline: xl wants it so",
            )
        case b"\r":
            return "a carriage return: the file has Windows line ends", "convert it to Unix line ends"
        case b"\0":
            return "a NUL byte", "this may be no text file"
        case b"-" | b"+" if expected in (Expected.VALUE, Expected.ITEM):
            return "a number with a sign", f'put it in quotes: "{shown(token.text.rstrip())}"'
        case b"." if before.kind is TokenKind.NUMBER and before.end == token.start:
            return "a number with a dot", "put it in quotes if it is text; there are no decimal numbers"
        case b"-" | b"." | b"+" | b"(" | b")" | b":":
            return f"unexpected {shown(token.text.rstrip())}", _PYTHON
        case b"\\":
            return "a backslash outside of a string", "a setting cannot be continued on the next line"
    if token.start == 0 and token.text.startswith(_BYTE_ORDER_MARK):
        return "a byte order mark", "save the file as UTF-8 without one"
    if first.isalpha() or first == b"_":
        return _capital(token, before, expected)
    return f"unexpected {shown(token.text.rstrip())}", None


def _capital(token: Token, before: Token, expected: Expected) -> tuple[str, str | None]:
    """Explain a word that starts with a capital or an underscore."""
    word = shown(token.text.rstrip())
    if expected in (Expected.VALUE, Expected.ITEM):
        return f"expected {expected}, found the word {word}", _quote(token)
    if before.kind is TokenKind.NUMBER and before.end == token.start:
        return (
            f"unexpected {word} after a number",
            "a number has no unit; its hexadecimal digits are small letters",
        )
    return f"unexpected {word}", "keys start with a small letter and have small letters only"
