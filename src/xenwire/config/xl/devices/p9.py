"""Folders of the backend domain, shared over 9P (xen: tools/xl/xl_parse.c).

The devices are not numbered: xl sets their numbers, and unsets them again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from xenwire.config.diagnostics import Severity, shown
from xenwire.config.libxl.types import DeviceP9, P9Type
from xenwire.config.libxl.version import XenVersion
from xenwire.config.parser import Text
from xenwire.config.xl.devices.pieces import Item, Piece, items, member
from xenwire.config.xl.reader import Reader, decoded

__all__ = ["read_p9s"]

_KEYS: Final = {
    "tag": "tag",
    "security_model": "security_model",
    "path": "path",
    "backend": "backend_domname",
}
_REQUIRED: Final = ("tag", "security_model", "path")
_LIMITS: Final = ("max-files", "max-open-files", "max-space")
_NEW_KEYS: Final = (*_KEYS, "type", *_LIMITS, "auto-delete")
_TYPES: Final = ("qemu", "xen_9pfsd")
_LOGS: Final = "/var/log/xen/guests/"
"""Xen's own server shares the domain's folder here, if no path is given."""


def read_p9s(reader: Reader) -> tuple[DeviceP9, ...]:
    """Read the key `p9`.

    Before Xen 4.18 a device inherits what it leaves out from the ones before it.
    """
    version = reader.facts.version
    if version < XenVersion(4, 18, 0):
        return _old(reader)
    if version < XenVersion(4, 19, 0):
        return tuple(_new(item) for item in items(reader, "p9"))
    return tuple(_newest(reader, item) for item in items(reader, "p9"))


def _old(reader: Reader) -> tuple[DeviceP9, ...]:
    """Read the key as xl does before Xen 4.18."""
    devices: list[DeviceP9] = []
    inherited: dict[str, str] = {}
    for item in items(reader, "p9"):
        own: dict[str, str] = {}
        for piece in item.pairs(_KEYS, b"Unknown string `%s' in 9pfs spec\n"):
            own[piece.key.decode()] = piece.string
        taken = ", ".join(key for key in inherited if key not in own)
        if taken:
            item.warn(
                0,
                f"a p9 without {taken}: before Xen 4.18 it takes over those of an earlier p9",
                "say it for each p9",
            )
        inherited |= own
        _check_required(item, inherited)
        devices.append(_device(inherited))
    return tuple(devices)


def _new(item: Item) -> DeviceP9:
    """Read an item as xl does in Xen 4.18."""
    given = {piece.key.decode(): piece.string for piece in _pieces(item, tuple(_KEYS))}
    _check_required(item, given)
    return _device(given)


def _newest(reader: Reader, item: Item) -> DeviceP9:
    """Read an item as xl does from Xen 4.19 on. That all is there is checked by libxl, not by xl."""
    fields: dict[str, Any] = {}
    for piece in _pieces(item, _NEW_KEYS):
        key = piece.key.decode()
        if key in _KEYS:
            fields[_KEYS[key]] = piece.string
        elif key in _LIMITS:
            fields[key.replace("-", "_")] = piece.required()
        elif key == "auto-delete":
            fields["auto_delete"] = piece.switch(0)
        else:
            fields["type"] = _type(piece)
    own_server = fields.get("type") is P9Type.XEN_9PFSD
    if own_server and "path" not in fields:
        name = reader.value("name")
        fields["path"] = _LOGS + (decoded(name.value) if isinstance(name, Text) else "")
    needed = _REQUIRED[1:] if own_server else _REQUIRED
    missing = [key for key in needed if key not in fields]
    if missing:
        item.warn(0, f"a p9 without {', '.join(missing)}: such a domain cannot be created", "add it")
    return DeviceP9(**fields)


def _pieces(item: Item, keys: tuple[str, ...]) -> Iterator[Piece]:
    """Give the pieces with a known key, as xl splits them from Xen 4.18 on."""
    piece = None
    seen: set[bytes] = set()
    for piece in item.trimmed(cut=False):
        if not piece.given:
            item.refuse(piece, keys, xl=b"failed to parse 9pfs configuration: %s" % piece.text)
        elif decoded(piece.key) not in keys:
            item.refuse(piece, keys, xl=b"Unknown 9pfs parameter '%s'\n" % piece.key)
        else:
            item.note_repeated(piece, seen)
            yield piece
    if piece is None:
        item.error(0, "an empty p9", "write tag=…,security_model=…,path=…", xl_status=-11)


def _type(piece: Piece) -> P9Type:
    kind = member(P9Type, piece.value)
    if kind is None:
        piece.item.error(
            piece.value_at,
            f"unknown type of p9: {shown(piece.value)}",
            piece.item.suggestion(Severity.ERROR, piece.value, _TYPES),
            xl=b"failed to parse 9pfs type: %s\n" % piece.value,
        )
        return P9Type.UNKNOWN
    return kind


def _device(given: Mapping[str, str]) -> DeviceP9:
    fields: dict[str, Any] = {_KEYS[key]: value for key, value in given.items()}
    return DeviceP9(**fields)


def _check_required(item: Item, given: Collection[str]) -> None:
    missing = ", ".join(key for key in _REQUIRED if key not in given)
    if missing:
        item.error(
            0,
            f"a p9 without {missing}",
            "tag, security_model and path are required",
            xl=b"9pfs spec missing required field!\n",
        )
