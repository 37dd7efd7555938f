"""The constructors of the language: from a call to the type that it describes. Pure.

Defaults are those of Xen's own reader (xen: tools/libs/light/idl.py).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from xenwire.config.diagnostics import shown
from xenwire.config.idl.arguments import (
    CONSTANTS,
    Arguments,
    Keywords,
    Mistake,
    integer,
    items,
    text,
    unexpected,
    word,
)
from xenwire.config.idl.model import (
    Array,
    Builtin,
    Direction,
    Enumeration,
    EnumValue,
    Field,
    FieldType,
    KeyedUnion,
    Member,
    Number,
    PassBy,
    Struct,
    Type,
    UInt,
    Union,
    Value,
)
from xenwire.config.idl.syntax import SHAPE

__all__ = ["CONSTRUCTORS", "Dependent", "Scope", "Unknown"]

_FIELD: Final = 'a field is ("name", type) or ("name", type, {options})'
_WIDTHS: Final = (8, 16, 32, 64)
_ONLY_FIELDS: Final = ("Array", "KeyedUnion")


class Unknown(Mistake):
    """A name that is not defined, or not yet."""

    def __init__(self, node: ast.Name, kind: str) -> None:
        hint = SHAPE if kind == "constructor" else None
        super().__init__(node, f"unknown {kind} {shown(node.id.encode())}", hint)
        self.name = node.id


class Dependent(Exception):
    """A statement cannot be understood because another, which is told of already, could not."""


class Scope:
    """What is defined at a place in a file, and how the calls there are understood.

    All that reads a node raises Mistake, or Dependent.
    """

    def __init__(self, types: dict[str, Type]) -> None:
        self.types = types
        self.broken: set[str] = set()
        """The variables whose statements could not be understood."""
        self.namespace = ""
        self.hidden = False

    def define(self, variable: str, call: ast.Call) -> Type:
        """Make the type that a call describes, and give it to a variable."""
        type_ = self._construct(call, variable)
        if type_.rawname is None:
            raise Mistake(call, "this type has no name", "only inside of a field can a type be without one")
        self.types[variable] = type_
        self.broken.discard(variable)
        return type_

    def lose(self, variable: str) -> None:
        """Forget a variable, as its statement could not be understood."""
        self.types.pop(variable, None)
        self.broken.add(variable)

    def _construct(self, call: ast.Call, variable: str | None) -> Type:
        if not isinstance(call.func, ast.Name):
            raise unexpected(call.func, "a constructor", SHAPE)
        name = call.func.id
        if name in _ONLY_FIELDS:
            raise Mistake(call, f"{name} outside of a field", "only a field of a Struct can have it")
        if name not in CONSTRUCTORS:
            self._lookup(call.func, "constructor")
            raise Mistake(
                call,
                f"{shown(name.encode())} is no constructor",
                f"constructors are {', '.join(CONSTRUCTORS)}",
            )
        return CONSTRUCTORS[name](self, call, variable)

    def _lookup(self, node: ast.Name, kind: str) -> Type:
        if node.id in self.broken:
            raise Dependent
        try:
            return self.types[node.id]
        except KeyError:
            raise Unknown(node, kind) from None

    def _type(self, node: ast.expr) -> Type:
        match node:
            case ast.Name(name) if name in CONSTANTS:
                raise unexpected(node, "a type")
            case ast.Name():
                return self._lookup(node, "type")
            case ast.Call():
                return self._construct(node, None)
            case _:
                raise unexpected(node, "a type")

    def _value(self, node: ast.expr) -> Value:
        """Read what a keyword without meaning holds."""
        match node:
            case ast.Name(name) if name in CONSTANTS:
                return CONSTANTS[name]
            case ast.Name() | ast.Call():
                return self._type(node)
            case ast.Constant(None | bool() as value):
                return value
            case ast.Constant(str()):
                return text(node)
            case ast.List() | ast.Tuple():
                return tuple(map(self._value, node.elts))
            case ast.Dict():
                return tuple((key, self._value(value)) for key, value in _options(node).items())
            case _:
                return integer(node)

    def _others(self, given: Keywords) -> tuple[tuple[str, Value], ...]:
        return tuple((name, self._value(node)) for name, node in given.left.items())

    def _attributes(
        self,
        given: Arguments,
        rawname: str | None,
        variable: str | None,
        *,
        passby: PassBy = PassBy.VALUE,
        json_parse_type: str | None = None,
        namespace: str | None = None,
    ) -> dict[str, Any]:
        """Give what all types have. The rest of the keywords is kept as it is."""
        private = given.flag("private", False)
        if json_parse_type is None and not private:
            json_parse_type = "JSON_ANY"
        return {
            "variable": variable,
            "rawname": rawname,
            "namespace": given.text("namespace", namespace),
            "direction": given.choice("dir", Direction.BOTH),
            "passby": given.choice("passby", passby),
            "private": private,
            "hidden": given.flag("hidden", self.hidden),
            "init_val": given.default("init_val"),
            "check_default_fn": given.text("check_default_fn"),
            "json_parse_type": given.text("json_parse_type", json_parse_type),
            "keywords": self._others(given),
        }

    def builtin(self, call: ast.Call, variable: str | None) -> Builtin:
        """Read Builtin(name)."""
        given = Arguments(call, "Builtin", "name")
        rawname = _c_type(given.positional[0])
        return Builtin(**self._attributes(given, rawname, variable, namespace=self.namespace))

    def number(self, call: ast.Call, variable: str | None) -> Number:
        """Read Number(ctype)."""
        given = Arguments(call, "Number", "ctype")
        signed = given.flag("signed", False)
        rawname = _c_type(given.positional[0])
        return Number(
            **self._attributes(given, rawname, variable, json_parse_type="JSON_INTEGER"), signed=signed
        )

    def uint(self, call: ast.Call, variable: str | None) -> UInt:
        """Read UInt(width)."""
        given = Arguments(call, "UInt", "width")
        signed = given.flag("signed", False)
        width = integer(given.positional[0])
        if width not in _WIDTHS:
            raise unexpected(given.positional[0], f"a width of {', '.join(map(str, _WIDTHS))}")
        rawname = f"uint{width}_t"
        return UInt(
            **self._attributes(given, rawname, variable, json_parse_type="JSON_INTEGER"),
            signed=signed,
            width=width,
        )

    def enumeration(self, call: ast.Call, variable: str | None) -> Enumeration:
        """Read Enumeration(name, [(number, name), ...])."""
        given = Arguments(call, "Enumeration", "name", "values")
        name, values = given.positional
        rawname = word(name, "a name")
        value_namespace = given.left.pop("value_namespace", None)
        attributes = self._attributes(
            given, rawname, variable, json_parse_type="JSON_STRING", namespace=self.namespace
        )
        if value_namespace is not None:
            prefix = text(value_namespace)
        elif attributes["namespace"] is not None:
            prefix = attributes["namespace"]
        else:
            raise Mistake(call, "an enumeration without a namespace needs a value_namespace")
        prefix = f"{prefix.upper()}{rawname.upper()}_"
        return Enumeration(**attributes, values=_enum_values(values, prefix))

    def struct(self, call: ast.Call, variable: str | None) -> Struct:
        """Read Struct(name or None, [field, ...])."""
        given = Arguments(call, "Struct", "name", "fields")
        return Struct(**self._aggregate(given, variable), fields=self._fields(given.positional[1], True))

    def union(self, call: ast.Call, variable: str | None) -> Union:
        """Read Union(name or None, [field, ...])."""
        given = Arguments(call, "Union", "name", "fields")
        return Union(**self._aggregate(given, variable), fields=self._fields(given.positional[1], False))

    def _aggregate(self, given: Arguments, variable: str | None) -> dict[str, Any]:
        name = given.positional[0]
        rawname = None if isinstance(name, ast.Constant) and name.value is None else word(name, "a name")
        return self._attributes(
            given,
            rawname,
            variable,
            passby=PassBy.REFERENCE,
            json_parse_type="JSON_MAP",
            namespace=self.namespace,
        )

    def _fields(self, node: ast.expr, in_struct: bool) -> tuple[Field, ...]:
        taken: set[str] = set()
        fields = []
        for item in items(node, "a list of fields"):
            parts = items(item, "a field")
            if len(parts) not in (2, 3):
                raise Mistake(item, f"a field with {len(parts)} parts", _FIELD)
            name = _take(parts[0], taken)
            type_ = self._field_type(parts[1], taken if in_struct else None)
            options = Keywords(_options(parts[2]) if len(parts) == 3 else {})
            fields.append(self._field(name, type_, options))
        return tuple(fields)

    def _field(self, name: str, type_: FieldType, options: Keywords) -> Field:
        return Field(
            name=name,
            type=type_,
            const=options.flag("const", False),
            init_val=options.default("init_val"),
            deprecated_by=options.text("deprecated_by"),
            keywords=self._others(options),
        )

    def _field_type(self, node: ast.expr, taken: set[str] | None) -> FieldType:
        """Read the type of a field. `taken` has the names of the struct's fields, None in a union."""
        if taken is not None and isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            match node.func.id:
                case "Array":
                    return self._array(node, taken)
                case "KeyedUnion":
                    return self._keyed_union(node, taken)
        return self._type(node)

    def _array(self, call: ast.Call, taken: set[str]) -> Array:
        given = Arguments(call, "Array", "type", "length_field")
        element, length = given.positional
        type_ = self._type(element)
        if type_.rawname is None:
            raise Mistake(element, "an array of a type without a name")
        return Array(element=type_, length_field=_take(length, taken), keywords=self._others(given))

    def _keyed_union(self, call: ast.Call, taken: set[str]) -> KeyedUnion:
        given = Arguments(call, "KeyedUnion", "None", "enumeration", "key", "members")
        name, key_type, key, members = given.positional
        if not isinstance(name, ast.Constant) or name.value is not None:
            raise unexpected(name, "None", "a keyed union has no name of its own")
        enumeration = self._type(key_type)
        if not isinstance(enumeration, Enumeration):
            raise unexpected(key_type, "an Enumeration")
        return KeyedUnion(
            key=_take(key, taken),
            key_type=enumeration,
            key_init_val=given.default("keyvar_init_val"),
            members=self._members(members, enumeration),
            keywords=self._others(given),
        )

    def _members(self, node: ast.expr, key_type: Enumeration) -> tuple[Member, ...]:
        values = {value.name: value for value in key_type.values}
        members: dict[str, Member] = {}
        for item in items(node, "a list of members"):
            parts = items(item, "a member")
            if len(parts) != 2:
                raise Mistake(item, f"a member with {len(parts)} parts", 'a member is ("name", type or None)')
            name = word(parts[0], "a name")
            value = values.get(name.upper())
            if value is None:
                known = shown(", ".join(value.json for value in key_type.values).encode(), 200)
                raise Mistake(
                    parts[0], f"{shown(name.encode())} is no value of the enumeration", f"it has {known}"
                )
            if value.name in members:
                raise Mistake(parts[0], f"a second member {shown(name.encode())}")
            empty = isinstance(parts[1], ast.Constant) and parts[1].value is None
            members[value.name] = Member(name=name, value=value, type=None if empty else self._type(parts[1]))
        return tuple(members.values())


