"""What a domain gets of the host: scheduling, memory, processors and grant tables
(xen: tools/xl/xl_parse.c, from cpu_weight to max_grant_version).
"""

from __future__ import annotations

from typing import Final

from xenwire.config.libxl.types import VuartType
from xenwire.config.numbers import int32
from xenwire.config.xl.affinity import check_hard_affinity, read_affinity
from xenwire.config.xl.cpumap import MAX_VCPUS
from xenwire.config.xl.rows import Draft, Part, Row, choice, function, integer, mebibytes
from xenwire.config.xl.vnuma import read_vnuma

__all__ = ["CHECK", "ROWS"]

_ONE_VCPU: Final = (4, 22)
"""The first release of Xen in which a domain has one vCPU if it has no number of them, or less than one."""

_MAX_MAPS: Final = 8192
"""vCPUs with maps of processors: Xen's MAX_VIRT_CPUS (xen: xen/arch/x86/include/asm/config.h)."""

_INT_MAX: Final = 2**31 - 1


def _vcpus(draft: Draft) -> None:
    number = draft.reader.number("vcpus")
    if (number or 0) < 1 and draft.reader.facts.version >= _ONE_VCPU:
        number = 1
    if number is None:
        return
    if int32(number) < 0:
        draft.refuse(
            "vcpus",
            f"vcpus cannot be {number}",
            xl=b"libxl: error: libxl_utils.c:809:libxl_cpu_bitmap_alloc: invalid number of cpus provided\n"
            b"Unable to allocate cpumap\n",
        )
    elif MAX_VCPUS < number <= _INT_MAX:
        draft.refuse("vcpus", f"vcpus cannot be {number}", f"a domain has at most {MAX_VCPUS} here")
    else:
        draft.vcpus = number
        if number <= MAX_VCPUS:  # more than a C int holds are too many for maxvcpus, below
            draft.parts[Part.B_INFO]["avail_vcpus"] = frozenset(range(number))


def _vnuma(draft: Draft) -> None:
    """Read vnuma. It stands in for maxmem and maxvcpus if they are missing; memory and vcpus come next."""
    build = draft.parts[Part.B_INFO]
    vnuma = read_vnuma(
        draft.reader,
        maxmem=build["max_memkb"] // 1024 if "max_memkb" in build else None,
        maxvcpus=build.get("max_vcpus") or None,
    )
    if vnuma is not None:
        build["vnuma_nodes"] = vnuma.nodes
        if vnuma.placed:
            build["numa_placement"] = False
        build.setdefault("max_memkb", vnuma.memory * 1024)
        build["max_vcpus"] = build.get("max_vcpus") or vnuma.vcpus
    if "target_memkb" in build:
        build.setdefault("max_memkb", build["target_memkb"])
    build["max_vcpus"] = build.get("max_vcpus") or int32(draft.vcpus)
    if build["max_vcpus"] < draft.vcpus:
        draft.refuse(
            "maxvcpus" if "maxvcpus" in draft.reader.settings else "vcpus",
            f"maxvcpus is {build['max_vcpus']}, less than vcpus, {draft.vcpus}",
            xl=b"xl: maxvcpus < vcpus\n",
        )


def _affinity(key: str, field: str) -> Row:
    """Give a row for the processors that vCPUs run on (hard) or prefer (soft)."""

    def read(draft: Draft) -> None:
        build = draft.parts[Part.B_INFO]
        if build["max_vcpus"] > _MAX_MAPS:
            message = f"{key} for {build['max_vcpus']} vCPUs"
            draft.refuse(key, message, f"Xen allows no domain more than {_MAX_MAPS}")
            return
        affinity = read_affinity(draft.reader, key, build["max_vcpus"])
        if affinity.set:
            build[field] = affinity.maps
            if affinity.by_list or key == "cpus_soft":
                build["numa_placement"] = False

    return Row({key: "TL"}, read)


def _check_affinity(draft: Draft) -> None:
    if not draft.reader.report.failed:
        check_hard_affinity(draft.reader, draft.parts[Part.B_INFO].get("vcpu_hard_affinity", ()))


def _grants(key: str) -> Row:
    """Give a row for a limit whose default is in xl.conf. xl says nothing about a bad one, but ends."""

    def read(draft: Draft) -> None:
        number = draft.reader.try_number(key)
        if key not in draft.reader.settings:
            number = getattr(draft.reader.facts.conf, key)
        elif number is None or not 0 <= number <= _INT_MAX:
            draft.refuse(key, f"{key} is no number from 0 to {_INT_MAX}", "xl ends here without a word")
            return
        if number is not None:
            draft.parts[Part.B_INFO][key] = number

    return Row({key: "N"}, read, always=True)


ROWS: Final = (
    integer("cpu_weight", Part.SCHED_PARAMS, "weight"),
    integer("cap", Part.SCHED_PARAMS),
    integer("period", Part.SCHED_PARAMS),
    integer("slice", Part.SCHED_PARAMS),
    integer("latency", Part.SCHED_PARAMS),
    integer("extratime", Part.SCHED_PARAMS),
    mebibytes("memory", Part.B_INFO, "target_memkb"),
    mebibytes("maxmem", Part.B_INFO, "max_memkb"),
    function(_vcpus, vcpus="N", always=True),
    integer("maxvcpus", Part.B_INFO, "max_vcpus"),
    choice("vuart", Part.ARCH_ARM, VuartType),
    function(_vnuma, vnuma="L", always=True),
    _affinity("cpus", "vcpu_hard_affinity"),
    _affinity("cpus_soft", "vcpu_soft_affinity"),
    _grants("max_grant_frames"),
    _grants("max_maptrack_frames"),
    _grants("max_grant_version"),
)

CHECK: Final = function(_check_affinity, always=True)
"""What xl looks at after it has read all keys."""
