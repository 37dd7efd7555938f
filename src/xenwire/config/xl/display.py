"""The display and its keyboards (xen: tools/xl/xl_parse.c).

VNC and SDL settings at the top level belong to the emulated display of an HVM guest. A PV guest without vfb
gets one from them. Each vfb has a keyboard and mouse, its vkb; the vkb key adds more.
"""

from __future__ import annotations

from typing import Final

from xenwire.config.libxl.types import DeviceVfb, DeviceVkb, DomainType, SdlInfo, VncInfo
from xenwire.config.xl.devices.vfb import read_vfbs
from xenwire.config.xl.devices.vkb import read_vkbs
from xenwire.config.xl.rows import Draft, Part, Row, Table, boolean, function, integer, text

__all__ = ["TOP_LEVEL", "VFB", "VKB"]

_OPTIONS: Final = Table(
    boolean("vnc", Part.VNC, "enable"),
    text("vnclisten", Part.VNC, "listen"),
    text("vncpasswd", Part.VNC, "passwd"),
    integer("vncdisplay", Part.VNC, "display"),
    boolean("vncunused", Part.VNC, "findunused"),
    boolean("sdl", Part.SDL, "enable"),
    boolean("opengl", Part.SDL),
    text("display", Part.SDL),
    text("xauthority", Part.SDL),
)


def _vfb(draft: Draft) -> None:
    config = draft.parts[Part.CONFIG]
    config["vfbs"] = read_vfbs(draft.reader)
    config["vkbs"] = tuple(DeviceVkb(devid=index) for index in range(len(config["vfbs"])))


def _top_level(draft: Draft) -> None:
    reader, config = draft.reader, draft.parts[Part.CONFIG]
    if draft.type is not DomainType.PV or config.get("vfbs"):
        _OPTIONS.read(draft)
        if draft.type is not DomainType.HVM:
            beside = " with vfb" if draft.type is DomainType.PV else ""
            draft.no_effect((*_OPTIONS.kinds, "keymap"), f"on {draft.guest()}{beside}")
    elif reader.number("vnc"):
        _OPTIONS.read(draft)
        vfb = DeviceVfb(
            devid=0,
            vnc=VncInfo(**draft.parts[Part.VNC]),
            sdl=SdlInfo(**draft.parts[Part.SDL]),
            keymap=reader.text("keymap"),
        )
        config["vfbs"] = (vfb,)
        config["vkbs"] = (DeviceVkb(devid=0),)
    else:
        options = (key for key in (*_OPTIONS.kinds, "keymap") if key != "vnc")
        draft.no_effect(options, "on a PV guest without vnc = 1")


def _vkb(draft: Draft) -> None:
    config = draft.parts[Part.CONFIG]
    vkbs = config.get("vkbs", ())
    config["vkbs"] = (*vkbs, *read_vkbs(draft.reader, first=len(vkbs)))


VFB: Final = function(_vfb, vfb="L")
TOP_LEVEL: Final = Row({**_OPTIONS.kinds, "keymap": "T"}, _top_level)
VKB: Final = function(_vkb, vkb="L")
