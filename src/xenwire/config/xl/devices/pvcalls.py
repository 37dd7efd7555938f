"""PV calls interfaces: sockets of the backend domain (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from xenwire.config.libxl.types import DevicePvcallsif
from xenwire.config.xl.devices.pieces import Item, items
from xenwire.config.xl.reader import Reader

__all__ = ["read_pvcallsifs"]


def read_pvcallsifs(reader: Reader) -> tuple[DevicePvcallsif, ...]:
    """Read the key `pvcalls`: the interfaces are numbered by their places in the list."""
    return tuple(_pvcallsif(devid, item) for devid, item in enumerate(items(reader, "pvcalls")))


def _pvcallsif(devid: int, item: Item) -> DevicePvcallsif:
    backend = None
    for piece in item.pairs(("backend",), b"Unknown string `%s' in pvcalls spec\n"):
        backend = piece.string
    return DevicePvcallsif(devid=devid, backend_domname=backend)
