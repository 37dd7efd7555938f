"""`viridian`: Microsoft's interfaces for HVM guests (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from typing import Any, Final

from xenwire.config.diagnostics import Severity, shown
from xenwire.config.libxl.types import ViridianEnlightenment
from xenwire.config.parser import Items, Text
from xenwire.config.xl.devices.pieces import Item, member
from xenwire.config.xl.reader import Reader

__all__ = ["read_viridian"]

_ALL: Final = range(64)
"""The bits of libxl's sets, more than there are names."""
_WORDS: Final = ("defaults", "all", *(word.json for word in ViridianEnlightenment))


def read_viridian(reader: Reader) -> dict[str, Any]:
    """Give what it sets of the fields `viridian`, `viridian_enable` and `viridian_disable`.

    It is a number, or a list: a name switches one on, `!name` off, `all` switches all on, and `defaults`
    sets `viridian` itself.
    """
    value = reader.value("viridian")
    if not isinstance(value, Items):
        switch = reader.boolean("viridian", quiet=True)
        return {} if switch is None else {"viridian": switch}
    fields: dict[str, Any] = {}
    enable: set[int] = set()
    disable: set[int] = set()
    for text in value.items:
        if not isinstance(text, Text):
            reader.report.error(
                text.start,
                "viridian wants names, but this item is a list",
                "remove the inner brackets; xl crashes here",
                xl_status=-11,
            )
        elif text.value == b"all":
            enable.update(_ALL)
        elif text.value == b"defaults":
            fields["viridian"] = True
        else:
            name = text.value.removeprefix(b"!")
            word = member(ViridianEnlightenment, name)
            if word is None:
                _refuse(Item(text, reader.report), name)
            elif name == text.value:
                enable.add(word)
                disable.discard(word)
            else:
                disable.add(word)
                enable.discard(word)
    if enable:
        fields["viridian_enable"] = frozenset(enable)
    if disable:
        fields["viridian_disable"] = frozenset(disable)
    return fields


def _refuse(item: Item, name: bytes) -> None:
    item.error(
        len(item.value) - len(name),
        f"unknown Viridian enlightenment: {shown(name)}",
        item.suggestion(Severity.ERROR, name, _WORDS),
        xl=b"xl: unknown viridian enlightenment '%s'\n" % name,
        xl_status=3,
    )
