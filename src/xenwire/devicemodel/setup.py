"""What a device model is to be, by whoever asks for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.devicemodel.arguments import read_arguments
from xenwire.devicemodel.backends import served_types
from xenwire.devicemodel.nodes import saved_state
from xenwire.qemu.capabilities import capabilities
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.broker.access import Access
from xenwire.runtime.places import run_dir
from xenwire.types import DomId

if TYPE_CHECKING:
    from xenwire.qemu.capabilities import Capabilities
    from xenwire.xenstore import Store

__all__ = ["Setup", "plain_setup"]

_log = logging.getLogger(__name__)

_CHANGES_USER: Final = frozenset({"-runas", "-run-with", "-chroot", "-daemonize"})
_NETWORK: Final = frozenset({"-netdev", "-nic", "-net"})
_SANDBOX: Final = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


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

    QEMU may run as another user from its first instruction on, so what it supports is asked of another run,
    and written before this one's privileges are dropped (seed 000).

    Raises NotFound (no arguments, no QEMU), XenwireError (QEMU is too old, or does not start).
    """
    arguments = await read_arguments(store, domid)
    found = find_qemu(program)
    able = await capabilities(found, user=user, timeout=timeout)
    able.require_recent(found)
    return Setup(
        found,
        [*_sandbox(able, arguments), *arguments],
        saved_state(run_dir(), domid),
        advertised=served_types(able.devices),
    )


def _sandbox(able: Capabilities, arguments: Sequence[str]) -> list[str]:
    """Give the arguments that keep QEMU from starting programs, changing its user and old system calls.

    None where the arguments have a word in it, or need what it forbids.
    """
    words = [word[1:] if word.startswith("--") else word for word in arguments]
    if "-sandbox" in words:
        return []
    network = {(option, _kind(value)) for option, value in pairwise(words) if option in _NETWORK}
    programs = {option for option, kind in network if kind in ("bridge", "tap")}
    hinders = _CHANGES_USER.intersection(words) | programs
    if "sandbox" not in able.options:
        _log.warning("nothing keeps QEMU from starting programs: it was built without -sandbox")
    elif hinders:
        _log.warning("nothing keeps QEMU from starting programs: %s may need it", ", ".join(sorted(hinders)))
    else:
        return ["-sandbox", _SANDBOX]
    return []


def _kind(value: str) -> str | None:
    """Give the type of a network device: a bridge and a tap may have QEMU start a helper or a script."""
    if value.startswith("{"):
        try:
            return str(json.loads(value).get("type"))
        except (ValueError, AttributeError):
            return None  # QEMU will say what is wrong with it
    words = value.split(",")
    return next((word.removeprefix("type=") for word in words if word.startswith("type=")), words[0])
