"""A domain's graphics and input devices as the arguments of a plain QEMU."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from xenwire.config.libxl.types import DomainBuildInfoHvm, VgaInterfaceType
from xenwire.hosts.refusal import impossible

if TYPE_CHECKING:
    from xenwire.config import DomainConfig
    from xenwire.config.libxl.types import VncInfo

__all__ = ["display_arguments"]

_VGA: Final = {
    VgaInterfaceType.CIRRUS: "cirrus",
    VgaInterfaceType.NONE: "none",
    VgaInterfaceType.QXL: "qxl",
}
_LISTEN: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]*")
_WITH_DISPLAY: Final = re.compile(r"([^:]*|\[.*\]):\d+")  # an IPv6 address alone has several colons
_KEYMAP: Final = re.compile(r"[a-z]{2}(-[a-z]{2})?")
_USB_DEVICES: Final = {"tablet": "usb-tablet", "mouse": "usb-mouse", "keyboard": "usb-kbd"}
_MOST_DISPLAYS: Final = 99  # VNC displays that are tried for a free one, as libxl has QEMU do


def display_arguments(config: DomainConfig) -> list[str]:
    """Give the arguments for screen, keyboard map and USB input devices.

    There is a screen where VNC shows it. Raises UsageError for what this host cannot do.
    """
    vnc, keymap = _screen(config)
    if vnc is None:
        arguments = ["-display", "none"]
    else:
        arguments = ["-display", "none", "-vnc", _vnc(config, vnc), "-vga", _vga(config)]
    if keymap is not None:
        if not _KEYMAP.fullmatch(keymap):
            raise impossible(config, f"there is no keyboard map {keymap!r}", "such as en-us or de")
        arguments += ["-k", keymap]
    return arguments + _usb(config)


def _screen(config: DomainConfig) -> tuple[VncInfo | None, str | None]:
    """Give how VNC shows the screen, and the keyboard map: of a frame buffer, else of the machine."""
    if config.vfbs:
        vfb = config.vfbs[0]
        return (None if vfb.vnc.enable is False else vfb.vnc), vfb.keymap
    machine = config.b_info.type
    if isinstance(machine, DomainBuildInfoHvm):
        return (machine.vnc if machine.vnc.enable else None), machine.keymap
    return None, None


def _vnc(config: DomainConfig, vnc: VncInfo) -> str:
    if vnc.passwd:
        raise impossible(
            config,
            "its VNC display has a password, which every user of this host could read",
            "leave vncpasswd out: without vnclisten only this host reaches the display",
        )
    listen = vnc.listen or "127.0.0.1"
    if not _LISTEN.fullmatch(listen):
        raise impossible(config, f"its VNC display cannot listen on {listen!r}", "give an address or a name")
    address = listen if _WITH_DISPLAY.fullmatch(listen) else f"{listen}:{vnc.display}"
    return address if vnc.findunused is False else f"{address},to={_MOST_DISPLAYS}"


def _vga(config: DomainConfig) -> str:
    machine = config.b_info.type
    return _VGA.get(machine.vga.kind, "std") if isinstance(machine, DomainBuildInfoHvm) else "std"


def _usb(config: DomainConfig) -> list[str]:
    machine = config.b_info.type
    if not isinstance(machine, DomainBuildInfoHvm):
        return []
    wanted = (*([machine.usbdevice] if machine.usbdevice else []), *machine.usbdevice_list)
    arguments = ["-usb"] if machine.usb or wanted else []
    for word in wanted:
        if word not in _USB_DEVICES:
            raise impossible(
                config, f"it wants the USB device {word!r}", f"there are {', '.join(_USB_DEVICES)}"
            )
        arguments += ["-device", _USB_DEVICES[word]]
    return arguments
