"""How far xl had come in making a domain when it failed, by its words, and which log tells more. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from xenwire.xl.words import is_error

__all__ = ["LOGS", "Phase", "failed_phase"]

LOGS: Final = "/var/log/xen"
"""Where libxl and what it starts leave their words."""


class Phase(NamedTuple):
    """A phase of making a domain."""

    name: str
    log: str | None
    """The file that tells more, if there is one."""


_PLACE: Final = r"\w+: (?:\w+: )*"
"""Who speaks, and how bad it is; what follows is where in the source: what users name comes later."""

_PHASES: Final = (
    (re.compile(r"[^:]*:[0-9]+: config parsing error|Failed to parse"), "reading its configuration", None),
    (re.compile(_PLACE + r"libxl_bootloader\.c"), "running its bootloader", "bootloader.{domid}.log"),
    (
        re.compile(_PLACE + r"libxl_(?:exec|aoutils)\.c[^/]*/etc/xen/scripts/"),
        "setting up its devices",
        "xen-hotplug.log",
    ),
    (re.compile(_PLACE + r"libxl_(?:dm|qmp)\.c"), "starting its device model", "qemu-dm-{name}.log"),
    (re.compile(_PLACE + r"(?:xg_dom_\w+|libxl_dom)\.c"), "building it", None),
    (re.compile(_PLACE + r"libxl_(?:device|disk|nic|usb|pci|console)\.c"), "setting up its devices", None),
)
"""How the first error begins, the phase, and its log."""

_DOMID: Final = re.compile(r"Domain ([0-9]{1,5}):")


def failed_phase(lines: Sequence[str], name: str) -> Phase | None:
    """Tell in which phase making the domain `name` failed, by all that xl has said; None: its words are new.

    The first error is the cause.
    """
    first = next((line for line in lines if is_error(line)), "")
    for mark, phase, log in _PHASES:
        if mark.match(first):
            domid = next((found[1] for line in lines if (found := _DOMID.search(line))), "")
            return Phase(phase, f"{LOGS}/{log.format(name=name, domid=domid)}" if log else None)
    return None
