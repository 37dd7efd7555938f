"""All keys in the order in which xl reads them, and the domain that they make (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xenwire.config.libxl.types import (
    Altp2mMode,
    DomainBuildInfo,
    DomainBuildInfoArchArm,
    DomainBuildInfoArchX86,
    DomainBuildInfoHvm,
    DomainBuildInfoPv,
    DomainBuildInfoPvh,
    DomainConfig,
    DomainCreateInfo,
    DomainSchedParams,
    DomainType,
    GicVersion,
    SdlInfo,
    SpiceInfo,
    TeeType,
    VgaInterfaceInfo,
    VncInfo,
)
from xenwire.config.numbers import int32
from xenwire.config.xl import boot, device_model, display, emulated, hvm, identity, platform, resources
from xenwire.config.xl.cpuid import read_cpuid
from xenwire.config.xl.deprecated import DEPRECATED
from xenwire.config.xl.devices.channel import read_channels
from xenwire.config.xl.devices.disk import read_disks
from xenwire.config.xl.devices.p9 import read_p9s
from xenwire.config.xl.devices.pvcalls import read_pvcallsifs
from xenwire.config.xl.devices.usb import read_usbctrls, read_usbdevs
from xenwire.config.xl.devices.vdispl import read_vdispls
from xenwire.config.xl.devices.vif import read_nics
from xenwire.config.xl.devices.vsnd import read_vsnds
from xenwire.config.xl.devices.vtpm import read_vtpms
from xenwire.config.xl.ranges import read_iomem, read_ioports, read_irqs
from xenwire.config.xl.reader import Reader
from xenwire.config.xl.rows import (
    Draft,
    Part,
    Row,
    Table,
    boolean,
    choice,
    choose_or_number,
    function,
)

__all__ = ["KEYS", "read_domain"]


def read_domain(reader: Reader) -> DomainConfig | None:
    """Read all keys. Findings go to the report of the reader; None if there is an error among them."""
    draft = Draft(reader)
    _TABLE.read(draft)
    if reader.report.failed:
        return None
    parts, conf = draft.parts, reader.facts.conf
    create = DomainCreateInfo(run_hotplug_scripts=conf.run_hotplug_scripts, **parts[Part.C_INFO])
    build = DomainBuildInfo(
        type=_guest(draft),
        claim_mode=conf.claim_mode,
        blkdev_start=conf.blkdev_start,
        sched_params=DomainSchedParams(**parts[Part.SCHED_PARAMS]),
        arch_arm=DomainBuildInfoArchArm(**parts[Part.ARCH_ARM]),
        arch_x86=DomainBuildInfoArchX86(**parts[Part.ARCH_X86]),
        **parts[Part.B_INFO],
    )
    return DomainConfig(c_info=create, b_info=build, **parts[Part.CONFIG])


def _guest(draft: Draft) -> DomainBuildInfoHvm | DomainBuildInfoPv | DomainBuildInfoPvh:
    """Give what depends on the type of the guest."""
    parts = draft.parts
    match draft.type:
        case DomainType.HVM:
            return DomainBuildInfoHvm(
                vga=VgaInterfaceInfo(**parts[Part.VGA]),
                vnc=VncInfo(**parts[Part.VNC]),
                sdl=SdlInfo(**parts[Part.SDL]),
                spice=SpiceInfo(**parts[Part.SPICE]),
                **parts[Part.GUEST],
            )
        case DomainType.PVH:
            return DomainBuildInfoPvh(**parts[Part.GUEST])
        case _:
            return DomainBuildInfoPv(**parts[Part.GUEST])


def _devices(key: str, field: str, read_devices: Callable[[Reader], tuple[Any, ...]]) -> Row:
    """Give a row for the devices of one class."""

    def read(draft: Draft) -> None:
        draft.parts[Part.CONFIG][field] = read_devices(draft.reader)

    return Row({key: "L"}, read)


def _build(key: str, kinds: str, read_field: Callable[[Reader], object], field: str | None = None) -> Row:
    """Give a row for a field of b_info that has a module of its own."""

    def read(draft: Draft) -> None:
        draft.parts[Part.B_INFO][field or key] = read_field(draft.reader)

    return Row({key: kinds}, read)


def _altp2m(draft: Draft) -> None:
    mode = choose_or_number(draft, "altp2m", Altp2mMode, deprecated=False)
    if mode is not None:
        draft.parts[Part.B_INFO]["altp2m"] = mode


def _vmtrace_buf_kb(reader: Reader) -> int:
    return int32(reader.number("vmtrace_buf_kb", quiet=True) or 0)


def _vif2(draft: Draft) -> None:
    if draft.reader.items("vif2") is not None:
        draft.warn(
            "vif2",
            "xl ignores vif2",
            DEPRECATED["vif2"],
            xl=b"WARNING: vif2: netchannel2 is deprecated and not supported by xl\n",
            at_key=True,
        )


def _msr_relaxed(draft: Draft) -> None:
    value = draft.reader.boolean("msr_relaxed")
    if value is not None:
        draft.parts[Part.ARCH_X86]["msr_relaxed"] = value
        draft.warn(
            "msr_relaxed",
            "msr_relaxed is deprecated",
            DEPRECATED["msr_relaxed"],
            xl=b"WARNING: msr_relaxed will be removed in future versions.\n"
            b"If it fixes an issue you are having please report to xen-devel@lists.xenproject.org.\n",
            at_key=True,
        )


_TABLE: Final = Table(
    *identity.ROWS,
    *resources.ROWS,
    *platform.ROWS,
    *boot.ROWS,
    *hvm.ROWS,
    *boot.FIRMWARE,
    function(_altp2m, altp2m="NT"),
    _build("vmtrace_buf_kb", "N", _vmtrace_buf_kb),
    _build("ioports", "L", read_ioports),
    _build("irqs", "L", read_irqs),
    _build("iomem", "L", read_iomem),
    _devices("disk", "disks", read_disks),
    _devices("p9", "p9s", read_p9s),
    _devices("vtpm", "vtpms", read_vtpms),
    _devices("vdispl", "vdispls", read_vdispls),
    _devices("pvcalls", "pvcallsifs", read_pvcallsifs),
    _devices("vsnd", "vsnds", read_vsnds),
    _devices("channel", "channels", read_channels),
    _devices("vif", "nics", read_nics),
    function(_vif2, vif2="L"),
    display.VFB,
    _devices("usbctrl", "usbctrls", read_usbctrls),
    _devices("usbdev", "usbdevs", read_usbdevs),
    _build("cpuid", "TL", read_cpuid),
    *device_model.ROWS,
    display.TOP_LEVEL,
    boolean("dm_restrict", Part.B_INFO),
    *emulated.ROWS,
    choice(
        "gic_version",
        Part.ARCH_ARM,
        GicVersion,
        b'Unknown gic_version "%s" specified\n',
        status=3,
        quiet=True,
    ),
    choice("tee", Part.B_INFO, TeeType, b'Unknown tee "%s" specified\n', status=3, quiet=True),
    display.VKB,
    boolean("xend_suspend_evtchn_compat", Part.C_INFO),
    function(_msr_relaxed, msr_relaxed="B"),
    boolean("vpmu", Part.B_INFO),
    resources.CHECK,
)

KEYS: Final = _TABLE.kinds
"""Each key of xl.cfg in the order in which it is first read, and its kinds: T text, N number, B boolean
(a number), L list.
"""
