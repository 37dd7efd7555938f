"""An interface in a form to read: a block a type. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from xenwire.config.idl.model import (
    Array,
    Direction,
    Enumeration,
    Field,
    FieldType,
    Interface,
    KeyedUnion,
    Struct,
    Type,
    Union,
    spelling,
)

__all__ = ["listing"]

_INDENT: Final = "    "
_MAX_WIDTH: Final = 48
"""Of the column with the names, in characters."""


def listing(interface: Interface) -> list[str]:
    """Give a text of several lines for each type, with fields, values and defaults."""
    return [_block(type_) for type_ in (*interface.builtins, *interface.types)]


def _block(type_: Type) -> str:
    rows = list(_contents(type_, _INDENT))
    width = min(_MAX_WIDTH, max((len(name) for name, _ in rows), default=0))
    return "\n".join(
        [f"{type_.label}: {_head(type_)}", *(f"{name:{width}}  {text}".rstrip() for name, text in rows)]
    )


def _head(type_: Type) -> str:
    words = type(type_).__name__.lower()
    if type_.init_val is not None:
        words += f" = {type_.init_val}"
    if type_.typename != type_.label:
        words += f", in C {type_.typename}"
    if type_.direction is not Direction.BOTH:
        words += f", direction {type_.direction.name.lower()}"
    if type_.private:
        words += ", private"
    if type_.hidden:
        words += ", hidden"
    return words


def _contents(type_: Type, indent: str) -> Iterator[tuple[str, str]]:
    """Give rows of two columns: what it is called, and what it is."""
    match type_:
        case Enumeration():
            for value in type_.values:
                yield indent + value.json, f"{value.value:5}  {value.c_name}"
        case Struct() | Union():
            for field in type_.fields:
                yield indent + field.name, _field(field)
                yield from _inside(field.type, indent + _INDENT)


def _field(field: Field) -> str:
    default = field.type.key_default if isinstance(field.type, KeyedUnion) else field.default
    words = spelling(field.type)
    if default is not None:
        words += f" = {default}"
    if field.const:
        words += ", const"
    if field.deprecated_by is not None:
        words += f", deprecated by {field.deprecated_by}"
    return words


def _inside(type_: FieldType | None, indent: str) -> Iterator[tuple[str, str]]:
    """Give the rows of a type that is written in the field that has it."""
    match type_:
        case Array():
            yield from _inside(type_.element, indent)
        case KeyedUnion():
            for member in type_.members:
                named = member.type is not None and member.type.label is not None
                yield indent + member.name, spelling(member.type) if named else ""
                yield from _inside(member.type, indent + _INDENT)
        case Type(variable=None):
            yield from _contents(type_, indent)
