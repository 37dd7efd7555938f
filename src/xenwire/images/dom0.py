"""The dom0 of a lab: hypervisor, kernel, initial ramdisk and root disk, of Debian's packages."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from xenwire.errors import XenwireError
from xenwire.images.debian import Progress
from xenwire.images.sysroot import Sysroot
from xenwire.images.system import Built, System

__all__ = ["Dom0Image", "Release", "build_dom0", "dom0_image"]


class Release(StrEnum):
    """A release of Debian, and with it one of Xen."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"

    @property
    def xen(self) -> str:
        """The version of its Xen, such as 4.17."""
        return {Release.BOOKWORM: "4.17", Release.TRIXIE: "4.20"}[self]


_PACKAGES: Final = (
    "busybox-static", "e2fsprogs", "iproute2", "kmod", "less", "mount", "pciutils", "procps", "python3",
    "python3-click", "qemu-system-xen", "socat", "usr-is-merged", "xen-utils-common", "xenstore-utils",
    "zstd",
)  # fmt: skip
"""python3-click is what Xenwire itself needs in dom0."""

_MODULES: Final = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
"""What mounts the root disk. ext4 asks for crc32c by a name that no dependency tells."""


@dataclass(frozen=True, slots=True)
class Dom0Image:
    """A dom0 ready to boot. QEMU: `-kernel HYPERVISOR -initrd "KERNEL ARGUMENTS,INITRD"`, root a virtio disk.

    The kernel's arguments have `root=/dev/vda` and `init=`. Nothing may write to these files.
    """

    key: str
    release: Release
    hypervisor: Path
    """Xen as an uncompressed ELF file, as QEMU's multiboot loader takes it."""
    kernel: Path
    """An uncompressed ELF file too, which Xen starts 4 s sooner under software emulation."""
    initrd: Path
    """It mounts the disk that `root=` names, and goes on with `init=`. More archives may be appended to it:
    their folder `xenwire` is /run/xenwire in dom0, and `init=` may name a program there."""
    root: Path
    """A raw disk of 2 GiB, with holes; ext4 without partitions. A later build of the same key may lay it out
    otherwise: an overlay fits this very file only."""
    packages: tuple[str, ...]
    """The .deb files that it was made from."""


def dom0_image(release: Release) -> Dom0Image | None:
    """Give a dom0 if it has been built, by this Xenwire, from the packages that were fetched last."""
    built = system(release).find()
    return _image(release, built) if built else None


async def build_dom0(release: Release, progress: Progress, *, force: bool = False) -> Dom0Image:
    """Give a release's dom0, built first if need be: half a minute, and 140 MB to fetch the first time.

    `force` and errors: see `System.build`.
    """
    return _image(release, await system(release).build(progress, force=force))


def system(release: Release) -> System:
    """Say what a release's dom0 is made of."""
    return System(
        name=f"dom0-{release}",
        recipe="dom0",
        label="dom0",
        release=release,
        packages=(*_PACKAGES, f"xen-utils-{release.xen}"),
        kernel="linux-image-amd64",
        modules=_MODULES,
        setup="dom0-setup.sh",
        apart=(f"xen-hypervisor-{release.xen}-amd64",),
        more={"hypervisor": _hypervisor},
    )


def _hypervisor(_kernel: Sysroot, apart: Sysroot) -> bytes:
    hypervisor = gzip.decompress(apart.find("boot/xen-*.gz").read_bytes())
    if not hypervisor.startswith(b"\x7fELF"):
        raise XenwireError("cannot build the image", reason="the hypervisor in its package is no ELF file")
    return hypervisor


def _image(release: Release, built: Built) -> Dom0Image:
    return Dom0Image(
        key=built.key,
        release=release,
        hypervisor=built.folder / "hypervisor",
        kernel=built.kernel,
        initrd=built.initrd,
        root=built.root,
        packages=built.packages,
    )
