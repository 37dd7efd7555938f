"""Images built once and kept, in `$XDG_CACHE_HOME/xenwire/images`:

    lock                     held while something is fetched or built
    packages/*.deb           what apt fetched, for all images
    packages/IMAGE.list      the packages of one image, written once all of them are whole
    tiny-guest-KEY/          an image: see `guest` and `system` for what is in each
    debian-guest-KEY/
    dom0-RELEASE-KEY/
    .work-*                  a build under way, or one that was killed; the next build removes it

KEY is a hash of all that goes into an image: its packages, by name and version, and the files of
`xenwire.images` but those of other images. An image that is there is used without asking apt or the network.
Everything may be removed while nothing uses it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Final, TypeVar

from xenwire.errors import XenwireError
from xenwire.images.debian import Progress
from xenwire.runtime.files import write_atomic
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import cache_dir

__all__ = ["Cache", "digest"]

_LOCK_TIMEOUT: Final = 900.0  # seconds; another build may have to fetch over a slow line
_ELSEWHERE: Final = "images are kept in {}; set XDG_CACHE_HOME to keep them elsewhere"
_UNUSED: Final = 30 * 24 * 3600.0  # seconds after which an image of other packages is removed

_RECIPES: Final = ("debian_guest", "dom0", "guest")
"""Modules that say what an image is made of. The files that only it needs begin with the same name."""

_Image = TypeVar("_Image")


def digest(recipe: str, *parts: bytes) -> str:
    """Give the key of what is made of `parts` by the builder as it is now, as the module `recipe` says."""
    others = tuple(name for name in _RECIPES if name != recipe)
    sources = [
        file
        for file in resources.files("xenwire.images").iterdir()
        if file.is_file() and not file.name.replace("-", "_").startswith(others)
    ]
    total = hashlib.sha256()
    for part in (*parts, *(file.read_bytes() for file in sorted(sources, key=lambda file: file.name))):
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:16]


class Cache:
    """The folder that images are kept in."""

    def __init__(self) -> None:
        self.folder = cache_dir() / "images"
        self.packages = self.folder / "packages"

    async def once(
        self,
        find: Callable[[], _Image | None],
        make: Callable[[Path], Awaitable[_Image]],
        *,
        progress: Progress,
        force: bool,
    ) -> _Image:
        """Give what `find` finds, else what `make` makes. Of several builds at once one does the work.

        `make` is given an empty folder, gone afterwards, on the file system of the images. `force`: make it
        even if it is there.

        Raises TimedOut if another build does not end, XenwireError if this is no x86-64 host or files cannot
        be written, and what `make` raises.
        """
        if not force and (image := find()):
            return image
        if (machine := os.uname().machine) != "x86_64":
            raise XenwireError(
                "cannot build the image",
                reason=f"this host is {machine}",
                hint="images are made and run on x86-64 hosts",
            )
        try:
            self.packages.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock")
            async with lock.held(_LOCK_TIMEOUT, waiting=lambda: progress("waiting for another build")):
                if not force and (image := find()):
                    return image
                for left in self.folder.glob(".work-*"):  # by a build that was killed, for we hold the lock
                    shutil.rmtree(left)
                with tempfile.TemporaryDirectory(dir=self.folder, prefix=".work-") as work:
                    return await make(Path(work))
        except OSError as error:
            raise XenwireError(
                "cannot build the image",
                reason=f"{error.filename or self.folder}: {error.strerror}",
                hint=_ELSEWHERE.format(self.folder),
            ) from error

    def check_room(self, room: int) -> None:
        """Raise XenwireError if fewer than `room` bytes are free."""
        free = shutil.disk_usage(self.folder).free
        if free < room:
            raise XenwireError(
                "cannot build the image",
                reason=f"{self.folder} has {free >> 20} MiB free, and a build needs {room >> 20}",
                hint=_ELSEWHERE.format(self.folder),
            )

    def recorded(self, name: str, wanted: Sequence[str] = ()) -> tuple[str, ...]:
        """Give the .deb files that were fetched last for an image.

        None if there has been no fetch, or if one of the packages `wanted` is not among them.
        """
        try:
            files = tuple(self._list(name).read_text().split())
        except FileNotFoundError:
            return ()
        return files if {file.partition("_")[0] for file in files}.issuperset(wanted) else ()

    def has_all(self, packages: Sequence[str]) -> bool:
        """Whether these .deb files are here."""
        return all((self.packages / package).is_file() for package in packages)

    def keep(self, name: str, fetched: Path) -> tuple[str, ...]:
        """Take the .deb files in a folder in place of an image's former ones, and give their names."""
        packages = tuple(sorted(path.name for path in fetched.iterdir()))
        for package in packages:
            (fetched / package).replace(self.packages / package)
        write_atomic(self._list(name), "".join(f"{package}\n" for package in packages).encode())
        lists = self.packages.glob("*.list")
        wanted = {package for path in lists for package in self.recorded(path.stem)}
        for path in self.packages.glob("*.deb"):
            if path.name not in wanted:
                path.unlink()
        return packages

    def place(self, made: Path, name: str) -> None:
        """Move a whole image, made in the work folder, to its name. One that is there makes way."""
        place = self.folder / name
        if place.exists():
            place.rename(made.with_name("former"))
        made.rename(place)

    def use(self, path: Path) -> None:
        """Note that an image is in use."""
        with suppress(OSError):  # a cache that may only be read serves as well
            os.utime(path)

    def forget_unused(self) -> None:
        """Remove the images that have not been used for 30 days."""
        for image in self.folder.glob("[!.]*-*"):
            if image.stat().st_mtime < time.time() - _UNUSED:
                shutil.rmtree(image)

    def _list(self, name: str) -> Path:
        return self.packages / f"{name}.list"
