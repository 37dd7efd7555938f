"""The differences between two interfaces, as between the libxl of two releases. Pure."""

from __future__ import annotations

import bisect
import enum
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xenwire.config.idl.model import (
    Array,
    Enumeration,
    Field,
    FieldType,
    Interface,
    KeyedUnion,
    Struct,
    Type,
    Union,
    attributes,
    spelling,
)

__all__ = ["Change", "Difference", "Scalar", "differences"]

Scalar: TypeAlias = str | int | None


class Change(enum.StrEnum):
    """What is different, and what `before` and `after` of the difference are."""

    TYPE_ADDED = "type-added"
    """The kind of type, such as Struct."""
    TYPE_REMOVED = "type-removed"
    """The kind of type."""
    TYPE_REPLACED = "type-replaced"
    """Kinds of types."""
    ATTRIBUTE_CHANGED = "attribute-changed"
    """Values of an attribute of the type, such as its default (`init_val`)."""
    FIELD_ADDED = "field-added"
    """The type of the field."""
    FIELD_REMOVED = "field-removed"
    """The type of the field."""
    FIELD_MOVED = "field-moved"
    """The fields that it follows; None: it is the first."""
    FIELD_RETYPED = "field-retyped"
    """Types of the field."""
    DEFAULT_CHANGED = "default-changed"
    """Defaults of the field itself."""
    CONST_CHANGED = "const-changed"
    """Whether the field is const."""
    DEPRECATION_CHANGED = "deprecation-changed"
    """The fields that have taken its place."""
    VALUE_ADDED = "value-added"
    """The number of the enumeration's value."""
    VALUE_REMOVED = "value-removed"
    """The number of the value."""
    VALUE_RENUMBERED = "value-renumbered"
    """Numbers of the value."""
    MEMBER_ADDED = "member-added"
    """The type of the keyed union's member."""
    MEMBER_REMOVED = "member-removed"
    """The type of the member."""
    MEMBER_RETYPED = "member-retyped"
    """Types of the member."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `item` is what differs inside of the type: the field, with a dot before each that is
    inside of another, the value, or the attribute; None: the type itself.
    """

    change: Change
    type: str
    item: str | None = None
    before: Scalar = None
    after: Scalar = None

    def __str__(self) -> str:
        place = f"{self.type}.{self.item}" if self.item else self.type
        words = self.change.replace("-", " ")
        if self.change.endswith("-added"):
            return f"{place}: {words}: {self.after}"
        if self.change.endswith("-removed"):
            return f"{place}: {words}: {self.before}"
        if self.change is Change.FIELD_MOVED:
            return f"{place}: {words}: {_place(self.before)} → {_place(self.after)}"
        return f"{place}: {words}: {_shown(self.before)} → {_shown(self.after)}"


def _shown(value: Scalar) -> str:
    return "none" if value is None else str(value)


def _place(previous: Scalar) -> str:
    return "the first" if previous is None else f"after {previous}"


def differences(before: Interface, after: Interface) -> tuple[Difference, ...]:
    """Give the differences between two interfaces.

    Types are the same if their variables are, and fields, values and members if their names are: one that got
    a new name was removed and added. First come the types of `before` in their order, then those that `after`
    adds.
    """
    return tuple(_differences(before, after))


def _differences(before: Interface, after: Interface) -> Iterator[Difference]:
    old, new = _by_variable(before), _by_variable(after)
    for variable, type_ in old.items():
        if variable in new:
            yield from _Comparison(variable).types("", type_, new[variable])
        else:
            yield Difference(Change.TYPE_REMOVED, variable, before=type(type_).__name__)
    for variable, type_ in new.items():
        if variable not in old:
            yield Difference(Change.TYPE_ADDED, variable, after=type(type_).__name__)


def _by_variable(interface: Interface) -> dict[str, Type]:
    return {type_.variable: type_ for type_ in (*interface.builtins, *interface.types) if type_.variable}


