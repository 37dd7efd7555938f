"""The short texts for character devices: `-serial`, `-monitor`, consoles' `output` keys. Pure.

Facts: qemu: chardev/char.c (qemu_chr_parse_compat), hw/char/xen_console.c; qemu-system(1), `-serial`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from xenwire.errors import UsageError
from xenwire.qemu.chardev.base import Chardev
from xenwire.qemu.chardev.kinds import (
    Braille,
    File,
    MsMouse,
    Null,
    Parallel,
    Pipe,
    Pty,
    Serial,
    Stdio,
    TestDev,
    Vc,
    WcTablet,
)
from xenwire.qemu.chardev.parse import from_options, read_pairs
from xenwire.qemu.chardev.sockets import Socket, Udp
from xenwire.qemu.options import check_id

__all__ = ["Reference", "parse_compat"]

_WORDS: Final[Mapping[str, type[Chardev]]] = {
    kind.kind: kind for kind in (Braille, MsMouse, Null, Pty, Stdio, TestDev, Vc, WcTablet)
}
_PATHS: Final[Mapping[str, type[File | Pipe | Pty]]] = {"file": File, "pipe": Pipe, "pty": Pty}
_STREAMS: Final = {"tcp", "telnet", "tn3270", "websocket"}

_PIXELS: Final = re.compile(r"(?P<width>[0-9]{1,7})x(?P<height>[0-9]{1,7})")
_CHARACTERS: Final = re.compile(r"(?P<cols>[0-9]{1,7})Cx(?P<rows>[0-9]{1,7})C")
_STREAM: Final = re.compile(r"(?P<host>[^:]{0,64}):(?P<port>[^,]{1,32})(?:,(?P<rest>.*))?", re.DOTALL)
_DATAGRAM: Final = re.compile(
    r"(?P<host>[^:]{0,64}):(?P<port>[^@,]{1,32})(?:@(?P<localaddr>[^:]{0,64}):(?P<localport>[^,]{1,32}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A character device that is defined elsewhere, by its id. Raises UsageError for a bad id."""

    id: str

    def __post_init__(self) -> None:
        check_id(self.id)


def parse_compat(text: str) -> Chardev | Reference:
    """Read a short text: `pty`, `null`, `file:P`, `unix:P,server=on`, `tcp:H:P`, `/dev/ttyS0`, `chardev:ID`…

    A chardev with `mux` (`mon:X`, or `mux=on` among the options) has QEMU's own monitor beside the wire.
    Commas are doubled in `unix:` only: a path after `file:`, `pipe:` and `pty:` goes to the end of the text.
    Raises UsageError for what QEMU would refuse or not read to the end.
    """
    kind, _, rest = text.partition(":")
    if kind == "chardev":
        return Reference(rest)
    if kind != "mon":
        return _parse(text)
    chardev = _parse(rest)
    if isinstance(chardev, Stdio):
        chardev = replace(chardev, signal=False)  # Ctrl-C is the guest's then
    return replace(chardev, mux=True)


def _parse(text: str) -> Chardev:
    if text.startswith(("/dev/parport", "/dev/ppi")):
        return Parallel(text)
    if text.startswith("/dev/"):
        return Serial(text)
    if text in _WORDS:
        return _WORDS[text]()
    kind, colon, rest = text.partition(":")
    if not colon:
        raise _unknown(text)
    if kind in _PATHS:
        return _PATHS[kind](rest)
    if kind in _STREAMS:
        return _stream(kind, text, rest)
    match kind:
        case "unix":
            return from_options(Socket, read_pairs(rest, "path"))
        case "udp" if found := _DATAGRAM.fullmatch(rest):
            return from_options(Udp, {name: value for name, value in found.groupdict().items() if value})
        case "vc" if found := _PIXELS.fullmatch(rest) or _CHARACTERS.fullmatch(rest):
            extent: dict[str, Any] = {name: int(value) for name, value in found.groupdict().items()}
            return Vc(**extent)
    raise _unknown(text)


def _stream(kind: str, text: str, rest: str) -> Chardev:
    found = _STREAM.fullmatch(rest)
    if found is None:
        raise _unknown(text)
    options = {"host": found["host"], "port": found["port"]}
    if kind != "tcp":
        options[kind] = "on"
    # The first of the rest has no implied name: `server` stands for `server=on` there too.
    more = read_pairs(f",{found['rest']}", "") if found["rest"] else {}
    more.pop("", None)
    if doubled := options.keys() & more.keys():
        raise UsageError(f"{min(doubled)} comes twice: {text!r}", reason="the text before the comma says it")
    return from_options(Socket, options | more)


def _unknown(text: str) -> UsageError:
    return UsageError(
        f"not a character device: {text!r}",
        reason="QEMU has no such short text",
        hint="for example pty, null, file:/path, unix:/path,server=on,wait=off, tcp:host:port, /dev/ttyS0",
    )
