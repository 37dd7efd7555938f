"""Disks, network cards, shared folders and what is passed through of the host.

What libvirt's own driver for Xen makes of them is the model (libvirt: docs/formatdomain, "Devices";
src/libxl/libxl_conf.c), but for what xl does in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from xenwire.config.libvirt.document import Node
from xenwire.config.libvirt.draft import Draft
from xenwire.config.libvirt.sources import disk_source
from xenwire.config.libxl.types import (
    DeviceDisk,
    DeviceNic,
    DeviceP9,
    DevicePci,
    DeviceUsbctrl,
    DeviceUsbdev,
    DeviceUsbdevHostdev,
    DiskBackend,
    DiskFormat,
    NicType,
    RdmReservePolicy,
    UsbctrlType,
)

__all__ = ["read_devices"]

T = TypeVar("T")


def read_devices(draft: Draft) -> None:
    """Read all of them; what cannot be taken over is left out with a warning."""
    devices, config = draft.devices, draft.config
    config["disks"] = _known(_disk(draft, node) for node in devices.all("disk"))
    passed = [*devices.all("interface", "hostdev"), *devices.all("hostdev", "pci")]
    config["pcidevs"] = _known(_pci(draft, node) for node in passed)
    cards = [node for kind in _NETWORKS for node in devices.all("interface", kind)]
    config["nics"] = tuple(_nic(draft, node, devid) for devid, node in enumerate(cards))
    controllers = _known(map(_usbctrl, devices.all("controller", "usb")))
    config["usbctrls"] = tuple(ctrl.replace(devid=devid) for devid, ctrl in enumerate(controllers))
    config["usbdevs"] = _known(map(_usbdev, devices.all("hostdev", "usb")))
    config["p9s"] = _known(map(_p9, devices.all("filesystem", "mount")))
    for node in devices.all("controller", "xenbus"):
        _xenbus(draft, node)
    for node in devices.all("controller"):
        node.skip()  # where devices are found; Xen has its own places


def _known(found: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(device for device in found if device is not None)


_FORMATS: Final = {
    "": DiskFormat.RAW,
    "raw": DiskFormat.RAW,
    "qcow": DiskFormat.QCOW,
    "qcow2": DiskFormat.QCOW2,
    "vpc": DiskFormat.VHD,
    "vhd": DiskFormat.VHD,
    "qed": DiskFormat.QED,
}
_BACKENDS: Final = {
    "": DiskBackend.UNKNOWN,
    "qemu": DiskBackend.QDISK,
    "file": DiskBackend.QDISK,
    "phy": DiskBackend.PHY,
    "tap": DiskBackend.TAP,
    "tap2": DiskBackend.TAP,
}
_DISCARD: Final = {"unmap": True, "ignore": False}


def _disk(draft: Draft, node: Node) -> DeviceDisk | None:
    device = node.get("device", "disk")
    cdrom = device == "cdrom"
    target, driver = node.find("target"), node.find("driver")
    draft.note_boot(node, "d" if cdrom else "a" if device == "floppy" else "c")
    path = disk_source(node)
    if device not in ("disk", "cdrom", "lun") or (path is None and not cdrom):
        what = f"a {device}" if path is not None else f"a {device} without a source"
        node.warn(f"{what} is not taken over", "Xen has disks and CD-ROMs of files and block devices")
        node.skip()
        return None
    for element in ("readonly", "backenddomain", "driver"):
        node.find(element)
    target.skip("bus", "removable", "rotation_rate")
    driver.skip("cache", "io", "error_policy", "detect_zeroes", "iothread", "queues", "copy_on_read")
    word, kind = driver.get("name"), driver.get("type")
    if word not in _BACKENDS:
        driver.warn(f"xl knows no driver {word[:40]}; it chooses one itself")
    if kind not in _FORMATS:
        driver.warn(f"xl knows no format {kind[:40]}; it takes the disk as it is")
    disk_format = _FORMATS.get(kind, DiskFormat.RAW)
    discard = _DISCARD.get(driver.get("discard"))
    read_only = cdrom or bool(node.find("readonly"))
    return DeviceDisk(
        pdev_path=path,
        vdev=_vdev(target),
        backend=_BACKENDS.get(word, DiskBackend.UNKNOWN) if path else DiskBackend.UNKNOWN,
        format=disk_format if path else DiskFormat.EMPTY,
        removable=int(cdrom),
        is_cdrom=int(cdrom),
        readwrite=int(not read_only),
        discard_enable=None if read_only else discard,
        backend_domname=node.find("backenddomain").get("name") or None,
    )


def _vdev(target: Node) -> str:
    name = target.get("dev")
    if not name:
        target.error("a disk without a name in the guest", "add <target dev='xvda'/>")
    if name.startswith("vd"):
        target.warn(f"the virtio disk {name} becomes x{name}", "see that the guest finds its file systems")
        return f"x{name}"
    return name


_NETWORKS: Final = ("bridge", "network", "ethernet")


def _nic(draft: Draft, node: Node, devid: int) -> DeviceNic:
    source = node.find("source")
    fields: dict[str, Any] = {}
    match node.get("type"):
        case "bridge":
            fields["bridge"] = source.get("bridge") or None
        case "network":
            source.skip("portid")
            network, fields["bridge"] = source.get("network"), source.get("bridge") or None
            if fields["bridge"] is None:
                source.warn(
                    f"only libvirt knows the bridge of the network {network[:40]}; xl takes xenbr0",
                    "say bridge= yourself: virsh net-info shows it",
                )
    _tags(node, fields)
    model = node.find("model").get("type")
    if model == "netfront":
        fields["nictype"] = NicType.VIF
    elif model.startswith("virtio"):
        node.find("model").warn(f"no {model[:40]}: the card becomes Xen's own")
    elif model:
        fields["model"] = model
    target = node.find("target").get("dev")
    if target and not target.startswith(("vnet", "vif")):  # those that libvirt makes up are not kept
        fields["ifname"] = target
    node.find("driver").skip()
    addresses = node.all("ip")
    for address in addresses:
        address.skip("family", "prefix")
    fields.update(_rate(node.find("bandwidth", "outbound")))
    draft.note_boot(node, "n")
    mac = node.find("mac")
    mac.skip("type", "check")
    return DeviceNic(
        devid=devid,
        mac=_mac(mac),
        script=node.find("script").get("path") or None,
        ip=" ".join(address.get("address") for address in addresses) or None,
        backend_domname=node.find("backenddomain").get("name") or None,
        mtu=_number(node.find("mtu"), "size", 2**16) or 0,
        **fields,
    )


def _tags(node: Node, fields: dict[str, Any]) -> None:
    """Read the VLANs of a bridge of Open vSwitch: `bridge.10`, or `bridge:10:20` for a trunk."""
    switch = node.find("virtualport")
    vlan = node.find("vlan")
    if switch and switch.get("type") == "openvswitch":
        tags = [tag.get("id") for tag in vlan.all("tag")]
        if fields.get("bridge") and tags:
            trunk = vlan.get("trunk") == "yes" or len(tags) > 1
            fields["bridge"] += "".join(f":{tag}" for tag in tags) if trunk else f".{tags[0]}"
    elif vlan:
        vlan.warn("<vlan> is not taken over", "xl says VLANs of Open vSwitch only")


def _mac(node: Node) -> str | None:
    address = node.get("address")
    if not address:
        return None
    if re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", address):
        return address.lower()
    node.error(f"not an Ethernet address: {address[:40]}")
    return None


_INTERVAL: Final = 50_000
"""Microseconds: xl's default."""