def _c_type(node: ast.expr) -> str:
    name = text(node)
    if not name:
        raise Mistake(node, "a type of C cannot be empty")
    return name


def _enum_values(node: ast.expr, prefix: str) -> tuple[EnumValue, ...]:
    values: dict[str, EnumValue] = {}
    for item in items(node, "a list of values"):
        parts = items(item, "a value")
        if len(parts) != 2:
            raise Mistake(item, f"a value with {len(parts)} parts", 'a value is (number, "NAME")')
        number = integer(parts[0])
        name = word(parts[1], "a name").upper()
        if name in values:
            raise Mistake(parts[1], f"a second value {shown(name.encode())}", "capitals make no difference")
        values[name] = EnumValue(name, number, prefix + name)
    return tuple(values.values())


def _take(node: ast.expr, taken: set[str]) -> str:
    """Read the name of a field, and see that it is the only one with it."""
    name = word(node, "a name")
    if not name.isidentifier():
        raise Mistake(node, "the name of a field starts with a digit")
    if name in taken:
        raise Mistake(node, f"a second field {shown(name.encode())}")
    taken.add(name)
    return name


def _options(node: ast.expr) -> dict[str, ast.expr]:
    """Read a dictionary whose keys are texts."""
    if not isinstance(node, ast.Dict):
        raise unexpected(node, "a dictionary")
    found: dict[str, ast.expr] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        assert key is not None  # only ** has none, which is no word of the language
        name = text(key)
        if name in found:
            raise Mistake(key, f"{shown(name.encode())} is given twice")
        found[name] = value
    return found


CONSTRUCTORS: Final[dict[str, Callable[[Scope, ast.Call, str | None], Type]]] = {
    "Builtin": Scope.builtin,
    "Number": Scope.number,
    "UInt": Scope.uint,
    "Enumeration": Scope.enumeration,
    "Struct": Scope.struct,
    "Union": Scope.union,
}
