"""Virtual TPMs (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import DeviceVtpm
from xenwire.config.xl.devices.pieces import Item, items
from xenwire.config.xl.reader import Reader

__all__ = ["read_vtpms"]

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def read_vtpms(reader: Reader) -> tuple[DeviceVtpm, ...]:
    """Read the key `vtpm`: the devices are numbered by their places in the list."""
    return tuple(_vtpm(devid, item) for devid, item in enumerate(items(reader, "vtpm")))


def _vtpm(devid: int, item: Item) -> DeviceVtpm:
    fields: dict[str, Any] = {}
    for piece in item.pairs(("backend", "uuid"), b"Unknown string `%s' in vtpm spec\n"):
        if piece.key == b"backend":
            fields["backend_domname"] = piece.string
        elif _UUID.fullmatch(piece.string):
            fields["uuid"] = uuid.UUID(piece.string)
        else:
            item.error(
                piece.value_at,
                f"not a UUID: {shown(piece.value)}",
                "write 8-4-4-4-12 hexadecimal digits",
                xl=b"Failed to parse vtpm UUID: %s\n" % piece.value,
            )
    if "backend_domname" not in fields:
        item.error(
            0,
            "a vtpm without a backend",
            "add backend=, the domain that has the TPM manager",
            xl=b"vtpm spec missing required backend field!\n",
        )
    return DeviceVtpm(devid=devid, **fields)
