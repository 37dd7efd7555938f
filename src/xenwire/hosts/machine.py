"""A domain's configuration as the arguments of a plain QEMU. Pure but for looking at files."""

from __future__ import annotations

import os
import re
import uuid as uuids
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.config.libxl.types import ActionOnShutdown, BiosType, DomainBuildInfoHvm
from xenwire.hosts.displays import display_arguments
from xenwire.hosts.drives import drive_arguments
from xenwire.hosts.network import network_arguments
from xenwire.hosts.refusal import impossible, readable
from xenwire.qemu.options import format_option

if TYPE_CHECKING:
    from xenwire.config import DomainConfig

__all__ = ["DEFAULT_MEMORY", "USED_KEYS", "memory", "qemu_arguments", "vcpus"]

USED_KEYS: Final = frozenset(
    {
        *("acpi", "acpi_firmware", "bios", "boot", "builder", "channel", "cmdline"),
        *("device_model_args", "device_model_args_hvm", "device_model_args_pv", "disk"),
        *("extra", "hpet", "kernel", "keymap", "localtime", "maxmem", "maxvcpus", "memory", "ms_vm_genid"),
        *("name", "on_crash", "on_poweroff", "on_reboot", "p9"),
        *("ramdisk", "root", "serial", "smbios_firmware", "stdvga", "type"),
        *("usb", "usbdevice", "uuid", "vcpus", "vfb", "vga", "vif"),
        *("vnc", "vncdisplay", "vnclisten", "vncpasswd", "vncunused"),
    }
)
"""The keys of xl.cfg that count here."""

DEFAULT_MEMORY: Final = 32 * 1024
"""KiB, where a configuration says nothing (xen: tools/libs/light/libxl_create.c)."""

_SERIAL: Final = re.compile(r"none|null|pty|(file|unix|tcp|udp|telnet|pipe):.+|/dev/.+")
"""What a serial port may be connected to: nothing that takes QEMU's own terminal or its monitor."""

_MAX_MEMORY: Final = 2**43 - 1  # KiB; in bytes it still fits into 63 bits
_MAX_VCPUS: Final = 288  # qemu: hw/i386/pc_q35.c
_MAX_CMDLINE: Final = 2047  # bytes; linux: arch/x86/include/asm/setup.h
_OVMF: Final = ("/usr/share/ovmf/OVMF.fd", "/usr/share/qemu/OVMF.fd")


def memory(config: DomainConfig) -> int:
    """Give the KiB of memory that a domain may have."""
    info = config.b_info
    return info.max_memkb or info.target_memkb or DEFAULT_MEMORY


def vcpus(config: DomainConfig) -> tuple[int, int]:
    """Give the number of virtual processors that are there at first, and the most that may be."""
    most = max(1, config.b_info.max_vcpus)
    return len(config.b_info.avail_vcpus) or most, most


def qemu_arguments(config: DomainConfig, uuid: uuids.UUID, accelerator: str) -> list[str]:
    """Give the arguments that make the machine, without monitor and channels.

    The kernel is booted directly if there is one, else the firmware boots from a disk.

    Raises UsageError (nothing to boot, what this host cannot do), NotFound or Denied (a file is not there or
    not readable).
    """
    _check(config)
    first, most = vcpus(config)
    arguments = [
        "-nodefaults",
        "-no-user-config",
        *("-name", format_option(f"guest={config.c_info.name}", {})),
        *("-machine", _machine(config)),
        *("-accel", accelerator),
        *(("-cpu", "host") if accelerator == "kvm" else ()),
        *("-m", format_option(f"size={memory(config)}K", {})),
        *("-smp", str(first) if first == most else f"{first},maxcpus={most}"),
        *_boot(config),
        *_serial_ports(config),
        *_actions(config),
        *_tables(config),
        *drive_arguments(config),
        *network_arguments(config, uuid),
        *display_arguments(config),
    ]
    if config.b_info.localtime:
        arguments += ["-rtc", "base=localtime"]
    more = [*config.b_info.extra, *(config.b_info.extra_hvm if _hvm(config) else config.b_info.extra_pv)]
    if more:
        # It needs all kinds of chardevs, for which other commands need not wait.
        from xenwire.qemu.monitors import unfit_monitor

        if reason := unfit_monitor(more):
            raise impossible(config, reason, "put it on a socket, or leave it out: see xenwire dm qmp")
    return [*arguments, *more]


