"""Channels: `connection=socket,path=/run/x.sock,name=org.example.0` (xen: tools/xl/xl_parse.c).

The kind is `connection`, as in xl.cfg(5), or, without that, `type`, as in the first libxl patches (seed 004:
there in capitals), or `kind`. xl itself knows `connection=pty` and `connection=socket` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from xenwire.config.diagnostics import Severity, shown
from xenwire.config.libxl.types import (
    DeviceChannel,
    DeviceChannelConnectionMember,
    DeviceChannelNone,
    DeviceChannelPath,
    DeviceChannelPty,
    DeviceChannelSocket,
    DeviceChannelUnknown,
)
from xenwire.config.libxl.version import XenVersion
from xenwire.config.xl.devices.pieces import Item, Piece, items
from xenwire.config.xl.reader import Reader, decoded
from xenwire.errors import UsageError
from xenwire.types import ChannelKind, ChannelName

__all__ = ["numbers_from_zero", "read_channels"]

_KIND_KEYS: Final = ("connection", "type", "kind")
"""The first of them that is given counts."""
_KEYS: Final = ("name", "path", "backend", *_KIND_KEYS)
_KINDS: Final = tuple(kind.value for kind in ChannelKind)
_XL_KINDS: Final = frozenset({ChannelKind.PTY, ChannelKind.SOCKET})
_IGNORING: Final = b"unknown channel parameter '%s', ignoring\n"
_NO_KIND: Final = b"channel has unknown 'connection'\n"
_NO_PATH: Final = b"channel connection 'socket' requires path=..\n"


def read_channels(reader: Reader) -> tuple[DeviceChannel, ...]:
    """Read the key `channel`.

    The channels are numbered by their places in the list; later releases of xl leave that to libxl.
    """
    version = reader.facts.version
    numbered = numbers_from_zero(version)
    names: set[str] = set()
    channels: list[DeviceChannel] = []
    for index, item in enumerate(items(reader, "channel")):
        if numbered and index == 0:
            item.warn(
                0,
                f"xl {version} loses the first channel when it creates the domain: it gives it the number 0, "
                "that of the primary console",
                "put a dummy channel before it, or use xl 4.18.5, 4.19.2, 4.20.1, 4.21 or later",
            )
        given = _parameters(item, cut=version < XenVersion(4, 18, 0))
        if given is None:
            continue
        channels.append(
            DeviceChannel(
                devid=index if numbered else -1,
                name=_string(given, "name"),
                backend_domname=_string(given, "backend"),
                connection=_connection(item, given),
            )
        )
        _check_name(item, index, given.get("name"), names)
    return tuple(channels)


def numbers_from_zero(version: XenVersion) -> bool:
    """Tell whether xl numbers channels, and so loses the first one.

    That ended in all the series that were maintained then.
    """
    if version < XenVersion(4, 18, 0):
        return True
    return version.point < {18: 5, 19: 2, 20: 1}.get(version.minor, 0)


def _parameters(item: Item, *, cut: bool) -> dict[str, Piece] | None:
    """Give the known parameters by their keys, the last one of equal ones; None after an error."""
    failed = False
    given: dict[str, Piece] = {}
    seen: set[bytes] = set()
    piece = None
    for piece in item.trimmed(cut=cut):
        if not piece.given:
            # xl ends this message without a newline.
            item.refuse(piece, _KEYS, xl=b"failed to parse channel configuration: %s" % piece.text)
            failed = True
            continue
        key, _, value = piece.text.partition(b"=")
        if (key.strip(), value.strip()) != (piece.key, piece.value):
            item.warn(
                piece.value_at + len(piece.value),
                f"xl before 4.18 cuts this at every =: {shown(piece.key)} is {shown(piece.value)}",
            )
        name = decoded(piece.key)
        if name not in _KEYS:
            hint = item.suggestion(Severity.WARNING, piece.key, _KEYS)
            message = f"unknown channel parameter {shown(piece.key) or 'without a name'}, ignored"
            item.warn(piece.at, message, hint, xl=_IGNORING % piece.key)
            continue
        item.note_repeated(piece, seen)
        given[name] = piece
        if name == "connection":
            _check_connection(piece)
        elif name in _KIND_KEYS:
            item.xl_prints(_IGNORING % piece.key)
    if piece is None:
        item.error(0, "an empty channel", "write connection=pty,name=org.example.0", xl_status=-11)
        failed = True
    return None if failed else given


def _check_connection(piece: Piece) -> None:
    """Report a `connection` of which xl makes nothing."""
    words = b"unknown channel connection '%s'\n" % piece.value
    word = decoded(piece.value)
    if word in _XL_KINDS:
        return
    if word in _KINDS:
        piece.item.warn(
            piece.value_at, f"xl refuses connection={word}: only Xenwire has it", xl=words, xl_status=1
        )
        return
    small = decoded(piece.value.lower())
    if small in _KINDS:
        hint = f"write {small}: xl refuses capitals here"
    else:
        hint = f"the kinds are {', '.join(_KINDS)}"
    piece.item.error(piece.value_at, f"unknown channel connection {shown(piece.value)}", hint, xl=words)


def _connection(item: Item, given: Mapping[str, Piece]) -> DeviceChannelConnectionMember:
    """Find out what the host end of a channel is connected to."""
    kind = _kind(item, given)
    path = given.get("path")
    if kind in (ChannelKind.NONE, ChannelKind.PTY) and path:
        item.warn(path.at, f"a channel of kind {kind} takes no path; it is ignored")
    elif kind in (ChannelKind.PATH, ChannelKind.SOCKET) and path is None:
        item.error(0, f"a channel of kind {kind} without a path", "add path=/…", xl=_NO_PATH)
    elif kind in (ChannelKind.PATH, ChannelKind.SOCKET) and path and not path.value:
        item.warn(path.at, "the path is empty: such a channel cannot be created", "write path=/…")
    match kind:
        case ChannelKind.NONE:
            return DeviceChannelNone()
        case ChannelKind.PTY:
            return DeviceChannelPty()
        case ChannelKind.PATH:
            return DeviceChannelPath(path=_string(given, "path"))
        case ChannelKind.SOCKET:
            return DeviceChannelSocket(path=_string(given, "path"))
        case _:
            return DeviceChannelUnknown()


def _kind(item: Item, given: Mapping[str, Piece]) -> ChannelKind | None:
    """Find the kind of a channel; None if there was an error."""
    keys = [key for key in _KIND_KEYS if key in given]
    if not keys:
        hint = f"add connection=…, one of {', '.join(_KINDS)}"
        item.error(0, "a channel without a connection", hint, xl=_NO_KIND)
        return None
    for key in keys[1:]:
        item.warn(given[key].at, f"{key} is ignored: {keys[0]} says the kind")
    piece = given[keys[0]]
    word = decoded(piece.value)
    if keys[0] == "connection":
        return ChannelKind(word) if word in _KINDS else None
    small = decoded(piece.value.lower())
    if small not in _KINDS:
        hint = f"the kinds are {', '.join(_KINDS)}"
        item.error(piece.value_at, f"unknown channel kind {shown(piece.value)}", hint, xl=_NO_KIND)
        return None
    kind = ChannelKind(small)
    remedy = f"write connection={kind}" if kind in _XL_KINDS else None
    item.warn(
        piece.at,
        f"xl refuses a channel with {keys[0]}= and without connection=",
        remedy,
        xl=_NO_KIND,
        xl_status=1,
    )
    return kind


def _check_name(item: Item, index: int, piece: Piece | None, names: set[str]) -> None:
    """Warn of a name with which the creation of the domain, or the search in the guest, fails later."""
    if piece is None or not piece.value:
        hint = "add name=, such as name=org.example.agent.0"
        place = piece.at if piece else 0
        item.warn(place, f"channel {index} has no name: the domain cannot be created", hint)
        return
    name = piece.string
    try:
        ChannelName(name)
    except UsageError as error:
        item.warn(piece.value_at, f"not a channel name: {shown(piece.value)}", error.reason)
    if name in names:
        item.warn(
            piece.value_at,
            f"another channel has the name {shown(piece.value)}: guests find only one of them",
            "give each channel a name of its own",
        )
    names.add(name)


def _string(given: Mapping[str, Piece], key: str) -> str | None:
    piece = given.get(key)
    return piece.string if piece else None
