"""The forms that single values have in option strings and in QMP. Pure.

Facts: qemu: util/qemu-option.c, qapi/qapi-util.c, util/cutils.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from xenwire.errors import UsageError
from xenwire.qemu.options import MAX_ID, check_id
from xenwire.runtime.sockets import MAX_SOCKET_PATH

__all__ = ["BOOL", "FD", "HOST", "ID", "NAME", "PATH", "PORT", "RING_SIZE", "SOCKET_PATH", "Form", "number"]

MAX_RING: Final = 1 << 30
"""Bytes in a ring buffer. QEMU takes more, but allocates them at once, and ends if it cannot."""

_TRUE: Final = frozenset({"on", "yes", "true", "y"})
_FALSE: Final = frozenset({"off", "no", "false", "n"})
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19}")
_SIZE: Final = re.compile(r"([0-9]{1,20})([BKMGTPE]?)", re.IGNORECASE)
_SERVICE: Final = re.compile(r"(?![0-9]+\Z)[A-Za-z0-9._+-]{1,32}")
_UNITS: Final = "BKMGTPE"


@dataclass(frozen=True, slots=True)
class Form:
    """One form of values."""

    json: type[bool] | type[int] | type[str]
    """The type of such a value in QMP. Numbers may be strings there."""
    parse: Callable[[str], Any]
    """Gives the value of a text. Raises ValueError."""
    valid: Callable[[Any], bool]
    """Tells whether QEMU can make sense of a value."""
    expected: str
    """The values that are valid, in words."""
    hint: str | None = None
    """What to do about a value that is not."""


def number(low: int, high: int, *, json: type[int] | type[str] = int) -> Form:
    """Give the form of whole numbers from `low` to `high`."""
    return Form(json, _parse_number, lambda value: low <= value <= high, f"a whole number {low} to {high}")


def _parse_bool(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise ValueError(text)
    return text in _TRUE


def _parse_number(text: str) -> int:
    """Read a number as C does: 0x is hexadecimal, a leading 0 octal."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    if text[:2] in {"0x", "0X"}:
        return int(text, 16)
    return int(text, 8 if text.startswith("0") else 10)


def _parse_size(text: str) -> int:
    """Read a number of bytes: decimal with a unit at most, or hexadecimal. Fractions are refused."""
    found = _SIZE.fullmatch(text)
    return int(found[1]) << 10 * _UNITS.index(found[2].upper() or "B") if found else _parse_number(text)


def _parse_digits(text: str) -> int | str:
    return int(text) if re.fullmatch("[0-9]{1,20}", text) else text


def _is_text(value: str) -> bool:
    """Tell whether QEMU can be told of a string on both ways in: NUL ends C's strings, and JSON is UTF-8."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def _is_name(value: str) -> bool:
    return value != "" and _is_text(value)


def _is_socket_path(value: str) -> bool:
    return _is_name(value) and len(value.encode()) <= MAX_SOCKET_PATH


def _is_id(value: str) -> bool:
    try:
        check_id(value)
    except UsageError:
        return False
    return True


def _is_port(value: int | str) -> bool:
    return 0 <= value <= 65535 if isinstance(value, int) else _SERVICE.fullmatch(value) is not None


def _is_fd(value: int | str) -> bool:
    return value >= 0 if isinstance(value, int) else _is_name(value) and not value[0].isdecimal()


def _is_ring_size(value: int) -> bool:
    return 0 < value <= MAX_RING and value.bit_count() == 1


BOOL: Final = Form(bool, _parse_bool, lambda value: isinstance(value, bool), "on or off")
NAME: Final = Form(str, str, _is_name, "a text that is not empty, is UTF-8 and has no NUL")
HOST: Final = Form(str, str, _is_text, "a host's name or address, or nothing for any")
PATH: Final = Form(str, str, _is_name, "a path: not empty, UTF-8, no NUL")
SOCKET_PATH: Final = Form(
    str,
    str,
    _is_socket_path,
    f"a path of 1 to {MAX_SOCKET_PATH} bytes, UTF-8, no NUL",
    "use a shorter folder",
)
ID: Final = Form(
    str, str, _is_id, f"an id: a letter, then at most {MAX_ID - 1} letters, digits, dashes, dots, underscores"
)
PORT: Final = Form(str, _parse_digits, _is_port, "a port from 0 to 65535 or the name of a service")
FD: Final = Form(
    str, _parse_digits, _is_fd, "a descriptor's number, or a name that does not begin with a digit"
)
RING_SIZE: Final = Form(
    int, _parse_size, _is_ring_size, "a number of bytes that is a power of two, at most 1 GiB"
)
