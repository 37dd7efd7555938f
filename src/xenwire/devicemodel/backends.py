"""Which backends a device model supports (seed 000)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xenwire.devicemodel.nodes import DeviceModelNodes
from xenwire.errors import Denied, NotFound

if TYPE_CHECKING:
    from xenwire.xenstore import Nodes

__all__ = ["Backends", "read_backends", "served_types", "unlisted_by_qemu"]

_SERVED_BY: Final = {
    "console": "virtserialport",
    "qdisk": "virtio-blk-pci",
    "qnic": "virtio-net-pci",
    "vkbd": "virtio-keyboard-pci",
    "vfb": "VGA",
}
"""Backend type and the QEMU device that does its work in a guest without Xen."""

_ASSUMED: Final = frozenset({"console", "vkbd", "vfb", "qdisk", "qnic"})

_ALWAYS_LISTED: Final = "vkbd"
"""What each QEMU under Xen has listed since it lists anything, whatever its machine and how it was built."""


@dataclass(frozen=True, slots=True)
class Backends:
    """What a device model says of its backends: the types listed, or None where it has no `backends`."""

    listed: frozenset[str] | None
    unlisted: frozenset[str] = frozenset()
    """Types that it is known to serve without a word (see `unlisted_by_qemu`)."""

    def supports(self, type_: str) -> bool:
        """Whether a backend type is supported.

        It is where it is listed; a device model that lists nothing at all is older than the list and
        supports console, vkbd, vfb, qdisk and qnic (seed 000). One of `unlisted` is supported, too.
        """
        return type_ in self._supported

    @property
    def types(self) -> list[str]:
        """Every supported type that is known, sorted."""
        return sorted(self._supported)

    @property
    def _supported(self) -> frozenset[str]:
        return _ASSUMED if self.listed is None else self.listed | self.unlisted


def served_types(devices: Collection[str]) -> list[str]:
    """Give the backend types that a plain QEMU with these device types can serve."""
    return [type_ for type_, device in _SERVED_BY.items() if device in devices]


def unlisted_by_qemu(listed: Collection[str]) -> frozenset[str]:
    """Give the backend types that a QEMU under Xen serves, though its list lacks them.

    It has ceased to list what it serves by XenBus, the newer of its two ways: qdisk since 4.0, console and
    qnic since 8.2. (Before, qnic was for the machine xenpv alone, and listed there.) Its version is not in
    the store, but what it does list tells (qemu: xen_be_init in hw/xen/xen-legacy-backend.c;
    xen_backend_register in hw/block/xen-block.c, hw/char/xen_console.c and hw/net/xen_nic.c).
    """
    if _ALWAYS_LISTED not in listed:
        return frozenset()  # it is no QEMU, or has not come to the end of its list
    return frozenset({"qdisk"} if "console" in listed else {"console", "qdisk", "qnic"})


async def read_backends(store: Nodes, nodes: DeviceModelNodes, *, under_xen: bool = False) -> Backends:
    """Read `$QEMU/backends` as the toolstack does. An empty directory means: none is supported.

    A directory that it may not read is none, as for libxl (xen: tools/libs/light/libxl_dm.c,
    libxl__query_qemu_backend). `under_xen`: QEMU itself has written it.
    """
    try:
        listed = frozenset(await store.list(nodes.backends))
    except (NotFound, Denied):
        return Backends(None)
    return Backends(listed, unlisted_by_qemu(listed) if under_xen else frozenset())
