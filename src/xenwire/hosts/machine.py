"""A domain's configuration as the arguments of a plain QEMU. Pure but for looking at files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.errors import Denied, NotFound, UsageError
from xenwire.qemu.options import format_option

if TYPE_CHECKING:
    from xenwire.config import DomainConfig

__all__ = ["qemu_arguments"]

_SERIAL: Final = re.compile(r"none|null|pty|(file|unix|tcp|udp|telnet|pipe):.+|/dev/.+")
"""What a serial port may be connected to: nothing that takes QEMU's own terminal or its monitor."""

_MAX_VCPUS: Final = 288  # qemu: hw/i386/pc_q35.c
_MAX_CMDLINE: Final = 2047  # bytes; linux: arch/x86/include/asm/setup.h


def qemu_arguments(config: DomainConfig, accelerator: str) -> list[str]:
    """Give the arguments that make the machine, without monitor and channels.

    Raises UsageError (no kernel, what this host cannot do), NotFound or Denied (a file is not there or not
    readable).
    """
    _check(config)
    if not config.kernel:
        raise _impossible(
            config,
            "its configuration names no kernel",
            "add kernel = \"…\"; 'xenwire image build' makes one to try",
        )
    arguments = [
        "-nodefaults",
        "-no-user-config",
        *("-name", format_option(f"guest={config.name}", {})),
        *("-machine", "q35"),
        *("-accel", accelerator),
        *(("-cpu", "host") if accelerator == "kvm" else ()),
        *("-m", format_option(f"size={config.memory}M", {})),
        *("-smp", str(config.vcpus)),
        *("-display", "none"),
        *("-kernel", _file(config, "kernel", config.kernel)),
    ]
    if config.ramdisk is not None:
        arguments += ["-initrd", _file(config, "ramdisk", config.ramdisk)]
    if config.cmdline is not None:
        arguments += ["-append", config.cmdline]
    # The first serial port is the primary console; a guest of real Xen has one without asking.
    for serial in config.serial or ("pty",):
        if not _SERIAL.fullmatch(serial):
            raise _impossible(
                config,
                f"its serial port cannot be {serial!r}",
                "use pty, none, null, file:PATH, unix:PATH, tcp:HOST:PORT or a device below /dev",
            )
        arguments += ["-serial", serial]
    return arguments


def _check(config: DomainConfig) -> None:
    """Refuse what would only fail later, or be ignored."""
    if not config.name.isprintable():
        raise _impossible(config, "its name has bytes that cannot be shown", "choose another name")
    if config.vcpus > _MAX_VCPUS:
        raise _impossible(
            config, f"it wants {config.vcpus} processors; QEMU's q35 has at most {_MAX_VCPUS}", "lower vcpus"
        )
    length = len(os.fsencode(config.cmdline or ""))
    if length > _MAX_CMDLINE:
        raise _impossible(
            config,
            f"its kernel's command line has {length} bytes; Linux reads {_MAX_CMDLINE}",
            "shorten extra, root or cmdline",
        )
    for channel in config.channels:
        if channel.backend not in (None, "0", "Domain-0"):
            raise _impossible(
                config,
                f"its channel {channel.name} wants the backend domain {channel.backend!r}",
                "leave backend out: here the host serves all channels",
            )


def _impossible(config: DomainConfig, reason: str, hint: str) -> UsageError:
    return UsageError(f"cannot create domain {config.name!r}", reason=reason, hint=hint)


def _file(config: DomainConfig, key: str, name: str) -> str:
    path = Path(name).absolute()
    message = f"cannot create domain {config.name!r}"
    if not path.exists():
        raise NotFound(
            message, reason=f"its {key} {path} does not exist", hint=f"correct {key} in its configuration"
        )
    if not path.is_file() or not os.access(path, os.R_OK):
        raise Denied(message, reason=f"its {key} {path} is not a file that you may read")
    return str(path)
