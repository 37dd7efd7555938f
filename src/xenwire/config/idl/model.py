"""What an interface file describes: types, with their fields, values and defaults. Pure.

The attributes are those that Xen's own reader keeps (xen: tools/libs/light/idl.py). A field has its type as
an object, and a small file can use the same type a million times over. Therefore types are compared by
identity; two interfaces are the same if `as_dict` gives the same for both.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "Array",
    "Builtin",
    "Direction",
    "EnumValue",
    "Enumeration",
    "Field",
    "FieldType",
    "Interface",
    "KeyedUnion",
    "Member",
    "Number",
    "PassBy",
    "Struct",
    "Type",
    "UInt",
    "Union",
    "Value",
    "as_dict",
    "attributes",
    "spelling",
]


class Direction(enum.IntEnum):
    """Which way a value travels between a program and libxl."""

    NONE = 0
    IN = 1
    OUT = 2
    BOTH = 3


class PassBy(enum.IntEnum):
    """How C functions take a value."""

    VALUE = 1
    REFERENCE = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Type:
    """What all types have. A type without a name is written in the field that has it."""

    variable: str | None
    """The variable of the file that holds the type; None: the type was written where it is used."""
    rawname: str | None
    namespace: str | None
    direction: Direction
    passby: PassBy
    private: bool
    """Never in JSON."""
    hidden: bool
    """Not for users of the library."""
    init_val: str | int | None
    """The default, a C expression or a number."""
    check_default_fn: str | None
    json_parse_type: str | None
    keywords: tuple[tuple[str, Value], ...] = ()
    """All else that the file says of it: names of C functions, and keywords that have no meaning yet."""

    @property
    def typename(self) -> str | None:
        """The type in C."""
        return None if self.rawname is None else (self.namespace or "") + self.rawname

    @property
    def label(self) -> str | None:
        """The type as the file calls it; None if it has no name at all."""
        return self.variable or self.typename


Value: TypeAlias = str | int | Type | tuple["Value", ...] | None
"""What a keyword without meaning can hold. A dictionary is kept as its pairs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Builtin(Type):
    """A type made by hand in C."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Number(Builtin):
    """An integer of C."""

    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UInt(Number):
    """An integer of C of a certain width, in bits."""

    width: int


@dataclass(frozen=True, slots=True)
class EnumValue:
    """A value of an enumeration. `name` has capitals only."""

    name: str
    value: int
    c_name: str

    @property
    def json(self) -> str:
        """The value in JSON."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Enumeration(Type):
    """An enumeration; two names may have the same value."""

    values: tuple[EnumValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a struct or union. Fields are compared by value, but for their types."""

    name: str
    type: FieldType = field(repr=False)
    const: bool = False
    """Never read or written."""
    init_val: str | int | None = None
    """The default, a C expression or a number; None: that of the type."""
    deprecated_by: str | None = None
    """The field of the outermost struct that has taken its place."""
    keywords: tuple[tuple[str, Value], ...] = ()

    @property
    def default(self) -> str | int | None:
        """The default that holds, a C expression or a number; None: nothing says one."""
        if self.init_val is None and isinstance(self.type, Type):
            return self.type.init_val
        return self.init_val


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Struct(Type):
    """A struct of C."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Union(Type):
    """A plain union of C."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member:
    """What a keyed union holds for one value of its key. `type` is None if that is nothing."""

    name: str
    value: EnumValue
    type: Type | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyedUnion:
    """A union, and beside it in the struct a field that tells which member is meant: `key`."""

    key: str
    key_type: Enumeration = field(repr=False)
    key_init_val: str | int | None
    members: tuple[Member, ...]
    keywords: tuple[tuple[str, Value], ...] = ()

    @property
    def key_default(self) -> str | int | None:
        """The default of the key that holds; None: nothing says one."""
        return self.key_type.init_val if self.key_init_val is None else self.key_init_val


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Array:
    """A pointer to elements, and beside it in the struct a field with their number: `length_field`."""

    element: Type = field(repr=False)
    length_field: str
    keywords: tuple[tuple[str, Value], ...] = ()


FieldType: TypeAlias = Type | KeyedUnion | Array


@dataclass(frozen=True, slots=True, eq=False)
class Interface:
    """All types of a file in the order of their assignments, those made by hand apart."""

    builtins: tuple[Builtin, ...]
    types: tuple[Type, ...]

    def select(self, name: str) -> Interface:
        """Give the types of a name: that of the variable, or of the type with or without namespace."""

        def named(type_: Type) -> bool:
            return name in (type_.variable, type_.typename, type_.rawname)

        return Interface(tuple(filter(named, self.builtins)), tuple(filter(named, self.types)))


def spelling(type_: FieldType | None) -> str:
    """Give a type in a few words. Those that have no name are told apart by what they are only."""
    match type_:
        case None:
            return "nothing"
        case Array():
            return f"{type_.element.label}[{type_.length_field}]"
        case KeyedUnion():
            return f"union keyed by {type_.key} ({type_.key_type.label})"
        case _:
            return type_.label or type(type_).__name__.lower()


def as_dict(interface: Interface) -> dict[str, Any]:
    """Give an interface as JSON has it."""
    return {
        "builtins": [_definition(type_) for type_ in interface.builtins],
        "types": [_definition(type_) for type_ in interface.types],
    }


def attributes(type_: Type) -> dict[str, Any]:
    """Give what JSON has of a type, without its fields or values."""
    found = {
        "class": type(type_).__name__,
        "rawname": type_.rawname,
        "typename": type_.typename,
        "namespace": type_.namespace,
        "dir": int(type_.direction),
        "passby": int(type_.passby),
        "private": type_.private,
        "hidden": type_.hidden,
        "init_val": type_.init_val,
        "check_default_fn": type_.check_default_fn,
        "json_parse_type": type_.json_parse_type,
    }
    if isinstance(type_, UInt):
        found["width"] = type_.width
    if isinstance(type_, Number):
        found["signed"] = type_.signed
    return found


def _definition(type_: Type) -> dict[str, Any]:
    found = attributes(type_)
    if isinstance(type_, Enumeration):
        found["values"] = [
            {"name": value.name, "json": value.json, "value": value.value, "c_name": value.c_name}
            for value in type_.values
        ]
    elif isinstance(type_, (Struct, Union)):
        found["fields"] = _fields(type_)
    return found


def _fields(aggregate: Struct | Union) -> list[dict[str, Any]]:
    return [
        {
            "name": field_.name,
            "type": _field_type(field_.type),
            "const": field_.const,
            "init_val": field_.init_val,
            "deprecated_by": field_.deprecated_by,
        }
        for field_ in aggregate.fields
    ]


def _field_type(type_: FieldType | None) -> Any:
    match type_:
        case Array():
            return {"array_of": type_.element.typename, "length_field": type_.length_field}
        case KeyedUnion():
            return {
                "keyed_union": {
                    "key": type_.key,
                    "key_type": type_.key_type.typename,
                    "key_init_val": type_.key_init_val,
                    "members": [
                        {"name": member.name, "enum": member.value.c_name, "type": _field_type(member.type)}
                        for member in type_.members
                    ],
                }
            }
        case Struct(rawname=None) | Union(rawname=None):
            return {type(type_).__name__.lower(): _fields(type_)}
        case None:
            return None
        case _:
            return type_.typename
