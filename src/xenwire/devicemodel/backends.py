"""Which backends a device model supports (seed 000)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xenwire.devicemodel.nodes import DeviceModelNodes
from xenwire.errors import NotFound

if TYPE_CHECKING:
    from xenwire.xenstore import Nodes

__all__ = ["Backends", "read_backends", "served_types"]

_SERVED_BY: Final = {
    "console": "virtserialport",
    "qdisk": "virtio-blk-pci",
    "qnic": "virtio-net-pci",
    "vkbd": "virtio-keyboard-pci",
    "vfb": "VGA",
}
"""Backend type and the QEMU device that does its work in a guest without Xen."""

_ASSUMED: Final = frozenset({"console", "vkbd", "vfb", "qdisk", "qnic"})


@dataclass(frozen=True, slots=True)
class Backends:
    """What a device model says of its backends: the types listed, or None where it has no `backends`."""

    listed: frozenset[str] | None

    def supports(self, type_: str) -> bool:
        """Whether a backend type is supported.

        It is where it is listed; a device model that lists nothing at all is older than the list and
        supports console, vkbd, vfb, qdisk and qnic (seed 000).
        """
        return type_ in (_ASSUMED if self.listed is None else self.listed)

    @property
    def types(self) -> list[str]:
        """Every supported type that is known, sorted."""
        return sorted(_ASSUMED if self.listed is None else self.listed)


def served_types(devices: Collection[str]) -> list[str]:
    """Give the backend types that a plain QEMU with these device types can serve."""
    return [type_ for type_, device in _SERVED_BY.items() if device in devices]


async def read_backends(store: Nodes, nodes: DeviceModelNodes) -> Backends:
    """Read `$QEMU/backends` as the toolstack does. An empty directory means: none is supported."""
    try:
        return Backends(frozenset(await store.list(nodes.backends)))
    except NotFound:
        return Backends(None)
