"""JSON text as libxl reads it with yajl: the layer below `json_reader`.

What follows the first value is ignored. Numbers without a `.` count up to their exponent: `1e3` is 1 (xen:
tools/libs/light/libxl_json.c). In two cases yajl differs: it refuses strings that are not UTF-8, though libxl
writes them, and it makes other text of half a surrogate pair, which is a mistake here.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from xenwire.config.diagnostics import Report

__all__ = ["MAX_DEPTH", "MAX_SIZE", "Members", "parse"]

MAX_SIZE: Final = 64 * 1024 * 1024
"""The longest text that is read, in bytes."""

MAX_DEPTH: Final = 100
"""How far objects and arrays may be nested. libxl's own types need 8."""


class Members(list[tuple[str, Any]]):
    """An object: its members in the order of the text, also those that repeat a key."""

    __slots__ = ()


def parse(data: bytes, source: str) -> Any:
    """Give the first value in a text: Members, list, str, int, float, bool or None.

    A float stands for a number that libxl cannot use: one with a `.`, or with more than 20 digits. Raises
    ConfigError, with the place of the mistake in `source`.
    """
    report = Report(source, data[:MAX_SIZE])
    if len(data) > MAX_SIZE:
        _fail(report, None, f"{len(data)} bytes are too long; at most {MAX_SIZE} are read")
    data = data.partition(b"\0")[0]  # what C sees of it
    _check_depth(data, report)
    for escape in _ESCAPE.finditer(data) if _SURROGATE.search(data) else ():
        if escape[1]:
            _fail(report, escape.start(), "half of a surrogate pair")
    text = data.decode("utf-8", "surrogateescape")
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        return _DECODER.raw_decode(text, start)[0]
    except json.JSONDecodeError as error:
        _fail(report, len(text[: error.pos].encode("utf-8", "surrogateescape")), error.msg)
    except _NoNumber as error:
        places = (match.start(1) for match in _CONSTANT.finditer(data) if match[1])
        _fail(report, next(places), f"{error} is not JSON")


def _fail(report: Report, offset: int | None, message: str) -> NoReturn:
    report.error(offset, message)
    raise report.failure()


def _check_depth(data: bytes, report: Report) -> None:
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    bracket = _TO_BRACKET.match(data)
    while bracket:
        depth += 1 if bracket[1] in b"{[" else -1
        if depth > MAX_DEPTH:
            _fail(report, bracket.start(1), f"nested too deeply; at most {MAX_DEPTH} levels are read")
        bracket = _TO_BRACKET.match(data, bracket.end())


_QUOTED: Final = rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)'
_TO_BRACKET: Final = re.compile(rb'(?:[^"{}\[\]]++|%b)*+([{}\[\]])' % _QUOTED, re.DOTALL)
_CONSTANT: Final = re.compile(rb"%b|(-?Infinity|NaN)" % _QUOTED, re.DOTALL)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]|(u[dD][89a-fA-F])|.)", re.DOTALL
)


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= 20 else float(text)


def _decimal(text: str) -> int | float:
    return float(text) if "." in text else _integer(text.lower().partition("e")[0])


class _NoNumber(ValueError):
    """One of the constants that only Python's reader knows."""


def _constant(text: str) -> NoReturn:
    raise _NoNumber(text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
