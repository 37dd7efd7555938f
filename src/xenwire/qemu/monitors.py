"""The QMP monitors among QEMU's arguments. Pure.

Facts: qemu: monitor/monitor.c (monitor_init_opts), softmmu/vl.c (monitor_parse); qemu-system(1), `-mon`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

from xenwire.errors import UsageError
from xenwire.qemu.chardev import Chardev, Reference, parse_compat, parse_option
from xenwire.qemu.chardev.parse import read_pairs

__all__ = ["unfit_monitor"]


def unfit_monitor(arguments: Sequence[str]) -> str | None:
    """Tell which QMP monitor is on a character device that cannot carry one, and why; None: none is.

    QEMU would take it: some such monitors are mute, some end QEMU. What QEMU refuses is left to it.
    """
    words = [word[1:] if word.startswith("--") else word for word in arguments]
    chardevs: dict[str, Chardev] = {}
    for option, value in pairwise(words):
        if option == "-chardev":
            with suppress(UsageError):
                name, chardev = parse_option(value)
                chardevs[name] = chardev
    for option, value in pairwise(words):
        with suppress(UsageError):
            found = _carrier(option, value, chardevs)
            if found is not None and (why := found.qmp_obstacle):
                return f"{option} {value} puts a monitor on a chardev of kind {found.kind}: {why}"
    return None


def _carrier(option: str, value: str, chardevs: Mapping[str, Chardev]) -> Chardev | None:
    """Give what an option puts a monitor on; None: it makes none, or that is not known. Raises UsageError."""
    match option:
        case "-mon":
            options = read_pairs(value, "chardev")
            return chardevs.get(options.get("chardev", "")) if options.get("mode") == "control" else None
        case "-qmp" | "-qmp-pretty":
            chardev = parse_compat(value)
            return chardevs.get(chardev.id) if isinstance(chardev, Reference) else chardev
    return None
