"""A configuration while it is made of libvirt's."""

from __future__ import annotations

from typing import Any, Final

from xenwire.config.libvirt.document import Node
from xenwire.config.libxl.types import DomainType

__all__ = ["Draft", "bits", "kibibytes"]


class Draft:
    """The fields of libxl's structs that are known so far."""

    def __init__(self, root: Node, guest_type: DomainType) -> None:
        self.root = root
        self.devices = root.find("devices")
        self.type = guest_type
        self.hvm = guest_type is DomainType.HVM
        self.create: dict[str, Any] = {"type": guest_type}
        self.build: dict[str, Any] = {}
        self.guest: dict[str, Any] = {}
        """What depends on the type of the guest."""
        self.config: dict[str, Any] = {}
        self.boot: list[tuple[int, str]] = []
        """The letters of devices that say at which place they are to be booted from."""

    def note_boot(self, device: Node, letter: str) -> None:
        """Note the place of a device in the order of boot, if it says one."""
        boot = device.find("boot")
        if boot:
            order = boot.number(boot.get("order"), 2**31, what="order")
            if order is not None:
                self.boot.append((order, letter))


_UNITS: Final = {
    "b": 1,
    "bytes": 1,
    **{f"{letter}b".lower(): 1000**power for power, letter in enumerate("KMGTPE", 1)},
    **{f"{letter}ib".lower(): 1024**power for power, letter in enumerate("KMGTPE", 1)},
    **{letter.lower(): 1024**power for power, letter in enumerate("KMGTPE", 1)},
}
"""Bytes (libvirt: docs/formatdomain, memory; virScaleInteger)."""

_LARGEST: Final = 2**63 - 1


def kibibytes(node: Node, text: str | None = None) -> int | None:
    """Read a size with its unit, KiB if there is none, rounded up; None after an error.

    The number is the text of the element, or `text`.
    """
    unit = node.get("unit", "KiB")
    factor = _UNITS.get(unit.lower())
    if factor is None:
        node.error(f"unknown unit of <{node.name}>: {unit[:40]}", "write KiB, MiB or GiB")
        return None
    size = node.number(node.text if text is None else text, _LARGEST // factor, what="the size")
    return None if size is None else -(-size * factor // 1024)


_MAX_BIT: Final = 1023
"""The last processor that there may be: far more than hosts have."""


def bits(node: Node, text: str, what: str) -> frozenset[int] | None:
    """Read a set of numbers such as `0-3,^2,8`; None after an error."""
    found = 0
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.removeprefix("^").partition("-")
        low = node.number(first, _MAX_BIT, what=what)
        high = node.number(last, _MAX_BIT, what=what) if dash else low
        if low is None or high is None:
            return None
        mask = (1 << high + 1) - (1 << min(low, high + 1))
        found = found & ~mask if part.startswith("^") else found | mask
    return frozenset(index for index, digit in enumerate(reversed(f"{found:b}")) if digit == "1")
