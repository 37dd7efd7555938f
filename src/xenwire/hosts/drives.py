"""A domain's disks, CD drives and shared folders as the arguments of a plain QEMU."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.config.libxl.types import DiskFormat
from xenwire.hosts.refusal import impossible, readable
from xenwire.qemu.options import format_option

if TYPE_CHECKING:
    from xenwire.config import DomainConfig
    from xenwire.config.libxl.types import DeviceDisk, DeviceP9

__all__ = ["drive_arguments"]

_VDEV: Final = re.compile(r"(xvd|hd|sd|vd)([a-z])")
"""Whole disks, as xl-disk-configuration(5) names them; more than 26 of a kind find no slot here."""

_IDE_SLOTS: Final = 6  # ports of q35's AHCI controller

_FORMATS: Final = {
    DiskFormat.UNKNOWN: "raw",
    DiskFormat.RAW: "raw",
    DiskFormat.QCOW: "qcow",
    DiskFormat.QCOW2: "qcow2",
    DiskFormat.VHD: "vpc",
    DiskFormat.QED: "qed",
}
_SECURITY_MODELS: Final = ("none", "passthrough", "mapped-xattr", "mapped-file")


def drive_arguments(config: DomainConfig) -> list[str]:
    """Give the arguments for disks and shared folders.

    A disk's name says its controller, as under Xen: `hda` is on AHCI (q35 has no IDE), `sda` on SCSI, all
    others are virtio disks, which the guest finds by their name (/dev/disk/by-id/virtio-xvda).

    Raises UsageError (what this host cannot do), NotFound or Denied (a file is not there, or not to be used).
    """
    arguments = []
    if any((disk.vdev or "").startswith("sd") for disk in config.disks):
        arguments += ["-device", "virtio-scsi-pci,id=scsi"]
    for disk in config.disks:
        arguments += _disk(config, disk)
    for index, share in enumerate(config.p9s):
        arguments += _share(config, share, index)
    return arguments


def _disk(config: DomainConfig, disk: DeviceDisk) -> Iterator[str]:
    vdev = disk.vdev or ""
    match = _VDEV.fullmatch(vdev)
    if match is None:
        raise impossible(
            config, f"its disk cannot be {vdev!r}", "name whole disks: xvda to xvdz, hda to hdf, sda to sdz"
        )
    bus, slot = match[1], ord(match[2]) - ord("a")
    if bus == "hd" and slot >= _IDE_SLOTS:
        raise impossible(config, f"there is no port for its disk {vdev}", "use hda to hdf, or xvda to xvdz")
    if disk.script or (disk.backend_domname or "0") not in ("0", "Domain-0"):
        raise impossible(
            config, f"its disk {vdev} comes from a script or a driver domain", "use a file or a block device"
        )
    media = "cd" if disk.is_cdrom else "hd"
    # libxl's word for a drive without a medium is the format "empty".
    drive = {}
    if disk.pdev_path and disk.format is not DiskFormat.EMPTY:
        yield "-blockdev"
        yield _medium(config, disk, vdev)
        drive = {"drive": vdev}
    elif not disk.is_cdrom:
        raise impossible(config, f"its disk {vdev} has no medium", "add target=… to it, or make it a cdrom")
    yield "-device"
    if bus == "hd":
        yield format_option(f"ide-{media}", {"bus": f"ide.{slot}", "id": f"disk-{vdev}", **drive})
    elif bus == "sd" or disk.is_cdrom:
        yield format_option(f"scsi-{media}", {"bus": "scsi.0", "id": f"disk-{vdev}", **drive})
    else:
        yield format_option("virtio-blk-pci", {"id": f"disk-{vdev}", "serial": vdev, **drive})


def _medium(config: DomainConfig, disk: DeviceDisk, vdev: str) -> str:
    path = Path(disk.pdev_path or "").absolute()
    writable = bool(disk.readwrite) and not disk.is_cdrom
    readable(config, f"disk {vdev}", path, writable=writable, kinds=(path.is_file, path.is_block_device))
    return format_option(
        _FORMATS[disk.format],
        {
            "node-name": vdev,
            "read-only": not writable,
            "discard": "ignore" if disk.discard_enable is False else "unmap",
            "file.driver": "host_device" if path.is_block_device() else "file",
            "file.filename": str(path),
        },
    )


def _share(config: DomainConfig, share: DeviceP9, index: int) -> Iterator[str]:
    if share.security_model not in _SECURITY_MODELS:
        raise impossible(
            config,
            f"its shared folder {share.tag!r} has the security model {share.security_model!r}",
            f"the models are {', '.join(_SECURITY_MODELS)}",
        )
    path = Path(share.path or "").absolute()
    readable(config, f"shared folder {share.tag!r}", path, writable=False, kinds=(path.is_dir,))
    yield "-fsdev"
    yield format_option(
        "local", {"id": f"p9-{index}", "path": os.fspath(path), "security_model": share.security_model}
    )
    yield "-device"
    yield format_option("virtio-9p-pci", {"fsdev": f"p9-{index}", "mount_tag": share.tag or ""})