class _Comparison:
    """Compares what is inside of a type; `path` leads to a part of it, and is empty or ends with a dot."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def _difference(self, change: Change, item: str, before: Scalar, after: Scalar) -> Iterator[Difference]:
        if before != after:
            yield Difference(change, self._variable, item or None, before, after)

    def types(self, path: str, before: Type, after: Type) -> Iterator[Difference]:
        if type(before) is not type(after):
            kinds = type(before).__name__, type(after).__name__
            yield from self._difference(Change.TYPE_REPLACED, path.removesuffix("."), *kinds)
            return
        old, new = _attributes(before), _attributes(after)
        for name in old:
            yield from self._difference(Change.ATTRIBUTE_CHANGED, path + name, old[name], new[name])
        match before, after:
            case Enumeration(), Enumeration():
                yield from self._values(path, before, after)
            case Struct() | Union(), Struct() | Union():
                yield from self._fields(path, before.fields, after.fields)

    def _values(self, path: str, before: Enumeration, after: Enumeration) -> Iterator[Difference]:
        old = {value.name: value.value for value in before.values}
        new = {value.name: value.value for value in after.values}
        for name, number in old.items():
            if name in new:
                yield from self._difference(Change.VALUE_RENUMBERED, path + name, number, new[name])
            else:
                yield from self._difference(Change.VALUE_REMOVED, path + name, number, None)
        for name, number in new.items():
            if name not in old:
                yield from self._difference(Change.VALUE_ADDED, path + name, None, number)

    def _fields(self, path: str, before: Sequence[Field], after: Sequence[Field]) -> Iterator[Difference]:
        old = {field.name: field for field in before}
        new = {field.name: field for field in after}
        moved = _moved([name for name in old if name in new], list(new))
        follows_old = dict(itertools.pairwise(reversed(old)))
        follows_new = dict(itertools.pairwise(reversed(new)))
        for name, field in old.items():
            if name not in new:
                yield from self._difference(Change.FIELD_REMOVED, path + name, spelling(field.type), None)
                continue
            if name in moved:
                yield Difference(
                    Change.FIELD_MOVED,
                    self._variable,
                    path + name,
                    follows_old.get(name),
                    follows_new.get(name),
                )
            yield from self._field(path + name, field, new[name])
        for name, field in new.items():
            if name not in old:
                yield from self._difference(Change.FIELD_ADDED, path + name, None, spelling(field.type))

    def _field(self, item: str, before: Field, after: Field) -> Iterator[Difference]:
        old, new = spelling(before.type), spelling(after.type)
        yield from self._difference(Change.FIELD_RETYPED, item, old, new)
        yield from self._difference(Change.DEFAULT_CHANGED, item, before.init_val, after.init_val)
        yield from self._difference(Change.CONST_CHANGED, item, before.const, after.const)
        yield from self._difference(
            Change.DEPRECATION_CHANGED, item, before.deprecated_by, after.deprecated_by
        )
        if old == new:
            yield from self._inside(item, before.type, after.type)

    def _inside(self, item: str, before: FieldType | None, after: FieldType | None) -> Iterator[Difference]:
        """Compare types that are written in the field that has them; others are compared where they are."""
        match before, after:
            case Array(), Array():
                yield from self._inside(item, before.element, after.element)
            case KeyedUnion(), KeyedUnion():
                yield from self._members(item, before, after)
            case Type(variable=None), Type(variable=None):
                yield from self.types(f"{item}.", before, after)

    def _members(self, item: str, before: KeyedUnion, after: KeyedUnion) -> Iterator[Difference]:
        yield from self._difference(Change.DEFAULT_CHANGED, item, before.key_init_val, after.key_init_val)
        old = {member.value.name: member for member in before.members}
        new = {member.value.name: member for member in after.members}
        for key, member in old.items():
            place, type_ = f"{item}.{member.name}", spelling(member.type)
            if key not in new:
                yield from self._difference(Change.MEMBER_REMOVED, place, type_, None)
                continue
            yield from self._difference(Change.MEMBER_RETYPED, place, type_, spelling(new[key].type))
            yield from self._inside(place, member.type, new[key].type)
        for key, member in new.items():
            if key not in old:
                yield from self._difference(
                    Change.MEMBER_ADDED, f"{item}.{member.name}", None, spelling(member.type)
                )


def _attributes(type_: Type) -> dict[str, Scalar]:
    """Give what can differ between types of the same class, with names instead of numbers."""
    found = attributes(type_)
    del found["class"], found["rawname"], found["namespace"]
    return {**found, "dir": type_.direction.name, "passby": type_.passby.name}


def _moved(old: Sequence[str], new: Sequence[str]) -> frozenset[str]:
    """Give the fewest of the old names without which the rest has the same order in both."""
    place = {name: index for index, name in enumerate(new)}
    tails: list[int] = []  # the last places of rising rows, by length, each as low as can be
    lengths = []
    for name in old:
        length = bisect.bisect_left(tails, place[name])
        tails[length : length + 1] = [place[name]]
        lengths.append(length)
    wanted = len(tails) - 1
    kept = set()
    for name, length in zip(reversed(old), reversed(lengths), strict=True):
        if length == wanted:
            kept.add(name)
            wanted -= 1
    return frozenset(old) - kept
