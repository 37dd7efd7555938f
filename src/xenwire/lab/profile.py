"""What kind of lab: the choices that make one machine differ from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from xenwire.errors import UsageError
from xenwire.images import Release

__all__ = ["Profile", "Xenstored"]

_DOM0_MEMORY: Final = 1500
"""MiB that dom0 gets; the rest of the machine's memory is for its guests."""


class Xenstored(StrEnum):
    """The store's daemon in dom0. Debian ships both."""

    C = "c"
    OCAML = "ocaml"


@dataclass(frozen=True, slots=True)
class Profile:
    """How a lab's machine is made. `memory` in MiB: dom0 has 1500 of it.

    `xen_options` is added to the hypervisor's command line. `iommu` adds an emulated AMD IOMMU and a spare
    network card, to be passed through to guests; QEMU cannot save such a machine, so it always boots.

    Raises UsageError for too little memory, no processor or options with odd characters.
    """

    release: Release = Release.BOOKWORM
    memory: int = 4096
    vcpus: int = 2
    xenstored: Xenstored = Xenstored.C
    xen_options: str = ""
    iommu: bool = False

    def __post_init__(self) -> None:
        if self.memory < _DOM0_MEMORY + 256:
            raise UsageError(
                f"a lab cannot have {self.memory} MiB of memory",
                reason=f"dom0 takes {_DOM0_MEMORY}, and its guests want some",
                hint="4096 is a good start",
            )
        if not 1 <= self.vcpus <= 64:
            raise UsageError(
                f"a lab cannot have {self.vcpus} processors", hint="give it as many as this machine has"
            )
        if not (self.xen_options.isascii() and self.xen_options.isprintable()):
            raise UsageError("Xen's options cannot have such characters", reason=repr(self.xen_options))

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Make one of some of its fields, as `dataclasses.asdict` and JSON give them.

        Raises UsageError, ValueError, TypeError for what are none.
        """
        types: dict[str, Callable[[Any], Any]] = {"release": Release, "xenstored": Xenstored}
        return cls(**{key: types.get(key, lambda value: value)(value) for key, value in fields.items()})

    @property
    def restorable(self) -> bool:
        """Whether a booted lab can be kept and restored."""
        return not self.iommu

    @property
    def hypervisor_command_line(self) -> str:
        """Xen's command line (xen: docs/misc/xen-command-line.pandoc)."""
        dom0 = f"dom0_mem={_DOM0_MEMORY}M,max:{_DOM0_MEMORY}M dom0_max_vcpus={self.vcpus}"
        log = "console=com1 com1=115200,8n1 loglvl=warning guest_loglvl=warning"
        return f"{log} {dom0} {self.xen_options}".rstrip()
