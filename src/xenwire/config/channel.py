"""One item of the key `channel`: `connection=socket,path=/run/x.sock,name=org.example.0`.

The kind is `connection`, as in xl.cfg(5), or `type`, as in the first libxl patches (there in capitals), or
`kind`. xl itself knows `connection=pty` and `connection=socket` only.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

from xenwire.config.diagnostics import Report, shown
from xenwire.config.domain import ChannelConfig
from xenwire.config.parser import Text
from xenwire.config.values import decoded
from xenwire.errors import UsageError
from xenwire.types import ChannelKind, ChannelName

__all__ = ["parse_channel"]

_KIND_KEYS: Final = ("connection", "type", "kind")
"""The first of them that is given counts."""
_KEYS: Final = ("name", "path", "backend", *_KIND_KEYS)
_KINDS: Final = ", ".join(ChannelKind)


@dataclass(frozen=True, slots=True)
class _Field:
    """A `key=value`, with the places of both in the file."""

    value: bytes
    key_at: int
    value_at: int


def parse_channel(item: Text, report: Report) -> ChannelConfig | None:
    """Read one item. Errors and warnings go to `report`; None if there was an error."""
    fields = _fields(item, report)
    if fields is None:
        return None
    kind = _kind(item, fields, report)
    name = _name(item, fields, report)
    path = fields.get("path")
    if kind in (ChannelKind.NONE, ChannelKind.PTY) and path:
        report.warn(path.key_at, f"a channel of kind {kind} takes no path; it is ignored")
        path = None
    if kind is None or name is None:
        return None
    backend = fields.get("backend")
    try:
        return ChannelConfig(
            name,
            kind,
            path=decoded(path.value) if path else None,
            backend=decoded(backend.value) if backend else None,
        )
    except UsageError as error:
        report.error(item.start, str(error), error.hint)
        return None


def _fields(item: Text, report: Report) -> dict[str, _Field] | None:
    """Split an item at commas, each piece at its first `=`. None if one is no `key=value`."""
    if not item.value.strip(b","):
        report.error(item.start, "an empty channel", "write connection=pty,name=org.example.0")
        return None
    fields: dict[str, _Field] = {}
    places = item.offsets()
    failed = False
    start = 0
    for piece in item.value.split(b","):
        place, start = start, start + len(piece) + 1
        if not piece:
            continue
        head, _, tail = piece.partition(b"=")
        key, value = head.strip(), tail.strip()
        key_at = places[place + len(head) - len(head.lstrip())]
        if not key or not value:
            report.error(key_at, f"not a key=value: {shown(piece.strip())}", f"keys are {', '.join(_KEYS)}")
            failed = True
            continue
        value_index = place + len(head) + 1 + len(tail) - len(tail.lstrip())
        if b"=" in value:
            equals = places[value_index + value.index(b"=")]
            report.warn(equals, "xl before 4.18 cuts the value off at this second =")
        name = decoded(key)
        if name not in _KEYS:
            _warn_unknown(name, key_at, report)
            continue
        if name in fields:
            report.warn(key_at, f"{name} is given again; the earlier one is ignored")
        fields[name] = _Field(value, key_at, places[value_index])
    return None if failed else fields


def _warn_unknown(key: str, key_at: int, report: Report) -> None:
    close = difflib.get_close_matches(key[:40], _KEYS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"keys are {', '.join(_KEYS)}"
    report.warn(
        key_at, f"unknown channel parameter {shown(key.encode('utf-8', 'surrogateescape'))}, ignored", hint
    )


def _kind(item: Text, fields: dict[str, _Field], report: Report) -> ChannelKind | None:
    given = [key for key in _KIND_KEYS if key in fields]
    if not given:
        report.error(item.start, "a channel without a connection", f"add connection=…, one of {_KINDS}")
        return None
    for key in given[1:]:
        report.warn(fields[key].key_at, f"{key} is ignored: {given[0]} says the kind")
    field = fields[given[0]]
    word = decoded(field.value)
    small = word.lower()
    if small not in set(ChannelKind):
        hint = f"the kinds are {_KINDS}"
    elif small != word and given[0] == "connection":
        hint = f"write {small}: xl refuses capitals here"
    else:
        return ChannelKind(small)
    report.error(field.value_at, f"unknown channel kind {shown(field.value)}", hint)
    return None


def _name(item: Text, fields: dict[str, _Field], report: Report) -> ChannelName | None:
    field = fields.get("name")
    try:
        return ChannelName(decoded(field.value) if field else "")
    except UsageError as error:
        if field is None:
            report.error(item.start, error.message, error.hint)
        else:
            report.error(field.value_at, f"not a channel name: {shown(field.value)}", error.reason)
        return None
