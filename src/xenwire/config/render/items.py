"""Items of lists of devices: `key=value` pieces between commas (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xenwire.config.libxl.struct import Enumeration, Struct
from xenwire.config.libxl.version import XenVersion
from xenwire.config.render.rows import Row, Sheet, given
from xenwire.config.render.text import Value

__all__ = ["Unsayable", "backend", "checked", "dashed", "device_row", "piece", "pieces"]


class Unsayable(Exception):
    """xl.cfg has no way to say it: a text has a comma in it, or something is missing that xl wants."""


def checked(text: str | None, stops: str = ",") -> str:
    """Give a text. Raises Unsayable if there is none, or if xl would see its end at one of `stops`."""
    if text is None or any(stop in text for stop in stops):
        raise Unsayable
    return text


def piece(key: str, value: Any) -> str:
    """Give `key=value`. Raises Unsayable."""
    if isinstance(value, Enumeration):
        value = value.json
    return f"{key}={checked(value) if isinstance(value, str) else int(value)}"


def pieces(struct: Struct, keys: Mapping[str, str], version: XenVersion) -> Iterator[str]:
    """Give a piece for each field, found by its key, that differs from its default. Raises Unsayable."""
    for key, name in keys.items():
        value = given(struct, name, version)
        if value is not None:
            yield piece(key, value)


def dashed(*names: str) -> dict[str, str]:
    """Give fields whose keys are their names, with dashes."""
    return {name.replace("_", "-"): name for name in names}


def backend(device: Any) -> Iterator[str]:
    """Give the domain that serves a device: its name, or its number, which libxl takes as well."""
    if device.backend_domname is not None:
        yield piece("backend", device.backend_domname)
    elif device.backend_domid:
        yield f"backend={device.backend_domid}"


def device_row(
    key: str,
    field: str,
    write: Callable[[Any, int, Sheet], Iterator[str]],
    *,
    first: Callable[[Sheet], int] = lambda _sheet: 0,
) -> Row:
    """Give a row for the devices of one class, from the one with the index `first` on.

    `write` gives the pieces of a device, whose place in the list it is told; it may raise Unsayable, and the
    device is left out.
    """

    def value(sheet: Sheet) -> Value | None:
        items: list[str] = []
        for device in getattr(sheet.config, field)[first(sheet) :]:
            try:
                items.append(",".join(write(device, len(items), sheet)))
            except Unsayable:
                continue
        return items or None

    return Row(key, value)
