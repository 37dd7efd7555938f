"""Kernel modules: what each needs, and the order in which to load them.

Debian's kernel package has no modules.dep, for depmod writes it when the package is installed. Each module
names what it needs in its section .modinfo (`depends=a,b`).
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from xenwire.errors import XenwireError

__all__ = ["Modules", "dependencies", "load_order"]

_DEPENDS: Final = re.compile(rb"\0depends=([A-Za-z0-9_,-]*)\0")


def dependencies(module: bytes) -> list[str]:
    """Give the names of the modules that `module`, an uncompressed .ko file, needs directly."""
    match = _DEPENDS.search(module)
    return [_canonical(name) for name in match[1].decode().split(",") if name] if match else []


def load_order(wanted: Iterable[str], depends: Callable[[str], Sequence[str]]) -> list[str]:
    """Give `wanted` and all they need, each after what it needs, none twice.

    `depends` gives the direct dependencies of a module. Modules cannot need each other in a circle.
    """
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for needed in depends(name):
                visit(needed)
            order.append(name)

    for name in wanted:
        visit(name)
    return order


class Modules:
    """The modules of an unpacked kernel package; `folder` is its lib/modules/VERSION."""

    def __init__(self, folder: Path) -> None:
        self._files = {_name(path): path for path in sorted(folder.rglob("*.ko*"))}
        self._built_in = {_name(Path(line)) for line in (folder / "modules.builtin").read_text().splitlines()}

    def needed(self, wanted: Iterable[str]) -> list[tuple[str, bytes]]:
        """Give the name and the uncompressed file of all that `wanted` need, in the order to load them.

        What is built into the kernel needs no loading. Raises XenwireError for a module that does not exist.
        """
        found: dict[str, bytes] = {}

        def depends(name: str) -> list[str]:
            found[name] = self._read(name)
            return dependencies(found[name])

        order = load_order((name for name in wanted if name not in self._built_in), depends)
        return [(name, found[name]) for name in order]

    def _read(self, name: str) -> bytes:
        path = self._files.get(name)
        if path is None:
            raise XenwireError("cannot build the image", reason=f"its kernel has no module {name}")
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data


def _name(path: Path) -> str:
    return _canonical(path.name.partition(".")[0])


def _canonical(name: str) -> str:
    return name.replace("-", "_")
