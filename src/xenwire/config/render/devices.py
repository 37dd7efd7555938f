"""Devices, and what else a domain gets of the host's hardware (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from xenwire.config.libxl.types import (
    DeviceChannel,
    DeviceChannelPath,
    DeviceChannelSocket,
    DeviceDisk,
    DeviceNic,
    DeviceP9,
    DevicePci,
    DevicePvcallsif,
    DeviceUsbctrl,
    DeviceUsbdev,
    DeviceVdispl,
    DeviceVfb,
    DeviceVkb,
    DeviceVtpm,
    DiskFormat,
    DomainType,
    IomemRange,
    NicType,
    RdmReservePolicy,
    VkbBackend,
)
from xenwire.config.libxl.version import XenVersion
from xenwire.config.render.items import Unsayable, backend, checked, dashed, device_row, piece, pieces
from xenwire.config.render.rate import rate
from xenwire.config.render.rows import Row, Sheet
from xenwire.config.render.sound import vsnd
from xenwire.config.render.text import Value

__all__ = ["ROWS"]


def _flag(value: bool | None, on: str, off: str) -> Iterator[str]:
    if value is not None:
        yield on if value else off


_NEW_DISK_FLAGS: Final = XenVersion(4, 19, 0)
"""The scanner of earlier releases does not know them, though their manual does."""
_DISK: Final = {"backendtype": "backend", "script": "script", "specification": "specification"}
_COLO: Final = dashed("colo_host", "colo_port", "colo_export", "active_disk", "hidden_disk")


def _disk(device: DeviceDisk, _devid: int, sheet: Sheet) -> Iterator[str]:
    if not device.vdev or not (device.pdev_path or device.is_cdrom):
        raise Unsayable
    empty = device.format is DiskFormat.EMPTY and not device.pdev_path
    if device.format is not DiskFormat.UNKNOWN and not empty:
        yield piece("format", device.format)
    yield piece("vdev", device.vdev)
    if device.is_cdrom:
        yield "devtype=cdrom"
    elif not device.readwrite:
        yield "access=ro"
    yield from pieces(device, _DISK, sheet.version)
    yield from backend(device)
    if device.direct_io_safe:
        yield "direct-io-safe"
    yield from _flag(device.discard_enable, "discard", "no-discard")
    if sheet.version >= _NEW_DISK_FLAGS:
        yield from _flag(device.trusted, "trusted", "untrusted")
    yield from _flag(device.colo_enable, "colo", "no-colo")
    yield from pieces(device, _COLO, sheet.version)
    if device.pdev_path is not None:
        yield "target=" + checked(device.pdev_path, stops="\n")


_NIC: Final = {
    "vifname": "ifname",
    "model": "model",
    "bridge": "bridge",
    "gatewaydev": "gatewaydev",
    "ip": "ip",
    "script": "script",
    "mtu": "mtu",
    "forwarddev": "coloft_forwarddev",
    **{name: name for name in DeviceNic.FIELDS if name.startswith("colo_")},
}


def _nic(device: DeviceNic, devid: int, sheet: Sheet) -> Iterator[str]:
    if device.nictype is not NicType.UNKNOWN:
        yield "type=vif" if device.nictype is NicType.VIF else "type=ioemu"
    if device.mac is not None:
        yield f"mac={device.mac}"
    yield from pieces(device, _NIC, sheet.version)
    if device.rate_interval_usecs:
        limit = rate(device.rate_bytes_per_interval, device.rate_interval_usecs)
        if limit is not None:
            yield f"rate={limit}"
    yield from backend(device)
    yield from _flag(device.trusted, "trusted", "untrusted")
    if device.devid not in (-1, devid):
        yield f"devid={device.devid}"


def _vtpm(device: DeviceVtpm, _devid: int, _sheet: Sheet) -> Iterator[str]:
    yield next(backend(device), "backend=0")
    if device.uuid is not None:
        yield f"uuid={device.uuid}"


_P9: Final = {
    "tag": "tag",
    "path": "path",
    "security_model": "security_model",
    "type": "type",
    **dashed("max_space", "max_files", "max_open_files", "auto_delete"),
}
_P9_OPTIONAL: Final = XenVersion(4, 19, 0)
"""From here on xl leaves it to libxl to see what is missing."""


def _p9(device: DeviceP9, _devid: int, sheet: Sheet) -> Iterator[str]:
    if sheet.version < _P9_OPTIONAL and None in (device.tag, device.path, device.security_model):
        raise Unsayable
    yield from pieces(device, _P9, sheet.version)
    yield from backend(device)


def _pvcallsif(device: DevicePvcallsif, _devid: int, _sheet: Sheet) -> Iterator[str]:
    yield from backend(device)


_VNC: Final = {
    "vnc": "enable",
    "vnclisten": "listen",
    "vncdisplay": "display",
    "vncunused": "findunused",
    "vncpasswd": "passwd",
}
_SDL: Final = {"sdl": "enable", "opengl": "opengl", "display": "display", "xauthority": "xauthority"}


def _vfb(device: DeviceVfb, _devid: int, sheet: Sheet) -> Iterator[str]:
    yield from pieces(device.vnc, _VNC, sheet.version)
    yield from pieces(device.sdl, _SDL, sheet.version)
    yield from pieces(device, {"keymap": "keymap"}, sheet.version)


def _channel(device: DeviceChannel, _devid: int, _sheet: Sheet) -> Iterator[str]:
    """Write the kind as xl does; those that only Xenwire has, it refuses."""
    kind = device.connection.KEY
    if not kind:
        raise Unsayable
    yield piece("connection", kind)
    if device.name:
        yield piece("name", device.name)
    if isinstance(device.connection, (DeviceChannelPath, DeviceChannelSocket)):
        yield f"path={checked(device.connection.path or None)}"
    yield from backend(device)


def _usbctrl(device: DeviceUsbctrl, _devid: int, sheet: Sheet) -> Iterator[str]:
    yield from pieces(device, dashed("type", "version", "ports"), sheet.version)


def _usbdev(device: DeviceUsbdev, _devid: int, sheet: Sheet) -> Iterator[str]:
    if device.type is not None:
        yield "type=hostdev"
        yield from pieces(device.type, dashed("hostbus", "hostaddr"), sheet.version)
    yield from pieces(device, {"controller": "ctrl", "port": "port"}, sheet.version)


_ALL_FUNCTIONS: Final = 2**32 - 1
_PCI: Final = {key: key for key in ("msitranslate", "power_mgmt", "permissive", "seize")}


def _pci(device: DevicePci, _devid: int, sheet: Sheet) -> Iterator[str]:
    if not 0 <= device.domain <= 0xFFFF or device.dev > 0x1F or device.func > 7 or device.vdevfn > 0xFF:
        raise Unsayable
    if device.name is not None:
        yield piece("name", device.name)
    else:
        function = "*" if device.vfunc_mask == _ALL_FUNCTIONS else device.func
        yield f"{device.domain:04x}:{device.bus:02x}:{device.dev:02x}.{function}"
    if device.vdevfn:
        yield f"vslot={device.vdevfn >> 3:x}"
    yield from pieces(device, _PCI, sheet.version)
    strict = device.rdm_policy is RdmReservePolicy.STRICT and sheet.type is not DomainType.HVM
    if device.rdm_policy is not RdmReservePolicy.INVALID and not strict:
        yield piece("rdm_policy", device.rdm_policy)


def _vdispl(device: DeviceVdispl, _devid: int, _sheet: Sheet) -> Iterator[str]:
    if not device.connectors:
        raise Unsayable
    yield from backend(device)
    if device.be_alloc:
        yield "be-alloc=1"
    connectors = (
        f"{checked(connector.unique_id or None, ',;:')}:{connector.width}x{connector.height}"
        for connector in device.connectors
    )
    yield f"connectors={';'.join(connectors)}"


_TOUCH: Final = ("multi_touch_width", "multi_touch_height", "multi_touch_num_contacts")
_VKB: Final = {
    **dashed("backend_type", "unique_id"),
    **dashed(*(name for name in DeviceVkb.FIELDS if name.startswith("feature_") and "touch" not in name)),
    **dashed("width", "height", *_TOUCH),
}
"""All but feature-multi-touch: xl switches that on where it gets the size of the touch screen."""


def _vkb(device: DeviceVkb, _devid: int, sheet: Sheet) -> Iterator[str]:
    if device.backend_type is VkbBackend.UNKNOWN:
        raise Unsayable
    yield from pieces(device, _VKB, sheet.version)
    yield from backend(device)


def _dtdev(sheet: Sheet) -> Value | None:
    return [device.path for device in sheet.config.dtdevs if device.path is not None] or None


_TOO_BIG: Final = 2**32 - 1
"""xl takes smaller numbers of ports and interrupts only."""


def _ioports(sheet: Sheet) -> Value | None:
    ranges = ((ports.first, (ports.first + ports.number - 1) % 2**32) for ports in sheet.b_info.ioports)
    return [
        f"{first:x}" if first == last else f"{first:x}-{last:x}"
        for first, last in ranges
        if _TOO_BIG not in (first, last)
    ] or None


def _irqs(sheet: Sheet) -> Value | None:
    return [irq for irq in sheet.b_info.irqs if irq < _TOO_BIG] or None


def _iomem(sheet: Sheet) -> Value | None:
    return [_frames(frames) for frames in sheet.b_info.iomem] or None


def _frames(frames: IomemRange) -> str:
    seen_at = "" if frames.gfn == IomemRange.FIELDS["gfn"].default else f"@{frames.gfn:x}"
    return f"{frames.start:x},{frames.number:x}{seen_at}"


ROWS: Final = (
    device_row("disk", "disks", _disk),
    device_row("vif", "nics", _nic),
    device_row("vtpm", "vtpms", _vtpm),
    device_row("p9", "p9s", _p9),
    device_row("pvcalls", "pvcallsifs", _pvcallsif),
    device_row("vfb", "vfbs", _vfb),
    device_row("channel", "channels", _channel),
    device_row("usbctrl", "usbctrls", _usbctrl),
    device_row("usbdev", "usbdevs", _usbdev),
    device_row("pci", "pcidevs", _pci),
    Row("dtdev", _dtdev),
    Row("ioports", _ioports),
    Row("iomem", _iomem),
    Row("irqs", _irqs),
    device_row("vdispl", "vdispls", _vdispl),
    Row("vsnd", vsnd),
    # A frame buffer brings a keyboard, so that the first ones are not to be written.
    device_row("vkb", "vkbs", _vkb, first=lambda sheet: len(sheet.config.vfbs)),
)
"""In the order of the manual (xl.cfg(5))."""
