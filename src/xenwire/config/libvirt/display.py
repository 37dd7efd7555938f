"""What a guest shows, and how it is typed to (libvirt: docs/formatdomain, "Graphical framebuffers" and
"Video devices"; src/libxl/libxl_conf.c).
"""

from __future__ import annotations

from typing import Any, Final

from xenwire.config.libvirt.document import Node
from xenwire.config.libvirt.draft import Draft
from xenwire.config.libxl.types import (
    DeviceVfb,
    DeviceVkb,
    SdlInfo,
    SpiceInfo,
    VgaInterfaceInfo,
    VgaInterfaceType,
    VncInfo,
)

__all__ = ["read_display"]

_FIRST_PORT: Final = 5900
"""That of VNC's display 0."""
_YES_NO: Final = {"yes": True, "on": True, "no": False, "off": False}


def read_display(draft: Draft) -> None:
    """Read all of it. An HVM guest without graphics has no VNC, though xl would give it one."""
    shown: dict[str, Any] = {}
    for name, read in (("vnc", _vnc), ("sdl", _sdl)):
        for node in draft.devices.all("graphics", name)[:1]:
            shown[name] = read(node)
            shown["keymap"] = node.get("keymap") or shown.get("keymap")
    if draft.hvm:
        shown.setdefault("vnc", VncInfo(enable=False))
        for node in draft.devices.all("graphics", "spice")[:1]:
            shown["spice"] = _spice(node)
            shown["keymap"] = node.get("keymap") or shown.get("keymap")
        draft.guest.update(shown)
        for node in draft.devices.all("video")[:1]:
            _video(draft, node)
        _inputs(draft)
        for node in draft.devices.all("sound")[:1]:
            model = node.get("model")
            draft.guest["soundhw"] = _SOUNDS.get(model, model)
    else:
        for node in (*draft.devices.all("video"), *draft.devices.all("input")):
            node.skip()  # they come with the frame buffer
        if shown:
            draft.config["vfbs"] = (DeviceVfb(devid=0, **shown),)
            draft.config["vkbs"] = (DeviceVkb(devid=0),)


def _listen(node: Node) -> str | None:
    """Give the address to listen on."""
    address = node.get("listen")
    for listen in node.all("listen", "address"):
        address = listen.get("address") or address
        listen.skip()
    return address or None


def _vnc(node: Node) -> VncInfo:
    port = _port(node, "port")
    automatic = _YES_NO.get(node.get("autoport"), port is None)
    return VncInfo(
        enable=True,
        listen=_listen(node),
        passwd=node.get("passwd") or None,
        display=0 if automatic or port is None else max(0, port - _FIRST_PORT),
        findunused=automatic,
    )


def _port(node: Node, attribute: str) -> int | None:
    """Give a port; None if libvirt chooses one."""
    if node.get(attribute, "-1") == "-1":
        return None
    return node.number(node.get(attribute), 65535, what=attribute)


def _sdl(node: Node) -> SdlInfo:
    opengl = _YES_NO.get(node.find("gl").get("enable"))
    return SdlInfo(
        enable=True, opengl=opengl, display=node.get("display") or None, xauthority=node.get("xauth") or None
    )


def _spice(node: Node) -> SpiceInfo:
    port, tls_port = _port(node, "port"), _port(node, "tlsPort")
    if port is None and tls_port is None:
        node.warn("libvirt chooses a port for SPICE, xl does not", "add port='5901' autoport='no'")
    node.skip("autoport")
    passwd = node.get("passwd") or None
    clipboard = _YES_NO.get(node.find("clipboard").get("copypaste"), False)
    return SpiceInfo(
        enable=True,
        port=port or 0,
        tls_port=tls_port or 0,
        host=_listen(node),
        disable_ticketing=passwd is None,
        passwd=passwd,
        agent_mouse=node.find("mouse").get("mode") != "server",
        vdagent=clipboard,
        clipboard_sharing=clipboard,
        image_compression=node.find("image").get("compression") or None,
        streaming_video=node.find("streaming").get("mode") or None,
    )


_VGAS: Final = {
    "cirrus": VgaInterfaceType.CIRRUS,
    "vga": VgaInterfaceType.STD,
    "xen": VgaInterfaceType.STD,
    "qxl": VgaInterfaceType.QXL,
    "none": VgaInterfaceType.NONE,
}


def _video(draft: Draft, node: Node) -> None:
    node.find("driver").skip()
    model = node.find("model")
    model.skip("heads", "primary", "ram", "vgamem", "vram64")
    kind = model.get("type")
    if kind in _VGAS:
        draft.guest["vga"] = VgaInterfaceInfo(kind=_VGAS[kind])
        if "vram" in model:
            draft.build["video_memkb"] = model.number(model.get("vram"), 2**31, what="vram")
    else:
        model.warn(f"xl has no graphics card {kind[:40]}; it takes its default, a cirrus")
        model.skip()


def _inputs(draft: Draft) -> None:
    devices = []
    for node in draft.devices.all("input"):
        bus, kind = node.get("bus"), node.get("type")
        if bus == "usb" and kind in ("mouse", "tablet", "keyboard"):
            devices.append(kind)
        elif bus not in ("", "ps2", "xen"):
            node.warn(f"a {kind[:40]} on the bus {bus[:40]} is not taken over")
            node.skip()
    draft.guest["usbdevice_list"] = devices


_SOUNDS: Final = {"ich6": "hda", "ich7": "hda", "ich9": "hda"}
"""What QEMU calls them."""
