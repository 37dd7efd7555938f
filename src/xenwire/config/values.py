"""Settings as typed values. Where xl only warns about a wrong type and drops the value, this is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from xenwire.config.diagnostics import Report, shown
from xenwire.config.parser import Items, Setting, Text

__all__ = ["Values", "decoded"]

_NUMBER: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
"""What C's strtol takes with base 0, if it takes all of it."""
_LONGEST: Final = 32
"""Digits: a longer number is out of every range, leading zeros apart."""


class Values:
    """Reads settings by their keys. What cannot be read is reported, and counts as absent."""

    def __init__(self, settings: Mapping[str, Setting], report: Report) -> None:
        self._settings = settings
        self._report = report

    def text(self, key: str) -> str | None:
        """Read a single value."""
        value = self._single(key)
        return None if value is None else decoded(value.value)

    def number(self, key: str, low: int, high: int) -> int | None:
        """Read a number from `low` to `high`, as C's strtol reads it: decimal, 0x hexadecimal, 0 octal."""
        value = self._single(key)
        if value is None:
            return None
        if self._settings[key].appended:
            self._report.error(
                value.start, f"{key} is a number, which += cannot append to", "write = instead"
            )
            return None
        match = _NUMBER.fullmatch(value.value)
        if match is None:
            self._report.error(
                value.start,
                f'{key} is not a number: "{shown(value.value)}"',
                "a number is decimal, or starts with 0x (hexadecimal) or 0 (octal), and has no unit",
            )
            return None
        number = _integer(match[1], match[2])
        if number is None or not low <= number <= high:
            self._report.error(
                value.start, f"{key} is out of range: {shown(value.value)}", f"{low} to {high}"
            )
            return None
        return number

    def texts(self, key: str) -> tuple[Text, ...]:
        """Read a list of texts."""
        setting = self._settings.get(key)
        if setting is None:
            return ()
        if isinstance(setting.value, Text):
            self._report.error(
                setting.value.start, f"{key} is a single value, but should be a list", "put it in [ ]"
            )
            return ()
        texts: list[Text] = []
        for item in setting.value.items:
            if isinstance(item, Text):
                texts.append(item)
            else:
                self._report.error(item.start, f"{key} has a list as an item, but wants text")
        return tuple(texts)

    def text_or_texts(self, key: str) -> tuple[str, ...]:
        """Read a single value or a list of texts."""
        setting = self._settings.get(key)
        if setting is not None and isinstance(setting.value, Text):
            return (decoded(setting.value.value),)
        return tuple(decoded(item.value) for item in self.texts(key))

    def place(self, key: str) -> int | None:
        """Give the offset of a key's value, if there is one."""
        setting = self._settings.get(key)
        return None if setting is None else setting.value.start

    def _single(self, key: str) -> Text | None:
        setting = self._settings.get(key)
        if setting is None:
            return None
        if isinstance(setting.value, Items):
            self._report.error(
                setting.value.start, f"{key} is a list, but should be a single value", "remove the brackets"
            )
            return None
        return setting.value


def decoded(value: bytes) -> str:
    """Give text as UTF-8; other bytes become surrogates, so that no information is lost."""
    return value.decode("utf-8", "surrogateescape")


def _integer(sign: bytes, digits: bytes) -> int | None:
    """Give the value of C digits, or None where it is far out of every range."""
    base = 16 if digits[:2] in (b"0x", b"0X") else 8 if digits[:1] == b"0" else 10
    significant = digits[2 if base == 16 else 0 :].lstrip(b"0") or b"0"
    if len(significant) > _LONGEST:
        return None
    number = int(significant, base)
    return -number if sign == b"-" else number
