"""A domain's processors as xl.cfg describes them: how many, where they run, and on which nodes."""

from __future__ import annotations

from collections.abc import Iterator

from xenwire.config.libxl.types import VnodeInfo
from xenwire.config.render.rows import Sheet, mebibytes
from xenwire.config.render.text import Value

__all__ = ["cpus", "cpus_soft", "maxvcpus", "vcpus", "vnuma"]


def vcpus(sheet: Sheet) -> Value | None:
    """Give the number of processors at the start; xl gives them the first numbers."""
    return len(sheet.b_info.avail_vcpus) or None


def maxvcpus(sheet: Sheet) -> Value | None:
    """Give the number of processors, if it is not that of vcpus."""
    build = sheet.b_info
    return build.max_vcpus or None if build.vnuma_nodes or build.max_vcpus != vcpus(sheet) else None


def cpus(sheet: Sheet) -> Value | None:
    """Give the processors of the host on which those of the domain run.

    One text is for all of them. A list has a text for each, and turns the placement on nodes off. xl
    refuses a processor that can run nowhere.
    """
    build = sheet.b_info
    if not all(build.vcpu_hard_affinity):
        return None
    by_list = build.numa_placement is False and not build.vcpu_soft_affinity
    return _affinity(build.vcpu_hard_affinity, build.max_vcpus, by_list=by_list)


def cpus_soft(sheet: Sheet) -> Value | None:
    """Give the processors of the host on which those of the domain would best run.

    It always turns the placement on nodes off.
    """
    return _affinity(sheet.b_info.vcpu_soft_affinity, sheet.b_info.max_vcpus, by_list=False)


def _affinity(maps: tuple[frozenset[int], ...], count: int, *, by_list: bool) -> Value | None:
    if not maps or not count:
        return None
    if not by_list and len(maps) == count and len(set(maps)) == 1:
        return _ranges(maps[0])
    return [_ranges(bits) for bits in maps]


def vnuma(sheet: Sheet) -> Value | None:
    """Give the virtual NUMA nodes."""
    return [list(_vnode(node, sheet)) for node in sheet.b_info.vnuma_nodes] or None


def _vnode(node: VnodeInfo, sheet: Sheet) -> Iterator[str]:
    if node.pnode or sheet.b_info.numa_placement is False:
        yield f"pnode={node.pnode}"  # which turns the placement on nodes off
    if node.memkb is not None:
        yield f"size={mebibytes(node.memkb)}"
    if node.vcpus:
        yield f"vcpus={_ranges(node.vcpus)}"
    if node.distances:
        yield f"vdistances={','.join(map(str, node.distances))}"


def _ranges(bits: frozenset[int]) -> str:
    """Give numbers as text: `0-3,7`."""
    ranges: list[list[int]] = []
    for bit in sorted(bits):
        if ranges and bit == ranges[-1][1] + 1:
            ranges[-1][1] = bit
        else:
            ranges.append([bit, bit])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
