"""Whole systems of Debian's packages: a kernel, an initial ramdisk, and the root disk that it mounts.

In `NAME-KEY/` of the cache. What the ramdisk does when it runs is in `rootdisk-initrd.sh`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final

from xenwire import guestfiles
from xenwire.images import debian, mirrors, repository, rootdisk
from xenwire.images.cache import Cache, digest
from xenwire.images.cpio import Entry, archive
from xenwire.images.debian import Progress
from xenwire.images.kernel import uncompressed
from xenwire.images.modules import Modules
from xenwire.images.sysroot import Sysroot
from xenwire.runtime.files import write_atomic

__all__ = ["Built", "System"]

_KERNELS: Final = "linux-image-"
_UNPACKERS: Final = (
    "busybox-static", "libc6", "libgcc-s1", "liblz4-1", "liblzma5", "libstdc++6", "libzstd1", "lz4", "zlib1g",
    "zstd",
)  # fmt: skip
"""What the ramdisk is made of, and what unpacks kernels, with its libraries."""

# packages 150, lists of packages 80, the kernel unpacked 400, the image 500 MB, and some to spare
_ROOM: Final = 1400 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Built:
    """A system in the cache. Nothing may write to its files."""

    key: str
    folder: Path
    packages: tuple[str, ...]
    """The .deb files that it was made from."""

    @property
    def kernel(self) -> Path:
        """An uncompressed ELF file."""
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        """It mounts the disk that `root=` names, and goes on with `init=`. More archives may be appended to
        it: their folder `xenwire` is /run/xenwire then, and `init=` may name a program there."""
        return self.folder / "initrd"

    @property
    def root(self) -> Path:
        """A raw disk of 2 GiB, with holes; ext4 without partitions. A later build of the same key may lay it
        out otherwise: an overlay fits this very file only."""
        return self.folder / "root"


@dataclass(frozen=True, slots=True)
class System:
    """What a system is made of."""

    name: str
    """That of its folder, without the key, and of its list of packages."""
    recipe: str
    """The module that says what it is made of: see `cache.digest`."""
    label: str
    """Of its root disk; at most 16 bytes."""
    release: str
    """A code name of Debian's."""
    packages: tuple[str, ...]
    """To be installed with all that they depend on, busybox-static and what unpacks the kernel among them."""
    kernel: str
    """The package that depends on the current kernel's. A kernel's scripts would make a ramdisk and a boot
    menu: it is taken apart, and not installed."""
    modules: tuple[str, ...]
    """Modules that mount the root disk."""
    setup: str
    """The script of this package that sets it up, run in its root."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files of this package to add, and where."""
    guest_files: tuple[str, ...] = ()
    """Files of `xenwire.guestfiles` to add."""
    apart: tuple[str, ...] = ()
    """Packages to be taken apart, and not installed, for `more`."""
    more: Mapping[str, Callable[[Sysroot, Sysroot], bytes]] = field(default_factory=dict)
    """Further files of the image, from the kernel's package and from those `apart`."""

    def find(self) -> Built | None:
        """Give it if it has been built, by this Xenwire, from the packages that were fetched last."""
        cache = Cache()
        packages = cache.recorded(self.name, self.packages)
        if not packages:
            return None
        built = self.built(cache, packages)
        files = (built.kernel, built.initrd, built.root, *(built.folder / name for name in self.more))
        if not all(path.is_file() for path in files):
            return None
        cache.use(built.folder)
        return built

    async def build(self, progress: Progress, *, force: bool) -> Built:
        """Give it, built first if need be.

        `force` fetches the packages again, in their current versions, and builds again. Of several builds at
        once one does the work and the others wait for it. Interrupted, it leaves nothing half-made.

        Raises NotFound where tools are missing, TimedOut if another build does not end, and XenwireError if
        the packages cannot be fetched, if there is no room, if this user may not do it or this is no x86-64
        host.
        """
        cache = Cache()

        async def make(work: Path) -> Built:
            cache.check_room(_ROOM)
            await rootdisk.check()
            packages = cache.recorded(self.name, self.packages)
            if force or not packages or not cache.has_all(packages):
                packages = await self._fetch(cache, work, progress)
            built = self.built(cache, packages)
            made = work / "image"
            made.mkdir()
            await self._make([cache.packages / name for name in packages], made, work, progress)
            cache.place(made, built.folder.name)
            cache.forget_unused()
            return built

        return await cache.once(self.find, make, progress=progress, force=force)

    def built(self, cache: Cache, packages: tuple[str, ...]) -> Built:
        """Say where it is, or would be, made of these packages."""
        key = digest(self.recipe, "\n".join(packages).encode(), *map(guestfiles.read, self.guest_files))
        return Built(key, cache.folder / f"{self.name}-{key}", packages)

    async def _fetch(self, cache: Cache, work: Path, progress: Progress) -> tuple[str, ...]:
        fetched, scratch = work / "packages", work / "apt"
        fetched.mkdir()
        scratch.mkdir()
        await debian.fetch_system(
            self.release, self.packages, self.apart, self.kernel, fetched, scratch, progress
        )
        return cache.keep(self.name, fetched)

    async def _make(self, packages: Sequence[Path], made: Path, work: Path, progress: Progress) -> None:
        """Make the files of the image in the folder `made`."""
        progress("unpacking the kernel")
        kernel = await _unpacked(work / "kernel", [p for p in packages if p.name.startswith(_KERNELS)])
        aside = await _unpacked(
            work / "aside", [p for p in packages if _package(p) in {*_UNPACKERS, *self.apart}]
        )
        write_atomic(made / "kernel", await uncompressed(kernel.find("boot/vmlinuz-*").read_bytes(), aside))
        write_atomic(made / "initrd", archive(_ramdisk(kernel, aside, self.modules)))
        for name, give in self.more.items():
            write_atomic(made / name, await asyncio.to_thread(give, kernel, aside))

        repo, files = work / "repository", work / "files"
        repo.mkdir()
        files.mkdir()
        added = {place: _resource(name) for name, place in self.files.items()}
        added |= {f"{guestfiles.PLACES[name]}/{name}": guestfiles.read(name) for name in self.guest_files}
        for place, data in added.items():
            (files / place).parent.mkdir(parents=True, exist_ok=True)
            (files / place).write_bytes(data)
        setup = work / "setup"
        setup.write_bytes(_resource(self.setup))
        await rootdisk.make(
            made / "root",
            work,
            packages=await repository.make(
                repo,
                [
                    path
                    for path in packages
                    if not path.name.startswith(_KERNELS) and _package(path) not in self.apart
                ],
            ),
            source=repository.source(repo),
            sources=mirrors.sources(self.release, {}),
            kernel=kernel.root,
            files=files,
            setup=setup,
            label=self.label,
            progress=progress,
        )


def _ramdisk(kernel: Sysroot, aside: Sysroot, wanted: Sequence[str]) -> list[Entry]:
    modules = Modules(kernel.find("**/modules.builtin").parent)
    return [
        Entry.folder("bin"),
        Entry.folder("dev"),
        Entry.folder("modules"),
        Entry.char_device("dev/console", 5, 1),  # the kernel opens it for init
        Entry.file("init", _resource("rootdisk-initrd.sh"), executable=True),
        Entry.file("bin/busybox", aside.program("busybox").read_bytes(), executable=True),
        *(
            Entry.file(f"modules/{number:02}-{name}.ko", data)  # init loads them in this order
            for number, (name, data) in enumerate(modules.needed(wanted))
        ),
    ]


async def _unpacked(folder: Path, packages: list[Path]) -> Sysroot:
    folder.mkdir()
    sysroot = Sysroot(folder)
    await sysroot.add(packages)
    return sysroot


def _package(file: Path) -> str:
    return file.name.partition("_")[0]


def _resource(name: str) -> bytes:
    return resources.files("xenwire.images").joinpath(name).read_bytes()
