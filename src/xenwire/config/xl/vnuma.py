"""`vnuma`: virtual NUMA nodes (xen: tools/xl/xl_parse.c).

It is a list of nodes, each a list of texts `key=value`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import VnodeInfo
from xenwire.config.numbers import uint32, uint64
from xenwire.config.parser import Text, Value
from xenwire.config.xl.cpumap import ENDLESS, MAX_VCPUS, map_width, members, parse_range
from xenwire.config.xl.devices.pieces import Item, strtoul
from xenwire.config.xl.reader import Reader

__all__ = ["MAX_NODES", "Vnuma", "read_vnuma"]

MAX_NODES: Final = 256
"""No more of them are read: their distances are a square. Xen itself allows no domain more than 32."""

_KEYS: Final = "pnode, size, vcpus and vdistances"
_PAIR: Final = re.compile(rb"=*([^=]+)=+([^=]+)")
_UINT64_MAX: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Vnuma:
    """The virtual NUMA nodes of a domain."""

    nodes: tuple[VnodeInfo, ...]
    memory: int
    """MiB in all."""
    vcpus: int
    """How many vCPUs they name."""
    placed: bool
    """Whether a node has a `pnode`. xl then sets numa_placement to false, even if nothing else does."""


def read_vnuma(reader: Reader, *, maxmem: int | None, maxvcpus: int | None) -> Vnuma | None:
    """Read the nodes; None if there are none, or if they cannot be used.

    `maxmem` in MiB and `maxvcpus` are what the configuration says, which the nodes have to match.
    """
    items = reader.items("vnuma", quiet=True)
    place = reader.place("vnuma")
    if not items or place is None:
        return None
    report = reader.report
    if maxvcpus is not None and maxvcpus < 0:
        report.error(
            place,
            f"no vCPUs for vnuma: maxvcpus is {maxvcpus}",
            xl=b"libxl: error: libxl_utils.c:809:libxl_cpu_bitmap_alloc: invalid number of cpus provided\n"
            b"libxl_node_bitmap_alloc failed.\n",
        )
        return None
    if len(items) > MAX_NODES or (maxvcpus or 0) > MAX_VCPUS:
        report.error(place, f"vnuma has more than {MAX_NODES} nodes or {MAX_VCPUS} vCPUs")
        return None
    nodes = [_Node(reader, len(items), maxvcpus) for _ in items]
    for node, item in zip(nodes, items, strict=True):
        node.read(item)
    if any(node.failed for node in nodes):
        return None
    memory = uint64(sum(node.memory for node in nodes)) // 1024
    vcpus = sum(node.count for node in nodes)
    if maxvcpus is not None and vcpus != maxvcpus:
        report.error(
            place,
            f"vnuma names {vcpus} vCPUs, but maxvcpus is {maxvcpus}",
            xl=b"xl: vnuma vcpus and maxvcpus= mismatch\n",
        )
    elif maxvcpus is None and vcpus > reader.facts.cpus:
        report.error(
            place,
            f"vnuma names {vcpus} vCPUs, but the host has {reader.facts.cpus} processors",
            f"write maxvcpus = {vcpus} too",
            xl=b"xl: vnuma specifies more vcpus than pcpus, use maxvcpus= to override this check.\n",
        )
    elif maxmem is not None and memory != maxmem:
        report.error(
            place,
            f"the sizes of vnuma's nodes are {memory} MiB in all, but maxmem is {maxmem}",
            xl=b"xl: maxmem and vnuma memory size mismatch\n",
        )
    else:
        infos = tuple(node.info() for node in nodes)
        return Vnuma(infos, memory, vcpus, placed=any(node.placed for node in nodes))
    return None


class _Node:
    """A node while it is read. What is wrong with it goes to the report."""

    def __init__(self, reader: Reader, nodes: int, maxvcpus: int | None) -> None:
        self._reader = reader
        self._width = map_width(maxvcpus or reader.facts.cpus)
        self._memkb: int | None = None
        self._distances = [0] * nodes
        self._pnode = 0
        self._vcpus: set[int] = set()
        self.failed = False
        """Whether it has an error."""
        self.placed = False
        self.memory = 0
        """KiB; all sizes count, although the last is that of the node."""
        self.count = 0
        """The vCPUs; a repeated one counts again."""

    def info(self) -> VnodeInfo:
        """Give what was read."""
        return VnodeInfo(
            memkb=self._memkb,
            distances=tuple(self._distances),
            pnode=self._pnode,
            vcpus=frozenset(self._vcpus),
        )

    def read(self, value: Value) -> None:
        """Read the texts of a node. xl overlooks lists among them."""
        report = self._reader.report
        if isinstance(value, Text):
            self.failed = True
            report.error(
                value.start,
                f"not a node of vnuma: {shown(value.value)}",
                'write a list for each, for example [ "pnode=0", "size=512", "vcpus=0-1" ]',
                xl=b"%s:%d:0: warning: value is not a list\n"
                b"xl: cannot get vnode config option list\n"
                % (self._reader.source, report.line(value.start)),
            )
            return
        for text in value.items:
            if isinstance(text, Text):
                self._option(Item(text, report))
            else:
                report.warn(text.start, "a node of vnuma wants texts, but this item is a list; it is ignored")

    def _option(self, item: Item) -> None:
        match = _PAIR.match(item.value)
        if match is None:
            words = b'xl: failed to split "%s" into pair\n' % item.value
            self._refuse(item, 0, f"not a key=value: {shown(item.value)}", xl=words)
            return
        key, value = match[1].strip(), match[2].strip()
        at = match.start(2) + len(match[2]) - len(match[2].lstrip())
        match key:
            case b"pnode":
                self._put(item, at, value)
            case b"size":
                self._hold(item, at, value)
            case b"vcpus":
                self._name(item, at, value)
            case b"vdistances":
                self._measure(item, at, value)
            case _:
                item.warn(0, f"unknown parameter {shown(key)}, ignored", f"xl knows {_KEYS}")

    def _put(self, item: Item, at: int, value: bytes) -> None:
        """Put the node on one of the host."""
        pnode = self._number(item, at, value)
        if pnode is None:
            return
        nodes = self._reader.facts.nodes
        if pnode >= nodes:
            words = b"xl: invalid pnode number: %d\n" % pnode
            self._refuse(item, at, f"no such NUMA node: {pnode}", f"the host has {nodes}, from 0", xl=words)
            return
        self._pnode = pnode
        self.placed = True

    def _hold(self, item: Item, at: int, value: bytes) -> None:
        """Give the node so many MiB."""
        size = self._number(item, at, value)
        if size is not None:
            self._memkb = uint64(size * 1024)
            self.memory += self._memkb

    def _name(self, item: Item, at: int, value: bytes) -> None:
        """Add the vCPUs of ranges. xl takes what it can read of each."""
        for text in self._numbers(item, at, value):
            if self.count > MAX_VCPUS:
                return  # xl refuses the file in any case, since so many are not what maxvcpus says
            first, last, valid = parse_range(text)
            if last - first >= ENDLESS or first == _UINT64_MAX:
                message = f"too large a range: {shown(text)}"
                self._refuse(item, at, message, "xl would not come to an end", xl_status=-9)
                return
            count = max(0, last - first + 1)
            added = members(first, last, self._width) - self._vcpus
            if not valid:
                item.warn(at, f"not a range of vCPUs: {shown(text)}", f"xl counts {count} vCPUs")
            elif len(added) < count or last >= self._width:
                item.warn(
                    at,
                    f"{shown(text)} has vCPUs that are named already, or not below {self._width}",
                    "xl counts them, but the node does not get them",
                )
            self._vcpus |= added
            self.count += count

    def _measure(self, item: Item, at: int, value: bytes) -> None:
        """Set the distances to the nodes."""
        nodes = len(self._distances)
        texts = self._numbers(item, at, value)
        for index, text in enumerate(texts):
            distance = self._number(item, at, text)
            if distance is None:
                return
            if index >= _room(nodes):
                message = f"{len(texts)} distances for {nodes} nodes"
                self._refuse(item, at, message, "xl writes past the end of its memory here", xl_status=-11)
                return
            if index < nodes:
                self._distances[index] = uint32(distance)
        if len(texts) > nodes:
            item.warn(at, f"{len(texts)} distances for {nodes} nodes", "xl drops the last ones")

    def _numbers(self, item: Item, at: int, value: bytes) -> list[bytes]:
        """Split a value at commas; empty pieces vanish."""
        texts = [text for text in value.split(b",") if text]
        if not texts:
            self._refuse(item, at, "no number is given", "xl crashes here", xl_status=-11)
        return texts

    def _number(self, item: Item, at: int, text: bytes) -> int | None:
        """Read the decimal digits at the start of a text; None if there are none or too many."""
        number, length = strtoul(text, 10)
        if not length or number == _UINT64_MAX:
            words = b'xl: failed to convert "%s" to number\n' % text
            self._refuse(item, at, f"not a number: {shown(text)}", "write decimal digits", xl=words)
            return None
        if length < len(text):
            item.warn(at, f"xl reads {number} from {shown(text)}", "write only decimal digits")
        return number

    def _refuse(
        self,
        item: Item,
        at: int,
        message: str,
        hint: str | None = None,
        *,
        xl: bytes = b"",
        xl_status: int = 1,
    ) -> None:
        self.failed = True
        item.error(at, message, hint, xl=xl, xl_status=xl_status)


def _room(nodes: int) -> int:
    """Give how many distances fit into the memory that xl has for those of so many nodes.

    glibc rounds it up: with 8 bytes of its own in front to a multiple of 16, to 32 at least.
    """
    return (max(32, (4 * nodes + 8 + 15) // 16 * 16) - 8) // 4
