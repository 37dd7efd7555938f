"""Channels over Xen: consoles with a name (seed 002).

The kernel's bus shows each console as a device and who drives it; name and state are in the store, in the
guest's own folder `device/console/N` (linux: drivers/xen/xenbus/xenbus_probe_frontend.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.errors import NotFound
from xenwire.guest.channel import GuestChannel, Places, Problem, Transport, text_of
from xenwire.guest.hvc import LAST_CHANNEL, Slots
from xenwire.types import StorePath

if TYPE_CHECKING:
    from xenwire.xenstore.blocking import BlockingNodes

__all__ = ["CONSOLES", "Console", "channels_of", "has_primary", "read_consoles", "slot_holders"]

CONSOLES: Final = StorePath("device/console")
"""The folder of a guest's consoles, except the primary one; relative to the guest's own."""

_STATES: Final = (
    "unknown",
    "initialising",
    "init-wait",
    "initialised",
    "connected",
    "closing",
    "closed",
)  # xen: xen/include/public/io/xenbus.h
_CONNECTED: Final = 4
_CLOSED: Final = 6
_WITH_TERMINAL: Final = range(3, 6)  # the states in which the driver has made a terminal and not removed it

_LAST_OF_ITS_OWN: Final = 9
"""The driver reads one digit of N: from 10 on, a console is refused or taken for another one (linux:
drivers/tty/hvc/hvc_xen.c, xencons_probe)."""

_NO_ENTRY: Final = "2"
"""ENOENT, as the kernel writes it into its error node: what the bug in `_problem` gives."""


@dataclass(frozen=True, slots=True)
class Console:
    """A console other than the primary one. `name` is None on an ordinary one, which is getty's.

    `device` is the inode of its device in sysfs, where a driver has taken it; `error` what its driver said.
    """

    number: int
    name: str | None
    state: int
    device: int | None
    error: str | None

    @property
    def source(self) -> str:
        """Its name on the kernel's bus."""
        return f"console-{self.number}"


def read_consoles(places: Places, store: BlockingNodes) -> list[Console]:
    """Read the guest's consoles, lowest number first. What vanishes meanwhile has state 0."""
    try:
        names = store.list(CONSOLES)
    except NotFound:
        return []
    numbers = sorted(int(name) for name in names if re.fullmatch(r"0|[1-9][0-9]{0,9}", name))
    return [_read(places, store, number) for number in numbers]


def has_primary(store: BlockingNodes) -> bool:
    """Tell whether the guest has a primary console, which takes the first terminal."""
    return store.exists("console/port")


def slot_holders(consoles: list[Console]) -> dict[int, int]:
    """Give the consoles that have a terminal, each with its device's inode."""
    return {
        console.number: console.device
        for console in consoles
        if 0 < console.number <= _LAST_OF_ITS_OWN
        and console.device is not None
        and console.state in _WITH_TERMINAL
    }


def channels_of(consoles: list[Console], slots: Slots, dev: Path) -> Iterator[GuestChannel]:
    """Give the channels among the consoles."""
    for console in consoles:
        if not console.name:
            continue
        slot = slots.of(console.number)
        device = None if slot is None or slot > LAST_CHANNEL else dev / f"hvc{slot}"
        yield GuestChannel(
            console.name,
            Transport.PV,
            console.source,
            console.device or 0,
            device,
            _STATES[console.state],
            _problem(console, device),
        )


def _read(places: Places, store: BlockingNodes, number: int) -> Console:
    node = CONSOLES / number
    name = store.get(node / "name")
    error = store.get(StorePath("error") / node / "error")
    folder = places.sys / "bus/xen/devices" / f"console-{number}"
    try:
        device = folder.stat().st_ino if (folder / "driver").exists() else None
    except OSError:
        device = None
    return Console(
        number,
        None if name is None else text_of(name),
        _state(store.get(node / "state")),
        device,
        None if error is None else text_of(error),
    )


def _state(value: bytes | None) -> int:
    known = {str(number).encode(): number for number in range(len(_STATES))}
    return known.get(value or b"", 0)


def _problem(console: Console, device: Path | None) -> Problem | None:
    if not 0 < console.number <= LAST_CHANNEL:
        return Problem(
            f"it is console {console.number}, and Linux serves consoles 1 to {LAST_CHANNEL} as channels",
            f"have the toolstack give it a number from 1 to {LAST_CHANNEL}"
            + (" (xl of Xen 4.11 to 4.17 gives a first channel number 0)" if console.number == 0 else ""),
        )
    if console.state == _CLOSED and console.error is not None:
        if console.error.partition(" ")[0] == _NO_ENTRY:
            return Problem(
                f"the guest's kernel has a bug: 'xenconsole: probe of {console.source} failed with error -2'",
                "take Linux 6.7 or newer, or a stable kernel of December 2023 or later",
            )
        return Problem(f"the guest's driver gave up: {console.error}", "see the guest's kernel log")
    if console.state > _CONNECTED:
        return Problem("the host has closed it", "have it attached again")
    if console.device is None or console.state not in _WITH_TERMINAL:
        return Problem(
            "no driver of the guest's has taken it yet", "the kernel needs CONFIG_HVC_XEN_FRONTEND"
        )
    if device is None:
        return Problem(
            f"nobody can tell which hvc {console.source} is: the consoles are not numbered 1, 2, 3 and so on",
            f"name it, if you know: --hvc {console.number}=K for /dev/hvcK",
        )
    if not device.exists():
        return Problem(f"there is no {device}", "see that devtmpfs is mounted")
    if console.state != _CONNECTED:
        # A guest that writes more than the ring holds (2 KiB) would spin with interrupts off.
        return Problem("the host does not serve it yet", "wait for it: --wait 30s")
    return None
