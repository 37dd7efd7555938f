"""Images built once and kept, in `$XDG_CACHE_HOME/xenwire/images`:

    lock               held while something is fetched or built
    packages/*.deb     what apt fetched
    packages.list      their names, written once all of them are whole
    tiny-guest-KEY/    an image: kernel and ramdisk
    .work-*            a build under way, or one that was killed; the next build removes it

KEY is a hash of all that goes into an image: its packages, by name and version, and the files of
`xenwire.images`. An image that is there is used without asking apt or the network. Everything may be removed
while nothing uses it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from xenwire.errors import TimedOut, XenwireError
from xenwire.images import debian, guest
from xenwire.images.debian import Progress
from xenwire.images.sysroot import Sysroot
from xenwire.runtime.files import write_atomic
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import cache_dir

__all__ = ["GuestImage", "build_tiny_guest", "tiny_guest"]

# packages 35, unpacked 150, lists of packages 20, the image 65 MB, and some to spare
_ROOM: Final = 500 << 20  # bytes
_LOCK_TIMEOUT: Final = 900.0  # seconds; another build may have to fetch over a slow line
_ELSEWHERE: Final = "images are kept in {}; set XDG_CACHE_HOME to keep them elsewhere"
_UNUSED: Final = 30 * 24 * 3600.0  # seconds after which an image of other packages is removed


@dataclass(frozen=True, slots=True)
class GuestImage:
    """A guest ready to boot: QEMU's `-kernel`, `-initrd` and `-append`."""

    key: str
    kernel: Path
    ramdisk: Path
    cmdline: str
    packages: tuple[str, ...]
    """The .deb files that it was made from."""


def tiny_guest() -> GuestImage | None:
    """Give the tiny guest if it has been built, by this Xenwire, from the packages that were fetched last."""
    images = _images()
    packages = _recorded(images)
    if not packages:
        return None
    image = _image(images, packages)
    if not (image.kernel.is_file() and image.ramdisk.is_file()):
        return None
    with suppress(OSError):  # a cache that may only be read serves as well
        os.utime(image.kernel.parent)
    return image


async def build_tiny_guest(progress: Progress, *, force: bool = False) -> GuestImage:
    """Give the tiny guest, built first if need be: about 5 s, and 35 MB to fetch the first time.

    `force` fetches the packages again, in their current versions, and builds again. Of several builds at once
    one does the work and the others wait for it. Interrupted, it leaves nothing half-made.

    Raises NotFound where Debian's tools are missing, TimedOut if another build does not end, and XenwireError
    if the packages cannot be fetched, if there is no room or this is no x86-64 host.
    """
    if not force and (image := tiny_guest()):
        return image
    if (machine := os.uname().machine) != "x86_64":
        raise XenwireError(
            "cannot build the image",
            reason=f"this host is {machine}",
            hint="the tiny guest is made and run on x86-64 hosts",
        )
    images = _images()
    try:
        async with _locked(images, progress):
            if not force and (image := tiny_guest()):
                return image
            return await _build(images, progress, force=force)
    except OSError as error:
        raise XenwireError(
            "cannot build the image",
            reason=f"{error.filename or images}: {error.strerror}",
            hint=_ELSEWHERE.format(images),
        ) from error


async def _build(images: Path, progress: Progress, *, force: bool) -> GuestImage:
    for left in images.glob(".work-*"):  # by a build that was killed, for we hold the lock
        shutil.rmtree(left)
    free = shutil.disk_usage(images).free
    if free < _ROOM:
        raise XenwireError(
            "cannot build the image",
            reason=f"{images} has {free >> 20} MiB free, and a build needs {_ROOM >> 20}",
            hint=_ELSEWHERE.format(images),
        )
    with tempfile.TemporaryDirectory(dir=images, prefix=".work-") as name:
        work = Path(name)
        packages = _recorded(images)
        if force or not packages or not all((images / "packages" / name).is_file() for name in packages):
            packages = await _fetch(images, work, progress)
        progress("unpacking packages")
        sysroot = Sysroot(_folder(work / "root"))
        await sysroot.add(images / "packages" / name for name in packages)
        progress("making kernel and ramdisk")
        made = _folder(work / "image")
        write_atomic(made / "kernel", await guest.kernel(sysroot))
        write_atomic(made / "ramdisk", await guest.ramdisk(sysroot))
        image = _image(images, packages)
        place = image.kernel.parent
        if place.exists():
            place.rename(work / "former")
        made.rename(place)
    for other in images.glob("tiny-guest-*"):
        if other != place and other.stat().st_mtime < time.time() - _UNUSED:
            shutil.rmtree(other)
    return image


async def _fetch(images: Path, work: Path, progress: Progress) -> tuple[str, ...]:
    """Fetch the packages of the tiny guest in place of the former ones, and give their names."""
    fetched = _folder(work / "packages")
    await debian.fetch(guest.PACKAGES, guest.KERNEL, fetched, _folder(work / "apt"), progress)
    names = tuple(sorted(path.name for path in fetched.iterdir()))
    kept = _folder(images / "packages")
    for name in names:
        (fetched / name).replace(kept / name)
    write_atomic(images / "packages.list", "".join(f"{name}\n" for name in names).encode())
    for path in kept.iterdir():
        if path.name not in names:
            path.unlink()
    return names


def _recorded(images: Path) -> tuple[str, ...]:
    """Give the names of the packages that were fetched last; none if they are not all that is needed."""
    try:
        names = tuple((images / "packages.list").read_text().split())
    except FileNotFoundError:
        return ()
    return names if {name.partition("_")[0] for name in names}.issuperset(guest.PACKAGES) else ()


def _image(images: Path, packages: tuple[str, ...]) -> GuestImage:
    """Say where the image of these packages is, or would be."""
    digest = hashlib.sha256("\n".join(packages).encode())
    sources = [
        file for file in resources.files("xenwire.images").iterdir() if file.name.endswith((".py", ".sh"))
    ]
    for source in sorted(sources, key=lambda file: file.name):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    key = digest.hexdigest()[:16]
    place = images / f"tiny-guest-{key}"
    return GuestImage(key, place / "kernel", place / "ramdisk", guest.CMDLINE, packages)


@asynccontextmanager
async def _locked(images: Path, progress: Progress) -> AsyncIterator[None]:
    lock = FileLock(images / "lock")
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(lock.held(0))
        except TimedOut:
            progress("waiting for another build")
            await stack.enter_async_context(lock.held(_LOCK_TIMEOUT))
        yield


def _images() -> Path:
    return _folder(cache_dir() / "images")


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path
