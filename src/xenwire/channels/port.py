"""The guest's end of a channel under plain QEMU: a virtio-serial port, whatever serves it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xenwire.qemu.options import format_option

if TYPE_CHECKING:
    from xenwire.channels.keys import Channel

__all__ = ["DRIVER", "LAST_DEVID", "bus_arguments", "port_arguments", "port_id", "port_properties"]

DRIVER: Final = "virtserialport"
"""QEMU's device of a port."""

LAST_DEVID: Final = 30
"""A bus has 31 ports, of which 0 is kept for a console (qemu: hw/char/virtio-serial-bus.c)."""

_BUS: Final = "xenwire-serial"


def bus_arguments() -> list[str]:
    """Give what QEMU needs for a bus, which has room for 30 channels."""
    return ["-device", format_option("virtio-serial-pci", {"id": _BUS})]


def port_id(channel: Channel) -> str:
    """Give the id of a channel's port."""
    return f"channel{channel.devid}"


def port_properties(channel: Channel) -> dict[str, str | int]:
    """Give the properties of a channel's port. A Linux guest finds it as /dev/virtio-ports/NAME."""
    return {
        "id": port_id(channel),
        "bus": f"{_BUS}.0",
        "nr": int(channel.devid),
        "chardev": channel.label,
        "name": str(channel.name),
    }


def port_arguments(channel: Channel) -> list[str]:
    """Give what QEMU needs for a port; its character device comes before."""
    return ["-device", format_option(DRIVER, port_properties(channel))]
