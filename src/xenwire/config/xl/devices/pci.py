"""PCI devices and device tree nodes of the host, passed through to the guest.

`0000:02:1f.7@1e,permissive=1`, or `bdf=02:1f.7,vslot=1e` (xen: tools/libs/util/libxlu_pci.c,
docs/man/xl-pci-configuration.5.pod).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from xenwire.config.diagnostics import Severity, shown
from xenwire.config.libxl.types import DeviceDtdev, DevicePci, RdmReservePolicy
from xenwire.config.numbers import int32, uint32
from xenwire.config.xl.devices.pieces import Item, Piece, items, member, strtoul
from xenwire.config.xl.reader import Reader, decoded

__all__ = ["read_dtdevs", "read_pci_defaults", "read_pcis"]

_SWITCHES: Final = ("msitranslate", "power_mgmt", "permissive", "seize")
"""In the order in which xl reads the keys that give their defaults."""
_KEYS: Final = ("bdf", "vslot", *_SWITCHES, "rdm_policy", "name")
_POLICIES: Final = ("strict", "relaxed")
_ALL_FUNCTIONS: Final = 2**32 - 1
_NUMBER: Final = rb"[ \t\n\v\f\r]*([+-]?(?:0[xX][0-9a-fA-F]*|[0-9a-fA-F]+))"
"""What C's scanf reads as hexadecimal, with `0x` for 0."""
_COLONS: Final = re.compile(rb"[0-9a-fA-F:]*")
_ADDRESS: Final = {
    1: re.compile(rb"()" + _NUMBER + b":" + _NUMBER + rb"\.(?:(\*)|" + _NUMBER + b")"),
    2: re.compile(_NUMBER + b":" + _NUMBER + b":" + _NUMBER + rb"\.(?:(\*)|" + _NUMBER + b")"),
}
"""The shape of an address, by the number of its colons."""
_SLOT: Final = re.compile(_NUMBER)
_SLOT_HINT: Final = "a slot is hexadecimal, 0 to 1f"
_ADDRESS_HINT: Final = "write [DDDD:]BB:DD.F with hexadecimal digits; F is 0 to 7, or * for all functions"
_INVALID: Final = 6
"""The exit status of xl for most errors here."""
_FAILED: Final = 3
"""That for an enumeration that lacks a word."""


class _Refused(Exception):
    """An item is given up, because of what is at an index in it. xl prints `words` first."""

    def __init__(
        self, index: int, message: str, hint: str | None = None, words: bytes = b"", status: int = _INVALID
    ) -> None:
        super().__init__(message)
        self.index = index
        self.message = message
        self.hint = hint
        self.words = words
        self.status = status


def read_pci_defaults(reader: Reader) -> dict[str, bool]:
    """Read the keys `pci_…`, which give defaults for the items of `pci`."""
    numbers = {name: reader.number(f"pci_{name}") for name in _SWITCHES}
    return {name: number is not None and int32(number) != 0 for name, number in numbers.items()}


def read_pcis(reader: Reader, given: Mapping[str, bool], *, hvm: bool) -> tuple[DevicePci, ...]:
    """Read the key `pci`, with the defaults that `read_pci_defaults` gives."""
    defaults: dict[str, Any] = dict(given)
    if not hvm:
        # For other guests xl takes this default from memory that is zero, the number of "strict".
        defaults["rdm_policy"] = RdmReservePolicy.STRICT
    return tuple(_pci(item, defaults) for item in items(reader, "pci"))


def read_dtdevs(reader: Reader) -> tuple[DeviceDtdev, ...]:
    """Read the key `dtdev`: paths in the host's device tree."""
    return tuple(DeviceDtdev(path=decoded(path.value)) for path in reader.texts("dtdev") or ())


def _pci(item: Item, defaults: Mapping[str, Any]) -> DevicePci:
    try:
        return DevicePci(**{**defaults, **_fields(item)})
    except _Refused as error:
        item.error(
            error.index,
            error.message,
            error.hint,
            xl=b"%sunable to parse PCI_SPEC_STRING `%s' for passthrough\n" % (error.words, item.value),
            xl_status=error.status,
        )
        return DevicePci()


def _fields(item: Item) -> dict[str, Any]:
    """Read an item. Raises _Refused."""
    fields: dict[str, Any] = {}
    at = _leading_address(item, fields)
    addressed = at > 0
    while at < len(item.value):
        piece = _piece(item, at)
        at = piece.value_at + len(piece.value) + 1
        key = decoded(piece.key)
        match key:
            case "bdf":
                fields |= _address(piece)
                addressed = True
            case "vslot":
                fields["vdevfn"] = _slot(piece)
            case "rdm_policy":
                fields["rdm_policy"] = _policy(piece)
            case "name":
                fields["name"] = piece.string
            case _ if key in _SWITCHES:
                fields[key] = piece.switch(10)
            case _:
                hint = item.suggestion(Severity.ERROR, piece.key, _KEYS)
                words = b"Unknown PCI_SPEC_STRING option: %s" % piece.key
                raise _Refused(piece.at, f"unknown parameter {shown(piece.key)}", hint, words)
    if addressed and "name" in fields:
        raise _Refused(0, "a pci device with both an address and a name", "leave out one of them")
    if not addressed and "name" not in fields:
        raise _Refused(0, "a pci device without an address", _ADDRESS_HINT)
    return fields


