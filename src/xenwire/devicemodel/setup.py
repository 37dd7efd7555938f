"""What a device model is to be, by whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xenwire.devicemodel.arguments import read_arguments
from xenwire.devicemodel.backends import served_types
from xenwire.devicemodel.confinement import confinement
from xenwire.devicemodel.nodes import saved_state
from xenwire.qemu.capabilities import capabilities
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.broker.access import Access
from xenwire.runtime.places import run_dir
from xenwire.types import DomId

if TYPE_CHECKING:
    from xenwire.xenstore import Store

__all__ = ["Setup", "plain_setup"]


@dataclass(frozen=True, slots=True)
class Setup:
    """A QEMU to start, and how it and its agent share the work."""

    program: Path
    arguments: Sequence[str]
    saved: Path
    """The file for its state."""
    fds: Sequence[int] = ()
    """Descriptors that it inherits under the same numbers."""
    advertised: Sequence[str] | None = None
    """Backend types to tell of in the store (seed 000). None: QEMU does that itself, as under Xen."""
    monitors: Mapping[Path, Access] = field(default_factory=dict)
    """Where its monitor is offered besides our own sockets."""
    listening: Mapping[int, Access] = field(default_factory=dict)
    """Descriptors of sockets that listen already, where it is offered, too; the broker closes them."""
    under_xen: bool = False
    """Whether it runs under Xen: then the console is not its."""
    tells_running: bool = False
    """Whether it says itself in the store that it runs, as under Xen, unless it is kept from the store."""
    start: bool = False
    """Whether its processors are to run as soon as all is ready."""
    passthrough: tuple[str, str] = ("vfio-pci", "host")
    """The QEMU device that stands for a PCI device of the host, and what it calls its address."""


async def plain_setup(
    store: Store, domid: DomId, program: str | None, user: str | None, timeout: float
) -> Setup:
    """Set up a plain QEMU by the arguments that the toolstack has left in the store.

    It drops its privileges before it answers, or has none from its first instruction on, with a `user`: so
    what it supports is asked of another run, and written before (seed 000).

    Raises NotFound (no arguments, no QEMU), XenwireError (QEMU is too old, or does not start).
    """
    arguments = await read_arguments(store, domid)
    found = find_qemu(program)
    able = await capabilities(found, user=user, timeout=timeout)
    able.require_recent(found)
    return Setup(
        found,
        [*confinement(able, domid, arguments, drop=user is None), *arguments],
        saved_state(run_dir(), domid),
        advertised=served_types(able.devices),
    )
