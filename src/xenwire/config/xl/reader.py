"""Settings as typed values, read as xl reads them (xen: tools/libs/util/libxlu_cfg.c).

A value of the wrong type counts as absent. xl says so in words of its own; here it is a warning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from xenwire.config.diagnostics import Report, shown
from xenwire.config.numbers import INT64_MAX, INT64_MIN, strtol
from xenwire.config.parser import Items, Setting, Text, Value, parse_settings
from xenwire.config.xl.facts import HostFacts

__all__ = ["MAX_SIZE", "NOT_A_LIST", "Reader", "check_size", "decoded", "open_settings"]

_NUMBER_HINT = "a number is decimal, or starts with 0x (hexadecimal) or 0 (octal), and has no unit"


NOT_A_LIST: Final = b"parameter `%s' is a single value but should be a list"
"""What xl says of a key."""

MAX_SIZE: Final = 16 * 2**20
"""Bytes that a configuration may have."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads settings by their keys. `quiet` is for keys of which xl says nothing when their type is wrong.

    Where xl tries a type before another one, `try_number`, or `value` and its class, report nothing.
    """

    settings: Mapping[str, Setting]
    report: Report
    facts: HostFacts

    @property
    def source(self) -> bytes:
        """The name of the file, as xl prints it."""
        return os.fsencode(self.report.file)

    def value(self, key: str) -> Value | None:
        """Give what a key is set to."""
        setting = self.settings.get(key)
        return None if setting is None else setting.value

    def place(self, key: str) -> int | None:
        """Give the offset of a key's value, if there is one."""
        setting = self.settings.get(key)
        return None if setting is None else setting.value.start

    def key_place(self, key: str) -> int | None:
        """Give the offset of the key itself, where it was set last."""
        setting = self.settings.get(key)
        return None if setting is None else setting.key_start

    def single(self, key: str, *, quiet: bool = False) -> Text | None:
        """Read a single value."""
        setting = self.settings.get(key)
        if setting is None:
            return None
        if isinstance(setting.value, Text):
            return setting.value
        self._wrong(
            setting,
            f"{key} is a list, but should be a single value",
            "remove the brackets",
            b"parameter `%s' is a list but should be a single value" % key.encode(),
            quiet=quiet,
        )
        return None

    def text(self, key: str, *, quiet: bool = False) -> str | None:
        """Read a single value as text."""
        value = self.single(key, quiet=quiet)
        return None if value is None else decoded(value.value)

    def number(self, key: str, *, quiet: bool = False) -> int | None:
        """Read a number of 64 bits with a sign, as C's strtol reads it: decimal, 0x hexadecimal, 0 octal."""
        value = self.single(key, quiet=quiet)
        if value is None:
            return None
        number = self.try_number(key)
        if number is None:
            self._not_a_number(self.settings[key], value.value, quiet=quiet)
        return number

    def try_number(self, key: str) -> int | None:
        """Read a number if there is one. Nothing is reported."""
        setting = self.settings.get(key)
        if setting is None or setting.appended or not isinstance(setting.value, Text):
            return None
        text = setting.value.value
        number, length = strtol(text)
        return number if 0 < length == len(text) and INT64_MIN <= number <= INT64_MAX else None

    def boolean(self, key: str, *, quiet: bool = False) -> bool | None:
        """Read a boolean: a number, of which only 0 is false."""
        number = self.number(key, quiet=quiet)
        return None if number is None else number != 0

    def items(self, key: str, *, quiet: bool = False) -> tuple[Value, ...] | None:
        """Read a list, whatever its items are."""
        setting = self.settings.get(key)
        if setting is None:
            return None
        if isinstance(setting.value, Items):
            return setting.value.items
        self._wrong(
            setting,
            f"{key} is a single value, but should be a list",
            "put it in [ ]",
            NOT_A_LIST % key.encode(),
            quiet=quiet,
        )
        return None

    def texts(self, key: str, *, quiet: bool = False) -> tuple[Text, ...] | None:
        """Read a list of texts. As in xl, it ends where an item is a list."""
        items = self.items(key, quiet=quiet)
        if items is None:
            return None
        texts: list[Text] = []
        for item in items:
            if isinstance(item, Items):
                self.report.warn(
                    item.start,
                    f"{key} wants texts, but this item is a list",
                    "xl overlooks it and all items after it",
                )
                break
            texts.append(item)
        return tuple(texts)

    def xl_warning(self, offset: int, words: bytes) -> bytes:
        """Give a warning of xl's about a place in the file, as it prints it."""
        return b"%s:%d: warning: %s\n" % (self.source, self.report.line(offset), words)

    def _not_a_number(self, setting: Setting, text: bytes, *, quiet: bool) -> None:
        key = setting.key
        if setting.appended:
            message, hint = f"{key} is a number, which += cannot append to", "write = instead"
            words = b"can't use += with numbers for parameter `%s'"
        elif not INT64_MIN <= strtol(text)[0] <= INT64_MAX:
            message, hint = f"{key} is out of range: {shown(text)}", "numbers have 64 bits"
            words = b"parameter `%s' could not be parsed as a number: Numerical result out of range"
        else:
            message, hint = f'{key} is not a number: "{shown(text)}"', _NUMBER_HINT
            words = b"parameter `%s' is not a valid number"
        self._wrong(setting, message, hint, words % key.encode(), quiet=quiet)

    def _wrong(self, setting: Setting, message: str, hint: str, words: bytes, *, quiet: bool) -> None:
        start = setting.value.start
        self.report.warn(
            start,
            message,
            f"{hint}; xl goes on as if {setting.key} were not set",
            xl=b"" if quiet else self.xl_warning(start, words),
        )


def open_settings(data: bytes, source: str, facts: HostFacts) -> Reader:
    """Give a reader of a file; `source` names it in messages.

    Raises ConfigError for a file that is too large or has errors in the language.
    """
    check_size(data, source)
    report = Report(source, data)
    reader = Reader(parse_settings(data, report), report, facts)
    if report.failed:
        raise report.failure()
    return reader


def check_size(data: bytes, source: str) -> None:
    """Raise ConfigError for a file that is too large to be a configuration."""
    if len(data) > MAX_SIZE:
        report = Report(source, data)
        report.error(None, f"more than {MAX_SIZE >> 20} MiB: this is no configuration")
        raise report.failure()


def decoded(value: bytes) -> str:
    """Give text as UTF-8; other bytes become surrogates, so that no information is lost."""
    return value.decode("utf-8", "surrogateescape")
