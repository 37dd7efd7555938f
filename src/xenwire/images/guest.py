"""The tiny guest: Debian's cloud kernel; in a ramdisk busybox, virtio drivers, QEMU's guest agent, xenstore.

The same kernel and ramdisk boot under QEMU and under Xen. What it does when it runs is in `guest-init.sh`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from xenwire.images import _tool, debian
from xenwire.images.cache import Cache, digest
from xenwire.images.cpio import Entry, archive
from xenwire.images.debian import Progress
from xenwire.images.kernel import uncompressed
from xenwire.images.modules import Modules
from xenwire.images.sysroot import Sysroot
from xenwire.runtime.files import write_atomic

__all__ = ["CMDLINE", "KERNEL", "PACKAGES", "GuestImage", "build_tiny_guest", "tiny_guest"]

CMDLINE: Final = "console=ttyS0 console=hvc0 quiet cryptomgr.notests"
"""The kernel command line: each of these consoles is used where it exists, hvc0 by Xen's guests.

Without the crypto self-tests it boots 0.3 s faster under software emulation.
"""

KERNEL: Final = "linux-image-cloud-amd64"
PACKAGES: Final = ("busybox-static", "lz4", "qemu-guest-agent", "xenstore-utils", "zstd")
"""What runs in the guest, and lz4 and zstd, which unpack its kernel on the host."""

_NAME: Final = "tiny-guest"
# packages 35, unpacked 150, lists of packages 20, the image 80 MB, and some to spare
_ROOM: Final = 500 << 20  # bytes
_MODULES: Final = ("virtio_pci", "virtio_console")
_STORE_PROGRAMS: Final = ("chmod", "exists", "list", "ls", "read", "rm", "watch", "write")
"""What the program xenstore is, by the name that it is called by."""

_FOLDERS: Final = (
    "bin", "dev", "etc", "lib", "lib/modules", "lib/x86_64-linux-gnu", "lib64", "proc", "root", "run", "sbin",
    "sys", "tmp", "usr", "usr/bin", "usr/sbin", "var",
)  # fmt: skip
_OS_RELEASE: Final = """\
NAME="Xenwire tiny guest"
PRETTY_NAME="Xenwire tiny guest (Debian kernel, busybox)"
ID=xenwire-tiny-guest
ID_LIKE=debian
"""


@dataclass(frozen=True, slots=True)
class GuestImage:
    """A guest ready to boot: QEMU's `-kernel`, `-initrd`, `-append`; xl's `kernel`, `ramdisk`, `extra`."""

    key: str
    kernel: Path
    """An uncompressed ELF file, which QEMU and Xen start sooner than the bzImage."""
    bzimage: Path
    """The same kernel, compressed, for those that take nothing else: a HVM domain of Xen's."""
    ramdisk: Path
    cmdline: str
    packages: tuple[str, ...]
    """The .deb files that it was made from."""


def tiny_guest() -> GuestImage | None:
    """Give the tiny guest if it has been built, by this Xenwire, from the packages that were fetched last."""
    cache = Cache()
    packages = cache.recorded(_NAME, PACKAGES)
    if not packages:
        return None
    image = _image(cache, packages)
    if not all(path.is_file() for path in (image.kernel, image.bzimage, image.ramdisk)):
        return None
    cache.use(image.kernel.parent)
    return image


async def build_tiny_guest(progress: Progress, *, force: bool = False) -> GuestImage:
    """Give the tiny guest, built first if need be: about 5 s, and 35 MB to fetch the first time.

    `force` fetches the packages again, in their current versions, and builds again. Of several builds at once
    one does the work and the others wait for it. Interrupted, it leaves nothing half-made.

    Raises NotFound where Debian's tools are missing, TimedOut if another build does not end, and XenwireError
    if the packages cannot be fetched, if there is no room or this is no x86-64 host.
    """
    cache = Cache()

    async def make(work: Path) -> GuestImage:
        cache.check_room(_ROOM)
        packages = cache.recorded(_NAME, PACKAGES)
        if force or not packages or not cache.has_all(packages):
            packages = await _fetch(cache, work, progress)
        progress("unpacking packages")
        sysroot = Sysroot(_folder(work / "root"))
        await sysroot.add(cache.packages / name for name in packages)
        progress("making kernel and ramdisk")
        made = _folder(work / "image")
        write_atomic(made / "bzimage", bzimage(sysroot))
        write_atomic(made / "kernel", await kernel(sysroot))
        write_atomic(made / "ramdisk", await ramdisk(sysroot))
        image = _image(cache, packages)
        cache.place(made, image.kernel.parent.name)
        cache.forget_unused()
        return image

    return await cache.once(tiny_guest, make, progress=progress, force=force)


