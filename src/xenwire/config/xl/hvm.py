"""Firmware and platform of HVM guests (xen: tools/xl/xl_parse.c, from firmware_override to firmware)."""

from __future__ import annotations

from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import (
    BiosType,
    DomainType,
)
from xenwire.config.numbers import uint64
from xenwire.config.parser import Items, Text
from xenwire.config.xl.deprecated import DEPRECATED
from xenwire.config.xl.reader import decoded
from xenwire.config.xl.rows import (
    Draft,
    Part,
    boolean,
    choose,
    function,
    mebibytes,
    only,
    text,
)
from xenwire.config.xl.viridian import read_viridian

__all__ = ["ROWS"]

_LMCE: Final = 1
"""The only capability in mca_caps (xen: xen/include/public/hvm/params.h, XEN_HVM_MCA_CAP_LMCE)."""
_SMALLEST_HOLE: Final = 256
_LARGEST_HOLE: Final = 3840
"""MiB below 4 GiB (xen: tools/include/xen-tools/libs.h and hvm/e820.h)."""


def _hvmloader(draft: Draft) -> None:
    build = draft.parts[Part.B_INFO]
    if build.get("kernel", "").rpartition("/")[2] == "hvmloader":
        draft.warn(
            "kernel",
            "hvmloader is firmware, no kernel: xl ignores it",
            "remove kernel, or write firmware_override for other firmware than Xen's own",
            xl=b'WARNING: you seem to be using "kernel" directive to override HVM guest firmware. '
            b'Ignore that. Use "firmware_override" instead if you really want a non-default firmware\n',
        )
        del build["kernel"]


def _bios(draft: Draft) -> None:
    guest = draft.parts[Part.GUEST]
    if draft.reader.single("bios") is not None:
        bios = choose(draft, "bios", BiosType)
        if bios is not None:
            guest["bios"] = bios
    elif "system_firmware" in guest:
        draft.warn(
            "bios_path_override",
            "bios_path_override without bios",
            "add bios, to say which kind of firmware it is",
            xl=b"WARNING: bios_path_override given without specific bios name\n",
        )


def _viridian(draft: Draft) -> None:
    draft.parts[Part.GUEST].update(read_viridian(draft.reader))


def _mmio_hole(draft: Draft) -> None:
    size = draft.reader.number("mmio_hole")
    if size is None:
        return
    if _SMALLEST_HOLE << 20 <= uint64(size << 20) <= _LARGEST_HOLE << 20:
        draft.parts[Part.GUEST]["mmio_hole_memkb"] = uint64(size << 10)
    else:
        draft.refuse(
            "mmio_hole",
            f"mmio_hole cannot be {size}",
            f"it has {_SMALLEST_HOLE} to {_LARGEST_HOLE} MiB",
            xl=b'ERROR: invalid value %d for "mmio_hole"\n' % size,
        )


def _altp2mhvm(draft: Draft) -> None:
    value = draft.reader.boolean("altp2mhvm")
    if value is not None:
        draft.parts[Part.GUEST]["altp2m"] = value
        draft.warn(
            "altp2mhvm",
            "altp2mhvm is deprecated",
            DEPRECATED["altp2mhvm"],
            xl=b'WARNING: Specifying "altp2mhvm" is deprecated. Please use "altp2m" instead.\n',
            at_key=True,
        )


def _ms_vm_genid(draft: Draft) -> None:
    value = draft.reader.single("ms_vm_genid")
    if value is None or value.value == b"none":
        return
    if value.value == b"generate":
        draft.parts[Part.GUEST]["ms_vm_genid"] = draft.reader.facts.random(16)
    else:
        draft.refuse(
            "ms_vm_genid",
            f'ms_vm_genid cannot be "{shown(value.value)}"',
            "xl knows generate, none",
            xl=b'ERROR: "ms_vm_genid" option must be "generate" or "none"\n',
        )


def _mca_caps(draft: Draft) -> None:
    value = draft.reader.value("mca_caps")
    if isinstance(value, Text):
        draft.refuse(
            "mca_caps",
            "mca_caps is a single value, but should be a list",
            'write mca_caps = [ "lmce" ]',
            xl=b"ERROR: unable to parse mca_caps.\n",
            status=3,
        )
        return
    report = draft.reader.report
    for item in value.items if value else ():
        if isinstance(item, Items):
            report.error(item.start, "mca_caps wants texts, but this item is a list", xl_status=-11)
        elif item.value == b"lmce":
            draft.parts[Part.GUEST]["mca_caps"] = _LMCE
        else:
            report.error(
                item.start,
                f'mca_caps cannot have "{shown(item.value)}"',
                "xl knows lmce",
                xl=b"ERROR: unrecognized MCA capability '%s'.\n" % item.value,
                xl_status=3,
            )


def _firmware(draft: Draft) -> None:
    """Read firmware as the name of a kind of firmware, or as a path."""
    value = draft.reader.single("firmware")
    if value is None:
        return
    guest, word = draft.parts[Part.GUEST], value.value
    bios = _BIOSES.get(word.lower())
    if bios is None and b"uefi".startswith(word):
        bios = BiosType.OVMF
    if bios is not None:
        guest["bios"] = bios
    elif not b"bios".startswith(word):
        guest["firmware"] = decoded(word)


_BIOSES: Final = {bios.json.encode(): bios for bios in BiosType}


ROWS: Final = only(DomainType.HVM)(
    function(_hvmloader, always=True),
    text("firmware_override", Part.GUEST, "firmware"),
    text("bios_path_override", Part.GUEST, "system_firmware"),
    function(_bios, bios="T", always=True),
    boolean("pae", Part.GUEST),
    boolean("acpi_s3", Part.GUEST),
    boolean("acpi_s4", Part.GUEST),
    boolean("acpi_laptop_slate", Part.GUEST),
    boolean("nx", Part.GUEST),
    boolean("hpet", Part.GUEST),
    boolean("vpt_align", Part.GUEST),
    boolean("apic", Part.B_INFO),
    function(_viridian, viridian="LB"),
    function(_mmio_hole, mmio_hole="N"),
    function(_altp2mhvm, altp2mhvm="B"),
    text("smbios_firmware", Part.GUEST),
    text("acpi_firmware", Part.GUEST),
    function(_ms_vm_genid, ms_vm_genid="T"),
    mebibytes("rdm_mem_boundary", Part.GUEST, "rdm_mem_boundary_memkb"),
    function(_mca_caps, mca_caps="L"),
    function(_firmware, firmware="T"),
)
