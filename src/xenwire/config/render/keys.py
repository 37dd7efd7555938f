"""All keys, in the order of the manual (xl.cfg(5)): how each of them is written."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from xenwire.config.libxl.types import (
    ActionOnShutdown,
    DomainType,
    GfxPassthruKind,
    RdmReserveStrategy,
    VgaInterfaceType,
    ViridianEnlightenment,
)
from xenwire.config.render import devices, processors
from xenwire.config.render.cpuid import cpuid
from xenwire.config.render.rows import Row, Sheet, copy, mebibytes, only
from xenwire.config.render.text import Value

__all__ = ["GROUPS"]

_CONFIG: Final = attrgetter("config")
_C_INFO: Final = attrgetter("c_info")
_B_INFO: Final = attrgetter("b_info")
_SCHED: Final = attrgetter("b_info.sched_params")
_ARM: Final = attrgetter("b_info.arch_arm")
_X86: Final = attrgetter("b_info.arch_x86")
_GUEST: Final = attrgetter("guest")
_VGA: Final = attrgetter("guest.vga")
_VNC: Final = attrgetter("guest.vnc")
_SDL: Final = attrgetter("guest.sdl")
_SPICE: Final = attrgetter("guest.spice")

_hvm: Final = only(DomainType.HVM)
_pv: Final = only(DomainType.PV)
_pvh: Final = only(DomainType.PVH)


def _maxmem(sheet: Sheet) -> Value | None:
    build = sheet.b_info
    if build.max_memkb is None or (build.max_memkb == build.target_memkb and not build.vnuma_nodes):
        return None
    return mebibytes(build.max_memkb)


def _action(key: str, default: ActionOnShutdown) -> Row:
    def value(sheet: Sheet) -> Value | None:
        action: ActionOnShutdown = getattr(sheet.config, key)
        if action is default:
            return None
        if action is ActionOnShutdown.RESTART_RENAME:
            return "rename-restart"
        return action.json.replace("_", "-")

    return Row(key, value)


def _init_seclabel(sheet: Sheet) -> Value | None:
    return None if sheet.b_info.exec_ssid_label is None else sheet.c_info.ssid_label


def _seclabel(sheet: Sheet) -> Value | None:
    """Give the label of the domain, or, if init_seclabel gives that, the label that it has later."""
    if sheet.c_info.ssid_label is None or sheet.b_info.exec_ssid_label is None:
        return sheet.c_info.ssid_label
    return sheet.b_info.exec_ssid_label


def _limit(number: int) -> int | None:
    return number if 0 <= number < 2**31 else None


def _rdm(sheet: Sheet) -> Value | None:
    return "strategy=host" if sheet.guest.rdm.strategy is RdmReserveStrategy.HOST else None


def _gfx_passthru(sheet: Sheet) -> Value | None:
    guest = sheet.guest
    if guest.gfx_passthru and guest.gfx_passthru_kind is not GfxPassthruKind.DEFAULT:
        kind: str = guest.gfx_passthru_kind.json
        return kind
    passed: bool | None = guest.gfx_passthru
    return passed


def _e820_host(sheet: Sheet) -> Value | None:
    """Say it unless the PCI devices of the guest do."""
    wanted: bool | None = sheet.guest.e820_host
    return None if wanted and sheet.config.pcidevs else wanted


def _mmio_hole(size: int) -> int | None:
    return size // 1024 if 256 <= size / 1024 <= 3840 and size % 1024 == 0 else None


def _viridian(sheet: Sheet) -> Value | None:
    on, off = sheet.guest.viridian_enable, sheet.guest.viridian_disable
    if not on and not off:
        wanted: bool | None = sheet.guest.viridian
        return wanted
    names = {int(word): word.json for word in ViridianEnlightenment if word.since <= sheet.version}
    words = ["defaults"] if sheet.guest.viridian else []
    if on | off == _ALL_VIRIDIAN:
        words.append("all")
    else:
        words += [names[bit] for bit in sorted(on & names.keys())]
    return [*words, *(f"!{names[bit]}" for bit in sorted(off & names.keys()))]


_ALL_VIRIDIAN: Final = frozenset(range(64))


def _seconds(offset: int) -> int:
    """Give a time difference that libxl has without a sign."""
    return offset - 2**32 if offset >= 2**31 else offset


def _vga(kind: VgaInterfaceType) -> str:
    return "stdvga" if kind is VgaInterfaceType.STD else kind.json


def _one_or_many(key: str) -> Row:
    """Give a row for a key that is one text or a list of them, which libxl has in two fields."""

    def value(sheet: Sheet) -> Value | None:
        one: str | None = getattr(sheet.guest, key)
        return (getattr(sheet.guest, f"{key}_list") or None) if one is None else one

    return Row(key, value)


GROUPS: Final[tuple[tuple[str, tuple[Row, ...]], ...]] = (
    (
        "The domain",
        (
            copy("name", _C_INFO),
            copy("type", _C_INFO),
            copy("uuid", _C_INFO, write=str),
            copy("pool", _C_INFO, "pool_name"),
        ),
    ),
    (
        "Processors and memory",
        (
            Row("vcpus", processors.vcpus),
            Row("maxvcpus", processors.maxvcpus),
            Row("cpus", processors.cpus),
            Row("cpus_soft", processors.cpus_soft),
            copy("cpu_weight", _SCHED, "weight"),
            copy("cap", _SCHED),
            copy("period", _SCHED),
            copy("slice", _SCHED),
            copy("latency", _SCHED),
            copy("extratime", _SCHED),
            copy("memory", _B_INFO, "target_memkb", mebibytes),
            Row("maxmem", _maxmem),
            Row("vnuma", processors.vnuma),
        ),
    ),
    (
        "What happens when it ends",
        (
            _action("on_poweroff", ActionOnShutdown.DESTROY),
            _action("on_reboot", ActionOnShutdown.RESTART),
            _action("on_watchdog", ActionOnShutdown.DESTROY),
            _action("on_crash", ActionOnShutdown.DESTROY),
            _action("on_soft_reset", ActionOnShutdown.SOFT_RESET),
        ),
    ),
    (
        "Boot",
        (
            copy("kernel", _B_INFO),
            copy("ramdisk", _B_INFO),
            copy("cmdline", _B_INFO),
            copy("bootloader", _B_INFO),
            copy("bootloader_args", _B_INFO),
            *_pvh(
                copy("pvshim", _GUEST),
                copy("pvshim_path", _GUEST),
                copy("pvshim_cmdline", _GUEST),
                copy("pvshim_extra", _GUEST),
            ),
            *_hvm(
                copy("boot", _GUEST),
                copy("firmware_override", _GUEST, "firmware"),
                copy("bios", _GUEST),
                copy("bios_path_override", _GUEST, "system_firmware"),
            ),
        ),
    ),
    (
        "Rights, limits and other options",
        (
            Row("seclabel", _seclabel),
            Row("init_seclabel", _init_seclabel),
            copy("max_grant_frames", _B_INFO, write=_limit),
            copy("max_maptrack_frames", _B_INFO, write=_limit),
            copy("max_grant_version", _B_INFO, write=_limit),
            copy("nomigrate", _B_INFO, "disable_migrate"),
            copy("driver_domain", _C_INFO),
            copy("device_tree", _B_INFO),
            copy("passthrough", _C_INFO),
            copy("xend_suspend_evtchn_compat", _C_INFO),
            copy("vmtrace_buf_kb", _B_INFO),
            copy("vpmu", _B_INFO),
            copy("max_event_channels", _B_INFO, "event_channels"),
        ),
    ),
    (
        "Devices",
        (
            *devices.ROWS,
            *_hvm(
                Row("rdm", _rdm),
                copy("rdm_mem_boundary", _GUEST, "rdm_mem_boundary_memkb", mebibytes),
                Row("gfx_passthru", _gfx_passthru),
            ),
        ),
    ),
    (
        "The platform",
        (
            *_pv(Row("e820_host", _e820_host)),
            copy("hap", _C_INFO),
            copy("oos", _C_INFO),
            copy("shadow_memory", _B_INFO, "shadow_memkb", mebibytes),
            copy("acpi", _B_INFO),
            copy("nestedhvm", _B_INFO, "nested_hvm"),
            copy("altp2m", _B_INFO),
            Row("cpuid", cpuid),
            copy("tsc_mode", _B_INFO),
            copy("localtime", _B_INFO),
            copy("rtc_timeoffset", _B_INFO, write=_seconds),
            *only(DomainType.HVM, DomainType.PVH)(copy("timer_mode", _B_INFO)),
            *_hvm(
                copy("pae", _GUEST),
                copy("acpi_s3", _GUEST),
                copy("acpi_s4", _GUEST),
                copy("acpi_laptop_slate", _GUEST),
                copy("apic", _B_INFO),
                copy("nx", _GUEST),
                copy("hpet", _GUEST),
                copy("altp2mhvm", _GUEST, "altp2m"),
                copy("acpi_firmware", _GUEST),
                copy("smbios_firmware", _GUEST),
                copy("ms_vm_genid", _GUEST, write=lambda _drawn_again: "generate"),
                copy("vpt_align", _GUEST),
                copy("mmio_hole", _GUEST, "mmio_hole_memkb", _mmio_hole),
                copy("xen_platform_pci", _GUEST),
                Row("viridian", _viridian),
                copy("mca_caps", _GUEST, write=lambda bits: ["lmce"] if bits == 1 else None),
            ),
            copy("gic_version", _ARM),
            copy("vuart", _ARM),
            copy("tee", _B_INFO),
            copy("msr_relaxed", _X86),
        ),
    ),
    (
        "Emulated devices",
        (
            copy("videoram", _B_INFO, "video_memkb", mebibytes),
            *_hvm(
                copy("hdtype", _GUEST),
                copy("vga", _VGA, "kind", _vga),
                copy("vnc", _VNC, "enable"),
                copy("vnclisten", _VNC, "listen"),
                copy("vncdisplay", _VNC, "display"),
                copy("vncunused", _VNC, "findunused"),
                copy("vncpasswd", _VNC, "passwd"),
                copy("keymap", _GUEST),
                copy("sdl", _SDL, "enable"),
                copy("opengl", _SDL),
                copy("display", _SDL),
                copy("xauthority", _SDL),
                copy("nographic", _GUEST),
                copy("spice", _SPICE, "enable"),
                copy("spicehost", _SPICE, "host"),
                copy("spiceport", _SPICE, "port"),
                copy("spicetls_port", _SPICE, "tls_port"),
                copy("spicedisable_ticketing", _SPICE, "disable_ticketing"),
                copy("spicepasswd", _SPICE, "passwd"),
                copy("spiceagent_mouse", _SPICE, "agent_mouse"),
                copy("spicevdagent", _SPICE, "vdagent"),
                copy("spice_clipboard_sharing", _SPICE, "clipboard_sharing"),
                copy("spiceusbredirection", _SPICE, "usbredirection"),
                copy("spice_image_compression", _SPICE, "image_compression"),
                copy("spice_streaming_video", _SPICE, "streaming_video"),
                _one_or_many("serial"),
                copy("soundhw", _GUEST),
                copy("vkb_device", _GUEST),
                copy("usb", _GUEST),
                copy("usbversion", _GUEST),
                _one_or_many("usbdevice"),
                copy("vendor_device", _GUEST),
            ),
        ),
    ),
    (
        "The device model",
        (
            copy("device_model_version", _B_INFO, write=lambda word: word.json.replace("_", "-")),
            copy("device_model_override", _B_INFO, "device_model"),
            copy("stubdomain_kernel", _B_INFO),
            copy("stubdomain_cmdline", _B_INFO),
            copy("stubdomain_ramdisk", _B_INFO),
            copy("stubdomain_memory", _B_INFO, "stubdomain_memkb", mebibytes),
            copy("device_model_stubdomain_override", _B_INFO, "device_model_stubdomain"),
            copy("device_model_stubdomain_seclabel", _B_INFO, "device_model_ssid_label"),
            copy("device_model_args", _B_INFO, "extra"),
            copy("device_model_args_pv", _B_INFO, "extra_pv"),
            copy("device_model_args_hvm", _B_INFO, "extra_hvm"),
            copy("device_model_user", _B_INFO),
            copy("dm_restrict", _B_INFO),
        ),
    ),
)
"""The keys with their headings."""
