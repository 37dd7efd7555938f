"""QEMU's option strings, `IMPLIED,key=value,key=value`. Pure.

A comma inside a value is doubled; nothing else is special in a value, and an implied first one has no `=`
(qemu: util/keyval.c, util/qemu-option.c).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from xenwire.errors import UsageError

__all__ = ["MAX_ID", "check_id", "escape", "format_option", "split_option"]

MAX_ID: Final = 127
"""Bytes that an id may have. QEMU's object names would allow more, its chardevs do not."""

_ID: Final = re.compile(rf"[A-Za-z][A-Za-z0-9._-]{{0,{MAX_ID - 1}}}")
_PIECE: Final = re.compile(r"((?:[^,]|,,)*),?", re.DOTALL)


def check_id(identifier: str) -> str:
    """Give `identifier` back if QEMU takes it for an id: a letter, then letters, digits, `-`, `.`, `_`.

    Raises UsageError for any other, and for more than 127 characters.
    """
    if not _ID.fullmatch(identifier):
        raise UsageError(
            f"not an id for QEMU: {identifier!r}",
            reason=f"an id is a letter and up to {MAX_ID - 1} letters, digits, dashes, dots and underscores",
        )
    return identifier


def escape(value: str) -> str:
    """Give `value` as it is written in an option string."""
    return value.replace(",", ",,")


def format_option(implied: str, values: Mapping[str, str | int | bool]) -> str:
    """Give the option string of an implied first value (a kind, a driver) and named ones, in their order.

    Truth values are written `on` and `off`.
    """
    return ",".join([escape(implied), *(f"{key}={escape(_text(value))}" for key, value in values.items())])


def split_option(text: str) -> list[str]:
    """Give the comma-separated pieces of an option string, their doubled commas made single.

    A comma at the end starts no further piece, as in QEMU.
    """
    return [match[1].replace(",,", ",") for match in _PIECE.finditer(text) if match[0]]


def _text(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