def _check(config: DomainConfig) -> None:
    """Refuse what would only fail later, or be ignored."""
    if not (config.c_info.name or "").isprintable() or not config.c_info.name:
        raise impossible(config, "its name is empty or cannot be shown", "choose another name")
    if not 0 < memory(config) <= _MAX_MEMORY:
        raise impossible(config, f"it cannot have {memory(config)} KiB of memory", "correct memory")
    first, most = vcpus(config)
    if most > _MAX_VCPUS or first > most:
        raise impossible(
            config,
            f"it wants {first} of {most} processors; QEMU's q35 has at most {_MAX_VCPUS}",
            "lower vcpus",
        )
    length = len(os.fsencode(config.b_info.cmdline or ""))
    if length > _MAX_CMDLINE:
        raise impossible(
            config,
            f"its kernel's command line has {length} bytes; Linux reads {_MAX_CMDLINE}",
            "shorten extra, root or cmdline",
        )
    for channel in config.channels:
        if (channel.backend_domname or "0") not in ("0", "Domain-0") or channel.backend_domid:
            raise impossible(
                config,
                f"its channel {channel.name} wants the backend domain "
                f"{channel.backend_domname or channel.backend_domid!r}",
                "leave backend out: here the host serves all channels",
            )


def _hvm(config: DomainConfig) -> DomainBuildInfoHvm | None:
    """Give what only a fully virtual machine has."""
    return config.b_info.type if isinstance(config.b_info.type, DomainBuildInfoHvm) else None


def _machine(config: DomainConfig) -> str:
    switches: dict[str, str | int | bool] = {}
    if config.b_info.acpi is False:
        switches["acpi"] = False
    if (hvm := _hvm(config)) and hvm.hpet is not None:
        switches["hpet"] = hvm.hpet
    return format_option("q35", switches)


def _boot(config: DomainConfig) -> list[str]:
    info, hvm = config.b_info, _hvm(config)
    arguments = []
    if hvm and hvm.bios is BiosType.OVMF:
        firmware = next((path for path in _OVMF if Path(path).exists()), None)
        if firmware is None:
            raise impossible(config, "there is no UEFI firmware here", "apt-get install ovmf")
        arguments += ["-bios", firmware]
    if info.kernel:
        arguments += ["-kernel", _file(config, "kernel", info.kernel)]
        if info.ramdisk:
            arguments += ["-initrd", _file(config, "ramdisk", info.ramdisk)]
        if info.cmdline is not None:
            arguments += ["-append", info.cmdline]
    elif not hvm:
        raise impossible(
            config,
            "its configuration names no kernel",
            "add kernel = \"…\"; 'xenwire image build' makes one to try",
        )
    elif not config.disks and not config.nics:
        raise impossible(config, "there is nothing that it could boot from", "add a kernel or a disk")
    if hvm and hvm.boot:
        if not re.fullmatch(r"[a-dn]+", hvm.boot):
            raise impossible(config, f"it cannot boot from {hvm.boot!r}", "letters of a, c, d and n")
        arguments += ["-boot", format_option(f"order={hvm.boot}", {})]
    return arguments


def _serial_ports(config: DomainConfig) -> list[str]:
    """Give the serial ports. The first is the primary console; a guest of Xen has one without asking."""
    hvm = _hvm(config)
    wanted = (*([hvm.serial] if hvm.serial else []), *hvm.serial_list) if hvm else ()
    arguments = []
    for serial in wanted or ("pty",):
        if not _SERIAL.fullmatch(serial):
            raise impossible(
                config,
                f"its serial port cannot be {serial!r}",
                "use pty, none, null, file:PATH, unix:PATH, tcp:HOST:PORT or a device below /dev",
            )
        arguments += ["-serial", serial]
    return arguments


def _actions(config: DomainConfig) -> list[str]:
    """Give what QEMU does when the guest ends. A reboot it does by itself, or not at all."""
    restarts = (ActionOnShutdown.RESTART, ActionOnShutdown.RESTART_RENAME)
    return [] if config.on_reboot in restarts else ["-no-reboot"]


def _tables(config: DomainConfig) -> list[str]:
    """Give what the guest's firmware is to know."""
    hvm = _hvm(config)
    if hvm is None:
        return []
    arguments = []
    if hvm.smbios_firmware:
        file = _file(config, "smbios_firmware", hvm.smbios_firmware)
        arguments += ["-smbios", format_option(f"file={file}", {})]
    if hvm.acpi_firmware:
        file = _file(config, "acpi_firmware", hvm.acpi_firmware)
        arguments += ["-acpitable", format_option(f"file={file}", {})]
    if hvm.ms_vm_genid:
        arguments += ["-device", f"vmgenid,guid={uuids.UUID(bytes=hvm.ms_vm_genid)}"]
    return arguments


def _file(config: DomainConfig, key: str, name: str) -> str:
    path = Path(name).absolute()
    readable(config, key, path, writable=False, kinds=(path.is_file,))
    return str(path)
