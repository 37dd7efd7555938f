"""A lab's machine as QEMU's arguments. Pure.

QEMU loads Xen as a multiboot kernel, and dom0's kernel and ramdisk as its modules: in `-initrd`, a comma
parts them, a blank a file from its command line (qemu: hw/i386/multiboot.c).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from xenwire.qemu.options import escape, format_option

if TYPE_CHECKING:
    from xenwire.lab.profile import Profile

__all__ = ["PORTS", "console_socket", "machine_arguments", "monitor_socket", "port_socket", "root_disk"]

PORTS: Final = 16
"""Commands that can run in a lab at the same time."""

_DOM0: Final = "console=hvc0 root=/dev/vda rw init=/run/xenwire/dom0-init.sh quiet"


def port_socket(folder: Path, number: int) -> Path:
    """Give the socket of a port for commands."""
    return folder / f"port{number}.sock"


def monitor_socket(folder: Path) -> Path:
    """Give the socket of QEMU's monitor."""
    return folder / "monitor.sock"


def console_socket(folder: Path) -> Path:
    """Give the socket of the serial console, which is for people."""
    return folder / "console.sock"


def root_disk(path: Path, format_: Literal["raw", "qcow2"], *, keep: bool = False) -> str:
    """Give the `-drive` of dom0's disk. Without `keep`, what is written to it is gone with QEMU."""
    return format_option(
        f"file={path}", {"id": "root", "if": "none", "format": format_, "snapshot": not keep}
    )


def machine_arguments(
    profile: Profile, hypervisor: Path, kernel: Path, initrd: Path, drive: str, folder: Path, accelerator: str
) -> list[str]:
    """Give the arguments of a lab whose sockets are in `folder`.

    `kernel` and `initrd` are dom0's; their paths have no blanks. `drive`: see `root_disk`.
    """
    dom0 = f"{_DOM0} xenwire.xenstored={profile.xenstored}"
    modules = f"{escape(f'{kernel} {dom0}')},{escape(str(initrd))}"
    arguments = [
        "-nodefaults",
        "-no-user-config",
        *("-machine", "q35,kernel-irqchip=split" if profile.iommu and accelerator == "kvm" else "q35"),
        *("-accel", "kvm" if accelerator == "kvm" else "tcg,thread=multi"),
        *("-cpu", "host" if accelerator == "kvm" else "qemu64,+svm,+npt"),
        *("-m", format_option(f"size={profile.memory}M", {})),
        *("-smp", str(profile.vcpus)),
        *("-display", "none"),
        "-no-reboot",
        *("-kernel", str(hypervisor)),
        *("-append", profile.hypervisor_command_line),
        *("-initrd", modules),
        *("-drive", drive),
        *("-device", format_option("virtio-blk-pci", {"drive": "root"})),
        *("-device", "virtio-rng-pci"),
        *("-device", format_option("virtio-serial-pci", {"id": "ports", "max_ports": PORTS + 1})),
    ]
    for number in range(PORTS):
        arguments += [
            *("-chardev", _listening(f"port{number}", port_socket(folder, number))),
            "-device",
            format_option(
                "virtserialport",
                {
                    "bus": "ports.0",
                    "nr": number + 1,
                    "chardev": f"port{number}",
                    "name": f"org.xenwire.lab.{number}",
                },
            ),
        ]
    arguments += [
        *("-chardev", _listening("console", console_socket(folder))),
        *("-serial", "chardev:console"),
        *("-chardev", _listening("monitor", monitor_socket(folder))),
        *("-mon", "chardev=monitor,mode=control"),
    ]
    if profile.iommu:
        arguments += ["-device", "amd-iommu", "-device", "e1000e,addr=5"]
    return arguments


def _listening(chardev_id: str, path: Path) -> str:
    return format_option("socket", {"id": chardev_id, "path": str(path), "server": True, "wait": False})
