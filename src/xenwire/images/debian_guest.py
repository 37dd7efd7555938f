"""The Debian guest: systemd, udev, Python, cloud-init and QEMU's guest agent, as users have them.

It boots under QEMU and under Xen. `debian-guest-setup.sh` sets it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xenwire.images.debian import Progress
from xenwire.images.guest import CMDLINE, KERNEL
from xenwire.images.sysroot import Sysroot
from xenwire.images.system import Built, System

__all__ = ["SYSTEM", "DebianGuest", "build_debian_guest", "debian_guest"]

_LABEL: Final = "debian-guest"

_PACKAGES: Final = (
    "busybox-static", "cloud-init", "dbus", "e2fsprogs", "iproute2", "kmod", "less", "lz4", "netbase",
    "procps", "python3", "qemu-guest-agent", "systemd-sysv", "udev", "usr-is-merged", "xenstore-utils",
)  # fmt: skip


def _bzimage(kernel: Sysroot, _apart: Sysroot) -> bytes:
    return kernel.find("boot/vmlinuz-*").read_bytes()


SYSTEM: Final = System(
    name="debian-guest",
    recipe="debian_guest",
    label=_LABEL,
    release="bookworm",
    packages=_PACKAGES,
    kernel=KERNEL,
    modules=("virtio_pci", "virtio_blk", "xen_blkfront", "ext4"),
    setup="debian-guest-setup.sh",
    files={
        "debian-guest-cloud.cfg": "etc/cloud/cloud.cfg.d/90-xenwire.cfg",
        "debian-guest-dhcp.network": "etc/systemd/network/80-dhcp.network",
        "debian-guest-journald.conf": "etc/systemd/journald.conf.d/xenwire.conf",
        "debian-guest-system.conf": "etc/systemd/system.conf.d/xenwire.conf",
    },
    guest_files=(
        "60-xenwire-channels.rules",
        "xenwire-channel@.service",
        "xenwire-guest-agent.service",
        "xenwire-seed",
        "xenwire-seed.service",
    ),
    more={"bzimage": _bzimage},
)


@dataclass(frozen=True, slots=True)
class DebianGuest:
    """A guest ready to boot: QEMU's `-kernel`, `-initrd`, `-append`; xl's `kernel`, `ramdisk`, `extra`.

    Nothing may write to these files: give a guest an overlay of the disk, or a copy.
    """

    key: str
    kernel: Path
    """An uncompressed ELF file, which QEMU and Xen start sooner than the bzImage."""
    bzimage: Path
    """The same kernel, compressed, for those that take nothing else: a HVM domain of Xen's."""
    ramdisk: Path
    """It finds the disk by its label, on virtio and on Xen's block devices."""
    disk: Path
    """A raw disk of 2 GiB, with holes; ext4 without partitions. A later build of the same key may lay it out
    otherwise: an overlay fits this very file only."""
    cmdline: str
    packages: tuple[str, ...]
    """The .deb files that it was made from."""


def debian_guest() -> DebianGuest | None:
    """Give the guest if it has been built, by this Xenwire, from the packages that were fetched last."""
    built = SYSTEM.find()
    return _image(built) if built else None


async def build_debian_guest(progress: Progress, *, force: bool = False) -> DebianGuest:
    """Give the guest, built first if need be: 40 s, and 92 MB to fetch the first time.

    `force` and errors: see `System.build`.
    """
    return _image(await SYSTEM.build(progress, force=force))


def _image(built: Built) -> DebianGuest:
    return DebianGuest(
        key=built.key,
        kernel=built.kernel,
        bzimage=built.folder / "bzimage",
        ramdisk=built.initrd,
        disk=built.root,
        cmdline=f"root=LABEL={_LABEL} {CMDLINE}",
        packages=built.packages,
    )