async def _fetch(cache: Cache, work: Path, progress: Progress) -> tuple[str, ...]:
    fetched = _folder(work / "packages")
    await debian.fetch(PACKAGES, KERNEL, fetched, _folder(work / "apt"), progress)
    return cache.keep(_NAME, fetched)


def _image(cache: Cache, packages: tuple[str, ...]) -> GuestImage:
    """Say where the image of these packages is, or would be."""
    key = digest("guest", "\n".join(packages).encode())
    place = cache.folder / f"{_NAME}-{key}"
    return GuestImage(
        key=key,
        kernel=place / "kernel",
        bzimage=place / "bzimage",
        ramdisk=place / "ramdisk",
        cmdline=CMDLINE,
        packages=packages,
    )


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def bzimage(packages: Sysroot) -> bytes:
    """Give the kernel as its package has it. Raises XenwireError."""
    return packages.find("boot/vmlinuz-*").read_bytes()


async def kernel(packages: Sysroot) -> bytes:
    """Give the kernel as an uncompressed ELF file. Raises XenwireError."""
    return await uncompressed(bzimage(packages), packages)


async def ramdisk(packages: Sysroot) -> bytes:
    """Give the initial ramdisk, not compressed: the guest boots faster so. Raises XenwireError."""
    return archive([entry async for entry in _contents(packages)])


async def _contents(packages: Sysroot) -> AsyncIterator[Entry]:
    for folder in _FOLDERS:
        yield Entry.folder(folder)
    yield Entry.char_device("dev/console", 5, 1)  # the kernel opens it for init
    yield Entry.file("init", _script("guest-init.sh"), executable=True)
    yield Entry.file("sbin/shutdown", _script("guest-shutdown.sh"), executable=True)
    yield Entry.file("etc/os-release", _OS_RELEASE.encode())
    yield Entry.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
    yield Entry.file("etc/group", b"root:x:0:\n")
    yield Entry.link("var/run", "../run")

    busybox = packages.program("busybox")
    yield Entry.file("bin/busybox", busybox.read_bytes(), executable=True)
    for applet in (await _tool.run([busybox, "--list"])).decode().split():
        if applet != "busybox":
            yield Entry.link(f"bin/{applet}", "busybox")
    for program in ("poweroff", "reboot"):  # the kernel runs them so when Xen's toolstack asks for it
        yield Entry.link(f"sbin/{program}", "../bin/busybox")

    modules = Modules(packages.find("**/modules.builtin").parent)
    for number, (name, data) in enumerate(modules.needed(_MODULES)):
        yield Entry.file(f"lib/modules/{number:02}-{name}.ko", data)  # init loads them in this order

    yield Entry.file("usr/sbin/qemu-ga", packages.program("qemu-ga").read_bytes(), executable=True)
    yield Entry.file("usr/bin/xenstore", packages.program("xenstore").read_bytes(), executable=True)
    for name in _STORE_PROGRAMS:
        yield Entry.link(f"usr/bin/xenstore-{name}", "xenstore")
    libraries = await packages.libraries("qemu-ga") | await packages.libraries("xenstore")
    for soname, library in sorted(libraries.items()):
        folder = "lib64" if soname.startswith("ld-linux") else "lib/x86_64-linux-gnu"
        yield Entry.file(f"{folder}/{soname}", library.read_bytes(), executable=True)


def _script(name: str) -> bytes:
    return resources.files("xenwire.images").joinpath(name).read_bytes()
