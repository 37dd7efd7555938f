"""Values whose fields have a name in option strings and one in QMP. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Final, NamedTuple

from xenwire.errors import UsageError
from xenwire.qemu.chardev.forms import Form

__all__ = [
    "BASELINE",
    "Record",
    "Version",
    "members_of",
    "options_of",
    "read_members",
    "read_options",
    "refuse_rest",
    "require",
    "said",
]

Version = tuple[int | str, ...]
"""QEMU's major and minor version; more may follow, as in `qmp.session.Version`."""

BASELINE: Final[Version] = (7, 0)
"""The QEMU that is written for where no version is given. Later ones understand all of it but `reconnect`."""


class _Said(NamedTuple):
    form: Form
    option: str | None
    member: str | None
    option_since: Version
    member_since: Version


def said(
    form: Form,
    option: str | None,
    member: str | None,
    *,
    option_since: Version = BASELINE,
    member_since: Version = BASELINE,
) -> Mapping[str, _Said]:
    """Give the metadata of a field: its form, and its names; None where it cannot be said."""
    return {"said": _Said(form, option, member, option_since, member_since)}


@dataclass(frozen=True, slots=True)
class Record:
    """A value that is right by construction: making one raises UsageError for what QEMU would not take."""

    kind: ClassVar[str]
    noun: ClassVar[str]

    def __post_init__(self) -> None:
        for field, words in _said(type(self)):
            value = getattr(self, field.name)
            if not (value is None and field.default is None) and not words.form.valid(value):
                raise _bad(type(self), field.name, value, words.form)
        self._check()

    def _check(self) -> None:
        """Raise UsageError for fields that do not go together."""


def options_of(record: Record, version: Version) -> dict[str, str | int | bool]:
    """Give the options of a record, those with their defaults left out.

    Raises UsageError for what the command line has no option for, or `version` does not know yet.
    """
    options: dict[str, str | int | bool] = {}
    for field, words in _set(record):
        if words.option is None:
            raise UsageError(
                f"{record.kind} {record.noun}: {words.member} cannot be said on the command line",
                reason="QEMU has no option for it",
                hint="add the chardev over QMP",
            )
        require(f"{words.option} of {record.kind}", words.option_since, version)
        options[words.option] = getattr(record, field.name)
    return options


def members_of(record: Record, version: Version) -> dict[str, Any]:
    """Give the members of QMP's object for a record, those with their defaults left out.

    Raises UsageError for what QMP has no member for, or `version` does not know yet.
    """
    members: dict[str, Any] = {}
    for field, words in _set(record):
        if words.member is None:
            raise UsageError(
                f"{record.kind} {record.noun}: {words.option} cannot be said in QMP",
                reason="chardev-add has no member for it",
                hint="put the chardev on the command line",
            )
        require(f"{words.member} of {record.kind}", words.member_since, version)
        members[words.member] = words.form.json(getattr(record, field.name))
    return members


def read_options(kind: type[Record], options: dict[str, str]) -> dict[str, Any]:
    """Take the options of a kind of record out of `options`, and give its fields. Raises UsageError."""
    found: dict[str, Any] = {}
    for field, words in _said(kind):
        if words.option is not None and words.option in options:
            found[field.name] = _parsed(kind, words.option, options.pop(words.option), words.form)
        else:
            _require_default(kind, field, words.option)
    return found


def read_members(kind: type[Record], members: dict[str, Any]) -> dict[str, Any]:
    """Take the members of a kind of record out of `members`, and give its fields. Raises UsageError."""
    found: dict[str, Any] = {}
    for field, words in _said(kind):
        if words.member is not None and words.member in members:
            value = members.pop(words.member)
            if type(value) is not words.form.json:
                raise _bad(kind, words.member, value, words.form)
            if isinstance(value, str):
                value = _parsed(kind, words.member, value, words.form)
            found[field.name] = value
        else:
            _require_default(kind, field, words.member)
    return found


def refuse_rest(what: str, rest: Mapping[Any, Any]) -> None:
    """Raise UsageError if something is left that nobody has taken."""
    if rest:
        raise UsageError(
            f"{what} has no {', '.join(map(str, rest))}",
            reason="QEMU refuses it, or takes it and does nothing with it",
            hint="leave it out",
        )


def require(what: str, since: Version, version: Version) -> None:
    """Raise UsageError if `version` is older than what `what` came with."""
    if version < since:
        raise UsageError(
            f"QEMU {_text(version)} has no {what}",
            reason=f"it came with QEMU {_text(since)}",
            hint="use a newer QEMU, and say its version",
        )


def _said(kind: type[Record]) -> Iterator[tuple[dataclasses.Field[Any], _Said]]:
    """Give the fields that have words, those that all kinds share last."""
    for field in sorted(fields(kind), key=lambda field: bool(field.kw_only)):
        if "said" in field.metadata:
            yield field, field.metadata["said"]


def _set(record: Record) -> Iterator[tuple[dataclasses.Field[Any], _Said]]:
    return (
        (field, words) for field, words in _said(type(record)) if getattr(record, field.name) != field.default
    )


def _parsed(kind: type[Record], name: str, text: str, form: Form) -> Any:
    try:
        return form.parse(text)
    except ValueError as error:
        raise _bad(kind, name, text, form) from error


def _require_default(kind: type[Record], field: dataclasses.Field[Any], name: str | None) -> None:
    if field.default is MISSING:
        raise UsageError(f"{kind.kind} {kind.noun} without {name}", reason="it has to be given")


def _bad(kind: type[Record], name: str, value: object, form: Form) -> UsageError:
    return UsageError(
        f"bad {name} in {kind.kind} {kind.noun}: {value!r}",
        reason=f"expected {form.expected}",
        hint=form.hint,
        value=value,
    )


def _text(version: Version) -> str:
    return ".".join(map(str, version[:2]))
