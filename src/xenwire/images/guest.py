"""The tiny guest: Debian's cloud kernel; busybox, virtio drivers and the QEMU guest agent in a ramdisk.

What it does when it runs is in `guest-init.sh`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import resources
from typing import Final

from xenwire.errors import XenwireError
from xenwire.images import _tool
from xenwire.images.cpio import Entry, archive
from xenwire.images.kernel import payload
from xenwire.images.modules import Modules
from xenwire.images.sysroot import Sysroot

__all__ = ["CMDLINE", "KERNEL", "PACKAGES", "kernel", "ramdisk"]

CMDLINE: Final = "console=ttyS0 quiet cryptomgr.notests"
"""The kernel command line. Without the crypto self-tests it boots 0.3 s faster under software emulation."""

KERNEL: Final = "linux-image-cloud-amd64"
PACKAGES: Final = ("busybox-static", "lz4", "qemu-guest-agent", "zstd")
"""busybox-static and qemu-guest-agent run in the guest; lz4 and zstd unpack its kernel on the host."""

_MODULES: Final = ("virtio_pci", "virtio_console")
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


async def kernel(packages: Sysroot) -> bytes:
    """Give the kernel as an uncompressed ELF file. Raises XenwireError."""
    found = payload(packages.find("boot/vmlinuz-*").read_bytes())
    image = await packages.run(found.tool, "-dc", stdin=found.data)
    if len(image) != found.size or not image.startswith(b"\x7fELF"):
        raise XenwireError("cannot build the image", reason="the kernel in its package is not whole")
    return image


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

    modules = Modules(packages.find("**/modules.builtin").parent)
    for number, (name, data) in enumerate(modules.needed(_MODULES)):
        yield Entry.file(f"lib/modules/{number:02}-{name}.ko", data)  # init loads them in this order

    yield Entry.file("usr/sbin/qemu-ga", packages.program("qemu-ga").read_bytes(), executable=True)
    for soname, library in sorted((await packages.libraries("qemu-ga")).items()):
        folder = "lib64" if soname.startswith("ld-linux") else "lib/x86_64-linux-gnu"
        yield Entry.file(f"{folder}/{soname}", library.read_bytes(), executable=True)


def _script(name: str) -> bytes:
    return resources.files("xenwire.images").joinpath(name).read_bytes()
