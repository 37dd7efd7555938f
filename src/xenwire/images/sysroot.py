"""Packages taken apart in a folder: their files, and their programs run with their own libraries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from xenwire.errors import XenwireError
from xenwire.images import _tool
from xenwire.images.debian import unpack

__all__ = ["Sysroot"]

_LOADER: Final = "ld-linux-x86-64.so.2"
_LIBRARY_FOLDERS: Final = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_RESOLVED: Final = re.compile(r"\s*(\S+) => (.+?)(?: \(0x[0-9a-f]+\))?")


class Sysroot:
    """A folder in which packages are unpacked side by side.

    It is no system: no package's scripts have run, and absolute links lead out of it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    async def add(self, packages: Iterable[Path]) -> None:
        """Unpack .deb files. Raises NotFound, XenwireError."""
        for package in packages:
            await unpack(package, self.root)

    def find(self, pattern: str) -> Path:
        """Give the only file or folder, not a link, that matches a glob pattern such as `boot/vmlinuz-*`.

        Raises XenwireError if there is none or another.
        """
        found = [path for path in self.root.glob(pattern) if not path.is_symlink()]
        if len(found) != 1:
            raise XenwireError(
                "cannot build the image", reason=f"expected one {pattern} in its packages, found {len(found)}"
            )
        return found[0]

    def program(self, name: str) -> Path:
        """Give the program `name`. Raises XenwireError if there is none."""
        return self.find(f"**/*bin/{name}")

    async def run(self, name: str, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run a program with its own libraries and give its output. Raises XenwireError if it fails."""
        return await _tool.run([*self._loader(), self.program(name), *arguments], stdin=stdin)

    async def libraries(self, name: str) -> dict[str, Path]:
        """Give the shared libraries that a program needs, by soname, the dynamic loader among them.

        Raises XenwireError if one of them is in none of the packages.
        """
        output = (await _tool.run([*self._loader(), "--list", self.program(name)])).decode()
        found: dict[str, Path] = {}
        for line in output.splitlines():
            if match := _RESOLVED.fullmatch(line):  # the kernel's vdso has no file and no arrow
                soname, path = Path(match[1]).name, Path(match[2])
                if not path.is_relative_to(self.root):
                    raise XenwireError(
                        "cannot build the image", reason=f"no package has {soname}, which {name} needs"
                    )
                found[soname] = path
        return found

    def _loader(self) -> list[str | Path]:
        folders = ":".join(str(self.root / folder) for folder in _LIBRARY_FOLDERS)
        return [self.find(f"**/{_LOADER}"), "--inhibit-cache", "--library-path", folders]
