"""Virtual displays (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

import re
from typing import Any, Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import ConnectorParam, DeviceVdispl
from xenwire.config.libxl.version import XenVersion
from xenwire.config.numbers import uint32
from xenwire.config.xl.devices.pieces import Item, Piece, items, strtoul
from xenwire.config.xl.reader import Reader, decoded

__all__ = ["read_vdispls"]

_KEYS: Final = ("backend", "be-alloc", "connectors")
_HINT: Final = "write connectors=ID:WIDTHxHEIGHT, several with ; between them"
_REFUSAL: Final = b"Can't parse connector resolution\n"
_NUMBER: Final = rb"[ \t\n\v\f\r]*([+-]?[0-9]+)"
_RESOLUTION: Final = re.compile(_NUMBER + rb"(?:x" + _NUMBER + rb")?")


def read_vdispls(reader: Reader) -> tuple[DeviceVdispl, ...]:
    """Read the key `vdispl`: the displays are numbered by their places in the list."""
    return tuple(_vdispl(reader, devid, item) for devid, item in enumerate(items(reader, "vdispl")))


def _vdispl(reader: Reader, devid: int, item: Item) -> DeviceVdispl:
    fields: dict[str, Any] = {}
    for piece in item.parameters(_KEYS, b'Unknown string "%s" in vdispl spec\n'):
        match piece.key:
            case b"backend":
                fields["backend_domname"] = piece.string
            case b"be-alloc":
                fields["be_alloc"] = piece.switch(0)
            case _:
                cut = reader.facts.version < XenVersion(4, 18, 0)
                fields["connectors"] = _connectors(piece, cut=cut)
    if "connectors" not in fields:
        item.error(
            0, "a vdispl without connectors", _HINT, xl=b"At least one connector should be specified.\n"
        )
    return DeviceVdispl(devid=devid, **fields)


def _connectors(piece: Piece, *, cut: bool) -> tuple[ConnectorParam, ...]:
    """Read `ID:WIDTHxHEIGHT;…`. With `cut`, as before Xen 4.18, a connector is cut at every colon."""
    texts = [text for text in piece.value.split(b";") if text]
    if not texts:
        piece.item.error(piece.value_at, "connectors without a connector", _HINT, xl_status=-11)
    connectors: list[ConnectorParam] = []
    for text in texts:
        parts = [part for part in text.split(b":") if part] if cut else text.split(b":", 1)
        if len(parts) < 2 or not parts[1]:
            piece.item.error(piece.value_at, f"not a connector: {shown(text)}", _HINT, xl_status=-11)
            continue
        name, resolution = decoded(parts[0]), parts[1]
        size = _RESOLUTION.match(resolution)
        if size is None and resolution.strip():
            # Of this failure xl loses sight, since the number of numbers read is taken for the result.
            piece.item.warn(
                piece.value_at,
                f"not a resolution: {shown(resolution)}",
                "xl goes on without a size for this connector and without all that is said of the next ones",
                xl=_REFUSAL,
            )
            left = len(texts) - len(connectors) - 1
            return (*connectors, ConnectorParam(unique_id=name), *[ConnectorParam()] * left)
        width, height = size.groups() if size else (None, None)
        if width is None or height is None:
            piece.item.error(piece.value_at, f"not a resolution: {shown(resolution)}", _HINT, xl=_REFUSAL)
            continue
        connectors.append(
            ConnectorParam(
                unique_id=name,
                width=uint32(strtoul(width, 10)[0]),
                height=uint32(strtoul(height, 10)[0]),
            )
        )
    return tuple(connectors)
