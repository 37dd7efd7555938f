"""A flat repository of packages: a folder of .deb files and an index, as apt reads it without any network.

Source: Debian's wiki, DebianRepository/Format; deb-control(5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from xenwire.images import _tool

__all__ = ["make", "source", "stanza"]

_INDEX: Final = "Packages"


async def make(folder: Path, packages: Iterable[Path]) -> list[str]:
    """Make a repository of .deb files in an empty folder on their file system, and give the packages' names.

    Raises XenwireError if one of them is no package.
    """
    index, names = [], []
    for package in packages:
        (folder / package.name).hardlink_to(package)
        control = (await _tool.run(["dpkg-deb", "--field", package])).decode()
        index.append(stanza(control, package.name, package.read_bytes()))
        names.append(package.name.partition("_")[0])
    (folder / _INDEX).write_text("\n".join(index))
    return names


def stanza(control: str, name: str, package: bytes) -> str:
    """Give a package's entry in the index: its control file, and how to find and check the package."""
    digest = hashlib.sha256(package).hexdigest()
    return f"{control.rstrip()}\nFilename: ./{name}\nSize: {len(package)}\nSHA256: {digest}\n"


def source(folder: Path) -> str:
    """Give the line of a sources.list for the repository."""
    return f"deb [trusted=yes] copy:{quote(str(folder))} ./"
