"""The words of the control protocol between toolstack and device model (seed 001). Pure.

    toolstack       $QEMU/parameter, $QEMU/command    in one transaction, once $QEMU/state is `running`
    device model    removes $QEMU/command, acts
    device model    $QEMU/parameter, $QEMU/state      its answer, in this order
    toolstack       $QEMU/state                       `running` again

A command that fails has an answer of its own, and `parameter` says why. Seed 001 names that of `pci-ins` and
leaves the others open; qemu-xen-traditional answers none of its failures (qemu-xen-traditional: xenstore.c).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Self

from xenwire.devicemodel.nodes import PAUSED, RUNNING
from xenwire.errors import UsageError

__all__ = ["ANSWERS", "Answers", "Command", "PciAddress", "PciInsertion", "state_before"]


class Command(StrEnum):
    """Words for `$QEMU/command`."""

    SAVE = "save"
    """Stop the guest, and save the device model's state."""
    CONTINUE = "continue"
    """Let the guest's processors run."""
    PCI_INSERT = "pci-ins"
    """Give the guest a PCI device of the host; `parameter` is a `PciInsertion`, then its virtual devfn."""
    PCI_REMOVE = "pci-rem"
    """Have the guest give it back; `parameter` is its `PciAddress`."""
    USB_ADD = "usb-add"
    """Give the guest a USB device: `tablet`, `mouse`, `keyboard`, `wacom-tablet`, `host:BUS.ADDR`,
    `host:VENDOR:PRODUCT` (qemu-xen-traditional's words)."""
    USB_DELETE = "usb-del"
    """Take one away again: `BUS.ADDR`, as `info usb` shows it."""
    PAUSE = "pause"
    """Stop the guest's processors. Ours: where there is no hypervisor to ask, the device model does it."""


class Answers(NamedTuple):
    """What `$QEMU/state` says at the end of a command."""

    done: str
    failed: str


ANSWERS: Final = {
    # Seed 001 knows no failure of `save`. To libxl, `paused` without a file is one, after which it says
    # `continue`; for another word it would wait, and leave the guest stopped. `parameter` says why.
    Command.SAVE: Answers(PAUSED, PAUSED),
    Command.CONTINUE: Answers(RUNNING, "continue-failed"),
    Command.PAUSE: Answers(PAUSED, "pause-failed"),
    Command.PCI_INSERT: Answers("pci-inserted", "pci-insert-failed"),
    Command.PCI_REMOVE: Answers("pci-removed", "pci-remove-failed"),
    Command.USB_ADD: Answers("usb-added", "usb-add-failed"),
    Command.USB_DELETE: Answers("usb-deleted", "usb-delete-failed"),
}


def state_before(command: Command) -> str:
    """Give the state in which a device model takes a command, and to which it is put back if that fails."""
    return PAUSED if command is Command.CONTINUE else RUNNING


_BDF: Final = re.compile(
    r"([0-9a-fA-F]{1,4})[:.]([0-9a-fA-F]{1,2})[:.]([0-9a-fA-F]{1,2})[:.]([0-7])(?:@([0-9a-fA-F]{1,3}))?"
)
_ANY_SLOT: Final = 0x100  # in a virtual devfn: choose one


@dataclass(frozen=True, slots=True)
class PciAddress:
    """Where a PCI device is on the host: `0000:00:05.0`."""

    domain: int
    bus: int
    device: int
    function: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `DDDD:BB:DD.F`, all hexadecimal; `:` and `.` mean the same. Raises UsageError."""
        found = _BDF.fullmatch(text)
        if found is None or found[5] is not None:
            raise UsageError(f"not a PCI address: {text[:80]!r}", reason="expected DDDD:BB:DD.F")
        return cls._of(found)

    @classmethod
    def _of(cls, found: re.Match[str]) -> Self:
        numbers = [int(found[n], 16) for n in range(1, 5)]
        if numbers[2] > 0x1F:
            raise UsageError(f"not a PCI address: {found[0]!r}", reason="a bus has devices 0 to 1f")
        return cls(*numbers)

    def __str__(self) -> str:
        return f"{self.domain:04x}:{self.bus:02x}:{self.device:02x}.{self.function:x}"


@dataclass(frozen=True, slots=True)
class PciInsertion:
    """What `pci-ins` is to insert: `0000:00:05.0@30,msitranslate=0,power_mgmt=0`."""

    address: PciAddress
    devfn: int | None = None
    """Where the guest is to see it, slot * 8 + function; None: in any free slot."""
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one; as in qemu-xen-traditional, an option without `=` ends the list. Raises UsageError."""
        where, *rest = text.split(",")
        found = _BDF.fullmatch(where)
        if found is None:
            raise UsageError(
                f"not a PCI device: {text[:80]!r}", reason="expected DDDD:BB:DD.F[@VV][,key=value]…"
            )
        devfn = int(found[5] or "100", 16)
        options = []
        for option in rest:
            key, equals, value = option.partition("=")
            if not equals:
                break
            options.append((key, value))
        return cls(PciAddress._of(found), None if devfn & _ANY_SLOT else devfn, tuple(options))

    def __str__(self) -> str:
        where = "" if self.devfn is None else f"@{self.devfn:02x}"
        return ",".join([f"{self.address}{where}", *(f"{key}={value}" for key, value in self.options)])
