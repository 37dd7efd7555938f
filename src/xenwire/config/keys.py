"""The keys of xl.cfg that Xen 4.17's xl reads (xl.cfg(5)), and what to say about the rest."""

from __future__ import annotations

import difflib
from typing import Final

__all__ = ["DEPRECATED", "KNOWN", "USED", "suggestion"]

USED: Final = frozenset(
    {
        "channel",
        "cmdline",
        "extra",
        "kernel",
        "memory",
        "name",
        "ramdisk",
        "root",
        "serial",
        "uuid",
        "vcpus",
    }
)
"""The keys that a Xenwire host acts on."""

DEPRECATED: Final = {
    "altp2mhvm": 'write altp2m = "mixed" instead',
    "builder": 'write type = "hvm" or type = "pv" instead',
    "device_model": "xl ignores it; device_model_override names another device model",
    "msr_relaxed": "xl will drop it in a future version",
    "vif2": "netchannel2 is gone; write vif instead",
    "vncviewer": "xl ignores it; its option -V starts a viewer",
}
"""Keys that xl still reads, with the advice to give."""

_UNUSED: Final = """
    acpi acpi_firmware acpi_laptop_slate acpi_s3 acpi_s4 altp2m apic
    bios bios_path_override boot bootloader bootloader_args
    cap cpu_weight cpuid cpus cpus_soft
    device_model_args device_model_args_hvm device_model_args_pv device_model_override
    device_model_stubdomain_override device_model_stubdomain_seclabel device_model_user
    device_model_version device_tree disk display dm_restrict driver_domain dtdev
    e820_host extratime firmware firmware_override gfx_passthru gic_version
    hap hdtype hpet init_seclabel iomem ioports irqs keymap latency localtime
    max_event_channels max_grant_frames max_grant_version max_maptrack_frames maxmem maxvcpus
    mca_caps mmio_hole ms_vm_genid nestedhvm nographic nomigrate nx
    on_crash on_poweroff on_reboot on_soft_reset on_watchdog oos opengl
    p9 pae passthrough pci pci_msitranslate pci_permissive pci_power_mgmt pci_seize period pool
    pvcalls pvshim pvshim_cmdline pvshim_extra pvshim_path rdm rdm_mem_boundary rtc_timeoffset
    sdl seclabel shadow_memory slice smbios_firmware soundhw
    spice spice_clipboard_sharing spice_image_compression spice_streaming_video spiceagent_mouse
    spicedisable_ticketing spicehost spicepasswd spiceport spicetls_port spiceusbredirection spicevdagent
    stdvga stubdomain_cmdline stubdomain_kernel stubdomain_memory stubdomain_ramdisk
    tee timer_mode tsc_mode type usb usbctrl usbdev usbdevice usbversion
    vdispl vendor_device vfb vga videoram vif viridian vkb vkb_device vmtrace_buf_kb
    vnc vncdisplay vnclisten vncpasswd vncunused vnuma vpmu vpt_align vsnd vtpm vuart
    xauthority xen_platform_pci xend_suspend_evtchn_compat
"""

KNOWN: Final = USED | DEPRECATED.keys() | frozenset(_UNUSED.split())
"""Every key that xl reads."""

_LONGEST: Final = 2 * max(map(len, KNOWN))


def suggestion(key: str) -> str | None:
    """Give the known key that `key` was perhaps meant to be."""
    if len(key) > _LONGEST:
        return None
    return next(iter(difflib.get_close_matches(key, sorted(KNOWN), n=1, cutoff=0.7)), None)
