"""Virtual keyboards, pointers and touch screens (xen: tools/xl/xl_parse.c, public/io/kbdif.h)."""

from __future__ import annotations

from typing import Any, Final

from xenwire.config.diagnostics import Severity, shown
from xenwire.config.libxl.types import DeviceVkb, VkbBackend
from xenwire.config.xl.devices.pieces import Item, items, member
from xenwire.config.xl.reader import Reader

__all__ = ["read_vkbs"]

_SWITCHES: Final = (
    "feature-disable-keyboard",
    "feature-disable-pointer",
    "feature-abs-pointer",
    "feature-raw-pointer",
    "feature-multi-touch",
)
_TOUCH: Final = ("multi-touch-width", "multi-touch-height", "multi-touch-num-contacts")
_KEYS: Final = ("backend-type", "backend", "unique-id", *_SWITCHES, "width", "height", *_TOUCH)


def read_vkbs(reader: Reader, *, first: int) -> tuple[DeviceVkb, ...]:
    """Read the key `vkb`. The devices are numbered from `first` on: those that each frame buffer brings
    come before them.
    """
    return tuple(_vkb(devid, item) for devid, item in enumerate(items(reader, "vkb"), first))


def _vkb(devid: int, item: Item) -> DeviceVkb:
    fields: dict[str, Any] = {}
    backend: VkbBackend | None = VkbBackend.UNKNOWN
    for piece in item.parameters(_KEYS, b'Unknown string "%s" in vkb spec\n'):
        key = piece.key.decode()
        match key:
            case "backend":
                fields["backend_domname"] = piece.string
            case "backend-type":
                backend = member(VkbBackend, piece.value)
                if backend is None:
                    item.error(
                        piece.value_at,
                        f"unknown backend-type: {shown(piece.value)}",
                        item.suggestion(Severity.ERROR, piece.value, ("qemu", "linux")),
                        xl=b'Unknown backend_type "%s" in vkb spec\n' % piece.value,
                    )
            case "unique-id":
                fields["unique_id"] = piece.string
            case _ if key in _SWITCHES:
                fields[key.replace("-", "_")] = piece.switch(0)
            case _:
                fields[key.replace("-", "_")] = piece.unsigned()
    if backend is VkbBackend.UNKNOWN:
        item.error(
            0,
            "a vkb without a backend-type",
            "add backend-type=qemu or backend-type=linux",
            xl=b"backend-type should be set in vkb spec\n",
        )
    if any(fields.get(key.replace("-", "_")) for key in _TOUCH):
        fields["feature_multi_touch"] = True
    elif fields.get("feature_multi_touch"):
        names = ", ".join(_TOUCH)
        item.error(
            0,
            "a vkb with feature-multi-touch, but without its size",
            f"add at least one of {names}",
            xl=b"%s should be set for multi touch in vkb spec\n" % names.encode(),
        )
    return DeviceVkb(devid=devid, backend_type=backend or VkbBackend.UNKNOWN, **fields)