def _rate(limit: Node) -> dict[str, int]:
    average = _number(limit, "average", 2**40)
    if not average:
        return {}
    rate = average * 1024 * _INTERVAL // 10**6
    return {"rate_bytes_per_interval": rate, "rate_interval_usecs": _INTERVAL}


def _number(node: Node, attribute: str, high: int) -> int | None:
    return node.number(node.get(attribute), high, what=attribute) if attribute in node else None


def _pci(draft: Draft, node: Node) -> DevicePci | None:
    node.skip("mode")
    node.find("driver").skip()
    source = node.find("source")
    address = source.find("address")
    address.skip("type")
    highest = {"domain": 0xFFFF, "bus": 0xFF, "slot": 0x1F, "function": 7}
    place = {key: _number(address, key, high) for key, high in highest.items()}
    draft.note_boot(node, "n" if node.name == "interface" else "c")
    if place["bus"] is None or place["slot"] is None:
        node.warn(f"<{node.name}> has no PCI address, and is not taken over")
        return None
    return DevicePci(
        domain=place["domain"] or 0,
        bus=place["bus"],
        dev=place["slot"],
        func=place["function"] or 0,
        vfunc_mask=1,
        seize=node.get("managed") == "yes",
        permissive=source.get("writeFiltering") == "no",
        rdm_policy=RdmReservePolicy.INVALID if draft.hvm else RdmReservePolicy.STRICT,  # as xl has it
    )


def _usbdev(node: Node) -> DeviceUsbdev | None:
    node.skip("mode", "managed")
    address = node.find("source", "address")
    bus, device = _number(address, "bus", 255), _number(address, "device", 255)
    if bus is None or device is None:
        node.warn(
            "a USB device without an address on the host is not taken over",
            "xl wants <address bus='…' device='…'/>; lsusb shows them",
        )
        return None
    return DeviceUsbdev(type=DeviceUsbdevHostdev(hostbus=bus, hostaddr=device))


_QUSB: Final = {"qusb1": 1, "qusb2": 2}


def _usbctrl(node: Node) -> DeviceUsbctrl | None:
    version = _QUSB.get(node.get("model"))
    ports = _number(node, "ports", 31)
    node.skip()
    if version is None:
        return None
    return DeviceUsbctrl(type=UsbctrlType.QUSB, version=version, ports=ports or 0)


def _xenbus(draft: Draft, node: Node) -> None:
    for attribute, field in (("maxGrantFrames", "max_grant_frames"), ("maxEventChannels", "event_channels")):
        number = _number(node, attribute, 2**31 - 1)
        if number is not None:
            draft.build[field] = number


_SECURITY: Final = {"passthrough": "passthrough", "mapped": "mapped", "squash": "none", "": "none"}


def _p9(node: Node) -> DeviceP9 | None:
    driver = node.find("driver")
    if driver.get("type") not in ("", "path", "handle"):
        node.warn(f"a shared folder over {driver.get('type')[:40]} is not taken over", "xl has 9P")
        node.skip()
        return None
    driver.skip()
    mode = node.get("accessmode")
    if mode not in _SECURITY:
        node.warn(f"unknown accessmode {mode[:40]}")
    return DeviceP9(
        tag=node.find("target").get("dir"),
        path=node.find("source").get("dir"),
        security_model=_SECURITY.get(mode, "none"),
    )
