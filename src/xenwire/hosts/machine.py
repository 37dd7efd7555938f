"""A domain's configuration as the arguments of a plain QEMU. Pure but for looking at files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.errors import Denied, NotFound, UsageError
from xenwire.qemu.options import escape, format_option

if TYPE_CHECKING:
    from xenwire.config import DomainConfig

__all__ = ["qemu_arguments"]

_SERIAL: Final = re.compile(r"none|null|pty|(file|unix|tcp|udp|telnet|pipe):.+|/dev/.+")
"""What a serial port may be connected to: nothing that takes QEMU's own terminal or its monitor."""


def qemu_arguments(config: DomainConfig, accelerator: str) -> list[str]:
    """Give the arguments that make the machine, without monitor and channels.

    Raises UsageError (no kernel, an impossible serial port), NotFound or Denied (a file is not there or not
    readable).
    """
    if config.kernel is None:
        raise UsageError(
            f"cannot create domain {config.name!r}",
            reason="its configuration names no kernel",
            hint="add kernel = \"…\"; 'xenwire image build' makes one to try",
        )
    arguments = [
        "-nodefaults",
        "-no-user-config",
        *("-name", escape(config.name)),
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
            raise UsageError(
                f"cannot create domain {config.name!r}",
                reason=f"its serial port cannot be {serial!r}",
                hint="use pty, none, null, file:PATH, unix:PATH, tcp:HOST:PORT or a device below /dev",
            )
        arguments += ["-serial", serial]
    return arguments


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
