"""Keys as rows of a table: what each of them has to say of a configuration (xen: tools/xl/xl_parse.c).

A row gives the value of its key, or None where there is nothing to say, or no way to say it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xenwire.config.libxl.struct import Enumeration, Struct
from xenwire.config.libxl.types import (
    DomainBuildInfoHvm,
    DomainBuildInfoPv,
    DomainBuildInfoPvh,
    DomainConfig,
    DomainType,
)
from xenwire.config.libxl.version import XenVersion
from xenwire.config.render.text import Value
from xenwire.config.xl.facts import HostFacts

__all__ = ["Row", "Sheet", "copy", "given", "mebibytes", "only"]


class Sheet:
    """A configuration to write, and the host whose xl shall read it."""

    def __init__(self, config: DomainConfig, facts: HostFacts) -> None:
        self.config = config
        self.c_info = config.c_info
        self.b_info = config.b_info
        self.version = facts.version
        self.type = self.c_info.type
        """The type of the guest; PV, as for xl, if there is none."""
        self.guest: Any = self.b_info.type
        """What depends on that type; defaults if it is there for another type."""
        if self.type is DomainType.INVALID:
            self.type = DomainType.PV
        if self.guest.KEY is not self.type:
            self.guest = _GUESTS[self.type]()


_GUESTS = {
    DomainType.HVM: DomainBuildInfoHvm,
    DomainType.PV: DomainBuildInfoPv,
    DomainType.PVH: DomainBuildInfoPvh,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A key, and how to find its value."""

    key: str
    value: Callable[[Sheet], Value | None]
    guests: frozenset[DomainType] | None = None
    """The types of guests for which xl reads it; None: all."""


def given(struct: Struct, name: str, version: XenVersion) -> Any:
    """Give a field if it differs from its default and `version` knows it, else None."""
    field = struct.FIELDS[name]
    value = getattr(struct, name)
    if value == field.default or field.since > version:
        return None
    return None if isinstance(value, Enumeration) and value.since > version else value


def copy(
    key: str,
    part: Callable[[Sheet], Struct],
    field: str | None = None,
    write: Callable[[Any], Value | None] | None = None,
) -> Row:
    """Give a row for a field, by default of the same name; `write` makes of it what xl.cfg has."""
    name = field or key

    def value(sheet: Sheet) -> Value | None:
        found = given(part(sheet), name, sheet.version)
        if found is None:
            return None
        if write is not None:
            return write(found)
        written: Value = found.json if isinstance(found, Enumeration) else found
        return written

    return Row(key, value)


def mebibytes(size: int) -> int:
    """Give a size in KiB as whole MiB, rounded up: xl.cfg has no smaller unit."""
    return -(-size // 1024)


def only(*guests: DomainType) -> Callable[..., tuple[Row, ...]]:
    """Give what limits rows to some types of guests."""

    def limited(*rows: Row) -> tuple[Row, ...]:
        return tuple(Row(row.key, row.value, frozenset(guests)) for row in rows)

    return limited
