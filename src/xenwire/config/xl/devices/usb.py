"""USB controllers, and USB devices of the host (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from typing import Any, Final

from xenwire.config.diagnostics import Severity, shown
from xenwire.config.libxl.types import (
    DeviceUsbctrl,
    DeviceUsbdev,
    DeviceUsbdevHostdev,
    UsbctrlType,
    UsbdevType,
)
from xenwire.config.xl.devices.pieces import Item, items, member
from xenwire.config.xl.reader import Reader

__all__ = ["read_usbctrls", "read_usbdevs"]

_CTRL_KEYS: Final = ("type", "version", "ports")
_CTRL_TYPES: Final = tuple(kind.json for kind in UsbctrlType)
_DEV_KEYS: Final = ("type", "hostbus", "hostaddr", "controller", "port")


def read_usbctrls(reader: Reader) -> tuple[DeviceUsbctrl, ...]:
    """Read the key `usbctrl`: the controllers are numbered by their places in the list."""
    return tuple(_usbctrl(devid, item) for devid, item in enumerate(items(reader, "usbctrl")))


def read_usbdevs(reader: Reader) -> tuple[DeviceUsbdev, ...]:
    """Read the key `usbdev`."""
    return tuple(_usbdev(item) for item in items(reader, "usbdev"))


def _usbctrl(devid: int, item: Item) -> DeviceUsbctrl:
    fields: dict[str, Any] = {}
    for piece in item.parameters(_CTRL_KEYS, b"Unknown string `%s' in usbctrl spec\n"):
        if piece.key != b"type":
            fields[piece.key.decode()] = piece.integer()
            continue
        kind = member(UsbctrlType, piece.value)
        if kind is None:
            item.error(
                piece.value_at,
                f"unknown type of USB controller: {shown(piece.value)}",
                item.suggestion(Severity.ERROR, piece.value, _CTRL_TYPES),
                xl=b"Invalid usb controller type '%s'\n" % piece.value,
            )
        else:
            fields["type"] = kind
    return DeviceUsbctrl(devid=devid, **fields)


def _usbdev(item: Item) -> DeviceUsbdev:
    host: dict[str, int] = {}
    fields: dict[str, Any] = {}
    typed = False
    for piece in item.parameters(_DEV_KEYS, b"Unknown string `%s' in usbdev spec\n"):
        match piece.key:
            case b"type":
                typed = True
                if member(UsbdevType, piece.value) is None:
                    # Xen's message takes its word from a variable that holds none (optarg).
                    item.error(
                        piece.value_at,
                        f"unknown type of USB device: {shown(piece.value)}",
                        "write type=hostdev",
                        xl=b"Invalid usb device type: (null)\n",
                    )
            case b"hostbus" | b"hostaddr":
                host[piece.key.decode()] = piece.unsigned(8)
            case b"controller":
                fields["ctrl"] = piece.integer()
            case _:
                fields["port"] = piece.integer()
    if not typed:
        item.warn(0, "a USB device without a type: xl loses what is said of it", "add type=hostdev")
        return DeviceUsbdev(**fields)
    return DeviceUsbdev(type=DeviceUsbdevHostdev(**host), **fields)
