"""What an x86 domain may use of the host: `ioports`, `irqs` and `iomem` (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import IomemRange, IoportRange
from xenwire.config.numbers import uint32
from xenwire.config.parser import Items
from xenwire.config.xl.devices.pieces import Item, strtoul
from xenwire.config.xl.reader import Reader

__all__ = ["read_iomem", "read_ioports", "read_irqs"]

_UINT32_MAX: Final = 2**32 - 1
_HEXADECIMAL: Final = rb"[ \t\n\v\f\r]*([+-]?(?:0[xX][0-9a-fA-F]*|[0-9a-fA-F]+))"
"""A number as C's sscanf reads it; for it, `0x` alone is a 0."""
_IOMEM: Final = re.compile(rb"%b,%b(?:@%b)?" % ((_HEXADECIMAL,) * 3))
_IOPORTS_HINT: Final = "write hexadecimal numbers, for example 2f8-2ff or 3f8"


def read_ioports(reader: Reader) -> tuple[IoportRange, ...]:
    """Read `ioports`: hexadecimal, one port or a range of them."""
    read = (_ioports(item) for item in _items(reader, "ioports", b"#%d in ioport"))
    return tuple(ports for ports in read if ports is not None)


def read_irqs(reader: Reader) -> tuple[int, ...]:
    """Read `irqs`: decimal numbers."""
    irqs: list[int] = []
    for item in _items(reader, "irqs", b"%d in irq"):
        irq, length = strtoul(item.value, 10)
        if not length or length < len(item.value):
            item.error(
                0,
                f"not an IRQ: {shown(item.value)}",
                "write a decimal number",
                xl=b"xl: Invalid argument parsing irq: %s\n" % item.value,
            )
        elif irq >= _UINT32_MAX:
            item.error(0, f"too large an IRQ: {shown(item.value)}", xl=b"xl: irq %x too big\n" % irq)
        else:
            irqs.append(irq)
    return tuple(irqs)


def read_iomem(reader: Reader) -> tuple[IomemRange, ...]:
    """Read `iomem`: frame numbers and counts of frames, hexadecimal."""
    ranges: list[IomemRange] = []
    for item in _items(reader, "iomem", b"%d in iomem"):
        match = _IOMEM.fullmatch(item.value)
        if match is None:
            item.error(
                0,
                f"not a range of frames: {shown(item.value)}",
                "write FIRST,COUNT or FIRST,COUNT@GUEST, hexadecimal, for example fee00,1",
                xl=b"xl: Invalid argument parsing iomem: %s\n" % item.value,
            )
            continue
        numbers = [strtoul(number, 16)[0] for number in match.groups() if number is not None]
        ranges.append(IomemRange(**dict(zip(("start", "number", "gfn"), numbers, strict=False))))
    return tuple(ranges)


def _ioports(item: Item) -> IoportRange | None:
    """Read an item; None if it is refused."""
    first, length = strtoul(item.value, 16)
    if not length:
        _refuse_ioports(item)
        return None
    if first >= _UINT32_MAX:
        _too_big(item, 0, first)
        return None
    rest = item.value[length:]
    if not rest.startswith(b"-"):
        if rest:
            item.warn(
                length,
                f"what follows the port is overlooked: {shown(rest)}",
                _IOPORTS_HINT,
                xl=b"xl: Invalid argument parsing ioport: %s\n" % item.value,
            )
        return IoportRange(first=first, number=1)
    last, digits = strtoul(rest[1:], 16)
    if not digits or 1 + digits < len(rest):
        _refuse_ioports(item)
        return None
    if last >= _UINT32_MAX:
        _too_big(item, length + 1, last)
        return None
    number = uint32(last - first + 1)
    if last < first:
        item.warn(
            0, f"the last port is before the first: {shown(item.value)}", f"xl makes {number} ports of it"
        )
    return IoportRange(first=first, number=number)


def _refuse_ioports(item: Item) -> None:
    words = b"xl: Invalid argument parsing ioport: %s\n" % item.value
    item.error(0, f"not a range of ports: {shown(item.value)}", _IOPORTS_HINT, xl=words)


def _too_big(item: Item, at: int, port: int) -> None:
    item.error(at, f"too large a port: {shown(item.value)}", xl=b"xl: ioport %x too big\n" % port)


def _items(reader: Reader, key: str, element: bytes) -> Iterator[Item]:
    """Give the texts of a list. A list among them is an error; xl says with `element` which one it is."""
    for number, value in enumerate(reader.items(key) or ()):
        if isinstance(value, Items):
            words = b"xl: Unable to get element %b list\n" % (element % number)
            reader.report.error(value.start, f"{key} wants texts, but this item is a list", xl=words)
        else:
            yield Item(value, reader.report)
