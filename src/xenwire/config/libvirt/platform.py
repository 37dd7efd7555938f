"""How the machine behaves that a guest sees: its features and clocks (libvirt: docs/formatdomain;
src/libxl/libxl_conf.c).
"""

from __future__ import annotations

from typing import Final

from xenwire.config.libvirt.document import Node
from xenwire.config.libvirt.draft import Draft
from xenwire.config.libxl.types import DomainType, Passthrough, TscMode, ViridianEnlightenment

__all__ = ["read_platform"]


def read_platform(draft: Draft) -> None:
    """Read features and clocks."""
    _features(draft)
    _clock(draft)


def _features(draft: Draft) -> None:
    node = draft.root.find("features")
    hap = node.find("hap")
    if hap:
        draft.create["hap"] = _on(hap)
    passthrough = node.find("xen", "passthrough")
    if passthrough:
        draft.create["passthrough"] = _passthrough(passthrough)
    if draft.type is DomainType.PV:
        host = node.find("xen", "e820_host")
        draft.guest["e820_host"] = _on(host) if host else True if draft.config["pcidevs"] else None
    for name in ("acpi", "apic", "pae"):
        node.find(name).skip()
    if not draft.hvm:
        return
    draft.build["acpi"] = bool(node.find("acpi"))
    draft.build["apic"] = bool(node.find("apic"))
    if draft.root.get("type") == "xen":  # QEMU's machines have PAE whatever is said
        draft.guest["pae"] = bool(node.find("pae"))
    pm = draft.root.find("pm")
    for name, field in (("suspend-to-mem", "acpi_s3"), ("suspend-to-disk", "acpi_s4")):
        enabled = pm.find(name).get("enabled")
        if enabled:
            draft.guest[field] = enabled == "yes"
    if node.find("viridian"):
        draft.guest["viridian"] = True
    _hyperv(draft, node.find("hyperv"))


def _on(node: Node) -> bool:
    return node.get("state", "on") == "on"


def _passthrough(node: Node) -> Passthrough:
    if not _on(node):
        return Passthrough.DISABLED
    modes = {"sync_pt": Passthrough.SYNC_PT, "share_pt": Passthrough.SHARE_PT}
    return modes.get(node.get("mode"), Passthrough.ENABLED)


_HYPERV: Final = {
    "vpindex": ViridianEnlightenment.BASE,
    "frequencies": ViridianEnlightenment.FREQ,
    "tlbflush": ViridianEnlightenment.HCALL_REMOTE_TLB_FLUSH,
    "vapic": ViridianEnlightenment.APIC_ASSIST,
    "synic": ViridianEnlightenment.SYNIC,
    "stimer": ViridianEnlightenment.STIMER,
    "ipi": ViridianEnlightenment.HCALL_IPI,
}
_HYPERV_BASE: Final = {
    ViridianEnlightenment.BASE,
    ViridianEnlightenment.TIME_REF_COUNT,
    ViridianEnlightenment.REFERENCE_TSC,
    ViridianEnlightenment.CRASH_CTL,
}
"""What comes with the first of them."""


def _hyperv(draft: Draft, node: Node) -> None:
    """Read Microsoft's interfaces, by libvirt's names for them."""
    if not node:
        return
    if node.get("mode") == "passthrough":
        draft.guest["viridian_enable"] = set(range(64))
        return
    enabled = {word for name, word in _HYPERV.items() if node.find(name) and _on(node.find(name))}
    draft.guest["viridian_enable"] = enabled | _HYPERV_BASE if enabled else ()


_TSC: Final = {
    "auto": TscMode.DEFAULT,
    "native": TscMode.NATIVE,
    "emulate": TscMode.ALWAYS_EMULATE,
    "paravirt": TscMode.NATIVE_PARAVIRT,
    "smpsafe": TscMode.ALWAYS_EMULATE,
}


def _clock(draft: Draft) -> None:
    node = draft.root.find("clock")
    offset = node.get("offset", "utc")
    node.skip("sync")
    if offset == "localtime" or node.get("basis") == "localtime":
        draft.build["localtime"] = True
    elif offset not in ("utc", "variable"):
        node.warn(f"no clock with offset {offset[:40]}: it becomes UTC")
    adjustment = node.get("adjustment", "0")
    if adjustment != "reset":
        seconds = node.number(adjustment, 2**31 - 1, what="adjustment", low=-(2**31)) or 0
        draft.build["rtc_timeoffset"] = seconds % 2**32
    for timer in node.all("timer"):
        match timer.get("name"):
            case "tsc":
                timer.skip("present")
                draft.build["tsc_mode"] = _TSC.get(timer.get("mode", "auto"), TscMode.DEFAULT)
            case "hpet":
                if draft.hvm:
                    draft.guest["hpet"] = timer.get("present", "yes") == "yes"
            case _:
                timer.skip()  # those of other hypervisors, and finer points of QEMU's
