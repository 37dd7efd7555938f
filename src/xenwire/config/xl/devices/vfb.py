"""Virtual frame buffers (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from typing import Any, Final

from xenwire.config.libxl.types import DeviceVfb, SdlInfo, VncInfo
from xenwire.config.xl.devices.pieces import Item, items
from xenwire.config.xl.reader import Reader

__all__ = ["read_vfbs"]

_VNC: Final = {
    "vnc": "enable",
    "vnclisten": "listen",
    "vncpasswd": "passwd",
    "vncdisplay": "display",
    "vncunused": "findunused",
}
_SDL: Final = {"sdl": "enable", "opengl": "opengl", "display": "display", "xauthority": "xauthority"}
_SWITCHES: Final = frozenset({"vnc", "vncunused", "sdl", "opengl"})
_KEYS: Final = (*_VNC, *_SDL, "keymap")


def read_vfbs(reader: Reader) -> tuple[DeviceVfb, ...]:
    """Read the key `vfb`: the frame buffers are numbered by their places in the list.

    For each of them a domain also has a virtual keyboard with defaults, which is not given here.
    """
    return tuple(_vfb(devid, item) for devid, item in enumerate(items(reader, "vfb")))


def _vfb(devid: int, item: Item) -> DeviceVfb:
    vnc: dict[str, Any] = {}
    sdl: dict[str, Any] = {}
    keymap = None
    for piece in item.pairs(_KEYS, None):
        key = piece.key.decode()
        value: Any
        if key in _SWITCHES:
            value = piece.switch(10)
        elif key == "vncdisplay":
            value = piece.integer()
        else:
            value = piece.string
        if key in _VNC:
            vnc[_VNC[key]] = value
        elif key in _SDL:
            sdl[_SDL[key]] = value
        else:
            keymap = value
    return DeviceVfb(devid=devid, vnc=VncInfo(**vnc), sdl=SdlInfo(**sdl), keymap=keymap)
