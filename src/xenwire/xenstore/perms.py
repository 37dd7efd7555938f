"""Permissions of a node: an owner with a default, then entries for single domains. Pure.

On the wire an entry is one letter (`n` none, `r` read, `w` write, `b` both) and a decimal domain id. The
first entry names the owner, who may always do everything, and what everybody else may do
(xen: docs/misc/xenstore.txt, "Permissions").
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from xenwire.errors import UsageError

__all__ = ["Access", "Permission", "Permissions"]


class Access(enum.IntFlag):
    """What an entry allows."""

    NONE = 0
    READ = 1
    WRITE = 2
    BOTH = 3


_LETTERS: Final = "nrwb"  # the letter's index is its Access
_ENTRY: Final = re.compile(r"([nrwb])([0-9]{1,5})")


class Permission(NamedTuple):
    """One entry: a domain and what it may do. In first place: the owner, and what all others may do."""

    domid: int
    access: Access

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `r5`. Raises UsageError for anything but one letter of `nrwb` and a domain id."""
        match = _ENTRY.fullmatch(text)
        if match is None or int(match[2]) > 0x7FFF:
            raise UsageError(
                f"not a permission: {text!r}",
                hint="one of the letters n, r, w, b and a domain id, such as n0 or r5",
            )
        return cls(int(match[2]), Access(_LETTERS.index(match[1])))

    def __str__(self) -> str:
        return f"{_LETTERS[self.access]}{self.domid}"


class Permissions(tuple[Permission, ...]):
    """The list of a node, at least the owner's entry. `Permissions.parse("n0", "r5")`."""

    __slots__ = ()

    def __new__(cls, entries: Iterable[Permission]) -> Self:
        """Raise UsageError for an empty list."""
        self = super().__new__(cls, entries)
        if not self:
            raise UsageError("a node needs at least one permission: its owner's")
        return self

    @classmethod
    def parse(cls, *texts: str) -> Self:
        """Read `"n0", "r5"`. Raises UsageError."""
        return cls(map(Permission.parse, texts))

    @property
    def owner(self) -> int:
        """The domain that owns the node."""
        return self[0].domid

    def __str__(self) -> str:
        return ",".join(map(str, self))
