"""The dom0 of a lab: hypervisor, kernel, initial ramdisk and root disk, of Debian's packages.

In `dom0-RELEASE-KEY/` of the cache. What the ramdisk does when it runs is in `dom0-initrd.sh`.
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Final

from xenwire.errors import XenwireError
from xenwire.images import debian, mirrors, repository, rootdisk
from xenwire.images.cache import Cache, digest
from xenwire.images.cpio import Entry, archive
from xenwire.images.debian import Progress
from xenwire.images.kernel import uncompressed
from xenwire.images.modules import Modules
from xenwire.images.sysroot import Sysroot
from xenwire.runtime.files import write_atomic

__all__ = ["Dom0Image", "Release", "build_dom0", "dom0_image"]


class Release(StrEnum):
    """A release of Debian, and with it one of Xen."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"

    @property
    def xen(self) -> str:
        """The version of its Xen, such as 4.17."""
        return {Release.BOOKWORM: "4.17", Release.TRIXIE: "4.20"}[self]


_KERNEL: Final = "linux-image-amd64"
_PACKAGES: Final = (
    "busybox-static", "e2fsprogs", "iproute2", "kmod", "less", "mount", "pciutils", "procps", "python3",
    "python3-click", "qemu-system-xen", "socat", "usr-is-merged", "xen-utils-common", "xenstore-utils",
    "zstd",
)  # fmt: skip
"""python3-click is what Xenwire itself needs in dom0."""

_KERNELS: Final = "linux-image-"
_HYPERVISORS: Final = "xen-hypervisor-"
"""What is taken apart and not installed: the scripts of these packages make ramdisks and boot menus."""

_ASIDE: Final = (
    "busybox-static", "libc6", "libgcc-s1", "liblz4-1", "liblzma5", "libstdc++6", "libzstd1", "zlib1g",
    "zstd",
)  # fmt: skip
"""What the ramdisk is made of, and what unpacks the kernel: zstd and its libraries."""

_MODULES: Final = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
"""What mounts the root disk. ext4 asks for crc32c by a name that no dependency tells."""

# packages 150, lists of packages 80, the kernel unpacked 400, the image 500 MB, and some to spare
_ROOM: Final = 1400 << 20  # bytes


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
    cache = Cache()
    packages = _recorded(cache, release)
    if not packages:
        return None
    image = _image(cache, release, packages)
    if not all(path.is_file() for path in (image.hypervisor, image.kernel, image.initrd, image.root)):
        return None
    cache.use(image.root.parent)
    return image


async def build_dom0(release: Release, progress: Progress, *, force: bool = False) -> Dom0Image:
    """Give a release's dom0, built first if need be: half a minute, and 140 MB to fetch the first time.

    `force` fetches the packages again, in their current versions, and builds again. Of several builds at once
    one does the work and the others wait for it. Interrupted, it leaves nothing half-made.

    Raises NotFound where tools are missing, TimedOut if another build does not end, and XenwireError if the
    packages cannot be fetched, if there is no room, if this user may not do it or this is no x86-64 host.
    """
    cache = Cache()

    def find() -> Dom0Image | None:
        return dom0_image(release)

    async def make(work: Path) -> Dom0Image:
        cache.check_room(_ROOM)
        await rootdisk.check()
        packages = _recorded(cache, release)
        if force or not packages or not cache.has_all(packages):
            packages = await _fetch(cache, release, work, progress)
        image = _image(cache, release, packages)
        made = work / "image"
        made.mkdir()
        await _make(cache, image, made, work, progress)
        cache.place(made, image.root.parent.name)
        cache.forget_unused("dom0-*")
        return image

    return await cache.once(find, make, progress=progress, force=force)


async def _fetch(cache: Cache, release: Release, work: Path, progress: Progress) -> tuple[str, ...]:
    fetched, scratch = work / "packages", work / "apt"
    fetched.mkdir()
    scratch.mkdir()
    hypervisor = f"{_HYPERVISORS}{release.xen}-amd64"
    await debian.fetch_system(release, _wanted(release), [hypervisor], _KERNEL, fetched, scratch, progress)
    return cache.keep(_name(release), fetched)


async def _make(cache: Cache, image: Dom0Image, made: Path, work: Path, progress: Progress) -> None:
    """Make the files of an image in the folder `made`."""
    progress("unpacking Xen and the kernel")
    files = {name: cache.packages / name for name in image.packages}
    kernel = await _unpacked(work / "kernel", [files[name] for name in files if name.startswith(_KERNELS)])
    xen = await _unpacked(work / "xen", [files[name] for name in files if name.startswith(_HYPERVISORS)])
    aside = await _unpacked(work / "aside", [files[name] for name in files if _package(name) in _ASIDE])

    hypervisor = await asyncio.to_thread(gzip.decompress, xen.find("boot/xen-*.gz").read_bytes())
    if not hypervisor.startswith(b"\x7fELF"):
        raise XenwireError("cannot build the image", reason="the hypervisor in its package is no ELF file")
    write_atomic(made / "hypervisor", hypervisor)
    write_atomic(made / "kernel", await uncompressed(kernel.find("boot/vmlinuz-*").read_bytes(), aside))
    write_atomic(made / "initrd", archive(_ramdisk(kernel, aside)))

    repo = work / "repository"
    repo.mkdir()
    await rootdisk.make(
        made / "root",
        work,
        packages=await repository.make(
            repo, [files[name] for name in files if not name.startswith((_KERNELS, _HYPERVISORS))]
        ),
        source=repository.source(repo),
        sources=mirrors.sources(image.release, {}),
        kernel=kernel.root,
        progress=progress,
    )


async def _unpacked(folder: Path, packages: list[Path]) -> Sysroot:
    folder.mkdir()
    sysroot = Sysroot(folder)
    await sysroot.add(packages)
    return sysroot


def _ramdisk(kernel: Sysroot, aside: Sysroot) -> list[Entry]:
    script = resources.files("xenwire.images").joinpath("dom0-initrd.sh").read_bytes()
    modules = Modules(kernel.find("**/modules.builtin").parent)
    return [
        Entry.folder("bin"),
        Entry.folder("dev"),
        Entry.folder("modules"),
        Entry.char_device("dev/console", 5, 1),  # the kernel opens it for init
        Entry.file("init", script, executable=True),
        Entry.file("bin/busybox", aside.program("busybox").read_bytes(), executable=True),
        *(
            Entry.file(f"modules/{number:02}-{name}.ko", data)  # init loads them in this order
            for number, (name, data) in enumerate(modules.needed(_MODULES))
        ),
    ]


def _recorded(cache: Cache, release: Release) -> tuple[str, ...]:
    """Give the names of the packages that were fetched last; none if they are not all that is needed."""
    names = cache.recorded(_name(release))
    return names if {_package(name) for name in names}.issuperset(_wanted(release)) else ()


def _image(cache: Cache, release: Release, packages: tuple[str, ...]) -> Dom0Image:
    """Say where the image of these packages is, or would be."""
    key = digest("\n".join(packages).encode())
    place = cache.folder / f"{_name(release)}-{key}"
    return Dom0Image(
        key=key,
        release=release,
        hypervisor=place / "hypervisor",
        kernel=place / "kernel",
        initrd=place / "initrd",
        root=place / "root",
        packages=packages,
    )


def _package(file: str) -> str:
    return file.partition("_")[0]


def _name(release: Release) -> str:
    return f"dom0-{release}"


def _wanted(release: Release) -> tuple[str, ...]:
    return (*_PACKAGES, f"xen-utils-{release.xen}")
