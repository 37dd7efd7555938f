"""The hardware that is emulated for HVM guests (xen: tools/xl/xl_parse.c, from vga to vendor_device)."""

from __future__ import annotations

from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import DomainType, GfxPassthruKind, Hdtype, VendorDevice, VgaInterfaceType
from xenwire.config.parser import Text
from xenwire.config.xl.deprecated import DEPRECATED
from xenwire.config.xl.reader import decoded
from xenwire.config.xl.rows import Draft, Part, Row, boolean, choice, choose, function, integer, only, text

__all__ = ["ROWS"]

_VGAS: Final = {
    b"stdvga": VgaInterfaceType.STD,
    b"cirrus": VgaInterfaceType.CIRRUS,
    b"none": VgaInterfaceType.NONE,
    b"qxl": VgaInterfaceType.QXL,
}


def _vga(draft: Draft) -> None:
    value = draft.reader.single("vga")
    if value is not None:
        if "stdvga" in draft.reader.settings:
            draft.no_effect(("stdvga",), "beside vga")
        if value.value in _VGAS:
            draft.parts[Part.VGA]["kind"] = _VGAS[value.value]
        else:
            draft.refuse(
                "vga",
                f'vga cannot be "{shown(value.value)}"',
                f"xl knows {b', '.join(_VGAS).decode()}",
                xl=b'Unknown vga "%s" specified\n' % value.value,
            )
        return
    stdvga = draft.reader.boolean("stdvga")
    if stdvga is not None:
        draft.parts[Part.VGA]["kind"] = VgaInterfaceType.STD if stdvga else VgaInterfaceType.CIRRUS
        draft.warn("stdvga", "stdvga is deprecated", DEPRECATED["stdvga"], at_key=True)


def _gfx_passthru(draft: Draft) -> None:
    guest = draft.parts[Part.GUEST]
    number = draft.reader.try_number("gfx_passthru")
    if number is not None:
        guest["gfx_passthru"] = number != 0
        return
    kind = choose(draft, "gfx_passthru", GfxPassthruKind)
    if kind is not None:
        guest["gfx_passthru_kind"] = kind
        guest["gfx_passthru"] = True


def _one_or_many(key: str) -> Row:
    """Give a row for a key that is one text or a list of them, which libxl has in two fields."""

    def read(draft: Draft) -> None:
        guest, value = draft.parts[Part.GUEST], draft.reader.value(key)
        if isinstance(value, Text):
            guest[key] = decoded(value.value)
        else:
            texts = draft.reader.texts(key) or ()
            guest[f"{key}_list"] = tuple(decoded(text.value) for text in texts)

    return Row({key: "LT"}, read)


def _display(draft: Draft) -> None:
    vnc = draft.parts[Part.VNC]
    if vnc.get("display") and ":" in vnc.get("listen", ""):
        draft.refuse(
            "vncdisplay",
            "the display is in vnclisten, and in vncdisplay too",
            "remove one of them",
            xl=b"ERROR: Display specified both in vnclisten and vncdisplay!\n",
        )


ROWS: Final = only(DomainType.HVM)(
    function(_vga, vga="T", stdvga="N"),
    choice("hdtype", Part.GUEST, Hdtype),
    text("keymap", Part.GUEST),
    boolean("spice", Part.SPICE, "enable"),
    integer("spiceport", Part.SPICE, "port"),
    integer("spicetls_port", Part.SPICE, "tls_port"),
    text("spicehost", Part.SPICE, "host"),
    boolean("spicedisable_ticketing", Part.SPICE, "disable_ticketing"),
    text("spicepasswd", Part.SPICE, "passwd"),
    boolean("spiceagent_mouse", Part.SPICE, "agent_mouse"),
    boolean("spicevdagent", Part.SPICE, "vdagent"),
    boolean("spice_clipboard_sharing", Part.SPICE, "clipboard_sharing"),
    integer("spiceusbredirection", Part.SPICE, "usbredirection"),
    text("spice_image_compression", Part.SPICE, "image_compression"),
    text("spice_streaming_video", Part.SPICE, "streaming_video"),
    boolean("nographic", Part.GUEST),
    function(_gfx_passthru, gfx_passthru="NT"),
    _one_or_many("serial"),
    text("boot", Part.GUEST),
    boolean("usb", Part.GUEST),
    integer("usbversion", Part.GUEST),
    _one_or_many("usbdevice"),
    boolean("vkb_device", Part.GUEST),
    text("soundhw", Part.GUEST),
    boolean("xen_platform_pci", Part.GUEST),
    function(_display, always=True),
    choice("vendor_device", Part.GUEST, VendorDevice, b"xl: unknown vendor_device '%s'\n", status=3),
)