def _piece(item: Item, at: int) -> Piece:
    """Give the `key=value` at an index, which ends at the first comma after the `=`. Raises _Refused."""
    equals = item.value.find(b"=", at)
    key = item.value[at:equals] if equals >= 0 else item.value[at:]
    if equals < 0 or b"," in key:
        word = key.partition(b",")[0]
        words = b"Unknown PCI_SPEC_STRING option: %s" % key if equals >= 0 else b""
        if at == 0:
            raise _Refused(at, f"not a PCI address: {shown(word)}", _ADDRESS_HINT, words)
        known = decoded(word) in _KEYS
        hint = f"write {decoded(word)}=…" if known else f"the parameters are {', '.join(_KEYS)}"
        raise _Refused(at, f"not a key=value: {shown(word)}", hint, words)
    end = item.value.find(b",", equals)
    value = item.value[equals + 1 : end if end >= 0 else None]
    return Piece(item, key + b"=" + value, at, key, value, equals + 1, True)


def _leading_address(item: Item, fields: dict[str, Any]) -> int:
    """Read the address at the start, and the slot with it. Gives the index of what follows; 0 if there is
    none. Raises _Refused.
    """
    value = item.value
    found = _parse_address(value)
    if found is None:
        return 0
    address, end = found
    fields |= address
    if value[end : end + 1] == b"@":
        slot = _parse_slot(value[end + 1 :])
        if slot is None:
            raise _Refused(end + 1, f"not a slot: {shown(value[end + 1 :])}", _SLOT_HINT)
        fields["vdevfn"] = slot[0]
        end += 1 + slot[1]
    if end < len(value) and value[end : end + 1] != b",":
        raise _Refused(end, f"not a part of an address: {shown(value[end:])}", _ADDRESS_HINT)
    return end + 1


def _address(piece: Piece) -> dict[str, int]:
    """Read the value as an address. Raises _Refused."""
    found = _parse_address(piece.value)
    if found is None:
        raise _Refused(piece.value_at, f"not a PCI address: {shown(piece.value)}", _ADDRESS_HINT)
    address, end = found
    _check_end(piece, end)
    return address


def _slot(piece: Piece) -> int:
    """Read the value as a slot. Raises _Refused."""
    found = _parse_slot(piece.value)
    if found is None:
        raise _Refused(piece.value_at, f"not a slot: {shown(piece.value)}", _SLOT_HINT)
    slot, end = found
    _check_end(piece, end)
    return slot


def _check_end(piece: Piece, end: int) -> None:
    if end < len(piece.value):
        rest = shown(piece.value[end:])
        piece.item.warn(
            piece.value_at + end, f"xl overlooks what follows {shown(piece.value[:end])} here: {rest}"
        )


def _policy(piece: Piece) -> RdmReservePolicy:
    """Read the value as a policy. Raises _Refused."""
    policy = member(RdmReservePolicy, piece.value)
    if policy is None:
        raise _Refused(
            piece.value_at,
            f"unknown rdm_policy: {shown(piece.value)}",
            piece.item.suggestion(Severity.ERROR, piece.value, _POLICIES),
            b"Unknown RDM policy: %s" % piece.value,
            _FAILED,
        )
    return policy


def _parse_address(text: bytes) -> tuple[dict[str, int], int] | None:
    """Read an address at the start of a text. Gives the fields and the bytes read, None if there is none."""
    colons = _COLONS.match(text)
    shape = _ADDRESS.get(colons.group().count(b":")) if colons else None
    match = shape.match(text) if shape else None
    if match is None:
        return None
    domain, bus, device = (_hexadecimal(number) for number in match.group(1, 2, 3))
    function = _hexadecimal(match[5] or b"0")
    if domain > 0xFFFF or bus > 0xFF or device > 0x1F or function > 7:
        return None
    mask = _ALL_FUNCTIONS if match[4] else 1
    return {"domain": domain, "bus": bus, "dev": device, "func": function, "vfunc_mask": mask}, match.end()


def _parse_slot(text: bytes) -> tuple[int, int] | None:
    """Read a slot at the start of a text. Gives libxl's vdevfn and the bytes read, None if there is none."""
    match = _SLOT.match(text)
    slot = _hexadecimal(match[1]) if match else 0x20
    return (slot << 3, match.end()) if match and slot <= 0x1F else None


def _hexadecimal(number: bytes) -> int:
    """Give the value of what C's scanf reads with %x; nothing is 0."""
    return uint32(strtoul(number, 16)[0])
