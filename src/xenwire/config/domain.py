"""A domain's configuration as typed values: frozen, compared by value, valid by construction."""

from __future__ import annotations

import uuid as uuids
from collections import Counter
from dataclasses import dataclass
from typing import Final

from xenwire.errors import UsageError
from xenwire.types import ChannelKind, ChannelName, DevId

__all__ = ["DEFAULT_MEMORY", "DEFAULT_VCPUS", "MAX_MEMORY", "MAX_VCPUS", "ChannelConfig", "DomainConfig"]

DEFAULT_MEMORY: Final = 32
"""MiB, where a configuration says nothing (libxl's default, 4.17: libxl_create.c)."""
DEFAULT_VCPUS: Final = 1
"""Virtual CPUs, where a configuration says nothing (libxl's default, 4.17: libxl_create.c)."""
MAX_MEMORY: Final = 2**43 - 1
"""MiB: as bytes it still fits into 63 bits."""
MAX_VCPUS: Final = 2**31 - 1
"""libxl keeps the number in a C int; hosts allow far fewer."""

_KINDS_WITH_PATH: Final = (ChannelKind.PATH, ChannelKind.SOCKET)


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """A channel: a private byte stream between the guest and the backend domain.

    Raises UsageError if the kind needs a path and there is none, or the other way round.
    """

    name: ChannelName
    kind: ChannelKind
    path: str | None = None
    """The file to append to (kind PATH) or the socket to listen on (kind SOCKET), in the backend domain."""
    devid: DevId | None = None
    """The number of its console device; None: the host takes the lowest free one from 1 on."""
    backend: str | None = None
    """The name or id of the backend domain; None: the host's own."""

    def __post_init__(self) -> None:
        if self.kind in _KINDS_WITH_PATH and not self.path:
            raise UsageError(
                f"channel {self.name} has no path",
                reason=f"kind {self.kind} needs one",
                hint="add path=/… to it",
            )
        if self.kind not in _KINDS_WITH_PATH and self.path is not None:
            raise UsageError(f"channel {self.name} has a path", reason=f"kind {self.kind} takes none")


@dataclass(frozen=True, slots=True)
class DomainConfig:
    """What a host needs to know to create a domain.

    Texts and paths hold the bytes of the configuration as UTF-8; other bytes are kept as surrogates, as in
    `os.fsdecode`. Paths are as written: the host resolves relative ones against its working folder.

    Raises UsageError if the name is empty, a number out of range, or two channels have the same name.
    """

    name: str
    uuid: uuids.UUID | None = None
    """None: the host takes a random one."""
    memory: int = DEFAULT_MEMORY
    """MiB."""
    vcpus: int = DEFAULT_VCPUS
    kernel: str | None = None
    ramdisk: str | None = None
    cmdline: str | None = None
    """The kernel's command line."""
    serial: tuple[str, ...] = ()
    """The emulated serial ports, as QEMU's option -serial takes them."""
    channels: tuple[ChannelConfig, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError("the domain has no name")
        if not 1 <= self.memory <= MAX_MEMORY:
            raise UsageError(f"domain {self.name} cannot have {self.memory} MiB of memory")
        if not 1 <= self.vcpus <= MAX_VCPUS:
            raise UsageError(f"domain {self.name} cannot have {self.vcpus} virtual CPUs")
        for name, count in Counter(channel.name for channel in self.channels).items():
            if count > 1:
                raise UsageError(
                    f"two channels of domain {self.name} have the name {name}",
                    reason="the guest finds a channel by its name",
                )
