"""The processors that vCPUs run on: `cpus` (hard) and `cpus_soft` (preferred)
(xen: tools/xl/xl_parse.c, xl_vcpu.c).

A text is a list of `3`, `1-3`, `node:0` and `all` between commas, applied from left to right; `^` in front
of one takes its processors away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.parser import Items, Text
from xenwire.config.xl.cpumap import ENDLESS, map_width, members, parse_range
from xenwire.config.xl.devices.pieces import Item
from xenwire.config.xl.facts import HostFacts
from xenwire.config.xl.reader import Reader

__all__ = ["Affinity", "check_hard_affinity", "read_affinity"]

_NODES: Final = 64
"""Xen's limit of NUMA nodes. xl's map of the processors of one has as many bits."""

_HINT: Final = "write for example 0-3,^2 or node:0 or all"


@dataclass(frozen=True, slots=True)
class Affinity:
    """The processors of the first vCPUs; the others may use any."""

    maps: tuple[frozenset[int], ...] = ()
    by_list: bool = False
    """Whether the key is a list, with an item for each vCPU. A text is for all of them."""
    set: bool = False
    """Whether the key is set at all."""


def read_affinity(reader: Reader, key: str, max_vcpus: int) -> Affinity:
    """Read `cpus` or `cpus_soft` of a domain with so many vCPUs.

    A map is as wide as the host's processors, rounded up to a multiple of 8; others are dropped.
    """
    value = reader.value(key)
    if value is None:
        return Affinity()
    if isinstance(value, Items):
        return Affinity(_maps(reader, key, value, max_vcpus), by_list=True, set=True)
    cpus = _read_map(Item(value, reader.report), reader.facts)
    if max_vcpus == 0:
        reader.report.error(
            value.start,
            f"{key} without vcpus or maxvcpus",
            "say how many vCPUs the domain has; xl 4.17 writes past the end of its memory here, and then"
            " starts the domain with any processors",
            xl_status=None,
        )
    return Affinity((cpus,) * max_vcpus, set=True)


def check_hard_affinity(reader: Reader, maps: Iterable[frozenset[int]]) -> None:
    """Report a vCPU that can run nowhere. xl looks for it after it has read all keys."""
    if not all(maps):
        reader.report.error(
            reader.place("cpus"),
            "cpus leaves a vCPU without any processor",
            f"the host has the processors 0 to {reader.facts.cpus - 1}",
            xl=b"vcpu hard affinity map is empty\n",
        )


def _maps(reader: Reader, key: str, value: Items, max_vcpus: int) -> tuple[frozenset[int], ...]:
    maps: list[frozenset[int]] = []
    for number, text in enumerate(value.items):
        if number >= max_vcpus:
            reader.report.warn(
                text.start, f"{key} has items for more vCPUs than there are", f"the domain has {max_vcpus}"
            )
            break
        if not isinstance(text, Text):
            reader.report.error(
                text.start,
                f"the item of {key} for vCPU {number} is a list",
                "write a text for each vCPU; xl crashes here",
                xl_status=-11,
            )
            break
        maps.append(_read_map(Item(text, reader.report), reader.facts))
    return tuple(maps)


def _read_map(item: Item, facts: HostFacts) -> frozenset[int]:
    """Read a text; what is wrong with it goes to the report."""
    cpus: set[int] = set()
    end = -1
    for piece in item.value.split(b","):
        start, end = end + 1, end + 1 + len(piece)
        if piece:
            _apply(piece, item, start, cpus, facts)
    return frozenset(cpus)


def _apply(piece: bytes, item: Item, at: int, cpus: set[int], facts: HostFacts) -> None:
    """Add or remove the processors of a piece of the item."""
    width = map_width(facts.cpus)
    rest = piece.removeprefix(b"^")
    removes = rest != piece
    numbers = rest.removeprefix(b"node:")
    if numbers == rest:
        numbers = rest.removeprefix(b"nodes:")
    by_node = numbers != rest
    if numbers == b"all":
        if removes:
            item.error(at, "^ cannot stand before all", _HINT, xl=b'Can\'t combine "^" and "all".\n')
        else:
            cpus.update(range(width))
        return
    first, last, valid = parse_range(numbers)
    if not valid:
        words = b"Invalid pcpu range: %s.\n" % numbers
        item.error(at, f"not a range of processors: {shown(piece)}", _HINT, xl=words)
        return
    if last - first >= ENDLESS:
        item.error(at, f"too large a range: {shown(piece)}", "xl would not come to an end", xl_status=-9)
        return
    if by_node:
        if last >= facts.nodes:
            item.warn(at, f"no such NUMA node: {shown(piece)}", f"the host has {facts.nodes}; xl goes on")
        selected = set(range(min(facts.cpus, _NODES))) if 0 in members(first, last, _NODES) else set()
    else:
        if last >= width and not removes:
            hint = f"the host has the processors 0 to {facts.cpus - 1}; xl drops the others"
            item.warn(at, f"no such processor: {shown(piece)}", hint)
        selected = members(first, last, width)
    if removes:
        cpus -= selected
    else:
        cpus |= selected
