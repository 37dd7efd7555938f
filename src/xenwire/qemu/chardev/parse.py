"""Reading character devices back, from option strings and from QMP. Pure.

Facts: qemu: chardev/char.c, util/qemu-option.c, qapi/char.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from xenwire.errors import UsageError
from xenwire.qemu.chardev import kinds, sockets
from xenwire.qemu.chardev.base import Chardev
from xenwire.qemu.chardev.record import refuse_rest
from xenwire.qemu.options import check_id, split_option

__all__ = ["KINDS", "from_options", "from_qmp", "parse_option", "read_pairs"]

KINDS: Final[Mapping[str, type[Chardev]]] = {
    kind.kind: kind
    for kind in (
        kinds.Braille,
        kinds.Dbus,
        kinds.File,
        kinds.Hub,
        kinds.MsMouse,
        kinds.Mux,
        kinds.Null,
        kinds.Parallel,
        kinds.Pipe,
        kinds.Pty,
        kinds.QemuVdagent,
        kinds.RingBuf,
        kinds.Serial,
        kinds.SpicePort,
        kinds.SpiceVmc,
        kinds.Stdio,
        kinds.TestDev,
        kinds.Vc,
        kinds.WcTablet,
        sockets.Socket,
        sockets.Udp,
    )
}
"""All kinds, by their names."""

# The first two were never known to QMP, and are gone from the command line since QEMU 8.0.
_QMP_ALIASES: Final = {"memory": "ringbuf"}
_ALIASES: Final = {"tty": "serial", "parport": "parallel"} | _QMP_ALIASES


def parse_option(text: str) -> tuple[str, Chardev]:
    """Read the argument of `-chardev`, and give the id and the chardev.

    The old names `tty`, `parport` and `memory`, and truth values without `=` (`server`, `nowait`), are
    understood. Raises UsageError for what makes no chardev, and for options that QEMU would silently ignore
    or take the last of.
    """
    options = read_pairs(text, "backend")
    kind = options.pop("backend", "")
    chardev_id = options.pop("id", None)
    if chardev_id is None:
        raise UsageError(f"a chardev without an id: {text!r}", reason="QEMU knows chardevs by their ids")
    return check_id(chardev_id), from_options(_kind(_ALIASES.get(kind, kind)), options)


def from_options(kind: type[Chardev], options: Mapping[str, str]) -> Chardev:
    """Make a chardev of its options, which must all be its own. Raises UsageError."""
    rest = dict(options)
    chardev = kind.from_options(rest)
    refuse_rest(f"{kind.kind} chardev", rest)
    return chardev


def from_qmp(arguments: Mapping[str, Any]) -> tuple[str, Chardev]:
    """Read the arguments of `chardev-add`, of any type that JSON has, and give the id and the chardev.

    Raises UsageError for what makes no chardev, and for members that it does not have.
    """
    match arguments:
        case {"id": str(chardev_id), "backend": {"type": str(name), "data": dict(data), **more}, **rest}:
            refuse_rest("chardev-add", rest | more)
            members = dict(data)
            kind = _kind(_QMP_ALIASES.get(name, name))
            chardev = kind.from_members(members)
            refuse_rest(f"{kind.kind} chardev", members)
            return check_id(chardev_id), chardev
    raise UsageError(
        "not the arguments of chardev-add",
        reason="expected an id, and a backend with its type and its data",
        hint='for example {"id": "log", "backend": {"type": "null", "data": {}}}',
    )


def read_pairs(text: str, implied: str) -> dict[str, str]:
    """Take an option string apart; a first value without a name is that of `implied`.

    Others without a value are truth values: `server` is `server=on`, `nowait` is `wait=off`. Raises
    UsageError for an option that comes twice.
    """
    options: dict[str, str] = {}
    for position, piece in enumerate(split_option(text)):
        name, equals, value = piece.partition("=")
        if not equals and position == 0:
            name, value = implied, piece
        elif not equals:
            name, value = (name[2:], "off") if name.startswith("no") else (name, "on")
        if name in options:
            raise UsageError(f"{name} comes twice: {text!r}", reason="QEMU would take one of the two")
        options[name] = value
    return options


def _kind(name: str) -> type[Chardev]:
    if name not in KINDS:
        raise UsageError(
            f"not a kind of chardev: {name!r}",
            reason="the command line and QMP of QEMU on Linux have no such kind",
            hint=f"use one of {', '.join(sorted(KINDS))}",
        )
    return KINDS[name]
